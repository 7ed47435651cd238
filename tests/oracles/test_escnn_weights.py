"""Networks of escnn 1.0.11 that were trained there compute the same here."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, interop, models, nn, spaces

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns of an optional package at import
    torch = pytest.importorskip("torch", reason="escnn lives in an environment of its own")
    gspaces = pytest.importorskip("escnn.gspaces", reason="escnn lives in its own environment")
    their_nn = pytest.importorskip("escnn.nn", reason="escnn lives in its own environment")
    their_groups = pytest.importorskip("escnn.group", reason="escnn lives in its own environment")


SPACES = {
    "C1": gspaces.trivialOnR2,
    "C4": lambda: gspaces.rot2dOnR2(4),
    "C8": lambda: gspaces.rot2dOnR2(8),
    "D2": lambda: gspaces.flipRot2dOnR2(2),
    "D4": lambda: gspaces.flipRot2dOnR2(4),
    "flip": gspaces.flip2dOnR2,
    "SO2": lambda: gspaces.rot2dOnR2(-1, maximum_frequency=3),
    "O2": lambda: gspaces.flipRot2dOnR2(-1, maximum_frequency=3),
}


def fields(space, *names):
    """Types by short names: trivial, regular, and irreps by their ids."""
    reps = []
    for name in names:
        if name == "trivial":
            reps.append(space.trivial_repr)
        elif name == "regular":
            reps.append(space.regular_repr)
        else:
            reps.append(space.irrep(*name))
    return their_nn.FieldType(space, reps)


def trained(module, shape=(4, 11, 11), steps=3):
    """A few steps there, so that weights, biases and statistics are those of no initial value."""
    torch.manual_seed(0)
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=0.05) if parameters else None
    for _ in range(steps):
        x = torch.randn(shape[0], module.in_type.size, *shape[1:])
        loss = ((module(module.in_type(x)).tensor - 0.3) ** 2).mean()
        if optimizer:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return module


def assert_same(module, shape=(2, 11, 11), atol=1e-5):
    """Equal outputs at inference; with running statistics also in training, and those after it."""
    x = torch.randn(shape[0], module.in_type.size, *shape[1:])
    module.eval()
    loaded = interop.escnn.load(module)
    model, state = loaded if isinstance(loaded, tuple) else (loaded, None)
    with torch.no_grad():
        wanted = module(module.in_type(x)).tensor.numpy()
    with jax.default_matmul_precision("highest"):
        found = (
            model(jnp.asarray(x.numpy()))
            if state is None
            else model(jnp.asarray(x.numpy()), state)[0]
        )
    scale = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(np.asarray(found), wanted, atol=atol * scale)
    return model, state


def c8_blocks(space):
    """The steerable part of the network of the well-known C8 tutorial, with fewer fields."""
    image = fields(space, "trivial")
    layers, current = [their_nn.MaskModule(image, 29, margin=1)], image
    for count, size, padding in ((2, 7, 1), (3, 5, 2)):
        new = fields(space, *["regular"] * count)
        layers += [
            their_nn.R2Conv(current, new, kernel_size=size, padding=padding, bias=False),
            their_nn.InnerBatchNorm(new),
            their_nn.ReLU(new, inplace=True),
        ]
        current = new
    layers.append(their_nn.PointwiseAvgPoolAntialiased(current, sigma=0.66, stride=2))
    new = fields(space, *["regular"] * 2)
    layers += [
        their_nn.R2Conv(current, new, kernel_size=5, padding=2, bias=True),
        their_nn.InnerBatchNorm(new),
        their_nn.ELU(new),
        their_nn.PointwiseAvgPoolAntialiased(new, sigma=0.66, stride=1, padding=0),
        their_nn.GroupPooling(new),
    ]
    return their_nn.SequentialModule(*layers)


@pytest.mark.parametrize("name", ["C8", "D4"])
def test_the_tutorial_network(name):
    module = trained(c8_blocks(SPACES[name]()), (4, 29, 29))
    model, state = assert_same(module, (2, 29, 29))
    # It goes on training alike.
    module.train()
    x = torch.randn(4, 1, 29, 29)
    wanted = module(module.in_type(x)).tensor.detach().numpy()
    model = eqx.nn.inference_mode(model, value=False)
    found, state = model(jnp.asarray(x.numpy()), state)
    np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max())
    norms = [m for m in module.modules() if type(m).__name__ == "InnerBatchNorm"]
    ours = [m for m in model.layers if isinstance(m, nn.InnerBatchNorm)]
    for theirs, layer in zip(norms, ours, strict=True):
        (inner,) = [m for key, m in theirs.named_children() if key.startswith("batch_norm")]
        mean, variance, count = state.get(layer.running)
        np.testing.assert_allclose(mean, inner.running_mean, atol=1e-5)
        np.testing.assert_allclose(variance, inner.running_var, rtol=1e-4)
        assert int(count) == int(inner.num_batches_tracked)


@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("name", SPACES)
def test_convolutions(name, size):
    space = SPACES[name]()
    one = {
        "C1": (0,),
        "flip": (1,),
        "C4": (1,),
        "C8": (2,),
        "D2": (1, 1),
        "D4": (1, 1),
        "SO2": (1,),
        "O2": (1, 1),
    }
    middle = ["regular"] if space.fibergroup.order() > 0 else [(2,) if name == "SO2" else (1, 2)]
    hidden = fields(space, "trivial", one[name], *middle)
    module = their_nn.R2Conv(
        hidden, hidden, size, padding=size // 2, stride=2, padding_mode="circular"
    )
    assert_same(trained(module))


@pytest.mark.parametrize(
    "options",
    [
        {"frequencies_cutoff": 3.0},
        {"rings": [0.0, 1.0, 1.5], "sigma": [0.1, 0.5, 0.5]},
        {"frequencies_cutoff": lambda r: 1},
        {"groups": 2},
        {"dilation": 2, "padding": 4},
        {"basis_filter": lambda d: d["radius"] < 1.5},
    ],
    ids=["cutoff", "rings", "low", "groups", "dilation", "filter"],
)
def test_options_of_convolutions(options):
    space = SPACES["C8"]()
    hidden = fields(space, "regular", "regular")
    assert_same(trained(their_nn.R2Conv(hidden, hidden, 5, **options)))


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions(groups):
    space = SPACES["D4"]()
    hidden = fields(space, "regular", "regular")
    module = their_nn.R2ConvTransposed(
        hidden, hidden, 5, padding=2, stride=2, output_padding=1, groups=groups
    )
    assert_same(trained(module))


def layer_of(name, space):
    hidden, mixed = (
        fields(space, "regular", "regular"),
        fields(space, "regular", "trivial", "regular"),
    )
    vectors = fields(space, (1, 1), "regular", (1, 1))
    gates = fields(space, "trivial", (1, 1), "trivial", "regular")
    return {
        "inner norm": lambda: their_nn.InnerBatchNorm(mixed, momentum=0.3, eps=1e-3),
        "inner norm without affine": lambda: their_nn.InnerBatchNorm(mixed, affine=False),
        "norm batch norm": lambda: their_nn.NormBatchNorm(fields(space, (1, 1), (1, 0), (1, 1))),
        "relu": lambda: their_nn.ReLU(hidden),
        "tanh": lambda: their_nn.PointwiseNonLinearity(hidden, "p_tanh"),
        "norm nonlinearity": lambda: their_nn.NormNonLinearity(vectors, "n_softplus"),
        "gated": lambda: their_nn.GatedNonLinearity1(gates, ["gate", "gated"] * 2),
        "group pooling": lambda: their_nn.GroupPooling(mixed),
        "norm pooling": lambda: their_nn.NormPool(vectors),
        "max": lambda: their_nn.PointwiseMaxPool2D(hidden, 3, 2, 1),
        "blurred max": lambda: their_nn.PointwiseMaxPoolAntialiased2D(hidden, 3, 2),
        "mean": lambda: their_nn.PointwiseAvgPool2D(hidden, 3, 2),
        "blurred mean": lambda: their_nn.PointwiseAvgPoolAntialiased2D(hidden, 0.66, 2),
        "norm max": lambda: their_nn.NormMaxPool(vectors, 2),
        "dropout": lambda: their_nn.FieldDropout(hidden),
        "channel dropout": lambda: their_nn.PointwiseDropout(hidden),
        "reshuffle": lambda: their_nn.ReshuffleModule(mixed, [1, 2, 0]),
        "upsampling": lambda: their_nn.R2Upsampling(hidden, 2),
        "mask": lambda: their_nn.MaskModule(hidden, 11, margin=3.0, sigma=1.5),
        "identity": lambda: their_nn.IdentityModule(hidden),
    }[name]()  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        *("inner norm", "inner norm without affine", "norm batch norm", "relu", "tanh"),
        *("norm nonlinearity", "gated", "group pooling", "norm pooling", "max", "blurred max"),
        *("mean", "blurred mean", "norm max", "dropout", "channel dropout", "reshuffle"),
        *("upsampling", "mask", "identity"),
    ],
)
def test_layers(name):
    assert_same(trained(layer_of(name, SPACES["D4"]())))


INDUCED = {
    "C8": [(4, (1,)), (4, (1,))],
    "D4": [((None, 4), (1,)), ((0, 2), (1, 1)), ((None, 4), (1,))],
    "O2": [((None, -1), (1,)), ((None, -1), (2,)), ((None, -1), (1,))],
}


def induced_fields(name):
    space = SPACES[name]()
    group = space.fibergroup
    pairs = [(subgroup, group.subgroup(subgroup)[0].irrep(*id)) for subgroup, id in INDUCED[name]]
    return their_nn.FieldType(space, [group.induced_representation(*pair) for pair in pairs])


def norms(name, kind):
    """Fields of several kinds, with trivial irreps and copies of others, not all in one place."""
    space = SPACES[name]()
    group = space.fibergroup
    one, trivial = group.irrep(*group.irreps()[-1].id), space.trivial_repr
    if kind == "GNormBatchNorm":  # whose own view fails wherever a basis is changed
        several = their_groups.directsum([one, trivial, one, trivial], name="several")
    else:
        several = trivial if name == "O2" else space.regular_repr
    return their_nn.FieldType(space, [several, trivial, one, several, trivial])


@pytest.mark.parametrize("name", ["C8", "D4", "O2"])
@pytest.mark.parametrize("kind", ["InducedNormBatchNorm", "IIDBatchNorm2d", "GNormBatchNorm"])
def test_norms_by_representation(kind, name):
    """Outputs at inference, then a step of training and the statistics after it."""
    type_ = induced_fields(name) if kind.startswith("Induced") else norms(name, kind)
    module = trained(getattr(their_nn, kind)(type_, momentum=0.3), (4, 7, 7))
    model, state = assert_same(module, (3, 7, 7))
    assert not isinstance(model, nn.Sequential)
    module.train()
    x = torch.randn(4, type_.size, 7, 7) + 0.3
    wanted = module(module.in_type(x)).tensor.detach().numpy()
    found, state = eqx.nn.inference_mode(model, value=False)(jnp.asarray(x.numpy()), state)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
    again, new = interop.escnn.load(module)
    for ours, theirs in zip(state.get(model.running), new.get(again.running), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("name", ["C8", "D4", "O2"])
def test_norms_of_induced_fields(name):
    type_ = induced_fields(name)
    assert_same(trained(their_nn.InducedNormNonLinearity(type_, "n_relu")))


@pytest.mark.parametrize("name", ["C8", "D4"])
def test_gates_of_induced_fields(name):
    """Gates are numbered by the sizes of fields there, which stand in another order."""
    space = SPACES[name]()
    group = space.fibergroup
    subgroup = 4 if name == "C8" else (None, 4)
    inner = group.subgroup(subgroup)[0]
    large, small = (group.induced_representation(subgroup, inner.irrep(n)) for n in (1, 2))
    gate = space.quotient_repr(subgroup)
    type_ = their_nn.FieldType(space, [large, gate, small, gate, gate, large])
    marks = ["gated", "gate", "gated", "gate", "gate", "gated"]
    module = their_nn.InducedGatedNonLinearity1(type_, gates=marks)  # others raise there
    model, _ = assert_same(trained(module))
    assert model.gates == (1, -1, 0, -1, -1, 2)


def test_copies_that_differ_are_named():
    type_ = fields(gspaces.octaOnR3(), "regular")
    with pytest.raises(ValueError, match=r"GNormBatchNorm: in_type: expected copies of irreps"):
        interop.escnn.load(their_nn.GNormBatchNorm(type_).eval())


@pytest.mark.parametrize("reshuffle", [0, 1])
def test_different_modules_for_different_fields(reshuffle):
    """A network of mixed fields: gates, induced ones, quotients, each with a module of its own."""
    space = SPACES["D4"]()
    group = space.fibergroup
    induced = group.induced_representation((None, 4), group.subgroup((None, 4))[0].irrep(1))
    quotient = space.quotient_repr((0, 1))
    one, two, gate = quotient, induced, space.trivial_repr
    hidden = their_nn.FieldType(space, [one, two, gate, one, two, gate, space.irrep(1, 1), one])
    labels = ["q", "i", "gate", "q", "i", "gate", "gated", "gated"]
    conv = their_nn.R2Conv(fields(space, "trivial"), hidden, 5, padding=2)
    branches = their_nn.BranchingModule(hidden, labels, reshuffle=reshuffle).out_type
    mixed = their_nn.MultipleModule(
        hidden,
        labels,
        [
            (their_nn.ReLU(branches["q"]), "q"),
            (their_nn.InducedNormBatchNorm(branches["i"]), "i"),
            (their_nn.GatedNonLinearity2((branches["gate"], branches["gated"])), ["gate", "gated"]),
        ],
        reshuffle=reshuffle,
    )
    last = their_nn.R2Conv(mixed.out_type, fields(space, "trivial", "regular"), 3)
    assert_same(trained(their_nn.SequentialModule(conv, mixed, last)))


def test_restriction_and_what_follows():
    space = SPACES["D4"]()
    restriction = their_nn.RestrictionModule(fields(space, "regular", (1, 1)), (None, 4))
    apart = their_nn.DisentangleModule(restriction.out_type)
    conv = their_nn.R2Conv(apart.out_type, apart.out_type, 3)
    module = their_nn.SequentialModule(restriction, apart, conv)
    x = torch.randn(2, module.in_type.size, 7, 7)
    module.eval()
    wanted = module(module.in_type(x)).tensor.detach().numpy()
    first = interop.escnn.load(restriction)
    np.testing.assert_allclose(first(jnp.asarray(x.numpy())), x.numpy())
    found = interop.escnn.load(conv)
    between = apart(restriction(module.in_type(x))).tensor.numpy()
    np.testing.assert_allclose(found(jnp.asarray(between)), wanted, atol=1e-5)


class WideBlock(torch.nn.Module):
    """Pre-activation block of a wide residual network."""

    def __init__(self, before, inner, after, stride):
        super().__init__()
        kernel = {"kernel_size": 3, "padding": 1, "bias": False}
        self.bn1, self.relu1 = their_nn.InnerBatchNorm(before), their_nn.ReLU(before)
        self.conv1 = their_nn.R2Conv(before, inner, stride=stride, **kernel)
        self.bn2, self.relu2 = their_nn.InnerBatchNorm(inner), their_nn.ReLU(inner)
        self.conv2 = their_nn.R2Conv(inner, after, **kernel)
        self.shortcut = their_nn.R2Conv(before, after, 1, stride=stride, bias=False)

    def forward(self, x):
        h = self.relu1(self.bn1(x))
        return self.shortcut(h) + self.conv2(self.relu2(self.bn2(self.conv1(h))))


class WideNetwork(torch.nn.Module):
    """Three blocks; the group shrinks before the second and the third."""

    def __init__(self, space, subgroups):
        super().__init__()
        self.in_type = fields(space, *3 * ["trivial"])
        current = fields(space, "regular")
        self.conv1 = their_nn.R2Conv(self.in_type, current, 3, padding=1, bias=False)
        for number, subgroup in enumerate((None, *subgroups), start=1):
            if subgroup is not None:
                restriction = their_nn.RestrictionModule(current, subgroup)
                apart = their_nn.DisentangleModule(restriction.out_type)
                setattr(self, f"restrict{number}", their_nn.SequentialModule(restriction, apart))
                current, space = apart.out_type, apart.out_type.gspace
            inner = fields(space, *2 * number * ["regular"])
            after = fields(space, *inner.size * ["trivial"]) if number == 3 else inner
            block = WideBlock(current, inner, after, 2 if number > 1 else 1)
            setattr(self, f"layer{number}", block)
            current = block.conv2.out_type
        self.bn, self.relu = their_nn.InnerBatchNorm(current), their_nn.ReLU(current)
        self.linear = torch.nn.Linear(current.size, 10)

    def forward(self, x):
        x = self.layer1(self.conv1(x))
        x = self.layer2(self.restrict2(x))
        x = self.layer3(self.restrict3(x))
        return self.linear(self.relu(self.bn(x)).tensor.mean((2, 3)))


@pytest.mark.parametrize("order, subgroups", [(4, ((None, 4), 1)), (8, ((0, 4), (0, 1)))])
def test_wide_residual_networks_with_restrictions(order, subgroups):
    """Their module has no list of its layers, so its arrays go into the model of the same call."""
    torch.manual_seed(0)
    network = WideNetwork(gspaces.flipRot2dOnR2(order), subgroups)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(3):
        images = network.in_type(torch.randn(4, 3, 9, 9))
        loss = ((network(images) - 0.3) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    arrays = {k: v.numpy() for k, v in network.eval().state_dict().items()}
    space = spaces.flip_rot_on_r2(order)
    model, state = eqx.nn.make_with_state(models.WideResNet)(
        FieldType(space, 3 * space.trivial),
        10,
        depth=10,
        widen=1,
        channels=tuple(
            part.conv1.out_type.size
            for part in (network, network.layer1, network.layer2, network.layer3)
        ),
        restrict=(None, *subgroups),
        invariant="scalars",
        key=jax.random.key(0),
    )
    model, state = interop.escnn.load_arrays(model, arrays, state)
    x = torch.randn(2, 3, 9, 9)
    wanted = network(network.in_type(x)).detach().numpy()
    found, _ = eqx.nn.inference_mode(model)(jnp.asarray(x.numpy()), state)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def fourier(space, kind, more=False):
    """Modules on fields that are functions, with the grids that their users choose."""
    group = space.fibergroup
    band = group.bl_irreps(1 if kind == "O3" else 2)
    options = {"N": 10 + 2 * more}
    if kind not in ("SO2", "O2"):
        options = {"type": "thomson_cube" if more else "thomson", "N": 4 if more else 60}
    if kind == "relu":
        return their_nn.FourierPointwise(space, 2, band, **options, normalize=False)
    return their_nn.FourierELU(space, 2, band, **options)


@pytest.mark.parametrize("kind", ["SO2", "O2", "SO3", "relu", "O3"])
def test_functions_on_groups(kind):
    """Between convolutions, so that types must fit; two grids for the same fields."""
    flat = kind in ("SO2", "O2")
    if flat:
        space = SPACES[kind]()
    else:
        space = gspaces.flipRot3dOnR3() if kind == "O3" else gspaces.rot3dOnR3()
    first = fourier(space, kind)
    second = fourier(space, kind, more=True)
    if kind == "SO2":  # the band of the output may be another one
        second = their_nn.FourierELU(
            space, 2, space.fibergroup.bl_irreps(2), N=12, out_irreps=[(0,), (1,)]
        )
    kernel = {"kernel_size": 3, "padding": 1}
    conv = their_nn.R2Conv if flat else their_nn.R3Conv
    one = fields(space, "trivial")
    module = their_nn.SequentialModule(
        conv(one, first.in_type, **kernel),
        first,
        conv(first.out_type, second.in_type, **kernel),
        second,
        conv(second.out_type, one, **kernel),
    )
    shape = (2, 7, 7) if flat else (2, 5, 5, 5)
    model, _ = assert_same(trained(module, shape), shape)
    assert isinstance(model.layers[1], nn.FourierNonlinearity)


def test_a_gated_network_of_irreps():
    """O(2): scalars as they are, gates for the rest, norms of irreps, and their lengths."""
    space = SPACES["O2"]()
    scalars, vectors = ["trivial"] * 2, [(1, 1), (1, 2), (1, 1)]
    hidden = fields(space, *scalars, *vectors, *["trivial"] * 3)
    labels = ["scalar"] * 2 + ["gated"] * 6
    layers, current = [], fields(space, "trivial")
    for size in (5, 3):
        apart = their_nn.BranchingModule(hidden, labels, reshuffle=0).out_type
        mixed = their_nn.MultipleModule(
            hidden,
            labels,
            [
                (their_nn.ELU(apart["scalar"]), "scalar"),
                (gates_last(apart["gated"]), "gated"),
            ],
        )
        layers += [
            their_nn.R2Conv(current, hidden, size, padding=size // 2),
            their_nn.IIDBatchNorm2d(hidden),
            mixed,
        ]
        current = mixed.out_type
    layers += [
        their_nn.R2Conv(current, fields(space, "trivial", (1, 1)), 3),
    ]
    layers.append(their_nn.NormPool(layers[-1].out_type))
    assert_same(trained(their_nn.SequentialModule(*layers)))


def gates_last(type_):
    marks = ["gated"] * (len(type_) // 2) + ["gate"] * (len(type_) // 2)
    return their_nn.GatedNonLinearity1(type_, gates=marks)


@pytest.mark.parametrize("make", ["dihedral_group", "klein4", "product"])
def test_linear_layers_on_vectors(make):
    group = {
        "dihedral_group": lambda: their_groups.dihedral_group(3),
        "klein4": their_groups.klein4_group,
        "product": lambda: their_groups.direct_product(
            their_groups.cyclic_group(2), their_groups.cyclic_group(3)
        ),
    }[make]()
    space = gspaces.no_base_space(group)
    hidden = their_nn.FieldType(space, 2 * [group.regular_representation])
    module = their_nn.SequentialModule(
        their_nn.Linear(hidden, hidden), their_nn.ReLU(hidden), their_nn.Linear(hidden, hidden)
    )
    assert_same(trained(module, (5,)), (5,))


def test_arrays_without_torch():
    module = trained(c8_blocks(SPACES["C8"]()), (4, 29, 29)).eval()
    arrays = {k: v.numpy() for k, v in module.state_dict().items()}
    space = spaces.rot_on_r2(8)
    image = FieldType(space, space.trivial)
    two, three = (FieldType(space, n * space.regular) for n in (2, 3))

    def build(key):
        keys = jax.random.split(key, 3)
        return nn.Sequential(
            nn.Mask(image, 29, margin=1),
            nn.Conv(image, two, 7, padding=1, use_bias=False, key=keys[0]),
            nn.InnerBatchNorm(two),
            nn.ReLU(two),
            nn.Conv(two, three, 5, padding=2, use_bias=False, key=keys[1]),
            nn.InnerBatchNorm(three),
            nn.ReLU(three),
            nn.PointwiseAvgPoolAntialiased(three, 0.66, 2),
            nn.Conv(three, two, 5, padding=2, key=keys[2]),
            nn.InnerBatchNorm(two),
            nn.ELU(two),
            nn.PointwiseAvgPoolAntialiased(two, 0.66, 1, 0),
            nn.GroupPooling(two),
        )

    model, state = eqx.nn.make_with_state(build)(jax.random.key(0))
    model, state = interop.escnn.load_arrays(model, arrays, state)
    x = torch.randn(2, 1, 29, 29)
    wanted = module(module.in_type(x)).tensor.detach().numpy()
    found, _ = eqx.nn.inference_mode(model)(jnp.asarray(x.numpy()), state)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def test_functions_on_quotients_are_named():
    space = gspaces.rot3dOnR3()
    grid = space.fibergroup.sphere_grid("thomson", N=24)
    irreps = space.fibergroup.bl_irreps(2)
    module = their_nn.QuotientFourierELU(space, (False, -1), 2, irreps=irreps, grid=grid)
    with pytest.raises(TypeError, match=r"got QuotientFourierELU"):
        interop.escnn.load(module)


@pytest.mark.parametrize(
    "irreps, options, says",
    [
        ([(0,), (1,)], {"normalize": False}, "FourierELU: normalize: expected True"),
        ([(0,), (2,)], {}, "FourierELU: irreps: expected .* with frequency 1"),
    ],
)
def test_functions_whose_samples_are_not_ours_are_named(irreps, options, says):
    module = their_nn.FourierELU(SPACES["SO2"](), 2, irreps, N=8, **options)
    with pytest.raises(ValueError, match=says):
        interop.escnn.load(module)


def test_what_has_no_counterpart_is_named():
    class Network(torch.nn.Module):
        pass

    with pytest.raises(TypeError, match=r"interop.escnn.load: module: .* got Network"):
        interop.escnn.load(Network())
    space = SPACES["D4"]()
    pool = their_nn.PointwiseMaxPoolAntialiased2D(fields(space, "regular"), 3, 2, 1)
    with pytest.raises(ValueError, match="PointwiseMaxPoolAntialiased2D: padding: expected 0"):
        interop.escnn.load(pool)


@pytest.mark.parametrize("make", [gspaces.rot3dOnR3, gspaces.flipRot3dOnR3])
def test_convolutions_in_space(make):
    space = make(maximum_frequency=2)
    vector = (1,) if make is gspaces.rot3dOnR3 else (1, 1)
    module = their_nn.R3Conv(
        fields(space, "trivial"), fields(space, "trivial", vector), 3, padding=1
    )
    assert_same(trained(module, (2, 5, 5, 5)), (2, 5, 5, 5))


VOLUMES = {
    "transposed": lambda t: their_nn.R3ConvTransposed(t, t, 3, padding=1, stride=2),
    "max": lambda t: their_nn.PointwiseMaxPool3D(t, 3, 2, 1),
    "blurred max": lambda t: their_nn.PointwiseMaxPoolAntialiased3D(t, 3, 2),
    "mean": lambda t: their_nn.PointwiseAvgPool3D(t, 3, 2),
    "blurred mean": lambda t: their_nn.PointwiseAvgPoolAntialiased3D(t, 0.66, 2),
    "adaptive mean": lambda t: their_nn.PointwiseAdaptiveAvgPool3D(t, 2),
    "adaptive max": lambda t: their_nn.PointwiseAdaptiveMaxPool3D(t, 2),
    "iid norm": lambda t: their_nn.IIDBatchNorm3d(t),
    "inner norm": lambda t: their_nn.InnerBatchNorm(t),
    "upsampling": lambda t: their_nn.R3Upsampling(t, 2, mode="trilinear"),
    "mask": lambda t: their_nn.MaskModule(t, 7, margin=1.0),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_layers_in_space(name):
    space = gspaces.rot2dOnR3(4)
    hidden = fields(space, "trivial", "regular")
    assert_same(trained(VOLUMES[name](hidden), (3, 7, 7, 7)), (2, 7, 7, 7))

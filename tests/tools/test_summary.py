"""`summary` counts right, names every layer, fits a screen; printed models do too."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import equivax as evx
from equivax import FieldType, models, nn


def network(n=8, fields=3):
    space = evx.spaces.rot_on_r2(n)
    x, h = FieldType(space, 3 * space.trivial), FieldType(space, fields * space.regular)

    def make(key):
        first, second = jax.random.split(key)
        return nn.Sequential(
            nn.Conv(x, h, 5, use_bias=False, key=first),
            nn.InnerBatchNorm(h),
            nn.ReLU(h),
            nn.PointwiseMaxPool(h, 3, stride=2, padding=1),
            nn.Conv(h, h, 3, key=second),
            nn.InnerBatchNorm(h),
            nn.ELU(h),
            nn.GroupPooling(h),
        )

    return eqx.nn.make_with_state(make)(jax.random.key(0))


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree) if eqx.is_inexact_array(leaf))


def test_every_layer_has_its_line_with_numbers_and_shapes():
    model, state = network()
    lines = evx.summary(model, (7, 3, 31, 31), state=state).splitlines()
    assert lines[0] == "Sequential of C8 on R2: 3 x trivial"
    assert lines[1].split() == ["layer", "types", "parameters", "dim", "output"]
    rows = lines[2:-1]
    assert len(rows) == len(model)
    y = jnp.zeros((7, 3, 31, 31))
    for index, (row, layer) in enumerate(zip(rows, model, strict=True)):
        if isinstance(layer, nn.InnerBatchNorm):
            y, state = layer(y, state)
        else:
            y = layer(y)
        assert row.startswith(f"[{index}] {type(layer).__name__} ")
        assert row.endswith(f"  {y.shape}")
        if size(layer):
            assert f" {size(layer)} " in row
    for at in (0, 4):
        assert f"  {model[at].basis.dim}  (" in rows[at]
    assert "3 x trivial -> 3 x regular" in rows[0]
    assert lines[-1].split() == ["total", str(size(model))]


def test_statistics_are_no_parameters():
    space = evx.spaces.rot_on_r2(4)
    norm = nn.InnerBatchNorm(FieldType(space, 5 * space.regular))  # its statistics still inside
    assert evx.summary(norm).splitlines()[-1].split() == ["total", "10"]


def test_irreps_that_reach_nothing_are_named():
    G = evx.groups.cyclic(4)
    model = models.MLP(G.regular, G.irrep(1), [8], key=jax.random.key(0))
    last = evx.summary(model).splitlines()[-2]
    assert last.rstrip().endswith("trivial, irrep(2)")
    assert "lost" not in evx.summary(network()[0])


def test_groups_of_a_convolution_count():
    space = evx.spaces.rot_on_r2(4)
    h = FieldType(space, 4 * space.regular)
    conv = nn.Conv(h, h, 3, groups=2, use_bias=False, key=jax.random.key(0))
    row = evx.summary(conv).splitlines()[2].split()
    assert int(row[-1]) == int(row[-2]) == size(conv)


class Custom(eqx.Module):
    """A user's own model: plain and equivariant layers, an array of its own."""

    stem: nn.Conv
    blocks: dict
    readout: eqx.nn.MLP
    scale: jax.Array
    title: str

    def __call__(self, x):
        y = self.blocks["a"](self.stem(x))
        return self.readout(self.scale * y.mean(axis=(-2, -1)))


def custom():
    space = evx.spaces.rot_on_r2(4)
    x, h = FieldType(space, space.trivial), FieldType(space, 2 * space.regular)
    keys = jax.random.split(jax.random.key(0), 3)
    return Custom(
        nn.Conv(x, h, 3, key=keys[0]),
        {"a": nn.GroupPooling(h), "b": nn.Conv(h, h, 3, key=keys[1])},
        eqx.nn.MLP(2, 5, 7, 2, key=keys[2]),
        jnp.ones(()),
        "mine",
    )


def test_modules_of_the_user_are_read_too():
    model = custom()
    lines = evx.summary(model, (1, 9, 9)).splitlines()
    assert lines[0] == "Custom"
    names = [line.split("  ")[0] for line in lines[2:-1]]
    assert names == ["stem: Conv", "blocks['a']: GroupPooling", "blocks['b']: Conv", "readout: MLP"]
    assert "C4 on R2: trivial -> 2 x regular" in lines[2]
    assert lines[2].endswith("(8, 7, 7)")
    assert not lines[4].endswith(")")  # never called
    assert lines[-1].split() == ["total", str(size(model))]
    assert evx.summary([model, 3, None]).splitlines()[0] == "list"


def test_shapes_need_no_arrays():
    model = eqx.filter_eval_shape(lambda key: custom(), jax.random.key(0))
    assert evx.summary(model, (1, 9, 9)) == evx.summary(custom(), (1, 9, 9))


def test_layers_of_several_inputs_take_several_shapes():
    space = evx.spaces.rot_on_r2(4)
    gates, h = FieldType(space, 2 * space.trivial), FieldType(space, 2 * space.irrep(1))
    layer = nn.GatedNonlinearity((gates, h))
    assert evx.summary(layer, ((2, 5, 5), (4, 5, 5))).splitlines()[2].endswith("(4, 5, 5)")


@pytest.mark.parametrize(
    "depth", [10, *(pytest.param(n, marks=pytest.mark.slow) for n in (16, 28, 40))]
)
def test_deep_models_fit_a_screen(depth):
    space = evx.spaces.flip_rot_on_r2(4)
    x = FieldType(space, space.trivial)
    make = eqx.nn.make_with_state(models.WideResNet)
    model, state = eqx.filter_eval_shape(make, x, 10, depth=depth, widen=1, key=jax.random.key(0))
    text = evx.summary(model, (1, 33, 33), state=state)
    assert 6 <= len(text.splitlines()) <= 45
    assert max(map(len, text.splitlines())) <= 100
    assert len(repr(model).splitlines()) <= 50
    assert len(evx.summary(model, depth=9).splitlines()) >= len(text.splitlines())
    assert len(evx.summary(model, depth=1).splitlines()) == 5


def test_long_types_lose_their_middle():
    space = evx.spaces.rot_on_r2(8)
    alternating = FieldType(space, 20 * (space.irrep(1) + space.trivial))
    text = evx.summary(nn.NormNonlinearity(alternating), width=70)
    assert max(map(len, text.splitlines())) <= 70
    assert "…" in text


def test_layers_print_on_one_line_with_what_is_not_default():
    space = evx.spaces.rot_on_r2(4)
    h = FieldType(space, 2 * space.regular)
    conv = nn.Conv(h, h, 3, stride=2, padding=1, grid_check="off", key=jax.random.key(0))
    assert repr(conv) == (
        "Conv(C4 on R2: 2 x regular, kernel 3 x 3, stride=2, padding=1, grid_check='off', "
        f"{size(conv)} parameters)"
    )
    assert repr(nn.ReLU(h)) == "ReLU(C4 on R2: 2 x regular)"
    assert repr(nn.FieldDropout(h, 0.25)) == "FieldDropout(C4 on R2: 2 x regular, p=0.25)"


def test_printed_networks_fit_a_screen():
    model, _ = network()
    lines = repr(model).splitlines()
    assert len(lines) == len(model) + 2
    assert max(map(len, lines)) <= 100
    assert re.fullmatch(r"  \[3\] PointwiseMaxPool\(3 x regular, kernel_size=3, .*\)", lines[4])
    assert str(nn.ModuleList(model.layers)).count("\n") == len(model) + 1


# ---- refused -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"model": jnp.ones(3)}, ValueError, "summary: model: expected a pytree with equivariant"),
        ({"model": None}, ValueError, "summary: model: expected a pytree .* got NoneType"),
        ({"in_shape": "3"}, TypeError, "summary: in_shape: expected a shape such as"),
        ({"in_shape": (3, 2.5)}, TypeError, "summary: in_shape: expected a shape .*2.5"),
        ({"in_shape": (3, -1, 5)}, ValueError, "summary: in_shape: expected a shape .*-1"),
        ({"in_shape": (4, 31, 31)}, ValueError, r"summary: in_shape: \(4, 31, 31\) does not fit: "),
        ({"in_shape": (3, 31, 31), "state": None}, ValueError, "summary: state: needed"),
        ({"state": 3}, TypeError, "summary: state: expected an equinox.nn.State or None, got int"),
        ({"depth": 0}, ValueError, "summary: depth: expected an integer >= 1, got 0"),
        ({"depth": "all"}, TypeError, "summary: depth: expected an integer >= 1, got 'all'"),
        ({"width": 20}, ValueError, "summary: width: expected an integer >= 60, got 20"),
        ({"model": [network()[0]], "in_shape": (1,)}, TypeError, "list cannot be called"),
    ],
)
def test_bad_input_is_refused(change, error, message):
    model, state = network()
    given = {"model": model, "state": state, **change}
    with pytest.raises(error, match=message):
        evx.summary(**given)


@pytest.mark.parametrize("axes", ["batch", ("batch", "device")])
def test_layers_with_named_axes_have_shapes(axes):
    rep = evx.groups.cyclic(3).regular

    def build(key):
        norm = evx.nn.InnerBatchNorm(rep, axis_name=axes)
        return evx.nn.Sequential(evx.nn.Linear(rep, rep, key=key), norm)

    model, state = eqx.nn.make_with_state(build)(jax.random.key(0))
    table = str(evx.summary(model, (4, 3), state=state))
    assert table.count("(4, 3)") >= 2

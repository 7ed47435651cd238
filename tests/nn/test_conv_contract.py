"""`ConvContract`: golden numbers, equivariance, leaves, export, refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_images as gi
from equivax import nn, spaces
from equivax.images import MultiImage, Signature
from laws import UNOPTIMISED, applied, drawn, normal, relative

CASES = {case["name"]: case for case in gi.facts()["conv"]}


def entries(rows):
    return tuple((name, channels) for name, _, _, channels in rows)


def filters_of(case):
    found = {}
    start = f"D{case['D']}_M{case['M']}_"
    for name, array in gi.below("filters").items():
        if name.startswith(start) and name.endswith(case["group"]):
            k, p = name.split("_")[2:4]
            found[int(k[1:]), int(p[1:])] = np.asarray(array, np.float64)
    return found


def layer(case, key, **options):
    pairs = case["padding"]
    given = {name: case[name] for name in ("stride", "lhs_dilation", "rhs_dilation")}
    given = {n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}
    return nn.ConvContract(
        entries(case["inp"]),
        entries(case["out"]),
        case["M"],
        D=case["D"],
        use_bias=case["bias"],
        padding=tuple(map(tuple, pairs)) if isinstance(pairs, list) else pairs,
        grid_check="raise" if case["exact"] else "off",
        key=key,
        **given,
        **options,
    )


def images_of(name, what, case, metric=True):
    arrays = gi.below(f"conv/{name}/{what}")
    blocks = {
        t: np.asarray(arrays[t], np.float64) for t, *_ in case["inp" if what == "x" else "out"]
    }
    g = np.asarray(gi.array(f"conv/{name}/metric"), np.float64) if case["metric"] else None
    return MultiImage(blocks, case["D"], tuple(case["torus"]), g if metric else None)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", CASES)
def test_golden_numbers(name, key):
    case = CASES[name]
    by_filters = layer(case, key, filters=filters_of(case))
    weights = {n: jnp.asarray(w, float) for n, w in gi.below(f"conv/{name}/w").items()}
    assert set(weights) == set(by_filters.weights)
    bias = {n: jnp.asarray(b, float) for n, b in gi.below(f"conv/{name}/bias").items()}
    object.__setattr__(by_filters, "weights", weights)
    if case["bias"]:
        for each in (by_filters,):
            object.__setattr__(each, "bias", {n: bias[n] for n in each.bias})
    kernel = gi.array(f"conv/{name}/kernel")
    stored = eqx.filter_jit(lambda f: f.kernel)
    assert relative(stored(by_filters), kernel) < 1e-12
    own = layer(case, key).with_kernel(kernel)
    object.__setattr__(own, "bias", by_filters.bias)
    assert relative(stored(own), kernel) < 1e-6  # the filters are stored in float32
    x, expected = (images_of(name, what, case) for what in ("x", "ref"))
    run = jax.jit(lambda f, v: f(v), compiler_options=UNOPTIMISED)
    y = run(by_filters, x)
    assert y.signature == expected.signature
    assert relative(y.array, expected.array) < 1e-10
    assert relative(run(own, x).array, expected.array) < 2e-6
    if not case["metric"]:
        plain = by_filters.export(tuple(case["torus"]))
        assert relative(applied(plain, x.array), expected.array) < 1e-10


SIGNATURES = {
    1: ("k0p0", "k1p0", "k0p1", "k2p1"),
    2: ("k0p0", "k1p0", "k1p1", "k2p0"),
    3: ("k0p0", "k1p0", "k1p1"),
}
SETTINGS = {
    "torus": (dict(), True, (5, 4, 3)),
    "zeros": (dict(), False, (5, 4, 3)),
    "one axis": (dict(), (False, True, False), (4, 5, 3)),
    "valid": (dict(padding="VALID"), False, (5, 4, 3)),
    "strided": (dict(stride=2), True, (5, 5, 3)),
    "strided, even": (dict(kernel_size=2, stride=2), True, (4, 6, 2)),
    "finer": (dict(kernel_size=2, lhs_dilation=2, padding=1), False, (3, 2, 2)),
    "finer torus": (dict(lhs_dilation=2, stride=2), True, (3, 2, 2)),
    "dilated": (dict(rhs_dilation=2), True, (5, 4, 3)),
    "wide": (dict(padding=3), False, (3, 3, 2)),
    "mean": (dict(use_bias="mean"), True, (4, 3, 3)),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("group", [None, spaces.rotations_on], ids=["full", "rotations"])
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("D", [1, 2, 3])
def test_commutes_with_every_element(D, setting, group, key):
    if D == 3 and setting not in ("torus", "strided, even", "one axis"):
        pytest.skip("the same code; two dimensions have shown it")
    if group is not None and setting not in ("torus", "strided"):
        pytest.skip("the same code; the full group has shown it")
    options, torus, sides = SETTINGS[setting]
    signature = Signature(tuple((name, 1 + (n == 0)) for n, name in enumerate(SIGNATURES[D])))
    space = None if group is None else group(D)
    conv = drawn(nn.ConvContract(signature, signature, D=D, group=space, key=key, **options))
    flags = torus if isinstance(torus, bool) else torus[:D]
    a = normal(*sides[:D], D, D, seed=3)
    metric = None
    if setting in ("torus", "one axis"):
        metric = jnp.einsum("...ij,...kj", a, a) + jnp.eye(D)
    x = MultiImage.from_array(normal(2, signature.size(D), *sides[:D]), signature, D, flags, metric)
    elements = spaces.axis_matrices(conv.space)[:: 1 if D < 3 else 7]

    @jax.jit
    def both(conv, x):
        y = conv(x)
        return [(conv(x.transform(g)), y.transform(g)) for g in elements]

    for moved, expected in both(conv, x):
        assert jax.tree.structure(moved) == jax.tree.structure(expected)
        assert relative(moved.array, expected.array) < 1e-12
    if setting == "torus":
        shift = (1, 2, 1)[:D]
        y, z = jax.jit(lambda f, v: (f(v.translate(shift)), f(v).translate(shift)))(conv, x)
        assert relative(y.array, z.array) < 1e-12


def test_one_convolution_and_nothing_but_parameters(key):
    signature = Signature((((0, 0), 2), ((1, 0), 2)))
    conv = nn.ConvContract(signature, signature, key=key)
    assert sum(leaf.size for leaf in jax.tree.leaves(conv)) == conv.basis.dim + 4
    text = str(jax.make_jaxpr(conv)(jnp.ones((3, 6, 8, 8))))
    assert text.count("conv_general_dilated[") == 1
    assert "feature_group_count=1" in text
    assert conv.in_type == signature.field_type(2)
    again = nn.ConvContract(signature, signature, key=jax.random.key(1))
    assert jax.tree.structure(conv) == jax.tree.structure(again)
    assert hash(jax.tree.structure(conv)) == hash(jax.tree.structure(again))


def test_the_span_is_that_of_the_grid_basis(key):
    signature = Signature((((0, 0), 1), ((1, 0), 1), ((2, 1), 1)))
    conv = nn.ConvContract(signature, signature, use_bias=False, key=key)
    type_ = signature.field_type(2)
    other = nn.Conv(type_, type_, 3, padding=1, basis="grid", use_bias=False, key=key)
    assert conv.basis.dim == other.basis.dim
    assert relative(other.with_kernel(conv.kernel).kernel, conv.kernel) < 1e-5


def test_he_keeps_the_variance(key):
    signature = Signature((((0, 0), 8), ((1, 0), 8), ((2, 0), 4)))
    conv = nn.ConvContract(signature, signature, use_bias=False, key=key)
    y = conv(MultiImage.from_array(normal(8, signature.size(2), 16, 16), signature, 2))
    for type_ in signature.types:
        assert 0.6 < float(jnp.var(y[type_])) < 1.6


def test_types_by_name_batches_and_dtypes(key):
    signature = Signature((((0, 0), 2), ((1, 0), 1)))
    conv = drawn(nn.ConvContract(signature, signature, key=key))
    x = MultiImage.from_array(normal(2, 3, 4, 5, 5), signature, 2)
    turned = MultiImage(dict(reversed(x.blocks().items())), 2)
    np.testing.assert_array_equal(conv(turned).array, conv(x).array)
    np.testing.assert_allclose(conv(x[1, 2:3]).array[0], conv(x).array[1, 2], atol=1e-5)
    np.testing.assert_allclose(conv(x.array), conv(x).array, atol=1e-5)
    half = MultiImage.from_array(x.array.astype(jnp.bfloat16), signature, 2)
    assert conv(half).dtype == jnp.bfloat16


S = Signature((((0, 0), 2), ((1, 0), 1)))


def image(*sides, signature=S, torus=True, metric=None):
    D = len(sides)
    return MultiImage.from_array(
        np.ones((signature.size(D), *sides), np.float32), signature, D, torus, metric
    )


BAD = {
    "unreachable": (
        lambda c: c((("k0p0", 1),), (("k0p1", 1),)),
        "k0p1 cannot be reached from k0p0 .*smallest size is 4",
    ),
    "no channels": (lambda c: c((), S), "in_signature: expected at least one"),
    "group": (lambda c: c(S, S, group=spaces.rot_on_r2(8)), "basis='harmonic'"),
    "rectangle": (lambda c: c(S, S, (3, 5)), "kernel_size"),
    "size": (lambda c: c(S, S, 0), "kernel_size: expected an integer >= 1"),
    "bias": (lambda c: c(S, S, use_bias="free"), "use_bias: expected a boolean or one of auto"),
    "init": (lambda c: c(S, S, init="glorot"), "init: expected 'he' or 'ginjax'"),
    "padding": (lambda c: c(S, S, padding="wrap"), "padding: expected an integer >= 0, 2 of them"),
    "negative padding": (lambda c: c(S, S, padding=-1), "padding: expected an integer >= 0"),
    "boolean padding": (lambda c: c(S, S, padding=True), "padding: expected an integer >= 0"),
    "mode": (lambda c: c(S, S, padding_mode="wrap"), "padding_mode: expected one of torus, zeros"),
    "mode twice": (
        lambda c: c(S, S, padding="SAME", padding_mode="circular"),
        "write padding='same', padding_mode='circular'",
    ),
    "dilation twice": (
        lambda c: c(S, S, dilation=2, rhs_dilation=2),
        "ConvContract: rhs_dilation: another name of dilation",
    ),
    "strides": (lambda c: c(S, S, stride=(1, 2)), "stride must agree"),
    "paddings": (lambda c: c(S, S, padding=((1, 1), (0, 0))), "padding must agree"),
    "dilations": (lambda c: c(S, S, rhs_dilation=(1, 2)), "dilation must agree"),
    "stride": (lambda c: c(S, S, stride=0), "stride: expected an integer >= 1"),
    "check": (lambda c: c(S, S, grid_check="no"), "grid_check: expected one of"),
    "filters": (lambda c: c(S, S, filters=3), "filters: expected a mapping"),
    "filter shape": (
        lambda c: c(S, S, filters={(0, 0): np.ones((1, 3, 2))}),
        r"filters: expected \(n, 3, 3\)",
    ),
    "filter key": (lambda c: c(S, S, filters={"a": np.ones((1, 3, 3))}), r"keys \(order, parity\)"),
    "varying filter": (
        lambda c: c(S, S, filters={(0, 0): np.arange(9.0).reshape(1, 3, 3)}),
        "leaves alone, but",
    ),
    "dtype": (lambda c: c(S, S, dtype=int), "dtype: expected a floating"),
    "even stride": (lambda c: c(S, S, stride=2)(image(8, 8)), "kernel_size=4, padding=1"),
    "even kernel": (lambda c: c(S, S, 2)(image(8, 8)), "half a cell off"),
    "even, same": (lambda c: c(S, S, 2, padding="SAME")(image(8, 8)), "half a cell off"),
    "lopsided": (lambda c: c(S, S, padding=((1, 0), (1, 0)))(image(8, 8)), "evenly"),
    "too small": (lambda c: c(S, S, 5, padding="VALID")(image(3, 3)), "at least 5 cells"),
    "transposed": (lambda c: c(S, S, lhs_dilation=2)(image(4, 4, torus=False)), "explicit pairs"),
    "dimension": (lambda c: c(S, S)(image(4)), "images of dimension 2, got 1"),
    "channels": (
        lambda c: c(S, S)(image(4, 4, signature=S.scale(2))),
        "expected 2 channels of k0p0, got 4",
    ),
    "missing type": (
        lambda c: c(S, S)(image(4, 4, signature=Signature((((0, 0), 2),)))),
        "k1p0, got none",
    ),
    "array": (lambda c: c(S, S)(np.ones((3, 4, 4), np.float32)), r"expected \(..., 4, _, _\)"),
    "kernel": (
        lambda c: c(S, S).with_kernel(np.ones((4, 4, 5, 5))),
        r"kernel: expected \(4, 4, 3, 3\)",
    ),
}


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name, key):
    make, message = BAD[name]

    def conv(*arguments, **options):
        return nn.ConvContract(*arguments, key=key, **options)

    with pytest.raises((ValueError, TypeError), match=message):
        make(conv)


def test_unreachable_types_can_be_zero(key):
    conv = nn.ConvContract(
        (("k0p0", 1),), (("k0p1", 1), ("k1p0", 1)), allow_unreachable=True, key=key
    )
    y = conv(MultiImage({(0, 0): normal(1, 4, 4)}, 2))
    assert float(jnp.abs(y[(0, 1)]).max()) == 0
    assert float(jnp.abs(y[(1, 0)]).max()) > 0


def test_a_finer_torus_has_as_many_pixels_as_its_period(key):
    # The peer wraps before it dilates: 9 x 9 from 4 x 4.
    conv = nn.ConvContract(S, S, lhs_dilation=2, grid_check="off", key=key)
    assert conv(image(4, 4)).spatial == (8, 8)
    strict = nn.ConvContract(S, S, lhs_dilation=2, key=key)
    with pytest.raises(ValueError, match="evenly"):  # its pixels sit half a cell off
        strict(image(4, 4))


@pytest.mark.slow
def test_accelerators_sum_filters_in_fusible_form(monkeypatch):
    """Off CPU the kernel is made without a product, by sums that compilers fuse into one kernel."""
    signature = (((0, 0), 2), ((1, 0), 3), ((2, 0), 2))
    conv = nn.ConvContract(signature, signature, 3, key=jax.random.key(0))
    expected = conv.kernel
    jax.clear_caches()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    made = jax.jit(conv.basis.expand).lower(conv.weights)
    np.testing.assert_allclose(made.compile()(conv.weights), expected, atol=1e-6)
    assert "dot_general" not in made.as_text()
    monkeypatch.undo()
    jax.clear_caches()

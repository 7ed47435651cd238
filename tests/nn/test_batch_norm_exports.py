"""Batch norms at inference as plain Equinox, the norm of single fields, defects of the peers."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from batch_norm_cases import ANY, PLACES, SCENES, called, made, statistics, trained, typed
from equivax import FieldType, groups, nn, spaces, testing
from equivax.nn.normalization._pointwise_map import block_count
from laws import applied, exported, normal

KEY = jax.random.key(21)
EXACT = 1e-11


# ---- at inference ------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name, scene", PLACES)
def test_exports_are_the_layer_at_inference(name, scene):
    layer, state = trained(name, scene)
    n, dim = layer.in_type.size, SCENES[scene].dim
    x = normal(3, n, *(2, 3, 4)[:dim])
    expected, _ = eqx.filter_jit(called)(eqx.nn.inference_mode(layer), x, state)
    export = eqx.filter_jit(lambda m, s: (m.export(s), m.inference_map(s)))
    plain, (scale, shift) = export(layer, state)
    assert float(np.abs(applied(jax.vmap(plain), x) - expected).max()) < EXACT
    x, expected, scale, shift = map(np.asarray, (x, expected, scale, shift))
    matrix = np.diag(scale) if scale.ndim == 1 else scale
    assert matrix.shape == (n, n)
    assert shift.shape == (n,)
    rows = np.moveaxis(x, 1, -1) @ matrix.T + shift
    assert float(np.abs(np.moveaxis(rows, -1, 1) - expected).max()) < EXACT
    if dim == 0:
        assert isinstance(plain, eqx.nn.Linear)
    else:
        assert isinstance(plain, eqx.nn.Conv)
        assert plain.groups == (n if scale.ndim == 1 else block_count(layer.in_type.representation))
    assert (scale.ndim == 1) == (layer.__class__ is not nn.GNormBatchNorm or "irreps" in name)


def test_exports_use_the_smallest_blocks_that_hold_whole_fields():
    group = groups.cyclic(4)
    regular, vector = group.regular, group.irrep(1)
    assert block_count(6 * regular) == 6
    assert block_count(regular + 2 * vector + regular) == 3
    assert block_count(vector + regular + vector) == 1
    assert block_count(regular + group.trivial) == 1
    assert block_count(5 * group.trivial) == 5


@pytest.mark.usefixtures("x64")
def test_the_map_at_inference_folds_into_a_convolution_before_it():
    layer, state = trained("gnorm", "plane")
    n = layer.in_type.size
    conv = eqx.nn.Conv2d(2, n, 3, key=KEY)
    matrix, shift = layer.inference_map(state)
    folded = eqx.tree_at(
        lambda c: (c.weight, c.bias),
        conv,
        (
            jnp.einsum("ij,jkrs->ikrs", matrix, conv.weight),
            (matrix @ conv.bias[:, 0, 0] + shift)[:, None, None],
        ),
    )
    x = normal(2, 6, 6)
    expected, _ = called(eqx.nn.inference_mode(layer), conv(x), state)
    assert float(jnp.abs(folded(x) - expected).max()) < EXACT


def test_equinox_finds_the_flag_and_a_file_keeps_everything(tmp_path):
    layer, state = trained("gnorm", "plane")
    assert eqx.nn.inference_mode(layer).inference is True
    eqx.tree_serialise_leaves(tmp_path / "layer", (layer, state))
    layer2, state2 = eqx.tree_deserialise_leaves(tmp_path / "layer", made("gnorm", "plane"))
    x = normal(2, layer.in_type.size, 3, 3)
    one, other = (called(eqx.nn.inference_mode(m), x, s)[0] for m, s in
                  ((layer, state), (layer2, state2)))  # fmt: skip
    assert np.array_equal(one, other)


# ---- FieldNorm ---------------------------------------------------------------------------------


def _field_norm(scene):
    return testing.randomize_parameters(
        nn.FieldNorm(FieldType(SCENES[scene], [r for r in ANY if not r.is_trivial])), KEY
    )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("scene", SCENES)
def test_field_norm_is_its_formula_at_every_point(scene):
    layer = _field_norm(scene)
    type_, dim = layer.in_type, SCENES[scene].dim
    x = np.asarray(normal(2, 3, type_.size, *(2, 3, 4)[:dim]))
    y = np.asarray(applied(layer, x))
    weight, bias = map(np.asarray, (layer.weight, layer.bias))
    rows, expected, trivial = np.moveaxis(x, -1 - dim, -1), [], 0
    for i, field in enumerate(type_):
        v = rows[..., type_.fields_start[i] : type_.fields_end[i]]
        projector = field.matrices.mean(axis=0)
        v = v - v @ projector
        v = v / np.sqrt((v**2).mean(axis=-1, keepdims=True) + 1e-5) * weight[i]
        count = field.irreps.count(field.group.trivial.irreps[0])
        if count:
            column = projector[:, np.abs(projector).sum(axis=0).argmax()]
            invariant = column / np.linalg.norm(column)
            value = bias[trivial] * invariant
            found = np.moveaxis(y, -1 - dim, -1)[
                ..., type_.fields_start[i] : type_.fields_end[i]
            ]  # the sign of a unit vector is a matter of the basis
            sign = np.sign(((found - v) * value).sum())
            v = v + sign * value
        trivial += count
        expected.append(v)
    assert np.abs(np.moveaxis(y, -1 - dim, -1) - np.concatenate(expected, -1)).max() < EXACT
    plain = exported(layer, x, batch_axes=2)
    assert np.abs(plain - y).max() < EXACT
    one, last = applied(layer, x[0, 1]), applied(jax.vmap(layer), x)
    assert np.abs(one - y[0, 1]).max() < EXACT
    assert np.abs(last - y).max() < EXACT
    assert layer.evaluate_output_shape(x.shape) == x.shape


@pytest.mark.usefixtures("x64")
def test_field_norm_commutes():
    layer = _field_norm("plane")
    type_ = layer.in_type
    x = type_(normal(2, type_.size, 4, 4))
    for g in type_.group.elements:
        error = layer(x.transform(g)).array - layer(x).transform(g).array
        assert float(jnp.abs(error).max()) < EXACT


def test_field_norm_at_degenerate_inputs_and_in_sixteen_bits():
    layer = _field_norm("plane")
    shape = (2, layer.in_type.size, 3, 3)
    for x in (jnp.zeros(shape), jnp.ones(shape), jnp.full(shape, 1e4)):
        gradient = jax.jit(jax.grad(lambda x: (layer(x) ** 2).sum()))(x)
        assert np.isfinite(gradient).all()
        assert np.isfinite(applied(layer, x)).all()
    x = normal(*shape)
    y = applied(layer, x.astype(jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    assert np.abs(np.asarray(y, np.float32) - np.asarray(applied(layer, x))).max() < 0.1


def test_field_norm_warns_of_invariant_fields_which_become_the_bias():
    space = spaces.rot_on_r2(16)
    type_ = FieldType(space, [space.irrep(1), space.trivial])
    with pytest.warns(UserWarning, match=r"field 1 \(trivial\); nn.LayerNorm"):
        layer = nn.FieldNorm(type_)
    y = layer(normal(2, 3, 4, 4))
    assert float(jnp.abs(y[:, 2]).max()) == 0.0
    assert nn.FieldNorm(type_, affine=False).weight is None


# ---- defects of the peers (rows of the list in the specification) -------------------------------


@pytest.mark.parametrize("name", ["norm", "induced norm"])
def test_row_10_training_divides_by_the_batch_and_differentiates_it(name):
    """There it divides by the running variance, which starts at 1, and detaches it."""
    layer, state = made(name, "plane")
    x = 100 * normal(16, layer.in_type.size, 4, 4)
    y, _ = called(layer, x, state)
    assert float(jnp.mean(y**2)) == pytest.approx(1.0, abs=0.01)
    # y does not change if the batch is scaled, so the derivative along x vanishes.
    gradient = jax.grad(lambda x: (called(layer, x, state)[0] ** 3).sum())(x)
    along = float((gradient * x).sum())
    assert abs(along) < 1e-3 * float(jnp.abs(gradient * x).sum())


@pytest.mark.parametrize("name", ["norm", "induced norm"])
def test_row_10_weights_start_at_one_and_may_be_left_out(name):
    layer, state = made(name, "plane")
    assert np.array_equal(layer.weight, np.ones(3))
    plain, plain_state = made(name, "plane", affine=False)
    x = normal(4, layer.in_type.size, 4, 4)
    assert np.array_equal(called(layer, x, state)[0], called(plain, x, plain_state)[0])


def test_row_11_several_fields_with_a_change_of_basis():
    """There two regular fields raise."""
    space = spaces.rot_on_r2(4)
    layer, state = typed(nn.GNormBatchNorm, FieldType(space, 3 * space.regular))
    y, _ = called(layer, 5 + normal(8, 12, 5, 5), state)
    assert y.shape == (8, 12, 5, 5)
    assert float(jnp.abs(y.mean(axis=(0, 2, 3)).sum())) < 1e-3


def test_row_11_variances_are_never_negative():
    """There they are E x^2 - (E x)^2; a Gram matrix in user coordinates would fail as well."""
    space = spaces.rot_on_r2(4)
    layer, state = typed(nn.GNormBatchNorm, FieldType(space, space.regular), momentum=1.0)
    x = 1e4 + 1e-2 * normal(8, 4, 5, 5)
    large = jnp.array([1.0, -1, 1, -1])[:, None, None] * 1e4 * normal(8, 1, 5, 5)
    for batch in (x, large):
        y, after = called(layer, batch, state)
        assert np.isfinite(y).all()
        assert (statistics(layer, after)[1] >= 0).all()


def test_row_11_any_number_of_spatial_axes():
    """There two; `test_points_and_batch_axes_are_alike` compares the numbers."""
    for scene, space in SCENES.items():
        layer, state = made("gnorm", scene)
        shape = (2, layer.in_type.size, *(3,) * space.dim)
        assert called(layer, jnp.ones(shape), state)[0].shape == shape


@pytest.mark.usefixtures("x64")
def test_row_13_the_export_knows_the_change_of_basis():
    space = spaces.flip_rot_on_r2(4)
    layer, state = typed(nn.GNormBatchNorm, FieldType(space, 2 * space.regular))
    layer = testing.randomize_parameters(layer, KEY)
    x = normal(6, 16, 5, 5) * jnp.arange(1.0, 17)[:, None, None]
    _, state = called(layer, x, state)
    matrix, _ = layer.inference_map(state)
    off_diagonal = matrix - jnp.diag(jnp.diag(matrix))
    assert float(jnp.abs(off_diagonal).max()) > 1e-2
    rho = layer.in_type.representation
    for g in rho.group.elements:
        assert np.abs(rho(g) @ matrix - matrix @ rho(g)).max() < EXACT
    expected, _ = called(eqx.nn.inference_mode(layer), x, state)
    assert float(jnp.abs(jax.vmap(layer.export(state))(x) - expected).max()) < EXACT


# ---- bad input ---------------------------------------------------------------------------------

C4 = spaces.rot_on_r2(4)
REGULAR = FieldType(C4, 2 * C4.regular)
VECTORS = FieldType(C4, 2 * C4.irrep(1))
LATE = FieldType(C4, [C4.regular, C4.regular, C4.irrep(1)])


def _call(x, **options):
    layer, state = typed(nn.InnerBatchNorm, REGULAR, **options)
    return layer(x, state)


BAD = {
    "inner, no permutation": (
        lambda: nn.InnerBatchNorm(LATE),
        ValueError,
        r"InnerBatchNorm: in_type: field 2 \(irrep\(1\)\) is not permuted by C4.*GNormBatchNorm",
    ),
    "norm, invariant": (
        lambda: nn.NormBatchNorm(FieldType(C4, [C4.irrep(1), C4.trivial])),
        ValueError,
        r"NormBatchNorm: in_type: field 1 \(trivial\) contains the trivial.*nn.GNormBatchNorm",
    ),
    "norm, hidden invariant": (
        lambda: nn.NormBatchNorm(LATE),
        ValueError,
        r"field 0 \(regular\) contains the trivial irrep",
    ),
    "induced, not induced": (
        lambda: nn.InducedNormBatchNorm(VECTORS),
        ValueError,
        r"InducedNormBatchNorm: in_type: field 0 \(irrep\(1\)\) is not an induced.*NormBatchNorm",
    ),
    "induced, invariant": (
        lambda: nn.InducedNormBatchNorm(FieldType(C4, C4.quotient(C4.group.subgroup(2)))),
        ValueError,
        "InducedNormBatchNorm: in_type: field 0 .* contains the trivial irrep",
    ),
    "no type": (
        lambda: nn.IIDBatchNorm("regular"),
        TypeError,
        "IIDBatchNorm: in_type: expected a Representation",
    ),
    "field norm, no type": (lambda: nn.FieldNorm(3), TypeError, "FieldNorm: in_type"),
    "field norm, eps": (lambda: nn.FieldNorm(VECTORS, eps=-1.0), ValueError, "eps: .* got -1"),
    "eps": (lambda: nn.IIDBatchNorm(REGULAR, eps=0.0), ValueError, "IIDBatchNorm: eps: .* got 0"),
    "eps is no number": (
        lambda: nn.InnerBatchNorm(REGULAR, eps=float("nan")),
        ValueError,
        "eps: expected a finite number above 0, got nan",
    ),
    "momentum": (
        lambda: nn.NormBatchNorm(VECTORS, momentum=1.5),
        ValueError,
        r"NormBatchNorm: momentum: expected .* in \(0, 1\], got 1.5",
    ),
    "momentum of zero": (
        lambda: nn.InnerBatchNorm(REGULAR, momentum=0.0),
        ValueError,
        "momentum: .* got 0",
    ),
    "mode": (
        lambda: nn.IIDBatchNorm(REGULAR, mode="running"),
        ValueError,
        "IIDBatchNorm: mode: expected 'batch' or 'ema', got 'running'",
    ),
    "ema of nothing": (
        lambda: nn.InnerBatchNorm(REGULAR, mode="ema", track_running_stats=False),
        ValueError,
        "mode: 'ema' divides by running statistics, got track_running_stats=False",
    ),
    "axis_name": (
        lambda: nn.InnerBatchNorm(REGULAR, axis_name={"batch"}),
        TypeError,
        "InnerBatchNorm: axis_name: expected a name or a tuple of names",
    ),
    "dtype": (
        lambda: nn.InnerBatchNorm(REGULAR, dtype=jnp.int32),
        ValueError,
        "dtype: expected a floating type such as jnp.float32, got.*int32",
    ),
    "affine": (
        lambda: nn.GNormBatchNorm(REGULAR, affine="yes"),
        TypeError,
        "GNormBatchNorm: affine: expected True or False, got 'yes'",
    ),
    "track_running_stats": (
        lambda: nn.InnerBatchNorm(REGULAR, track_running_stats=None),
        TypeError,
        "track_running_stats: expected True or False, got None",
    ),
    "inference": (
        lambda: nn.InnerBatchNorm(REGULAR, inference=2),
        TypeError,
        "inference: expected True or False, got 2",
    ),
    "per_orbit": (
        lambda: nn.InnerBatchNorm(REGULAR, per_orbit=1),
        TypeError,
        "per_orbit: expected True or False, got 1",
    ),
    "unknown option": (
        lambda: nn.InnerBatchNorm(REGULAR, decay=0.9),
        TypeError,
        "InnerBatchNorm: unknown option 'decay'; it takes eps, momentum",
    ),
    "per": (
        lambda: nn.GNormBatchNorm(REGULAR, per="irrep"),
        ValueError,
        "GNormBatchNorm: per: expected 'copy' or 'type', got 'irrep'",
    ),
    "correction": (
        lambda: nn.GNormBatchNorm(REGULAR, correction=2),
        ValueError,
        "GNormBatchNorm: correction: expected an integer in 0..1, got 2",
    ),
    "variance": (
        lambda: nn.IIDBatchNorm(REGULAR, variance="biased"),
        ValueError,
        "IIDBatchNorm: variance: expected 'about_channel_means' or .*, got 'biased'",
    ),
    "channels": (
        lambda: _call(jnp.ones((2, 7, 3, 3))),
        ValueError,
        r"InnerBatchNorm: expected \(\.\.\., 8, _, _\)",
    ),
    "type of a tensor": (
        lambda: _call(VECTORS(jnp.ones((2, 4, 3, 3)))),
        ValueError,
        "InnerBatchNorm: x: expected fields of type",
    ),
    "integers": (lambda: _call(jnp.ones((2, 8, 3, 3), int)), TypeError, "x.astype"),
    "nothing to average": (
        lambda: _call(jnp.ones((0, 8, 3, 3))),
        ValueError,
        r"InnerBatchNorm: x: expected at least one example.*got shape \(0, 8, 3, 3\)",
    ),
    "no state": (
        lambda: typed(nn.InnerBatchNorm, REGULAR)[0](jnp.ones((2, 8, 3, 3)), None),
        TypeError,
        "InnerBatchNorm: state: expected the equinox.nn.State.*NoneType.*make_with_state",
    ),
    "export without statistics": (
        lambda: typed(nn.InnerBatchNorm, REGULAR, track_running_stats=False)[0].inference_map(None),
        ValueError,
        "there are no running statistics",
    ),
}


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()

"""Layers on points, against sums over edges in NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, nn, spaces
from equivax.models._points import mean_of_points, sum_of_points
from laws import drawn, normal

SPACE = spaces.rot_on_r3()
SCALARS = FieldType(SPACE, 2 * SPACE.trivial)
MIXED = FieldType(SPACE, [SPACE.trivial, SPACE.irrep(1)])
PLACES = normal(6, 3, seed=2, dtype=jnp.float32)


def layer_of(key, **options):
    return drawn(nn.PointConv(SCALARS, MIXED, width=1.5, key=key, **options))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("aggregate", ["sum", "mean"])
def test_a_point_convolution_is_the_sum_over_edges(aggregate, key):
    layer = layer_of(key, aggregate=aggregate, cutoff=3.0)
    x, places = np.asarray(normal(6, 2)), np.asarray(normal(6, 3, seed=2))
    # (0, 1) twice, a loop, and far more edges to a point than to the others
    edges = [(0, 1), (2, 1), (5, 1), (1, 0), (3, 3), (0, 1), *((n, 4) for n in range(6))]
    padded = np.array([*edges, (-1, 2), (4, 6), (-1, -1)])
    expected = np.zeros((6, 4))
    for sender, receiver in edges:
        kernel = np.asarray(layer.kernel_at(places[sender] - places[receiver]))
        expected[receiver] += kernel @ x[sender]
    if aggregate == "mean":
        expected /= np.array([1, 4, 1, 1, 6, 1])[:, None]
    found = layer(x, places, padded[:, 0], padded[:, 1])
    np.testing.assert_allclose(found, expected + np.asarray(layer.bias), rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_kernels_are_smooth_where_points_coincide_and_at_the_cutoff(key):
    layer = layer_of(key, cutoff=1.0)
    kernel = jax.jit(lambda r: layer.kernel_at(jnp.stack([r, 0.3 * r, 0 * r])))
    bend = jax.vmap(jax.hessian(kernel))(jnp.array([0.0, 1e-9, 1e-200]))
    assert np.isfinite(bend).all()
    np.testing.assert_allclose(bend[1:], bend[:-1], rtol=1e-4, atol=1e-4 * np.abs(bend).max())
    edge = 1 / np.hypot(1, 0.3)
    assert np.abs(layer.kernel_at(jnp.array([edge + 1e-9, 0.3 * edge, 0.0]))).max() == 0
    slope = jax.jacfwd(kernel)(edge - 1e-5)
    assert np.abs(slope).max() < 1e-6 * np.abs(bend).max()


def test_one_neighbour_keeps_the_variance(key):
    wide = FieldType(SPACE, 30 * SPACE.trivial + 30 * SPACE.irrep(1))
    layer = nn.PointConv(wide, wide, width=2.0, key=key)
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((400, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    kernels = layer.kernel_at(jnp.asarray(directions * rng.uniform(0, 2, (400, 1)), jnp.float32))
    outputs = (np.asarray(kernels) ** 2).sum(axis=2)
    # The expected squared norm of a row is 1; means over 30 rows and 400 offsets.
    assert outputs[:, :30].mean() == pytest.approx(1, abs=0.15)
    assert outputs[:, 30:].mean() == pytest.approx(1, abs=0.15)


def test_scaling_positions_and_width_changes_nothing(key):
    edges = nn.radius_edges(PLACES, 2.0, 20)
    small, large = (nn.PointConv(SCALARS, MIXED, width=w, key=key) for w in (0.5, 2.0))
    x = normal(6, 2)
    np.testing.assert_allclose(small(x, PLACES / 4, *edges), large(x, PLACES, *edges), rtol=2e-5)


def test_harmonics_that_reach_no_output_are_not_evaluated(key):
    scalars = nn.PointConv(SCALARS, SCALARS, width=1.0, key=key)
    assert scalars.basis.recipe.degrees == ((0,), (0,), (0,))
    vectors = FieldType(SPACE, SPACE.irrep(1))
    odd = nn.PointConv(SCALARS, vectors, width=1.0, key=key)
    assert odd.basis.recipe.degrees == ((), (1,), (1,))
    pairs = nn.PointConv(MIXED, MIXED, width=1.0, rings=2, key=key)
    assert pairs.basis.recipe.degrees == ((0,), (0, 1, 2))


def test_no_array_has_edges_times_channels_times_more(key):
    count, edges, channels = 64, 2048, 64
    wide = FieldType(SPACE, 16 * (SPACE.trivial + SPACE.irrep(1)))
    layer = nn.PointConv(wide, wide, width=1.0, key=key)
    shapes = [
        jax.ShapeDtypeStruct(shape, dtype)
        for shape, dtype in (
            ((count, channels), jnp.float32),
            ((count, 3), jnp.float32),
            ((edges,), jnp.int32),
            ((edges,), jnp.int32),
        )
    ]
    step = jax.grad(lambda *inputs: layer(*inputs).sum(), argnums=(0, 1))
    assert largest_array(jax.make_jaxpr(step)(*shapes).jaxpr) == edges * channels


def largest_array(jaxpr):
    """Entries of the largest array in a program, and in the programs inside it."""
    sizes = [0]
    for equation in jaxpr.eqns:
        sizes += [int(np.prod(value.aval.shape)) for value in equation.outvars]
        for inner in jax.tree.leaves(equation.params, is_leaf=lambda p: hasattr(p, "jaxpr")):
            if hasattr(inner, "jaxpr"):
                sizes.append(largest_array(inner.jaxpr))
    return max(sizes)


def test_a_point_convolution_without_points_or_edges_is_its_bias(key):
    layer = layer_of(key)
    none = jnp.zeros((0,), jnp.int32)
    assert layer(jnp.zeros((0, 2)), jnp.zeros((0, 3)), none, none).shape == (0, 4)
    y = layer(normal(6, 2), PLACES, none, none)
    np.testing.assert_array_equal(y, np.broadcast_to(layer.bias, (6, 4)))


def test_a_projected_bias_is_invariant(key):
    layer = layer_of(key).with_bias(jnp.arange(1.0, 5.0))
    np.testing.assert_allclose(layer.bias, [1, 0, 0, 0], atol=1e-6)
    with pytest.raises(ValueError, match="no bias"):
        layer_of(key, use_bias=False).with_bias(jnp.zeros(4))


# ---- edges -------------------------------------------------------------------------------------


@pytest.mark.parametrize("loops", [False, True])
def test_radius_edges_are_all_near_pairs(loops):
    mask = np.array([True, True, True, False, True, True])
    senders, receivers = nn.radius_edges(PLACES, 1.8, 50, loops=loops, mask=jnp.asarray(mask))
    found = {
        pair for pair in zip(senders.tolist(), receivers.tolist(), strict=True) if pair[0] >= 0
    }
    distances = np.linalg.norm(np.asarray(PLACES)[:, None] - np.asarray(PLACES)[None], axis=-1)
    near = (distances < 1.8) & mask[:, None] & mask[None] & (loops | ~np.eye(6, dtype=bool))
    assert found == set(zip(*map(np.ndarray.tolist, np.nonzero(near)), strict=True))
    assert (senders < 0).sum() == 50 - near.sum() > 0
    np.testing.assert_array_equal(senders < 0, receivers < 0)


def test_of_too_many_edges_the_shortest_are_kept():
    line = jnp.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [3.5, 0.0]])
    call = jax.jit(lambda p: nn.radius_edges(p, 10.0, 4))
    senders, receivers = call(line)
    kept = set(zip(senders.tolist(), receivers.tolist(), strict=True))
    assert kept == {(0, 1), (1, 0), (2, 3), (3, 2)}


def test_gradients_flow_through_edges_that_positions_choose(key):
    layer = layer_of(key, cutoff=2.0)

    def energy(places):
        return layer(jnp.ones((6, 2)), places, *nn.radius_edges(places, 2.0, 30))[:, 0].sum()

    forces = jax.jit(jax.grad(energy))(PLACES)
    assert np.abs(forces).max() > 0
    # No force acts on the whole.
    np.testing.assert_allclose(forces.sum(axis=0), np.zeros(3), atol=1e-4)


# ---- harmonics ---------------------------------------------------------------------------------


def test_harmonics_have_the_components_of_the_irreps():
    fields = FieldType(SPACE, [SPACE.irrep(1), SPACE.irrep(0), SPACE.irrep(2)])
    x, y, z = 1.0, 2.0, -2.0
    point = jnp.array([x, y, z])
    found = nn.SphericalHarmonics(fields)(point)
    root = np.sqrt(3)
    second = [
        root * x * y, root * y * z, (3 * z**2 - 9) / 2, root * x * z, root / 2 * (x**2 - y**2)
    ]  # fmt: skip
    expected = [y / 3, z / 3, x / 3, 1, *(value / 9 for value in second)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    lengths = nn.SphericalHarmonics(fields, normalize=False)(point)
    np.testing.assert_allclose(lengths, [y, z, x, 1, *second], atol=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_harmonics_of_directions_do_not_depend_on_lengths(scale):
    space = spaces.rot_on_r3()
    layer = nn.SphericalHarmonics(FieldType(space, space.irrep(1) + space.irrep(2)))
    x = normal(5, 3)

    @eqx.filter_jit
    def value_and_slope(x):
        return layer(x), jax.grad(lambda x: jnp.sum(jnp.sin(layer(x))))(x)

    (one, slope), (other, slope_there) = value_and_slope(x), value_and_slope(scale * x)
    np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(slope_there * scale, slope, rtol=1e-4, atol=1e-5)


def test_harmonics_on_a_plane_and_of_a_split_degree():
    plane = spaces.flip_rot_on_r2(-1, axis=0.0)
    fields = FieldType(plane, [plane.irrep(1, 3), plane.vector])
    angle = 0.4
    found = nn.SphericalHarmonics(fields)(2 * jnp.array([np.cos(angle), np.sin(angle)]))
    expected = [np.cos(3 * angle), np.sin(3 * angle), np.cos(angle), np.sin(angle)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    cube = spaces.octahedral_on_r3()
    split = nn.SphericalHarmonics(FieldType(cube, [cube.irrep(2), cube.irrep(-1)]))
    rng = np.random.default_rng(0)
    values = np.asarray(split(jnp.asarray(rng.standard_normal((4000, 3)), jnp.float32)))
    # Mean squares over directions, of 4000 samples.
    assert (values[:, :2] ** 2).sum(axis=1).mean() == pytest.approx(1, abs=0.05)
    assert (values[:, 2:] ** 2).sum(axis=1).mean() == pytest.approx(1, abs=0.05)


def test_what_no_direction_carries_is_refused():
    ball = spaces.flip_rot_on_r3()
    with pytest.raises(ValueError, match="occur in harmonics"):
        nn.SphericalHarmonics(FieldType(ball, ball.irrep(1, 0)))
    # All of them, of a group whose pseudoscalar needs a polynomial of degree 15.
    every = spaces.full_icosahedral_on_r3()
    harmonics = nn.SphericalHarmonics(FieldType(every, list(every.group.irreps())))
    assert np.isfinite(eqx.filter_jit(harmonics)(PLACES)).all()


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"width": 0}, "width"),
        ({"width": 1.0, "rings": 0}, "rings"),
        ({"width": 1.0, "aggregate": "max"}, "aggregate"),
        ({"width": 1.0, "cutoff": -1}, "cutoff"),
        ({"width": 1.0, "frequency_cutoff": 40}, "frequency_cutoff"),
        ({"width": 1.0, "rings": 1, "out_type": FieldType(SPACE, SPACE.irrep(1))}, "only the zero"),
    ],
)
def test_point_convolutions_say_what_does_not_fit(options, message, key):
    given = {"in_type": SCALARS, "out_type": MIXED, "key": key} | options
    with pytest.raises((ValueError, TypeError), match=f"PointConv.*{message}"):
        nn.PointConv(given.pop("in_type"), given.pop("out_type"), **given)


def test_fields_on_a_line_and_on_two_spaces_are_refused(key):
    line = spaces.flip_on_r1()
    fields = FieldType(line, line.trivial)
    with pytest.raises(ValueError, match="plane or in space"):
        nn.PointConv(fields, fields, width=1.0, key=key)
    plane = FieldType(spaces.rot_on_r2(4), spaces.rot_on_r2(4).trivial)
    with pytest.raises(ValueError, match="out_type"):
        nn.PointConv(SCALARS, plane, width=1.0, key=key)


@pytest.mark.parametrize(
    "replaced, message",
    [
        ({0: jnp.zeros((6, 3))}, r"expected \(\.\.\., 2\)"),
        ({0: jnp.zeros(2)}, "x: expected"),
        ({1: jnp.zeros((6, 2))}, "positions: expected"),
        ({1: jnp.zeros((5, 3))}, "the 6 points"),
        ({1: jnp.zeros((6, 3), jnp.int32)}, "positions: expected a floating"),
        ({2: jnp.zeros(4)}, "senders: expected an array of integers"),
        ({3: jnp.zeros(3, jnp.int32)}, "as many as senders"),
        ({0: jnp.zeros((2, 6, 2)), 1: jnp.zeros((3, 6, 3))}, "batch axes"),
    ],
)
def test_calls_say_what_does_not_fit(replaced, message, key):
    inputs = [normal(6, 2), PLACES, jnp.zeros(4, jnp.int32), jnp.zeros(4, jnp.int32)]
    for place, value in replaced.items():
        inputs[place] = value
    with pytest.raises((ValueError, TypeError), match=f"PointConv: .*{message}"):
        layer_of(key)(*inputs)


def test_unknown_options_are_refused():
    space = spaces.rot_on_r2(4)
    scalar = FieldType(space, space.trivial)
    layer = nn.PointConv(scalar, scalar, width=1.0, key=jax.random.key(0))
    edges = jnp.array([0, 1]), jnp.array([1, 0])
    with pytest.raises(TypeError, match=r"PointConv: unknown option 'masks'; .* takes none"):
        layer(normal(2, 1), normal(2, 2), *edges, masks=3)


@pytest.mark.parametrize("pool", [mean_of_points, sum_of_points])
def test_pools_read_nothing_of_padding(pool):
    x, there = jnp.array([[1.0], [3.0], [jnp.nan]]), jnp.array([True, True, False])
    assert pool(x, there) == pool(x[:2])
    slopes = jax.grad(lambda x: pool(x, there).sum())(x)
    assert np.array_equal(slopes, jax.grad(lambda x: pool(x[:2]).sum())(x))

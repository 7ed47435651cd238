"""Fourier nonlinearities: golden numbers, what is exact, how large the error is, refusals."""

import itertools
import math
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_fields
from equivax import FieldType, GeometricTensor, groups, nn, spaces, testing
from equivax.nn._core._fibres import turned
from equivax.representations import band_limited
from laws import applied, exported, normal, one_in, relative

SO2, O2, SO3 = groups.so2(), groups.o2(), groups.so3()
C8, D4, Q8 = groups.cyclic(8), groups.dihedral(4), groups.quaternion()
GOLDEN = {entry.key: entry for entry in golden_fields.modules("FourierNonlinearity")}
FUNCTIONS = {"p_relu": jax.nn.relu, "p_elu": jax.nn.elu}


def error(layer, key):
    """Largest relative error over the testing elements."""
    return max(row.relative for row in testing.equivariance_error(layer, key=key))


@pytest.mark.parametrize("points", [1, 40])
@pytest.mark.parametrize("shape", [(5, 4), (3, 5, 4)])
def test_products_with_small_matrices_are_the_same_on_every_platform(shape, points, monkeypatch):
    matrix, z = normal(*shape), normal(2, 3, shape[-1], points, seed=1)
    expected = np.einsum("fos,bfsp->bfop", np.broadcast_to(matrix, (3, 5, 4)), z)
    for platform in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda platform=platform: platform)
        assert relative(turned(matrix, z), expected) < 1e-6


# ---- golden numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_outputs(name):
    entry = GOLDEN[name]
    grid = nn.FourierGrid.uniform(entry.space.group, entry.params["N"])
    assert len(grid) == entry.params["grid_size"]
    layer = nn.FourierNonlinearity(entry.in_type, FUNCTIONS[entry.params["function"]], grid=grid)
    x = jnp.asarray(entry.x, jnp.float32)
    y, exported = eqx.filter_jit(lambda m, n: (m(x), jax.vmap(n)(x)))(layer, layer.export())
    np.testing.assert_allclose(y, entry.y, atol=golden_fields.ATOL)
    np.testing.assert_allclose(exported, y, atol=golden_fields.ATOL)
    assert layer.out_type == entry.out_type
    assert layer == nn.FourierNonlinearity(entry.in_type, layer.function)  # oversampling 2


@pytest.mark.parametrize("name", [name for name in GOLDEN if "relu" in name])
def test_golden_samples(name):
    entry = GOLDEN[name]
    group = entry.space.group
    rep = band_limited(group, 2)
    ids = [golden_fields.irrep_id(group, text) for text in entry.params["irreps"]]
    assert list(rep.irreps) == ids
    assert entry.in_type == FieldType(entry.space, 2 * rep)
    grid = nn.FourierGrid.uniform(group, 12)
    layer = nn.FourierNonlinearity(rep, lambda values: values, grid=grid)
    ((_, matrices),) = layer._transforms()
    np.testing.assert_allclose(matrices.samples, entry.array("A"), atol=1e-6)
    inverse = np.linalg.pinv(entry.array("A").astype(np.float64))
    np.testing.assert_allclose(matrices.coefficients, inverse, atol=1e-6)


# ---- band-limited functions --------------------------------------------------------------------


@pytest.mark.parametrize("group", [C8, D4, Q8, groups.octahedral(), groups.cyclic(1)], ids=repr)
def test_all_functions_on_a_finite_group_are_its_regular_representation(group):
    rep = band_limited(group)
    assert rep.multiplicities == group.regular.multiplicities
    assert rep.size == group.order
    inner = group.subgroup(list(group.generators[:1]) or "all")
    functions = band_limited(group, subgroup=inner)
    assert functions.multiplicities == group.quotient(inner).multiplicities


@pytest.mark.parametrize(
    "group, limit, subgroup, irreps",
    [
        (SO2, 4, 2, [(0,), (2,), (4,)]),
        (O2, 2, (0.0, 1), [(0, 0), (1, 1), (1, 2)]),
        (O2, 3, "so2", [(0, 0), (1, 0)]),
        (SO3, 2, "so2", [(0,), (1,), (2,)]),
    ],
)
def test_functions_on_cosets_hold_the_irreps_with_fixed_vectors(group, limit, subgroup, irreps):
    assert list(band_limited(group, limit, subgroup=subgroup).irreps) == irreps


def test_dimensions_of_functions_on_lie_groups():
    assert band_limited(SO2, 5).size == 11
    assert band_limited(O2, 5).size == 22
    assert band_limited(SO3, 3).size == 1 + 9 + 25 + 49
    assert band_limited(SO3, irreps=[(2,), 0]).irreps == ((2,),) * 5 + ((0,),)


# ---- what is exact -----------------------------------------------------------------------------


@pytest.mark.parametrize("group", [C8, D4, Q8], ids=repr)
def test_on_regular_fields_it_is_pointwise(group, key):
    layer = nn.FourierNonlinearity(3 * group.regular, jax.nn.relu)
    x = normal(5, 3 * group.order)
    np.testing.assert_allclose(layer(x), jax.nn.relu(x), atol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("group", [C8, D4, Q8, groups.tetrahedral()], ids=repr)
def test_it_is_exact_for_finite_groups(group, key):
    assert error(nn.FourierNonlinearity(2 * band_limited(group), jnp.abs), key) < 1e-12
    some = band_limited(group, irreps=group.irrep_ids()[1:])  # not a group of functions alone
    assert error(nn.FourierNonlinearity(some, jax.nn.gelu), key) < 1e-12


@pytest.mark.usefixtures("x64")
def test_it_is_exact_under_the_symmetry_of_its_grid(key):
    """Elements of the icosahedral group in SO(3) make a grid that they map to itself."""
    inner = SO3.subgroup("icosahedral")
    turns = SO3.elements_at(inner.embed(inner.group.element_coordinates))
    grid = nn.FourierGrid.of(SO3, turns)
    rep = band_limited(SO3, 2)
    layer = nn.FourierNonlinearity(rep, jax.nn.relu, grid=grid)
    x = normal(4, rep.size)
    y = layer(x)
    for g in turns[:12]:
        assert relative(layer(x @ rep(g).T), y @ rep(g).T) < 1e-12
    other = SO3.sample(0)
    assert relative(layer(x @ rep(other).T), y @ rep(other).T) > 1e-3


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("group", [SO2, O2], ids=repr)
def test_it_is_exact_at_the_angles_of_the_grid_only(group, key):
    rep = band_limited(group, 3)
    layer = nn.FourierNonlinearity(rep, jax.nn.relu)
    assert len(layer.grid) == 16 * (1 if group is SO2 else 2)
    x = normal(4, rep.size)
    y = layer(x)
    errors = {g: relative(layer(x @ rep(g).T), y @ rep(g).T) for g in layer.grid.elements}
    assert max(errors.values()) < 1e-12
    g = group.element(0.1 if group is SO2 else (1, 0.1))
    assert 1e-3 < relative(layer(x @ rep(g).T), y @ rep(g).T) < 0.1


def test_the_identity_goes_through_and_cuts_the_band(key):
    wide, narrow = band_limited(SO2, 3), band_limited(SO2, 1)
    x = normal(4, wide.size)
    layer = nn.FourierNonlinearity(wide, lambda values: values)
    np.testing.assert_allclose(layer(x), x, atol=1e-6)
    cut = nn.FourierNonlinearity(wide, lambda values: values, out_irreps=1)
    assert cut.out_type == narrow
    np.testing.assert_allclose(cut(x), x[:, :3], atol=1e-6)
    widened = nn.FourierNonlinearity(narrow, lambda values: values, out_irreps=[0, 1, 2, 3])
    assert widened.out_type == wide
    np.testing.assert_allclose(widened(x[:, :3]), jnp.pad(x[:, :3], [(0, 0), (0, 4)]), atol=1e-6)


@pytest.mark.usefixtures("x64")
def test_a_polynomial_is_exact_when_the_band_holds_its_degree(key):
    """The square of frequency 2 has frequency 4: nothing is lost at 4, and nothing aliased."""
    layer = nn.FourierNonlinearity(band_limited(O2, 2), jnp.square, out_irreps=4, oversampling=1)
    assert error(layer, key) < 1e-12


@pytest.mark.usefixtures("x64")
def test_functions_on_cosets_with_finitely_many_points_are_exact(key):
    """O(2) / SO(2) has two points."""
    rep = 3 * band_limited(O2, 0, subgroup="so2")
    layer = nn.FourierNonlinearity(rep, jax.nn.relu, subgroup="so2")
    ((_, matrices),) = layer._transforms()
    assert matrices.samples.shape == (2, 2)
    assert error(layer, key) < 1e-12


# ---- how large the error is --------------------------------------------------------------------

#: Largest relative error of a layer of frequency 3 at oversampling 1, 2, 4, 8: what the guide says.
MEASURED = {
    "relu": (jax.nn.relu, (0.5, 0.07, 0.015, 0.004)),
    "elu": (jax.nn.elu, (0.4, 0.015, 0.004, 4e-4)),
    "gelu": (jax.nn.gelu, (0.6, 0.02, 4e-4, 2e-9)),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "group, name", one_in(3, [(SO2, "relu"), (SO2, "elu"), (SO2, "gelu"), (O2, "elu")])
)
def test_the_error_falls_with_oversampling(group, name, key):
    function, bounds = MEASURED[name]
    rep = 8 * band_limited(group, 3)
    errors = [
        error(nn.FourierNonlinearity(rep, function, oversampling=factor), key)
        for factor in (1, 2, 4, 8)
    ]
    assert all(found <= bound for found, bound in zip(errors, bounds, strict=True)), errors
    assert all(b < a / 1.5 for a, b in itertools.pairwise(errors)), errors


@pytest.mark.usefixtures("x64")
def test_the_error_falls_on_the_sphere(key):
    rep = 3 * band_limited(SO3, 2, subgroup="so2")
    made = [
        nn.FourierNonlinearity(rep, jax.nn.elu, subgroup="so2", oversampling=factor)
        for factor in (1, 2, 3)
    ]
    errors = [error(layer, key) for layer in made]
    assert errors[0] < 0.1
    assert errors[1] < 0.02
    assert errors[2] < 0.006
    points = [len(layer._transforms()[0][1].samples) for layer in made]
    assert points == [24, 48, 96]  # whole orbits under the rotations of a cube


#: Largest relative error at oversampling 1, 2, 3 of fields up to frequency 1 on SO(3), and up to 4
#: on the sphere, with ELU: what the guide says.
IN_SPACE = {"SO(3)": (None, 1, (0.07, 0.006, 7e-4)), "sphere": ("so2", 4, (0.16, 0.008, 0.003))}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", IN_SPACE)
def test_nearly_even_points_need_fewer_samples(name, key):
    subgroup, limit, bounds = IN_SPACE[name]
    rep = 8 * band_limited(SO3, limit, subgroup=subgroup)
    for factor, bound in zip((1, 2, 3), bounds, strict=True):
        layer = nn.FourierNonlinearity(rep, jax.nn.elu, subgroup=subgroup, oversampling=factor)
        assert error(layer, key) < bound
    turns = 4 * math.ceil(3 * (2 * limit + 1) / 4)
    even = nn.FourierGrid.uniform(SO3, turns)
    product = nn.FourierNonlinearity(rep, jax.nn.elu, subgroup=subgroup, grid=even)
    samples = [len(one._transforms()[0][1].samples) for one in (layer, product)]
    assert samples[0] < 0.7 * samples[1]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("group", [SO3, groups.o3()], ids=repr)
@pytest.mark.parametrize("subgroup", [None, "so2"])
def test_it_is_exact_under_the_rotations_of_a_cube(group, subgroup, key):
    rep = band_limited(group, 1, subgroup=subgroup)
    layer = nn.FourierNonlinearity(rep, subgroup=subgroup)
    cube = group.subgroup("octahedral" if group is SO3 else "full_octahedral")
    x = normal(4, rep.size)
    moves = [rep(cube.embedding(g)).T for g in cube.group.elements[::5]]
    moved, y = layer(np.stack([x @ move for move in moves])), np.asarray(layer(x))
    assert relative(moved, np.stack([y @ move for move in moves])) < 1e-12
    other = rep(group.sample(0)).T
    assert relative(layer(x @ other), y @ other) > 1e-5


@pytest.mark.parametrize("points, sphere", [(24, True), (100, True), (100, False)])
def test_points_are_nearly_even(points, sphere):
    grid = nn.FourierGrid.near_uniform(SO3, points, "so2" if sphere else None)
    assert len(grid) == 24 * math.ceil(points / 24)
    q = grid.coordinates
    if sphere:
        ends = SO3.defining_matrices(q)[:, :, 2]  # where z goes
        angles = np.arccos(np.clip(ends @ ends.T, -1, 1))
    else:
        angles = 2 * np.arccos(np.clip(np.abs(q @ q.T), 0, 1))
    nearest = np.sort(angles, axis=1)[:, 1]
    assert nearest.min() > 0.85 * nearest.max()


# ---- shapes, gradients, exports ----------------------------------------------------------------


@pytest.mark.parametrize("dim", [0, 1, 2, 3])
def test_any_dimension_and_mixtures(dim, key):
    actions = [None, C8.irrep(4), C8.irrep(1), C8.irrep(1) + C8.trivial]
    space = spaces.GSpace(C8, actions[dim])
    type_ = FieldType(space, [C8.irrep(1), C8.regular, C8.irrep(1), C8.trivial, C8.irrep(4)])
    x = normal(2, type_.size, *(3, 4, 5)[:dim])
    for layer in (
        nn.FourierNonlinearity(type_, jax.nn.elu),
        nn.FourierNonlinearity(type_, jax.nn.elu, out_irreps=[(0,), (2,)]),
    ):
        y = applied(layer, x)
        assert y.shape == (2, layer.out_type.size, *x.shape[2:])
        assert y.dtype == x.dtype
        np.testing.assert_allclose(exported(layer, x), y, atol=1e-6)
        wrapped = jax.eval_shape(layer, GeometricTensor(x, type_))
        assert wrapped.type == layer.out_type
        for i, field in enumerate(type_.reps):  # field by field
            alone = nn.FourierNonlinearity(
                FieldType(space, [field]), jax.nn.elu, out_irreps=layer.out_irreps
            )
            part = applied(alone, np.asarray(x)[:, type_.fields_start[i] : type_.fields_end[i]])
            out = slice(layer.out_type.fields_start[i], layer.out_type.fields_end[i])
            np.testing.assert_allclose(np.asarray(y)[:, out], part, atol=1e-6)


@pytest.mark.parametrize("function", [jax.nn.relu, jax.nn.elu, jnp.tanh])
def test_gradients_are_finite_at_zero_and_at_ties(function):
    layer = nn.FourierNonlinearity(2 * band_limited(O2, 2), function)
    for x in (jnp.zeros(20), jnp.ones(20), jnp.full(20, 1e-30), jnp.full(20, 1e6)):
        assert np.isfinite(jax.grad(lambda v: layer(v).sum())(x)).all()


def test_grids_are_values():
    a, b = nn.FourierGrid.uniform(SO2, 8), nn.FourierGrid.uniform(SO2, 8)
    assert (a, hash(a)) == (b, hash(b))
    assert a != nn.FourierGrid.uniform(SO2, 12)
    assert nn.FourierGrid.of(SO2, a.elements) == a
    assert nn.FourierGrid.of(SO2, a.elements, 8 * [2.0]) == a
    assert repr(a) == "FourierGrid(SO(2), 8 points)"
    assert not jax.tree.leaves(nn.FourierNonlinearity(band_limited(SO2, 1), grid=a))


def test_weights_of_an_uneven_grid_count_a_point_twice(key):
    rep = band_limited(SO2, 2)
    angles = list(2 * np.pi * np.arange(9) / 9)
    doubled = nn.FourierGrid.of(SO2, [*angles, *angles[:3]])
    weighted = nn.FourierGrid.of(SO2, angles, [*3 * [2.0], *6 * [1.0]])
    x = normal(4, rep.size)
    one, other = (nn.FourierNonlinearity(rep, grid=grid) for grid in (doubled, weighted))
    np.testing.assert_allclose(one(x), other(x), atol=1e-6)


# ---- refusals ----------------------------------------------------------------------------------

GRID = nn.FourierGrid.uniform(SO2, 8)
BAND = band_limited(SO2, 2)
REFUSED = {
    "a name for a function": (
        lambda: nn.FourierNonlinearity(BAND, "relu"), TypeError,
        "FourierNonlinearity: function: expected a callable such as jax.nn.elu, got 'relu'",
    ),
    "no type": (
        lambda: nn.FourierNonlinearity(3), TypeError, "FourierNonlinearity: in_type",
    ),
    "a vector twice": (
        lambda: nn.FourierNonlinearity((2 * SO2.irrep(1)).fused("twice")), ValueError,
        r"in_type: field 0 \(twice\) holds irrep\(1\) 2 times, but functions on SO\(2\) hold it 1",
    ),
    "a field that is no function on the cosets": (
        lambda: nn.FourierNonlinearity(SO2.trivial + SO2.irrep(1), subgroup=2), ValueError,
        r"field 1 \(irrep\(1\)\) holds irrep\(1\) 1 times, but functions on the cosets SO\(2\)/C2",
    ),
    "too few samples": (
        lambda: nn.FourierNonlinearity(BAND, grid=nn.FourierGrid.uniform(SO2, 4)), ValueError,
        r"grid: field 0: expected at least 5 samples.*got FourierGrid\(SO\(2\), 4 points\)",
    ),
    "samples of one angle": (
        lambda: nn.FourierNonlinearity(BAND, grid=nn.FourierGrid.of(SO2, 9 * [0.3])), ValueError,
        "of which 1 differ",
    ),
    "even points on a circle": (
        lambda: nn.FourierGrid.near_uniform(SO2, 10), ValueError,
        r"FourierGrid: group: expected SO\(3\) or O\(3\), got SO\(2\)",
    ),
    "even points on other cosets": (
        lambda: nn.FourierGrid.near_uniform(SO3, 10, "octahedral"), ValueError,
        'FourierGrid: subgroup: expected None or "so2"',
    ),
    "no even points": (
        lambda: nn.FourierGrid.near_uniform(SO3, 0), ValueError, "FourierGrid: points: expected",
    ),
    "a grid of another group": (
        lambda: nn.FourierNonlinearity(BAND, grid=nn.FourierGrid.uniform(O2, 8)), ValueError,
        r"grid: expected elements of SO\(2\), got FourierGrid\(O\(2\), 16 points\)",
    ),
    "a number for a grid": (
        lambda: nn.FourierNonlinearity(BAND, grid=12), TypeError,
        r"grid: expected a FourierGrid, as FourierGrid.uniform\(group, points\), got 12",
    ),
    "grid and oversampling": (
        lambda: nn.FourierNonlinearity(BAND, grid=GRID, oversampling=2), ValueError,
        "oversampling: expected None beside grid",
    ),
    "oversampling below 1": (
        lambda: nn.FourierNonlinearity(BAND, oversampling=0.5), ValueError,
        "oversampling: expected a finite number in .*, got 0.5",
    ),
    "infinite oversampling": (
        lambda: nn.FourierNonlinearity(BAND, oversampling=float("inf")), ValueError,
        "oversampling: expected a finite number in .*, got inf",
    ),
    "oversampling by words": (
        lambda: nn.FourierNonlinearity(BAND, oversampling="twice"), TypeError,
        "oversampling: expected a finite number in .*, got 'twice'",
    ),
    "oversampling of a finite group": (
        lambda: nn.FourierNonlinearity(D4.regular, oversampling=2), ValueError,
        "oversampling: expected None for the finite group D4",
    ),
    "an unknown output irrep": (
        lambda: nn.FourierNonlinearity(D4.regular, out_irreps=[(7, 7)]), ValueError,
        r"out_irreps: D4 has no irrep \(7, 7\)",
    ),
    "a frequency of a finite group": (
        lambda: nn.FourierNonlinearity(D4.regular, out_irreps=2), ValueError,
        "out_irreps: band_limited: max_frequency: the irreps of the finite group D4 have no freq",
    ),
    "a negative frequency": (
        lambda: nn.FourierNonlinearity(BAND, out_irreps=-1), ValueError, "out_irreps:.*got -1",
    ),
    "irreps by a word": (
        lambda: nn.FourierNonlinearity(BAND, out_irreps="all"), TypeError,
        "irreps: expected a sequence of ids, got 'all'",
    ),
    "no output irreps": (
        lambda: nn.FourierNonlinearity(BAND, out_irreps=[]), ValueError,
        "irreps: expected at least one irrep that occurs",
    ),
    "an unknown subgroup": (
        lambda: nn.FourierNonlinearity(BAND, subgroup="mirror"), ValueError,
        r"FourierNonlinearity: subgroup: SO\(2\) has no subgroup named 'mirror'",
    ),
    "a grid without a number": (
        lambda: nn.FourierGrid.uniform(SO2), TypeError,
        r"points: expected an integer in .*, got None",
    ),
    "a grid of no points": (
        lambda: nn.FourierGrid.uniform(SO2, 0), ValueError,
        "points: expected an integer in .*, got 0",
    ),
    "a grid with a number of a finite group": (
        lambda: nn.FourierGrid.uniform(D4, 8), ValueError, "expected None for the finite group D4",
    ),
    "a grid of a type": (
        lambda: nn.FourierGrid.uniform(D4.regular, 8), TypeError, "group: expected a group, got",
    ),
    "a grid of no elements": (
        lambda: nn.FourierGrid.of(SO2, []), ValueError, "elements: expected at least one element",
    ),
    "weights of another length": (
        lambda: nn.FourierGrid.of(SO2, [0.0, 1.0], [1.0]), ValueError,
        "weights: expected 2 positive numbers, one an element",
    ),
    "a weight of zero": (
        lambda: nn.FourierGrid.of(SO2, [0.0, 1.0], [1.0, 0.0]), ValueError, "positive numbers",
    ),
    "a band of a representation": (
        lambda: band_limited(D4.regular), TypeError, "band_limited: group: expected a group, got",
    ),
    "a band of no frequency": (
        lambda: band_limited(SO2), ValueError, "max_frequency: expected an integer >= 0",
    ),
    "a band by two ways": (
        lambda: band_limited(SO2, 2, irreps=[0]), ValueError, "got both, 2 and",
    ),
    "a band of functions that are not there": (
        lambda: band_limited(SO2, irreps=[1], subgroup=2), ValueError,
        r"occurs among the functions on SO\(2\)/C2, got irrep\(1\)",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    call, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "\n" not in re.sub(r"\s+$", "", str(caught.value))

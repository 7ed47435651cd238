"""One test per defect of symm-learning 0.8.1 that equivax must not share.

The numbers in the docstrings were measured there; each test fails if the defect were here.
"""

import copy
import functools
import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import cases
import equivax as evx
from equivax import Representation, groups, hom_basis, linalg, models, nn, stats
from laws import drawn, one_in
from vector_types import from_irreps, random_orthogonal, types
from vector_types import turned as turned_basis

#: Rounding of sums of some hundred terms of order one, in float64.
EXACT = 1e-12

pytestmark = pytest.mark.usefixtures("x64")


def commutator(matrix, in_rep, out_rep) -> float:
    """Largest entry of ``rho_out(g) W - W rho_in(g)`` over the group."""
    matrix = np.asarray(matrix, np.float64)
    return float(np.abs(out_rep.matrices @ matrix - matrix @ in_rep.matrices).max())


def group_average(matrix, in_rep, out_rep) -> np.ndarray:
    moved = out_rep.matrices @ np.asarray(matrix) @ in_rep.matrices.transpose(0, 2, 1)
    return moved.mean(axis=0)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def random_map(in_rep, out_rep, seed=0):
    """A synthesised map with random coefficients."""
    basis = hom_basis(in_rep, out_rep)
    coeffs = {b.name: jnp.asarray(random(*b.shape, seed=seed)) for b in basis.blocks}
    return basis.synthesize(coeffs)


# ---- row 2: one isotypic type in any basis: the basis was dropped ------------------------------


def test_row_2_one_irrep_type_keeps_its_basis(key):
    """Two copies of the plane of D3 in a random basis: maps erred by 1.5 with entries of 1.2."""
    plane = groups.dihedral(3).irrep(1, 1)
    Q = random_orthogonal(4, 5)
    rep = Representation.from_matrices(plane.group, Q @ (2 * plane).matrices @ Q.T)
    assert np.abs(rep.matrices - Q @ (2 * plane).matrices @ Q.T).max() <= EXACT
    W = random_map(rep, rep)
    assert np.abs(W).max() > 0.3
    assert commutator(W, rep, rep) <= EXACT
    assert evx.direct_sum([rep]) == rep  # a sum of one summand is that summand, with its basis


def test_row_2_a_tilted_plane_maps_into_the_regular_representation():
    """The plane of D4 tilted by 30 degrees: maps erred by as much as they were large."""
    plane = groups.dihedral(4).irrep(1, 1)
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    tilt = np.array([[c, -s], [s, c]])
    rep = from_irreps([plane], tilt, "tilted")
    assert np.abs(rep.matrices - tilt @ plane.matrices @ tilt.T).max() <= EXACT
    W = random_map(rep, plane.group.regular)
    assert np.abs(W).max() > 0.05
    assert commutator(W, rep, plane.group.regular) <= EXACT


# ---- row 3: decompositions cached by name --------------------------------------------------------


def test_row_3_names_are_labels_only(key):
    """A second representation of the same name got the first one's basis: errors 0.6 to 2."""
    G = groups.dihedral(3)
    parts = [G.trivial, G.irrep(1, 1), G.irrep(1, 1)]
    one, other = (from_irreps(parts, random_orthogonal(5, seed), "the name") for seed in (1, 2))
    assert one.name == other.name
    assert one != other
    for rep in (one, other):
        layer = nn.Linear(rep, G.regular, key=key)
        assert layer.in_type is rep
        assert commutator(layer.weight, rep, G.regular) <= EXACT
        assert np.abs(linalg.invariant_projector(rep) - rep.matrices.mean(axis=0)).max() <= EXACT
    # The law distinguishes the two: the map of one does not commute with the other.
    assert commutator(nn.Linear(one, G.regular, key=key).weight, other, G.regular) > 0.1
    assert one == from_irreps(parts, random_orthogonal(5, 1), "another name")


# ---- row 4: rebuilding from matrices always raised -----------------------------------------------


@pytest.mark.parametrize("group", [groups.cyclic(5), groups.dihedral(4), groups.quaternion()])
def test_row_4_reducible_matrices_are_decomposed(group):
    """The helper raised TypeError for whatever was reducible, and for dictionaries always."""
    regular = group.regular
    Q = random_orthogonal(regular.size, 3)
    matrices = Q @ regular.matrices @ Q.T
    table = dict(zip(group.elements, matrices, strict=True))
    for given in (matrices, lambda g: table[g], table.__getitem__):
        rep = Representation.from_matrices(group, given)
        assert sorted(rep.irreps) == sorted(regular.irreps)
        assert np.abs(rep.matrices - matrices).max() <= EXACT
    of_generators = Representation.from_generators(group, [table[g] for g in group.generators])
    assert np.abs(of_generators.matrices - matrices).max() <= EXACT


def test_row_4_what_is_no_representation_is_refused():
    group = groups.dihedral(4)
    matrices = group.regular.matrices.copy()
    matrices[[2, 3]] = matrices[[3, 2]]
    with pytest.raises(ValueError, match=r"not a representation of D4.*at a = .*, b = "):
        Representation.from_matrices(group, matrices)


# ---- row 5: fixed endomorphism tables; bases that are not orthogonal ---------------------------


def right_quaternions() -> list[np.ndarray]:
    """Generators of Q8 acting by ``x -> x q^-1`` on the quaternions."""
    right_i = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, -1, 0]], float)
    right_j = np.array([[0, 0, -1, 0], [0, 0, 0, -1], [1, 0, 0, 0], [0, 1, 0, 0]], float)
    return [right_i.T, right_j.T]


@pytest.mark.parametrize("source", ["a group of its own", "the named group"])
def test_row_5_endomorphisms_come_from_the_matrices(source):
    """By right multiplication maps erred by 4.9 and the projection by 1.5, with no message."""
    if source == "the named group":
        group = groups.quaternion()
        rep = Representation.from_generators(group, right_quaternions())
    else:
        group = groups.from_generators(right_quaternions())
        rep = group.defining
    assert group.order == 8
    assert rep.endomorphism_type == "quaternionic"
    assert hom_basis(rep, rep).dim == 4
    for psi in rep.endomorphism_basis:
        assert commutator(psi, rep, rep) <= EXACT
    two = 2 * rep
    assert commutator(random_map(two, rep), two, rep) <= EXACT
    W = random(4, 8)
    assert np.abs(hom_basis(two, rep).project(W) - group_average(W, two, rep)).max() <= EXACT


def test_row_5_matrices_that_are_not_orthogonal_are_made_so():
    """The projection had idempotence error 1e3, the invariant projector was asymmetric by 6.8."""
    group = groups.dihedral(4)
    A = random(8, 8) + 2 * np.eye(8)
    assert np.linalg.cond(A) > 5
    given = A @ group.regular.matrices @ np.linalg.inv(A)
    with pytest.warns(UserWarning, match="not orthogonal"):
        rep = Representation.from_matrices(group, given)
    T = rep.orthogonalizer
    # cond(A) digits are lost in T^-1 and in A^-1
    assert np.abs(rep.matrices - T @ given @ np.linalg.inv(T)).max() <= 1e-10
    assert np.abs(rep.matrices @ rep.matrices.transpose(0, 2, 1) - np.eye(8)).max() <= EXACT
    project = nn.CommutingConstraint(rep, rep)
    once = project(random(8, 8))
    assert np.abs(project(once) - once).max() <= EXACT
    P = linalg.invariant_projector(rep)
    assert np.abs(P - P.T).max() <= EXACT
    assert np.abs(P @ P - P).max() <= EXACT


# ---- row 6: two layouts of the coefficients ----------------------------------------------------


def test_row_6_parameters_are_the_same_arrays_whatever_runs(key):
    """Loading the state of one layout into the other reported success and moved outputs by 2.1."""
    group = groups.cyclic(5)  # complex irreps: the layouts differed in the place of s
    in_rep, out_rep = 2 * group.regular, 3 * group.regular
    dense = nn.Linear(in_rep, out_rep, mode="dense", key=key)
    spectral = nn.Linear(in_rep, out_rep, mode="spectral", key=key)
    assert list(dense.weights) == ["trivial", "irrep(1)", "irrep(2)"]
    assert {name: a.shape for name, a in dense.weights.items()} == {
        "trivial": (3, 2, 1),
        "irrep(1)": (3, 2, 2),
        "irrep(2)": (3, 2, 2),
    }
    moved = eqx.tree_at(lambda m: m.weights, spectral, dense.weights)
    x = jnp.asarray(random(7, 10))
    assert np.abs(moved(x) - dense(x)).max() <= EXACT
    assert np.abs(dense(x)).max() > 0.5


def test_row_6_float64_after_float32_and_empty_spaces(key):
    """A float64 layer after a float32 one raised; an empty space crashed the dense layout."""
    group = groups.dihedral(3)
    for dtype in (jnp.float32, jnp.float64, jnp.float32):
        for mode in ("dense", "spectral"):
            layer = nn.Linear(group.regular, group.regular, mode=mode, dtype=dtype, key=key)
            assert layer(jnp.ones((2, 6), dtype)).dtype == dtype
    empty = hom_basis(group.trivial, group.irrep(1, 1))
    assert empty.dim == 0
    assert np.array_equal(empty.synthesize({}), np.zeros((2, 1)))
    for mode in ("dense", "spectral"):
        assert np.array_equal(empty.apply({}, jnp.ones((3, 1)), mode=mode), np.zeros((3, 2)))


# ---- row 11, linear part: fans, missing trivial irrep, identity ----------------------------------


def test_row_11_fans_count_the_taps():
    """Without the kernel size the output variance grew to 9.0 at nine taps."""
    basis = hom_basis(4 * groups.dihedral(4).regular, 4 * groups.dihedral(4).regular)
    settings = [(s, taps) for s in ("xavier_normal", "he_normal") for taps in (1, 3, 9)]

    @jax.jit
    @jax.vmap
    def gains(key):  # E |y|^2 / |x|^2 = taps |W|_F^2 / n for white input
        return [taps * basis.norm_sq(basis.init(key, s, taps=taps)) / 32 for s, taps in settings]

    for (scheme, _), found in zip(
        settings, gains(jax.random.split(jax.random.key(1), 400)), strict=True
    ):
        wanted = {"xavier_normal": 1.0, "he_normal": 2.0}[scheme]
        # 400 draws of 128 coefficients: four deviations are 4 sqrt(2 / 51200) = 2.5 %
        assert float(found.mean()) == pytest.approx(wanted, rel=0.03)


def test_row_11_a_bias_needs_no_trivial_irrep_in_the_input(key):
    """Built, then raised KeyError in the first forward."""
    group = groups.cyclic(2)
    layer = nn.Linear(group.irrep(1), group.regular, key=key).with_bias(jnp.array([0.5, 0.5]))
    assert np.allclose(layer(jnp.zeros((3, 1))), 0.5, atol=EXACT)
    assert commutator(layer.weight, group.irrep(1), group.regular) <= EXACT


def test_row_11_identity_has_gain_one_and_no_dead_block():
    """From the trivial type to the regular one of C3 the gain was 0.58; a reflected copy gave 0."""
    group = groups.cyclic(3)
    W = _identity(group.trivial, group.regular)
    assert np.linalg.norm(W) == pytest.approx(1.0, abs=EXACT)
    plane = group.irrep(1)
    mirrored = from_irreps([plane], np.diag([1.0, -1.0]), "mirrored")
    W = _identity(plane, mirrored)
    assert np.abs(W @ W.T - np.eye(2)).max() <= EXACT
    assert commutator(W, plane, mirrored) <= EXACT
    turned = turned_basis([plane, group.trivial, plane], 4)
    assert np.abs(_identity(turned, turned) - np.eye(5)).max() <= EXACT


def _identity(in_rep, out_rep) -> np.ndarray:
    basis = hom_basis(in_rep, out_rep)
    return np.asarray(basis.synthesize(basis.init(jax.random.key(0), "identity")))


# ---- row 12: the bias --------------------------------------------------------------------------


def test_row_12_zeros_are_zeros(key):
    """The scheme named "zeros" drew with a standard deviation of 0.61."""
    group = groups.cyclic(4)
    assert np.array_equal(nn.Linear(group.regular, group.regular, key=key).bias, np.zeros(4))
    assert np.array_equal(nn.InvariantBias(2 * group.regular, key=key).bias, np.zeros(8))
    basis = hom_basis(group.regular, group.regular)
    assert all(not np.any(a) for a in basis.init(key, "zeros").values())


def test_row_12_the_scale_of_the_bias_comes_from_the_input():
    """64 regular copies into one gave entries of deviation 0.545; the plain layer's is 0.036."""
    group = groups.cyclic(4)

    def bias(key):
        return nn.Linear(64 * group.regular, group.regular, bias_init="equinox", key=key).bias

    found = np.asarray(jax.vmap(bias)(jax.random.split(jax.random.key(0), 300)))
    assert np.abs(found).max() <= 1 / math.sqrt(256)
    # 300 uniform draws: four deviations of the sample deviation are 4 sqrt(0.2 / 300) = 10 %
    assert found.std() == pytest.approx(1 / math.sqrt(3 * 256), rel=0.1)


# ---- row 13: FiLM ------------------------------------------------------------------------------


def largest_intermediate(function, *arguments) -> int:
    """Size of the largest array between input and output, from the jaxpr."""
    largest, open_ = 0, [jax.make_jaxpr(function)(*arguments).jaxpr]
    while open_:
        jaxpr = open_.pop()
        for equation in jaxpr.eqns:
            sizes = [math.prod(v.aval.shape) for v in equation.outvars if hasattr(v.aval, "shape")]
            largest = max([largest, *sizes])
            for value in equation.params.values():
                inner = getattr(value, "jaxpr", value)
                if hasattr(inner, "eqns"):
                    open_.append(inner)
    return largest


def test_row_13_film_takes_three_steps():
    """One contraction built (batch, D, D): 60 times slower, 113 MB more at 256 x 240."""
    rep = 4 * groups.icosahedral().regular
    layer = nn.Affine(rep, learnable=False)
    x = jnp.zeros((256, rep.size))
    scale = jnp.zeros((256, layer.num_scale))
    largest = largest_intermediate(lambda x, s: layer(x, scale=s), x, scale)
    assert x.size <= largest <= 2 * x.size


def test_row_13_film_broadcasts():
    """Leading axes had to be equal."""
    group = groups.dihedral(3)
    layer = nn.Affine(2 * group.regular, learnable=False)
    x = jnp.asarray(random(3, 5, 12))
    scale = jnp.asarray(random(3, 1, layer.num_scale, seed=1))
    bias = jnp.asarray(random(layer.num_bias, seed=2))
    found = layer(x, scale=scale, bias=bias)
    full = layer(x, scale=jnp.broadcast_to(scale, (3, 5, layer.num_scale)), bias=bias)
    assert found.shape == (3, 5, 12)
    assert np.abs(found - full).max() <= EXACT
    # against the definition, with dense matrices
    Q = np.asarray(layer.in_type.change_of_basis)
    sizes = [group.irrep_data(i).size for i in layer.in_type.irreps]
    D = np.repeat(np.asarray(scale)[..., 0, :], sizes, axis=-1)
    trivial = np.flatnonzero(np.repeat([i == (0, 0) for i in layer.in_type.irreps], sizes))
    expected = np.einsum("ij,bj,kj,btk->bti", Q, D, Q, np.asarray(x))
    expected += Q[:, trivial] @ np.asarray(bias)
    assert np.abs(found - expected).max() <= EXACT


# ---- row 14: impose_equivariance shrank the output ---------------------------------------------


@pytest.mark.parametrize("group", [groups.cyclic(3), groups.octahedral(), groups.icosahedral()])
def test_row_14_imposed_symmetry_can_keep_the_scale(group):
    """Output variance fell to dim Hom / (D_out D_in), 0.015 for the icosahedral group."""
    rep = 2 * group.regular
    n = rep.size
    shrunk = hom_basis(rep, rep).dim / n**2

    @jax.jit
    @jax.vmap
    def ratios(key):
        dense = eqx.nn.Linear(n, n, key=key)
        # output variance for white input is |W|_F^2 / n
        return tuple(
            jnp.sum(nn.impose_equivariance(dense, rep, rep, preserve_scale=keep).weight ** 2)
            / jnp.sum(dense.weight**2)
            for keep in (True, False)
        )

    kept, plain = ratios(jax.random.split(jax.random.key(2), 400))
    # dim Hom is at least 12: one draw deviates by sqrt(2 / 12), or twice that with uneven weights;
    # 400 draws by 4 % at most
    assert float(kept.mean()) == pytest.approx(1.0, rel=0.1)
    assert float(plain.mean()) == pytest.approx(shrunk, rel=0.1)
    assert shrunk <= 1 / 3


def test_row_14_and_trains_inside_hom(key):
    """The dense matrix stayed the parameter: |G| times as many."""
    rep = groups.dihedral(4).regular
    layer = nn.impose_equivariance(eqx.nn.Linear(8, 8, key=key), rep, rep)
    assert sum(leaf.size for leaf in jax.tree.leaves(layer)) == hom_basis(rep, rep).dim + 1 == 9


# ---- row 15: stale caches ----------------------------------------------------------------------


@pytest.mark.parametrize("name", one_in(3, cases.ONE_PER_CLASS))
def test_row_15_new_parameters_are_used_at_once(name):
    """Outputs moved by 0.0 instead of 7.9, 6.3 and 0.5; deep copies lost their hooks."""
    case = cases.ONE_PER_CLASS[name]
    abstract = case.abstract

    def filled(seed):
        rng = np.random.default_rng(seed)
        return jax.tree.map(
            lambda a: jnp.asarray(rng.standard_normal(a.shape)) if hasattr(a, "shape") else a,
            abstract,
        )

    module, fresh = filled(1), filled(2)
    options = case.options(module, jax.random.key(0))
    x = jnp.asarray(random(4, module.in_type.size))
    first = module(x, **options)
    parameters, _ = eqx.partition(fresh, eqx.is_inexact_array)
    _, static = eqx.partition(module, eqx.is_inexact_array)  # the module that has run
    updated = copy.deepcopy(eqx.combine(parameters, static))
    for call in (lambda m: m(x, **options), eqx.filter_jit(lambda m: m(x, **options))):
        assert np.abs(call(updated) - fresh(x, **options)).max() <= 1e-10
    if jax.tree.leaves(parameters):
        assert np.abs(updated(x, **options) - first).max() > 1e-3


def test_row_15_projections_of_temporaries():
    """Cached by the address of the argument: 99 of 99 calls returned the previous projection."""
    rep = groups.dihedral(3).regular
    project = nn.CommutingConstraint(rep, rep)
    for seed in range(99):
        found = project(jnp.asarray(random(6, 6, seed=seed)))
        expected = group_average(random(6, 6, seed=seed), rep, rep)
        assert np.abs(found - expected).max() <= EXACT


# ---- row 18: a learnable basis -----------------------------------------------------------------


def test_row_18_the_basis_is_not_trained(key):
    """The equivariance error was 0.23 after five steps of SGD."""
    rep = types("D4")["turned"]
    model = nn.Sequential(nn.Disentangle(rep), nn.Affine(nn.Disentangle(rep).out_type))
    assert jax.tree.leaves(model.layers[0]) == []
    optimiser = optax.sgd(0.5)
    x, y = jnp.asarray(random(16, rep.size)), jnp.asarray(random(16, rep.size, seed=1))
    state = optimiser.init(model)
    slope = jax.jit(jax.grad(lambda m: ((m(x) - y) ** 2).mean()))
    for _ in range(5):
        gradient = slope(model)
        updates, state = optimiser.update(gradient, state)
        model = optax.apply_updates(model, updates)
    for g in rep.group.elements:
        moved = model(x @ rep(g).T)
        assert np.abs(moved - model(x) @ model.out_type(g).T).max() <= EXACT
    with pytest.raises(TypeError, match="learnable"):
        nn.Disentangle(rep, learnable=True)


# ---- row 19: hidden types and dropout ----------------------------------------------------------


def test_row_19_pointwise_functions_on_irreps_are_refused(key):
    """Hidden irreps with ReLU on D3: equivariance error 2.75 with outputs of 2.4."""
    group = groups.dihedral(3)
    with pytest.raises(ValueError, match=r"not permuted by D3.*NormNonlinearity"):
        models.MLP(group.regular, group.regular, [4 * group.irrep(1, 1)], key=key)


def test_row_19_dropout_takes_whole_fields(key):
    """Single channels were dropped: with the mask fixed the error was 4.5."""
    rep = 3 * groups.dihedral(3).regular + 2 * groups.dihedral(3).irrep(1, 1)
    layer = nn.FieldDropout(rep, 0.5)
    x = jnp.asarray(random(4, rep.size))
    y = layer(x, key=key)
    sizes = np.cumsum([0, *(field.size for field in rep.summands)])
    dropped = [np.all(y[:, a:b] == 0, axis=1) for a, b in itertools.pairwise(sizes)]
    kept = [np.all(y[:, a:b] != 0, axis=1) for a, b in itertools.pairwise(sizes)]
    assert np.all(np.stack(dropped) ^ np.stack(kept))
    assert 0 < np.stack(dropped).sum() < np.stack(dropped).size
    for g in rep.group.elements:
        assert np.abs(layer(x @ rep(g).T, key=key) - y @ rep(g).T).max() <= EXACT


# ---- row 17: the map behind the heads of attention ----------------------------------------------


@pytest.mark.slow  # the laws of attention run on such types too
@pytest.mark.parametrize("place", ["C2", "D3"])
def test_row_17_heads_lead_back_to_any_type(place, key):
    """On C2 with irreps 0+1+0+1 attention erred by 1.79, on D3 with 2 E + A1 + A2 by 1.87."""
    group = groups.cyclic(2) if place == "C2" else groups.dihedral(3)
    rep = 2 * (group.trivial + group.irrep(1)) if place == "C2" else (
        2 * group.irrep(1, 1) + group.irrep(0, 0) + group.irrep(1, 0)
    )  # fmt: skip
    layer = drawn(nn.MultiheadAttention(rep, 2, key=key), 0.5)
    x, call = jnp.asarray(random(4, rep.size)), eqx.filter_jit(lambda m, x: m(x))
    y = call(layer, x)
    for g in group.elements:
        assert np.abs(call(layer, x @ rep(g).T) - y @ rep(g).T).max() <= EXACT


# ---- row 20: what steers a network of diffusion --------------------------------------------------


def test_row_20_a_condition_keeps_its_sign_and_steers_nothing_at_first(key):
    """Between c and -c the output changed by exactly 0; scales began at 0.16, deviation 0.41."""
    group = groups.dihedral(3)
    act, see = group.regular, group.trivial + group.irrep(1, 1)
    model = models.ConditionalUNet1D(act, see, 2, channels=(6,), features=6, key=key)
    x, z = jnp.asarray(random(4, act.size)), jnp.asarray(random(2, see.size, seed=1))
    opposite = z.at[:, 0].multiply(-1)

    @eqx.filter_jit
    def run(model):
        return model(x, z, step=3), model(x, opposite, step=3), model(x, z, step=-3)

    one, other, backwards = run(model)
    assert np.abs(one).max() > 1e-3
    assert np.array_equal(one, other)
    assert np.array_equal(one, backwards)
    one, other, backwards = run(drawn(model, 0.5))
    assert np.abs(one - other).max() > 1e-3 * np.abs(one).max()
    assert np.abs(one - backwards).max() > 1e-3 * np.abs(one).max()


# ---- row 21: optimiser groups ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["MLP", pytest.param("policy", marks=pytest.mark.slow)])
def test_row_21_every_leaf_is_a_parameter_of_the_optimiser(kind, key):
    """`get_optim_groups` raised ValueError for every model, looking for names."""
    rep, x = groups.cyclic(4).regular, jnp.asarray(random(5, 4))
    if kind == "MLP":
        model = functools.partial(models.MLP(rep, rep, [8, 8], key=key), x)
    else:
        make = models.ConditionalTransformer
        policy = drawn(make(rep, rep, hidden=8, num_heads=1, depth=1, key=key), 0.3)
        model = functools.partial(policy, x, x, step=1)
    parameters, rest = eqx.partition(model.func, eqx.is_inexact_array)
    # The usual split: decay for matrices, none for biases, told apart by the number of axes.
    labels = jax.tree.map(lambda a: "decay" if a.ndim > 1 else "plain", parameters)
    optimiser = optax.multi_transform(
        {"decay": optax.adamw(1e-2, weight_decay=0.1), "plain": optax.adam(1e-2)},
        lambda _: labels,
    )

    def loss(parameters):
        y = eqx.combine(parameters, rest)(*model.args, **model.keywords)
        return (y**2).mean()

    with jax.numpy_dtype_promotion("standard"):  # optax promotes its step count
        state = jax.jit(optimiser.init)(parameters)
        gradient = jax.jit(jax.grad(loss))(parameters)
        updates, _ = jax.jit(optimiser.update)(gradient, state, parameters)
    assert {"decay", "plain"} == set(jax.tree.leaves(labels))
    assert all(np.any(np.asarray(u) != 0) for u in jax.tree.leaves(updates))


# ---- row 22: dtypes ----------------------------------------------------------------------------


def test_row_22_other_dtypes_leave_no_trace(key, precision):
    """After one float32 call, float64 projections erred by 5e-8; after bfloat16 by 2e-3."""
    group = groups.cyclic(5)
    rep = 2 * group.regular
    basis, project = hom_basis(rep, rep), nn.CommutingConstraint(rep, rep)
    with precision(False):
        project(random(10, 10).astype(np.float32))
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        project(jnp.asarray(random(10, 10), dtype))
        linalg.irrep_norms(jnp.asarray(random(10), dtype), rep)
    W = random(10, 10)
    assert np.abs(project(W) - group_average(W, rep, rep)).max() <= 1e-14
    assert basis.in_rep.change_of_basis.dtype == np.float64
    layer = nn.Linear(rep, rep, key=key)
    for narrow in (jnp.bfloat16, jnp.float16):
        there = jax.tree.map(lambda a, narrow=narrow: a.astype(narrow), layer)
        back = jax.tree.map(lambda a: a.astype(jnp.float64), there)
        assert commutator(back.weight, rep, rep) <= EXACT
        # the parameters themselves did change
        assert np.abs(back.weight - layer.weight).max() > 1e-5


# ---- row 24: norms only ------------------------------------------------------------------------


def test_row_24_trivial_copies_can_keep_their_sign():
    """(-1, 2) became (1, 2)."""
    two = 2 * groups.dihedral(3).trivial
    x = jnp.array([-1.0, 2.0])
    assert np.allclose(nn.IrrepNormPool(two)(x), [1.0, 2.0], atol=EXACT)
    assert np.allclose(nn.IrrepNormPool(two, trivial="value")(x), [-1.0, 2.0], atol=EXACT)
    pool = models.InvariantMLP(two, 1, [6], key=jax.random.key(0)).pool
    assert pool.trivial == "value"


def test_row_24_angles_between_copies_can_be_seen():
    """Two copies of the plane of D3, parallel or perpendicular, gave (1, 1) both."""
    two = 2 * groups.dihedral(3).irrep(1, 1)
    parallel, perpendicular = jnp.array([1.0, 0, 1, 0]), jnp.array([1.0, 0, 0, 1])
    norms, quadratic = nn.IrrepNormPool(two), nn.QuadraticPool(two)
    assert np.allclose(norms(parallel), norms(perpendicular), atol=EXACT)
    assert np.allclose(quadratic(parallel), [1, 1, 1], atol=EXACT)
    assert np.allclose(quadratic(perpendicular), [1, 0, 1], atol=EXACT)


# ---- row 1: least squares was solve-then-project -------------------------------------------------


def test_row_1_few_samples_without_noise_are_fitted_exactly():
    """Icosahedral regular, 10 samples: the peer's map was off by 44 % of its size."""
    rep = groups.icosahedral().regular
    truth = random_map(rep, rep)
    x = jnp.asarray(random(10, rep.size, seed=1))
    fitted = linalg.lstsq(x, x @ truth.T, rep, rep)
    assert np.linalg.norm(fitted - truth) / np.linalg.norm(truth) < 1e-10


def test_row_1_the_residual_is_that_of_the_optimum():
    """D4, 10 samples with noise: solving each isotypic block freely, then projecting, is worse."""
    rep = 2 * groups.dihedral(4).regular
    truth = random_map(rep, rep)
    x = random(10, rep.size, seed=1)
    y = x @ np.asarray(truth).T + 0.5 * random(10, rep.size, seed=2)
    fitted = np.asarray(linalg.lstsq(x, y, rep, rep))
    free = np.zeros((rep.size, rep.size))
    for irrep in rep.multiplicities:
        p = linalg.isotypic_projector(rep, irrep)
        free += p @ np.linalg.lstsq(x @ p, y @ p, rcond=1e-10)[0].T @ p
    projected = group_average(free, rep, rep)

    def residual(matrix):
        return ((y - x @ matrix.T) ** 2).sum()

    assert residual(projected) > 1.1 * residual(fitted)
    for seed in range(20):
        other = fitted + 1e-2 * np.asarray(random_map(rep, rep, seed=seed))
        assert residual(other) > residual(fitted)
    assert commutator(fitted, rep, rep) < 1e-10


# ---- row 7: Gaussians ----------------------------------------------------------------------------


def test_row_7_the_density_is_invariant_in_a_random_basis(key):
    """D3, A1 + A2 + E in a random basis: log p varied by 11.2 nats over an orbit."""
    group = groups.dihedral(3)
    rep = turned_basis(group.irreps(), 5)
    layer = nn.EquivariantMultivariateNormal(rep)
    mean, y = random(rep.size), random(rep.size, seed=1)
    eta = jnp.array([2.0, -1.0, 0.5])
    values = [
        float(layer(jnp.concatenate([rep(g) @ mean, eta])).log_prob(rep(g) @ y))
        for g in group.elements
    ]
    assert np.ptp(values) < 1e-10


def test_row_7_all_commuting_covariances_of_the_regular_representation_can_be_had():
    """The peer's 4 parameters moved 1 of 5 dimensions."""
    rep = groups.dihedral(3).regular
    layer = nn.EquivariantMultivariateNormal(rep, covariance="full")
    u = jnp.asarray(0.3 * random(layer.in_type.size))
    jacobian = jax.jacobian(lambda u: layer(u).covariance.ravel())(u)
    assert layer.num_dof == np.linalg.matrix_rank(jacobian[:, rep.size :], tol=1e-8) == 5
    zero = layer(jnp.zeros(layer.in_type.size))  # nothing is added to the variances
    assert np.abs(zero.covariance - np.eye(rep.size)).max() < EXACT


# ---- rows 8, 9, 10: variances --------------------------------------------------------------------


def test_row_8_two_samples_do_not_double_the_variance(key):
    """The divisor N - 1 on non-trivial irreps gave 2.01 for 1 at N = 2, 1.51 at N = 3."""
    rep = groups.cyclic(4).regular
    for count in (2, 3):
        x = jax.random.normal(key, (50_000, count, rep.size))
        variance = jax.vmap(lambda x: stats.var_mean(x, rep)[0])(x).mean(0)
        # 50 000 draws of a variance whose own variance is below 2: 4 sigma are 2.5 %.
        assert np.abs(variance - 1).max() < 0.025


def test_row_9_variance_counts_correlations_between_copies(key):
    """Two trivial copies turned by 45 degrees: (4.97, 4.97) for (8.94, 1.00)."""
    group = groups.cyclic(2)
    q = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    rep = from_irreps([group.trivial, group.trivial], q, "turned by 45 degrees")
    x = jax.random.normal(key, (4000, 2)) * jnp.array([3.0, 1.0])
    variance, _ = stats.var_mean(x, rep)
    assert np.abs(variance - np.var(np.asarray(x), axis=0, ddof=1)).max() < 1e-10
    assert np.abs(variance - jnp.diagonal(stats.cov(x, x, rep, rep))).max() < EXACT


def test_row_10_time_does_not_scramble_channels(key):
    """Means 0, 10, 20, 30 came back as 12.8 to 17.1, variances 1 as 108 to 141."""
    rep = 4 * groups.cyclic(1).trivial
    series = jax.random.normal(key, (40, 4, 50)) + jnp.array([0.0, 10.0, 20.0, 30.0])[:, None]
    samples = jnp.moveaxis(series, 1, -1)
    variance, mean = stats.var_mean(samples, rep, axis=(0, 1))
    flat = np.asarray(samples).reshape(-1, 4)
    assert np.abs(mean - flat.mean(0)).max() < EXACT * 30
    assert np.abs(variance - flat.var(0, ddof=1)).max() < 1e-11
    with pytest.raises(ValueError, match=r"x: expected \(N, \.\.\., 4\)"):
        stats.var_mean(series, rep)


# ---- row 16: norms -------------------------------------------------------------------------------


def test_row_16_layer_norm_keeps_more_than_signs():
    """On one-dimensional copies it returned x / |x|: +-1 for inputs as unlike as these."""
    rep = 2 * groups.cyclic(2).regular
    one, other = jnp.array([3.0, 1, -2, 0.5]), jnp.array([100.0, 1, 7, 0.1])
    layer, split = nn.LayerNorm(rep), nn.Disentangle(rep)
    sizes = [np.abs(np.asarray(split(layer(x)))) for x in (one, other)]
    assert np.abs(sizes[0] - sizes[1]).max() > 0.1
    assert all(np.ptp(s) > 0.1 for s in sizes)


def test_row_16_batch_norm_divides_by_the_batch_and_commutes(key):
    """First batch of scale 10: deviation 3.03, mean 1.36; equivariance error 0.63 in some basis."""
    rep = types("D4")["turned"]
    layer, state = eqx.nn.make_with_state(nn.GNormBatchNorm)(rep)
    x = 10 * jax.random.normal(key, (256, rep.size)) + 4
    leaves, structure = jax.tree.flatten(state)
    y, _ = layer(x, state)
    assert np.abs(linalg.invariant_projector(rep) @ np.asarray(y).mean(0)).max() < EXACT
    assert np.abs(stats.spectral_var(y, rep, estimator="ml") - 1).max() < 1e-6  # eps / variance
    for g in rep.group.elements:
        moved, _ = layer(x @ rep(g).T, jax.tree.unflatten(structure, leaves))
        assert np.abs(moved - y @ rep(g).T).max() < 1e-11


# ---- row 23: running moments ---------------------------------------------------------------------


def test_row_23_drift_of_the_mean_belongs_to_the_covariance(key):
    """Batches of mean 0 and 5 in turn: 7.4 for 6.25, and N against N - 1."""
    rep = groups.cyclic(1).trivial
    layer, state = eqx.nn.make_with_state(nn.RunningMoments)(rep, momentum=0.01)
    spread = jnp.array([[-1.0], [1.0]])  # variance 1 about the mean of a batch
    moments = None
    for t in range(400):
        moments, state = jitted_step(layer, 1e-9 * spread + 5.0 * (t % 2), state)
    assert float(moments.cov_xx[0, 0]) == pytest.approx(6.25, abs=0.01)
    fresh, state = eqx.nn.make_with_state(nn.RunningMoments)(rep)
    once, _ = fresh(jnp.array([[-1.0], [1.0], [-1.0], [1.0]]), state)
    assert float(once.cov_xx[0, 0]) == pytest.approx(1.0)  # divided by N = 4


@eqx.filter_jit
def jitted_step(layer, x, state):
    return layer(x, state)

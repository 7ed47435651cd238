"""`TypeBasis`: assembly, order of fields, keys, fans, warnings, value."""

import pickle
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import golden_kernels as gk
from equivax import FieldType, kernels, nn, spaces
from equivax.kernels import TypeBasis, _steerable_basis, _type_basis
from equivax.kernels.expansion import _products as contraction
from golden_kernels import Type


def random_coeffs(basis, seed=0, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    return {k: jnp.asarray(rng.standard_normal(s), dtype) for k, s in basis.shapes.items()}


def direct(basis, coeffs):
    """Field by field from the elements of each pair."""
    starts = [[0], [0]]
    for side, rep in enumerate((basis.in_rep, basis.out_rep)):
        for field in rep.summands:
            starts[side].append(starts[side][-1] + field.size)
    kernel = np.zeros((basis.out_rep.size, basis.in_rep.size, *basis.kernel))
    for pair in basis.pairs:
        elements = pair.basis.elements()
        for a, o in enumerate(pair.out_fields):
            for b, i in enumerate(pair.in_fields):
                rows = slice(starts[1][o], starts[1][o + 1])
                columns = slice(starts[0][i], starts[0][i + 1])
                theta = np.asarray(coeffs[pair.key][a, b], np.float64)
                kernel[rows, columns] = np.tensordot(theta, elements, 1)
    return kernel


def types(space):
    """Interleaved kinds on both sides."""
    one, many = space.trivial, space.regular
    vector = space.vector
    return (
        Type(space, 2 * one + many + one + vector + 2 * many),
        Type(space, many + vector + one + many + 3 * one),
    )


@pytest.fixture(params=["dense", "rings", "irreps"])
def form(request, monkeypatch):
    """All forms of the tables."""
    for module in (_steerable_basis, _type_basis):
        monkeypatch.setattr(module, "best_form", lambda bases, **options: request.param)
    jax.clear_caches()
    yield request.param
    jax.clear_caches()


@pytest.mark.usefixtures("x64", "form")
@pytest.mark.parametrize("basis", ["harmonic", "grid"])
def test_fields_are_assembled_in_order(basis):
    space = gk.space_named("D4")
    found = TypeBasis(*types(space), 3, basis=basis)
    coeffs = random_coeffs(found, dtype=jnp.float64)
    kernel = found.expand(coeffs)
    np.testing.assert_allclose(kernel, direct(found, coeffs), atol=1e-12)
    back = found.coefficients(kernel)
    assert list(back) == list(coeffs) == list(found.shapes)
    for key in coeffs:
        np.testing.assert_allclose(back[key], coeffs[key], atol=1e-12)
    other = np.random.default_rng(1).standard_normal(kernel.shape)
    projected = found.project(other)
    np.testing.assert_allclose(found.project(projected), projected, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_projection_is_the_group_average_of_the_grid():
    space = gk.space_named("C4")
    types_ = types(space)
    found = TypeBasis(*types_, 3, basis="grid")
    kernel = np.random.default_rng(0).standard_normal((found.out_rep.size, found.in_rep.size, 3, 3))
    total = 0
    for g in space.group.elements:
        turned = np.rot90(kernel, space.group.elements.index(g), axes=(2, 3))
        total = total + np.einsum(
            "oa,aixy,ji->ojxy", types_[1].representation(g), turned, types_[0].representation(g)
        )
    np.testing.assert_allclose(found.project(kernel), total / 4, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_interleaved_fields_are_sorted_ones_permuted():
    space = gk.space_named("C4")
    in_type, out_type = types(space)
    mixed = TypeBasis(in_type, out_type, 3)
    permuted, channels = [], []
    for given, fields in ((in_type, mixed.in_fields), (out_type, mixed.out_fields)):
        order = [n for positions in fields.positions for n in positions]
        rep = given.representation
        pieces = np.split(np.arange(rep.size), np.cumsum([f.size for f in rep.summands])[:-1])
        channels.append(np.concatenate([pieces[n] for n in order]))
        total = rep.summands[order[0]]
        for n in order[1:]:
            total = total + rep.summands[n]
        permuted.append(Type(space, total))
    sorted_basis = TypeBasis(*permuted, 3)
    assert sorted_basis.shapes == mixed.shapes
    # Two types that differ in the order of fields share their tables.
    assert all(a.basis is b.basis for a, b in zip(sorted_basis.pairs, mixed.pairs, strict=True))
    coeffs = random_coeffs(mixed, dtype=jnp.float64)
    kernel = mixed.expand(coeffs)
    np.testing.assert_array_equal(sorted_basis.expand(coeffs), kernel[channels[1]][:, channels[0]])


def test_many_runs_use_a_gather():
    space = gk.space_named("C2")
    rep = space.trivial + space.regular
    for _ in range(39):
        rep = rep + space.trivial + space.regular
    basis = TypeBasis(Type(space, rep), Type(space, rep), 1)
    coeffs = random_coeffs(basis)
    np.testing.assert_allclose(basis.expand(coeffs), direct(basis, coeffs), atol=1e-5)
    back = basis.coefficients(basis.expand(coeffs))
    for key in coeffs:
        np.testing.assert_allclose(back[key], coeffs[key], atol=1e-4)


def test_gradient_reaches_the_coefficients_as_the_projection_of_the_kernel_gradient():
    space = gk.space_named("C8")
    basis = TypeBasis(*types(space), 3)
    coeffs = random_coeffs(basis)
    weights = np.random.default_rng(1).standard_normal(
        (basis.out_rep.size, basis.in_rep.size, 3, 3)
    )
    weights = jnp.asarray(weights, jnp.float32)
    grads = jax.grad(lambda c: jnp.sum(weights * basis.expand(c)))(coeffs)
    for pair in basis.pairs:
        unit = {k: jnp.zeros_like(c) for k, c in coeffs.items()}
        unit[pair.key] = unit[pair.key].at[-1, 0, 0].set(1.0)
        wanted = jnp.sum(weights * basis.expand(unit))
        np.testing.assert_allclose(grads[pair.key][-1, 0, 0], wanted, rtol=1e-4, atol=1e-4)
    text = str(jax.make_jaxpr(jax.grad(lambda c: jnp.sum(basis.expand(c))))(coeffs))
    assert "scatter" not in text
    assert "gather" not in text


def test_one_product_per_pair():
    space = gk.space_named("C8")
    basis = TypeBasis(*types(space), 3)
    text = str(jax.make_jaxpr(basis.expand)(random_coeffs(basis)))
    assert text.count("dot_general") == len(basis.pairs)
    assert text.count("optimization_barrier") == len(basis.pairs)


def test_keys_and_names():
    space = gk.space_named("C4")
    two = space.regular
    turned = (space.irrep(1) + space.irrep(0)).fused("regular")
    basis = TypeBasis(Type(space, two + turned), Type(space, two + 2 * space.trivial), 3)
    assert list(basis.shapes) == [
        "regular -> regular",
        "regular (2) -> regular",
        "regular -> trivial",
        "regular (2) -> trivial",
    ]
    assert basis.dim == sum(int(np.prod(s)) for s in basis.shapes.values())
    rows = basis.attributes()
    assert len(rows) == basis.dim == len(set(basis.names()))
    for n in (0, 7, basis.dim - 1):
        name = basis.names()[n]
        assert basis.index(name) == n
        assert basis.attributes(n) == rows[n]
        assert rows[n]["name"] == name
        row = rows[n]
        assert basis.in_rep.irreps[row["in_irrep_position"]] == row["in_irrep"]
        assert basis.out_rep.irreps[row["out_irrep_position"]] == row["out_irrep"]
    with pytest.raises(KeyError, match="expected a name"):
        basis.index("x")
    with pytest.raises(IndexError, match="expected an element"):
        basis.attributes(basis.dim)


def test_names_follow_the_raveled_arrays():
    space = gk.space_named("D4")
    basis = TypeBasis(*types(space), 3)
    coeffs = {k: np.arange(np.prod(s)).reshape(s) for k, s in basis.shapes.items()}
    start = 0
    for pair in basis.pairs:
        flat = coeffs[pair.key].reshape(-1)
        for n in (0, len(flat) - 1):
            row = basis.attributes()[start + n]
            a = pair.out_fields.index(row["out_field"])
            b = pair.in_fields.index(row["in_field"])
            assert coeffs[pair.key][a, b, n % pair.basis.dim] == n
        start += len(flat)


def test_fan_by_counting_every_coefficient():
    space = gk.space_named("D4")
    basis = TypeBasis(*types(space), 3)
    rows = basis.attributes()
    reach, count = {}, {}
    for row in rows:
        o, t = row["out_irrep_position"], row["in_irrep"]
        reach.setdefault(o, set()).add(t)
        count[o, t] = count.get((o, t), 0) + 1
    fans = basis.fan()
    for pair in basis.pairs:
        mine = [r for r in rows if r["key"] == pair.key]
        fan = [
            len(reach[r["out_irrep_position"]]) * count[r["out_irrep_position"], r["in_irrep"]]
            for r in mine
        ]
        shape = pair.shape
        np.testing.assert_array_equal(
            np.broadcast_to(fans[pair.key], shape).reshape(-1), fan, err_msg=pair.key
        )


@pytest.mark.parametrize(
    "transform",
    [
        lambda f, c: jax.jit(f)(c),
        lambda f, c: jax.vjp(f, c)[0],
        lambda f, c: jax.linearize(f, c)[0],
        lambda f, c: jax.vmap(f)(jax.tree.map(lambda x: x[None], c))[0],
        lambda f, c: jax.jit(lambda k: jax.linear_transpose(f, c)(k))(jnp.ones((15, 1, 5, 5))),
    ],
    ids=["jit", "vjp", "linearize", "vmap", "transpose"],
)
def test_tables_made_inside_a_transformation_are_no_tracers(transform, request):
    n = 11 + ["jit", "vjp", "linearize", "vmap", "transpose"].index(request.node.callspec.id)
    space = spaces.rot_on_r2(n)  # a group that nothing else uses
    rep = 15 * space.trivial
    basis = TypeBasis(Type(space, space.trivial), Type(space, rep), 5)
    coeffs = random_coeffs(basis)
    transform(basis.expand, coeffs)
    kernel = basis.expand(coeffs)
    assert not isinstance(kernel, jax.core.Tracer)
    jax.jit(basis.coefficients)(kernel)
    found = basis.coefficients(kernel)
    for key, value in coeffs.items():
        np.testing.assert_allclose(found[key], value, atol=1e-5)


@pytest.mark.parametrize("record", gk.facts()["conv_spans"], ids=lambda record: record["key"])
@pytest.mark.filterwarnings("ignore::equivax.nn.UnusedIrrepsWarning")
def test_energy_of_generalized_he(record):
    """With variances 1 / fan the mean energy of output channels is the golden one."""
    name = record["group"]
    space = gk.space_named(name)
    reps = [gk.rep_named(name, record[end]) for end in ("in", "out")]
    pair = TypeBasis(*(Type(space, rep.fused()) for rep in reps), record["kernel_size"])
    (fan,), (one,) = pair.fan().values(), pair.pairs
    squared = (one.basis.elements() ** 2).reshape(one.basis.dim, one.basis.out_rep.size, -1)
    energy = np.einsum("n,nox->o", 1 / fan, squared)
    assert energy.mean() == pytest.approx(np.mean(record["he_energy_per_out_channel"]), rel=1e-6)


def test_irreps_that_reach_nothing_are_named_once():
    space = spaces.rot_on_r2(7)
    in_type = Type(space, space.irrep(3) + space.trivial)
    out_type = Type(space, space.trivial + space.irrep(1))
    with pytest.warns(nn.UnusedIrrepsWarning, match=r"irreps irrep\(3\) .*reach no output"):
        basis = TypeBasis(in_type, out_type, 1)
    assert basis.unused_in == ("irrep(3)",)
    assert list(basis.shapes) == ["trivial -> trivial"]
    kernel = basis.expand(random_coeffs(basis))
    np.testing.assert_array_equal(kernel[:, :2], 0)
    TypeBasis(in_type, out_type, 1)
    TypeBasis(in_type, Type(space, space.trivial), 1)  # scalars leave out the rest on purpose


def test_an_empty_basis_is_refused():
    space = gk.space_named("C4")
    one, sign = Type(space, space.trivial), Type(space, space.irrep(2))
    with pytest.raises(ValueError, match=r"only the zero kernel.*irrep\(2\).*kernel 1 x 1"):
        TypeBasis(one, sign, 1)
    assert TypeBasis(one, sign, 3).dim == 2


def test_value():
    space = gk.space_named("D4")
    one, two = TypeBasis(*types(space), 3), TypeBasis(*types(gk.space_named("D4")), 3)
    assert one == two
    assert hash(one) == hash(two)
    assert one != TypeBasis(*types(space), 5)
    assert one != TypeBasis(*types(space), 3, basis="grid")
    assert pickle.loads(pickle.dumps(one)) == one
    assert jax.tree_util.tree_leaves(one) == []
    with pytest.raises(AttributeError, match="immutable"):
        one.recipe = None
    traces = []

    @jax.jit
    def run(basis, coeffs):
        traces.append(1)
        return basis.expand(coeffs)

    run(one, random_coeffs(one))
    run(two, random_coeffs(two))
    assert len(traces) == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dtype(dtype):
    space = gk.space_named("C4")
    basis = TypeBasis(*types(space), 3)
    coeffs = random_coeffs(basis, dtype=dtype)
    kernel = basis.expand(coeffs)
    assert kernel.dtype == dtype
    assert {c.dtype for c in basis.coefficients(kernel).values()} == {jnp.dtype(dtype)}


def test_form_follows_the_work():
    """Dense where it is one small product, else factored, and smaller where tables are large."""
    small = TypeBasis(*types(gk.space_named("C4")), 3)
    assert contraction.best_form(tuple((p.basis, 1) for p in small.pairs)) == "dense"
    space = spaces.flip_rot_on_r2(8)
    wide = Type(space, 2 * space.regular)
    basis = TypeBasis(wide, wide, 5)
    assert contraction.best_form(((basis.pairs[0].basis, 4),)) == "rings"
    text = str(jax.make_jaxpr(basis.expand)(random_coeffs(basis)))
    assert text.count("dot_general") == 4  # three rings, and the samples once
    text = str(jax.make_jaxpr(jax.grad(lambda c: basis.expand(c).sum()))(random_coeffs(basis)))
    assert "scatter" not in text
    assert "gather" not in text
    large = spaces.flip_rot_on_r2(16)
    big = kernels.steerable_basis(large, large.regular, large.regular, 5)
    assert contraction.best_form(((big, 1),)) == "irreps"
    assert sum(t.size for t in contraction.between_irreps(big)) < big.dim * 32 * 32 * 25 / 500


@pytest.mark.parametrize("form", ["rings", "irreps"])
def test_pairs_of_irreps_without_kernels(form):
    """One tap joins equal irreps only; a network of escnn's, whose fields are large, failed."""
    space = spaces.rot_on_r3()
    rep = (space.trivial + space.irrep(1) + space.irrep(2) + space.irrep(1)).fused()
    basis = kernels.steerable_basis(space, rep, rep, 1)
    coeffs = jnp.arange(1.0, basis.dim + 1)
    found, dense = (
        contraction.sampled(basis, contraction.contract(basis, coeffs, name), name)
        for name in (form, "dense")
    )
    np.testing.assert_allclose(found, dense, atol=1e-5)
    assert np.abs(dense).max() > 1


@pytest.mark.parametrize("order, size, fields", [(8, 7, 2), (32, 5, 1)])
def test_programs_hold_no_large_tables(order, size, fields):
    """Tables grow with the kernels between irreps, not with kernels of whole fields."""
    space = spaces.flip_rot_on_r2(order)
    wide = Type(space, fields * space.regular)
    basis = TypeBasis(wide, wide, size)
    coeffs = random_coeffs(basis)
    step = jax.jit(jax.grad(lambda c: jnp.sum(basis.expand(c) ** 2)))
    assert len(step.lower(coeffs).as_text()) < 2**20


def test_part_of_a_type_serves_grouped_convolutions():
    space = gk.space_named("C4")
    whole = Type(space, 6 * space.regular)
    third = Type(space, 2 * space.regular)
    full, part = TypeBasis(whole, whole, 3), TypeBasis(third, third, 3)
    assert part.pairs[0].basis is full.pairs[0].basis
    assert part.dim * 9 == full.dim


def test_filter_and_construction_time():
    space = gk.space_named("D8")

    def centre(a):
        return a["radius"] == 0

    wide = Type(space, 64 * space.regular)
    start = time.perf_counter()
    basis = TypeBasis(wide, wide, 5)
    assert time.perf_counter() - start < 5.0  # 0.02 s without the type checker
    assert basis.shapes == {"regular -> regular": (64, 64, 176)}
    few = TypeBasis(wide, wide, 5, basis_filter=centre)
    assert few.shapes == {"regular -> regular": (64, 64, 16)}
    assert few.recipe == kernels.HarmonicRecipe(
        (5, 5), (0.0, 1.0, 2.0), (0.005, 0.6, 0.4), (0, 2, 2)
    )


def test_names_do_not_depend_on_what_was_built_before():
    """Leaves are named by fields, and a file must load whatever the process has met."""
    space = spaces.rot_on_r2(-1)
    group = space.group
    kernels_ = []
    for one in (group.defining, group.irrep(1)):
        type_ = FieldType(space, [group.trivial, one])
        basis = TypeBasis(type_, type_, 5)
        assert {name for key in basis.shapes for name in key.split(" -> ")} == {"trivial", one.name}
        coeffs = basis.coefficients(np.ones((3, 3, 5, 5), np.float32))
        assert list(coeffs) == list(basis.shapes)
        kernels_.append(basis.expand(coeffs))
    np.testing.assert_array_equal(*kernels_)

"""Products of fields: what they span, one input and two, scale at the start, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import (
    FieldType,
    GeometricTensor,
    Representation,
    groups,
    hom_basis,
    nn,
    spaces,
    testing,
)
from equivax.representations import symmetric_square
from laws import normal, relative

SO2, O2, C8, D4, Q8 = (
    groups.so2(), groups.o2(), groups.cyclic(8), groups.dihedral(4), groups.quaternion(),
)  # fmt: skip
PLANE = spaces.flip_rot_on_r2(4)
KEY = jax.random.key(0)


# ---- the symmetric square ----------------------------------------------------------------------

SQUARED = [
    C8.regular, D4.regular, D4.irrep(1, 1) + D4.irrep(1, 1) + D4.trivial, Q8.irreps()[-1],
    SO2.irrep(1) + SO2.irrep(3), O2.irrep(1, 0) + O2.irrep(1, 2), groups.so3().irrep(2),
]  # fmt: skip


@pytest.mark.parametrize("rep", SQUARED, ids=repr)
def test_the_symmetric_square_is_how_products_turn(rep):
    square = symmetric_square(rep)
    i, j = np.triu_indices(rep.size)
    factors = np.where(i == j, 1.0, np.sqrt(2.0))
    assert square.size == rep.size * (rep.size + 1) // 2
    assert len(square.summands) == 1
    basis = square.change_of_basis
    assert np.abs(basis @ basis.T - np.eye(len(basis))).max() < 1e-12
    x = np.random.default_rng(0).normal(size=rep.size)
    for g in rep.group.testing_elements[:9]:
        y = rep(g) @ x
        assert relative(square(g) @ (factors * x[i] * x[j]), factors * y[i] * y[j]) < 1e-12


def test_a_change_of_coordinates_goes_along():
    """Representations that are not orthogonal keep the map that makes them so."""
    group = groups.cyclic(2)
    skew = np.array([[1.0, 1.0], [0.0, -1.0]])
    with pytest.warns(UserWarning, match="orthogonal"):
        rep = Representation.from_matrices(group, np.stack([np.eye(2), skew]))
    root, square = rep.orthogonalizer, symmetric_square(rep)
    x = np.array([0.3, -1.7])
    i, j, factors = [0, 0, 1], [0, 1, 1], np.array([1.0, np.sqrt(2.0), 1.0])
    tensors = factors * x[i] * x[j]
    turned = root @ x
    np.testing.assert_allclose(square.orthogonalizer @ tensors, factors * turned[i] * turned[j])


# ---- the layer ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("rep", SQUARED[:2], ids=repr)
def test_the_symmetric_square_spans_all_that_products_of_one_field_do(rep):
    """A map of x (x) x sees the symmetric part only."""
    full, half = hom_basis(rep @ rep, rep), hom_basis(symmetric_square(rep), rep)
    x = np.random.default_rng(0).normal(size=(4 * full.dim, rep.size))
    products = np.einsum("bi,bj->bij", x, x)
    i, j = np.triu_indices(rep.size)
    squares = products[:, i, j] * np.where(i == j, 1.0, np.sqrt(2.0))
    one = np.einsum("dok,bk->dbo", full.elements(), products.reshape(len(x), -1))
    other = np.einsum("dok,bk->dbo", half.elements(), squares)
    ranks = [
        np.linalg.matrix_rank(values.reshape(len(values), -1))
        for values in (one, other, np.concatenate([one, other]))
    ]
    assert ranks == [half.dim, half.dim, half.dim]


def test_entries_are_multiplied_as_written():
    """Trivial fields: the product is the product of numbers."""
    type_ = FieldType(PLANE, 3 * PLANE.trivial)
    layer = nn.TensorProduct((type_, type_), type_, key=KEY)
    x, y = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=2)
    ((name, weights),) = layer.weights.items()
    assert name == "0: trivial x trivial -> trivial"
    (coefficient,) = weights.values()
    expected = coefficient.reshape(3, 1, 1) * x * y
    np.testing.assert_allclose(layer(x, y), expected, rtol=1e-5)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("symmetric", [True, False])
def test_one_input_is_the_product_with_itself(symmetric):
    type_ = FieldType(PLANE, [D4.regular, D4.irrep(1, 1), D4.regular])
    out = FieldType(PLANE, [D4.irrep(1, 1), D4.trivial, D4.quotient((0, 1))])
    layer = nn.TensorProduct(type_, out, symmetric=symmetric, key=KEY)
    x = normal(2, type_.size, 3, 3)
    y = layer(x)
    assert y.shape == (2, out.size, 3, 3)
    for kind in layer.kinds:
        i, j, factors = kind.pairs
        matrix = np.asarray(layer.matrix(kind))
        for n in range(len(kind.out)):
            a = np.asarray(x)[:, kind.first[n]]
            products = a[:, i] * a[:, j] * factors[:, None, None]
            expected = np.einsum("ok,bk...->bo...", matrix[n], products)
            assert relative(y[:, kind.out[n]], expected) < 1e-12
    assert relative(layer(3 * x), 9 * y) < 1e-12


@pytest.mark.usefixtures("x64")
def test_two_inputs_turn_together():
    first = FieldType(PLANE, [D4.irrep(1, 1), D4.regular, D4.irrep(1, 1)])
    second = FieldType(PLANE, [D4.irrep(1, 1), D4.irrep(1, 0), D4.trivial])
    out = FieldType(PLANE, [D4.trivial, D4.regular, D4.irrep(1, 1)])
    layer = nn.TensorProduct((first, second), out, key=KEY)
    x, y = normal(2, first.size, 3, 3), normal(2, second.size, 3, 3, seed=2)
    z = layer(x, y)
    for g in D4.elements:
        moved = [t.representation.transform for t in (first, second, out)]
        a, b, c = (
            np.moveaxis(m(np.moveaxis(np.asarray(v), 1, -1), g), -1, 1)
            for m, v in zip(moved, (x, y, z), strict=True)
        )
        assert relative(layer(jnp.asarray(a), jnp.asarray(b)), c) < 1e-12
    plain = layer.export()
    assert relative(jax.vmap(plain)(x, y), z) < 1e-12
    assert relative(layer(x[0], y), jax.vmap(layer, (None, 0))(x[0], y)) < 1e-12
    wrapped = layer(GeometricTensor(x, first), GeometricTensor(y, second))
    assert wrapped.type == out
    assert layer.evaluate_output_shape((x.shape, y.shape)) == z.shape


@pytest.mark.parametrize("group", [C8, SO2, O2, Q8], ids=repr)
def test_vectors(group):
    rep = group.irreps(None if group.order else 2)[-1] + group.trivial
    layer = nn.TensorProduct(rep.fused(), key=KEY)
    testing.assert_equivariant(layer, key=KEY)


def test_variance_is_kept_at_the_start():
    """Products of two independent fields of variance 1."""
    type_ = FieldType(PLANE, 256 * D4.regular)
    layer = nn.TensorProduct((type_, type_), type_, key=KEY)
    z = layer(normal(64, type_.size, 1, 1), normal(64, type_.size, 1, 1, seed=2))
    assert 0.9 < float(z.var()) < 1.1
    maps = [leaf for leaf in jax.tree.leaves(layer)]
    assert {leaf.shape[0] for leaf in maps} == {256}  # a map for every field
    assert len({float(leaf[i].sum()) for leaf in maps[:1] for i in range(256)}) == 256


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-30, 1e6])
def test_gradients_are_finite(value):
    layer = nn.TensorProduct(2 * D4.regular, key=KEY)
    found = jax.grad(lambda m, v: m(v).sum(), argnums=(0, 1))(layer, jnp.full(16, value))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


# ---- refusals ----------------------------------------------------------------------------------

TYPE = FieldType(PLANE, 2 * D4.regular)
TWO = nn.TensorProduct((TYPE, TYPE), key=KEY)
ROTATIONS = FieldType(spaces.rot_on_r2(4), 2 * groups.cyclic(4).regular)
REFUSED = {
    "three inputs": (
        lambda: nn.TensorProduct((TYPE, TYPE, TYPE), key=KEY), ValueError,
        "TensorProduct: in_type: expected one type or a pair of types, got 3 types",
    ),
    "no type": (lambda: nn.TensorProduct("x", key=KEY), TypeError, "TensorProduct: in_type"),
    "no output type": (
        lambda: nn.TensorProduct(TYPE, 8, key=KEY), TypeError, "TensorProduct: out_type",
    ),
    "another group": (
        lambda: nn.TensorProduct(TYPE, ROTATIONS, key=KEY), ValueError,
        "out_type: expected fields that D4 acts on, got C4: 2 x regular",
    ),
    "another group of the second input": (
        lambda: nn.TensorProduct((TYPE, ROTATIONS), key=KEY), ValueError,
        "in_type: expected fields that D4 acts on",
    ),
    "another space": (
        lambda: nn.TensorProduct(TYPE, 2 * D4.regular, key=KEY), ValueError,
        "out_type: expected fields on D4 on R2",
    ),
    "more fields": (
        lambda: nn.TensorProduct(TYPE, FieldType(PLANE, 3 * D4.regular), key=KEY), ValueError,
        "out_type: expected 2 fields, one for each of D4: 2 x regular, got 3",
    ),
    "only the zero map": (
        lambda: nn.TensorProduct(FieldType(PLANE, [D4.irrep(1, 1)]), key=KEY), ValueError,
        r"out_type: field 0 \(irrep\(1,1\)\) has no irrep in common with the products "
        r"symmetric_square\(irrep\(1,1\)\); expected one of irreps",
    ),
    "the symmetric square of two inputs": (
        lambda: nn.TensorProduct((TYPE, TYPE), symmetric=True, key=KEY), ValueError,
        "symmetric: expected False or None for two inputs",
    ),
    "symmetric by a word": (
        lambda: nn.TensorProduct(TYPE, symmetric="yes", key=KEY), TypeError,
        "symmetric: expected True, False or None, got 'yes'",
    ),
    "an unknown scheme": (
        lambda: nn.TensorProduct(TYPE, init="he", key=KEY), ValueError, "init: expected one of",
    ),
    "one input of two": (
        lambda: TWO(jnp.zeros((16, 3, 3))), TypeError, "TensorProduct: expected 2 inputs",
    ),
    "other points": (
        lambda: TWO(jnp.zeros((16, 3, 3)), jnp.zeros((16, 5, 5))), ValueError,
        r"x and y: expected equal spatial axes.*got \(16, 3, 3\) and \(16, 5, 5\)",
    ),
    "other batches": (
        lambda: TWO(jnp.zeros((2, 16, 3, 3)), jnp.zeros((3, 16, 3, 3))), ValueError,
        "batch axes that broadcast",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    call, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        call()

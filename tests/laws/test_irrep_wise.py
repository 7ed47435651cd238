"""Every layer on vectors gives the same numbers on an `IrrepTensor`, and the same derivatives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cases import LAYERS
from equivax import IrrepTensor, groups, hom, nn
from laws import cast, drawn, normal, on_every, relative
from random_types import represent
from vector_orbits import randomized

#: Two orders of summation, and derivatives of quotients by short fields.
TOLERANCES = {"float64": 1e-11, "float32": 3e-4}
by_layer = pytest.mark.parametrize("name", on_every(LAYERS))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@by_layer
def test_irrep_wise_is_the_array_formula(name, dtype, key):
    case = LAYERS[name]
    module = cast(randomized(case, key), dtype)
    assert_alike(
        module, dtype, TOLERANCES[dtype] * case.recipe.depth, case.options(module, key, dtype)
    )


D4 = groups.dihedral(4)
MIXED = D4.trivial + 2 * D4.regular + D4.irrep(1, 1) + D4.trivial + D4.regular
MINUS = represent(D4, D4.trivial.irreps, -np.eye(1))  # its channel is minus its coordinate


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "module",
    [
        nn.FieldNorm(2 * D4.regular + D4.irrep(1, 1)),
        nn.LeakyReLU(D4.trivial + 2 * D4.regular, 0.1),
        nn.PointwiseNonlinearity(3 * groups.octahedral().regular, jax.nn.gelu),
        nn.PointwiseNonlinearity(2 * groups.icosahedral().regular, jax.nn.gelu),
        nn.GatedNonlinearity(MIXED, [True, 1, 0, 0, True, 1], function=jnp.tanh),
        nn.GatedNonlinearity(MIXED, ["gate", 0, 0, 0, 0, 0], drop_gates=False),
        nn.GatedNonlinearity(D4.regular + D4.trivial + D4.regular, [0, "gate", 0]),
        nn.GatedNonlinearity(MINUS + D4.regular, ["gate", 0], drop_gates=False),
        nn.GatedNonlinearity.within_fields((D4.trivial + D4.irrep(1, 1)).fused()),
    ],
    ids=lambda module: type(module).__name__,
)
@pytest.mark.parametrize("platform", ["cpu", "gpu"])  # how pointwise functions turn fields
def test_layers_without_a_recipe_on_vectors(module, platform):
    with hom.assume_platform(platform):
        assert_alike(cast(drawn(module), "float64"), "float64", TOLERANCES["float64"], {})


@pytest.mark.parametrize("group", [D4, groups.cyclic(4)], ids=lambda group: group.name)
def test_components_one_by_one_as_on_a_tpu(group, key):
    rep = group.trivial + 2 * group.regular
    layers = nn.Linear(rep, rep, key=key), nn.PointwiseNonlinearity(rep, jax.nn.gelu)
    with hom.assume_platform("tpu"):
        assert_alike(nn.Sequential(*layers), "float32", TOLERANCES["float32"], {})


def assert_alike(module, dtype, allowed, options):
    """Values and gradients of both formulas agree."""
    rep = module.in_type
    x = normal(3, rep.size, dtype=dtype)

    @eqx.filter_jit
    def both(module, x):
        def arrays(module, x):
            return module(x, **options)

        def irrep_wise(module, x):
            y = module(IrrepTensor.of(rep, x), **options)
            assert isinstance(y, IrrepTensor)
            assert y.type == module.out_type
            return y.array

        def differentiated(function):
            def loss(inputs):
                y = function(*inputs)
                return jnp.sum(y * jnp.cos(jnp.arange(y.size, dtype=dtype)).reshape(y.shape))

            return eqx.filter_grad(loss)((module, x))

        values = arrays(module, x), irrep_wise(module, x)
        return values, (differentiated(arrays), differentiated(irrep_wise))

    with jax.default_matmul_precision("highest"):
        (expected, found), slopes = both(module, x)
    assert found.dtype == expected.dtype
    assert relative(found, expected) <= allowed
    largest = max(float(jnp.abs(leaf).max(initial=0.0)) for leaf in jax.tree.leaves(slopes[0]))
    for one, other in zip(*map(jax.tree.leaves, slopes), strict=True):
        assert float(jnp.abs(one - other).max(initial=0.0)) <= 10 * allowed * largest


def test_the_type_is_checked(key):
    group = groups.dihedral(4)
    layer = nn.Linear(group.regular, group.regular, key=key)
    x = IrrepTensor.of(8 * group.trivial, normal(2, 8))
    message = "Linear: x: expected vectors of type D4: regular, got D4: 8 x trivial"
    with pytest.raises(ValueError, match=message):
        layer(x)
    with pytest.raises(ValueError, match="Sequential: x: expected vectors of type D4: regular"):
        nn.Sequential(layer)(x)


#: Layers with a formula of their own on irreps; the others go by way of arrays.
OWN = (
    *(nn.Linear, nn.InvariantBias, nn.Affine, nn.FieldDropout, nn.Identity, nn.RMSNorm),
    *(nn.LayerNorm, nn.NormNonlinearity, nn.InvariantPool, nn.IrrepNormPool),
    *(nn.PointwiseNonlinearity, nn.ReLU, nn.ELU, nn.Sequential),
)


@pytest.mark.parametrize("layer", OWN, ids=lambda layer: layer.__name__)
def test_no_array_is_made_on_the_way(layer, key):
    cases = [case for case in LAYERS.values() if case.recipe.covers is layer]
    assert cases
    for case in cases[:1] if layer is nn.Sequential else cases:
        module = randomized(case, key)
        options = case.options(module, key)
        x = IrrepTensor.of(module.in_type, normal(3, module.in_type.size))
        program = str(jax.make_jaxpr(lambda x, m=module, o=options: m(x, **o))(x))
        assert "from_irrep_wise" not in program
        assert "to_irrep_wise" not in program


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_pointwise_functions_have_derivatives_of_every_kind():
    rep = D4.trivial + 2 * D4.regular
    layer = nn.PointwiseNonlinearity(rep, jnp.tanh)
    with hom.assume_platform("gpu"):
        assert_derivatives(layer, rep)
    assert_derivatives(layer, rep)


def assert_derivatives(layer, rep):
    x, v = normal(3, rep.size), normal(3, rep.size, seed=2)

    def irrep_wise(x):
        return layer(IrrepTensor.of(rep, x)).array

    assert relative(jax.vmap(irrep_wise)(x), jnp.tanh(x)) <= 1e-14
    expected = jax.jvp(jnp.tanh, (x,), (v,))[1]
    assert relative(jax.jvp(irrep_wise, (x,), (v,))[1], expected) <= 1e-14
    hessian = jax.hessian(lambda x: jnp.sum(irrep_wise(x)[0] ** 3))(x)
    assert relative(hessian, jax.hessian(lambda x: jnp.sum(jnp.tanh(x)[0] ** 3))(x)) <= 1e-13

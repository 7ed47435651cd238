"""An array as one array per irrep and back: by products with small matrices, or by sums."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import hom

D4, LARGE, Q8 = evx.groups.dihedral(4), evx.groups.icosahedral(), evx.groups.quaternion()
REPS = {
    "regular": 3 * D4.regular,
    "of quaternions": 2 * Q8.regular,
    "runs that are not together": D4.regular + 2 * D4.irrep(1, 1) + D4.regular,
    "larger than sums go": LARGE.regular + 2 * LARGE.irrep(1),
    "irreps already": 2 * D4.irrep(1, 1) + 3 * D4.trivial,
}


def there_and_back(rep, platform, x):
    """Blocks and the array again, by the forms of a platform."""
    with hom.assume_platform(platform):
        blocks = hom.to_irrep_wise(rep, x)
        return blocks, hom.from_irrep_wise(rep, blocks)


def values_and_derivatives(function, x, tangent, cotangents):
    """What a function of an array gives, and its derivatives forwards and backwards."""
    y, back = jax.vjp(function, x)
    return y, back(cotangents), jax.jvp(function, (x,), (tangent,))


@pytest.mark.parametrize("rep", REPS.values(), ids=REPS)
@pytest.mark.usefixtures("x64")
def test_sums_are_the_products(rep):
    x, tangent = jax.random.normal(jax.random.key(0), (2, 4, 5, rep.size))
    products, sums = (partial(there_and_back, rep, platform) for platform in ("cpu", "gpu"))
    given = x, tangent, jax.tree.map(jnp.cos, products(x))
    expected = values_and_derivatives(products, *given)
    for found in (
        values_and_derivatives(sums, *given),
        jax.vmap(partial(values_and_derivatives, sums))(*given),
    ):
        for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-14)
    np.testing.assert_allclose(sums(x)[1], x, atol=1e-14)


def test_a_gpu_takes_no_products_with_few_columns():
    rep = 3 * D4.regular + D4.irrep(1, 1)

    def both_ways(x):
        y, back = jax.vjp(lambda x: there_and_back(rep, "gpu", x)[1], x)
        return y, back(y)

    assert "dot_general" not in str(jax.make_jaxpr(both_ways)(jnp.ones((2, rep.size))))
    on_cpu = jax.make_jaxpr(partial(there_and_back, rep, "cpu"))(jnp.ones((2, rep.size)))
    assert "dot_general" in str(on_cpu)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_sixteen_bits_are_rounded_once(platform):
    rep = 5 * D4.regular
    x = jax.random.normal(jax.random.key(0), (7, rep.size), jnp.bfloat16)
    blocks, again = there_and_back(rep, platform, x)
    exact, _ = there_and_back(rep, platform, x.astype(jnp.float32))
    for name, block in blocks.items():
        assert block.dtype == jnp.bfloat16
        # A sum that ends near the middle of two numbers may go either way.
        error = jnp.abs(block.astype(jnp.float32) - exact[name]) / jnp.abs(exact[name])
        assert error.max() <= 2**-8
    assert again.dtype == jnp.bfloat16

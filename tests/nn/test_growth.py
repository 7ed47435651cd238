"""How programs grow: equations with runs of fields, text with channels."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from equivax import groups, nn

C4 = groups.cyclic(4)


def text(layer, rep):
    """The program of the gradient of a sum of squares."""
    arrays, static = eqx.partition(layer, eqx.is_inexact_array)

    def loss(arrays, x):
        return jnp.sum(eqx.combine(arrays, static)(x) ** 2)

    step = jax.jit(jax.grad(loss, argnums=(0, 1)))
    return step.lower(arrays, jnp.ones((4, rep.size))).as_text()


LAYERS = {
    "Linear, spectral": lambda rep: nn.Linear(rep, rep, mode="spectral", key=jax.random.key(0)),
    "Linear, dense": lambda rep: nn.Linear(rep, rep, mode="dense", key=jax.random.key(0)),
    "InvariantBias": nn.InvariantBias,
    "Affine": nn.Affine,
    "Affine, per field": lambda rep: nn.Affine(rep, per="field"),
    "Affine, per type": lambda rep: nn.Affine(rep, per="type"),
    "RMSNorm": nn.RMSNorm,
    "LayerNorm": nn.LayerNorm,
    "FieldNorm": nn.FieldNorm,
    "NormNonlinearity": nn.NormNonlinearity,
}


@pytest.mark.filterwarnings("ignore:FieldNorm")  # of scalars nothing is left
@pytest.mark.parametrize("name", LAYERS)
def test_alternating_fields_are_gathered_once(name):
    """`(irrep + trivial) * n` has 2 n runs of fields, and n does not enter the program's length."""
    short, long = (
        text(LAYERS[name](rep), rep).count("\n")
        for rep in ((C4.irrep(1) + C4.trivial) * n for n in (20, 40))
    )
    assert short == long < 500


@pytest.mark.parametrize("field", ["irrep", "regular"])
@pytest.mark.parametrize("name", LAYERS)
def test_runs_of_fields_need_no_table(name, field):
    """Equal fields side by side: programs hold no number per channel."""
    kind = C4.irrep(1) if field == "irrep" else C4.regular
    short, long = (len(text(LAYERS[name](n * kind), n * kind)) for n in (300, 900))
    assert long - short < 600  # digits of shapes

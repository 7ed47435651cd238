"""Modules on vectors applied to whole orbits, and what their laws compare with."""

import functools
from typing import Any

import equinox as eqx
import jax
import numpy as np

from cases import Case
from laws import EXACT, drawn, relative


def randomized(case: Case, key: jax.Array, *, fresh: bool = False) -> Any:
    """The module with every parameter, biases too, from a normal distribution."""
    return drawn(eqx.filter_eval_shape(functools.partial(case.build, fresh=fresh), key))


def bound(case: Case, dtype: str) -> float:
    return EXACT[dtype] * case.recipe.depth


def applied(module: Any, x: jax.Array, options: dict[str, Any]) -> jax.Array:
    """The compiled call, at the highest precision."""
    with jax.default_matmul_precision("highest"):
        return eqx.filter_jit(lambda m, v, o: m(v, **o))(module, x, options)


def orbit(rep: Any, x: Any) -> np.ndarray:
    """``x`` and all ``rho(g) x``, ``(1 + elements, batch, n)``, by NumPy in float64."""
    x = np.asarray(x, np.float64)
    matrices = rep.evaluate(np.asarray(rep.group.testing_coordinates))
    return np.concatenate([x[None], np.einsum("eij,bj->ebi", matrices, x)])


def over_orbits(module: Any, inputs: Any, options: dict[str, Any]) -> jax.Array:
    """Outputs for `orbit`; under vmap, layers with a key draw the same for every element."""
    if "key" not in options:
        return module(inputs, **options)  # elements are examples
    return jax.vmap(lambda v: module(v, **options))(inputs)


def equivariance_error(module: Any, outputs: Any) -> float:
    """How far outputs on an orbit are from the orbit of the first output."""
    assert np.isfinite(np.asarray(outputs)).all()
    return relative(outputs, orbit(module.out_type, outputs[0]))


def degenerate_inputs(size: int, field: int) -> np.ndarray:
    """Inputs at which norms, ties and quotients are singular."""
    copies = np.resize(np.random.default_rng(0).standard_normal(field), size)
    return np.stack(
        [
            np.zeros(size),
            np.ones(size),
            np.eye(size)[0],
            np.eye(size)[-1],
            copies,
            1e-19 * copies,  # squares vanish in float32
            1e6 * copies,
        ]
    )

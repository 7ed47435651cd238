"""How well does `models.MLP` regress against `equinox.nn.MLP`, as both come out of the box?

The target is a map of R^18 to R^6 that commutes with C2 = {1, g}, where g exchanges neighbouring
coordinates: 512 samples, AdamW, all samples in every step. Every row is the median over seeds, each
with a target of its own. Plain networks have the same number of parameters, or the same width.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import machine, table

import equivax as evx

SAMPLES, WIDTH, DEPTH, RATE = 512, 64, 2, 3e-3
SWAP = evx.groups.cyclic(2).regular
INPUT, OUTPUT = 9 * SWAP, 3 * SWAP


def samples(seed: int) -> list[np.ndarray]:
    """Inputs and targets, for training and for the test; targets have unit variance."""
    random = np.random.default_rng(seed)
    first = random.normal(size=(INPUT.size, 32)) / INPUT.size**0.5
    second = random.normal(size=(32, OUTPUT.size))
    x = random.normal(size=(2 * SAMPLES, INPUT.size))
    swapped = x.reshape(-1, 9, 2)[..., ::-1].reshape(x.shape)
    y, other = np.tanh(x @ first) @ second, np.tanh(swapped @ first) @ second
    y = y + other.reshape(-1, 3, 2)[..., ::-1].reshape(y.shape)
    found = [x[:SAMPLES], y[:SAMPLES] / y.std(), x[SAMPLES:], y[SAMPLES:] / y.std()]
    return [array.astype(np.float32) for array in found]


def count(model: Any) -> int:
    """Number of trainable parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))


def plain(width: int, key: jax.Array) -> eqx.nn.MLP:
    """The unconstrained network."""
    return eqx.nn.MLP(INPUT.size, OUTPUT.size, width, DEPTH, key=key)


def equivariant(key: jax.Array, **options: Any) -> evx.models.MLP:
    """The network that commutes with C2."""
    return evx.models.MLP(INPUT, OUTPUT, [WIDTH] * DEPTH, key=key, **options)


def width_for(parameters: int) -> int:
    """Width of the plain network with about that many parameters."""
    width = np.arange(1, 512)
    counts = (INPUT.size + 1 + OUTPUT.size) * width + (DEPTH - 1) * (width + 1) * width
    return int(width[np.abs(counts + OUTPUT.size - parameters).argmin()])


def trained(build: Callable[[jax.Array], Any], seed: int, steps: int) -> list[float]:
    """Size of the output at the start, mean squared errors of training and test at the end."""
    x, y, x_test, y_test = map(jnp.asarray, samples(seed))
    parameters, static = eqx.partition(build(jax.random.key(seed)), eqx.is_inexact_array)
    optimiser = optax.adamw(RATE)

    def outputs(parameters: Any, x: jax.Array) -> jax.Array:
        return jax.vmap(eqx.combine(parameters, static))(x)

    def loss(parameters: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.mean((outputs(parameters, x) - y) ** 2)

    def step(carry: Any, _: None) -> tuple[Any, None]:
        parameters, state = carry
        updates, state = optimiser.update(jax.grad(loss)(parameters, x, y), state, parameters)
        return (optax.apply_updates(parameters, updates), state), None

    @jax.jit
    def run(parameters: Any) -> Any:
        start = parameters, optimiser.init(parameters)
        return jax.lax.scan(step, start, length=steps)[0][0]

    size = float(outputs(parameters, x).std())
    end = run(parameters)
    return [size, float(loss(end, x, y)), float(loss(end, x_test, y_test))]


def main() -> None:
    """Trains all networks and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    same = width_for(count(equivariant(jax.random.key(0))))
    networks: dict[str, Callable[[jax.Array], Any]] = {
        "equinox.nn.MLP, as many parameters": lambda key: plain(same, key),
        "equinox.nn.MLP, as wide": lambda key: plain(WIDTH, key),
        "models.MLP": equivariant,
        'models.MLP, init="he_normal"': lambda key: equivariant(key, init="he_normal"),
        'models.MLP, init="equinox"': lambda key: equivariant(key, init="equinox"),
    }
    rows = []
    for name, build in networks.items():
        found = [trained(build, seed, arguments.steps) for seed in range(arguments.seeds)]
        figures = [f"{value:.4f}" for value in np.median(found, axis=0)]
        rows.append([name, count(build(jax.random.key(0))), *figures])
    print(machine())
    print(table(["network", "parameters", "std at the start", "training", "test"], rows))


if __name__ == "__main__":
    main()

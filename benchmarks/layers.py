"""Norms, nonlinearities and pools against the closest plain operation on the same array.

A training step: the gradient in the parameters and the input, on (16, 64, 32, 32) in float32.

    python benchmarks/layers.py [--rounds 11]
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from timing import by_turns, machine, milliseconds, ratio, table

import equivax as evx
from equivax import nn

C8, O2 = evx.spaces.rot_on_r2(8), evx.spaces.flip_rot_on_r2(-1)
REGULAR = evx.FieldType(C8, 8 * C8.regular)
IRREPS = evx.FieldType(O2, 16 * O2.trivial + 24 * O2.irrep(1, 1))
VECTORS = evx.FieldType(C8, 32 * C8.irrep(1))
SO2 = evx.spaces.rot_on_r2(-1)
BAND = evx.FieldType(SO2, 9 * evx.representations.band_limited(SO2.group, 3))
GRID = evx.FieldType(
    evx.spaces.hyperoctahedral_on(2), 32 * [evx.spaces.hyperoctahedral_on(2).vector]
)
SHAPE = (16, 64, 32, 32)
#: A vector neuron mixes fields to get its directions: so does a 1 x 1 convolution.
MIX = eqx.nn.Conv2d(64, 64, 1, key=jax.random.key(1))


def elu(x: Any) -> Any:
    """The plain nonlinearity."""
    return jax.nn.elu(x)


def plain_batch_norm(channels: int) -> Any:
    """`equinox.nn.BatchNorm`."""
    return eqx.nn.BatchNorm(channels, axis_name="batch", momentum=0.9, mode="batch")


def max_pool(x: Any) -> Any:
    """Maxima of 2 x 2 windows."""
    return jax.vmap(eqx.nn.MaxPool2d(2, 2))(x)


def mean_pool(x: Any) -> Any:
    """Means of 2 x 2 windows."""
    return jax.vmap(eqx.nn.AvgPool2d(2, 2))(x)


def max_of_fields(x: Any) -> Any:
    """Maxima of 8 channels."""
    return x.reshape(16, 8, 8, 32, 32).max(axis=2)


#: Name to the layer (or a function that makes it), and what it is compared with.
STATELESS: dict[str, tuple[Any, Any]] = {
    "ReLU": (nn.ReLU(REGULAR), jax.nn.relu),
    "ELU": (nn.ELU(REGULAR), elu),
    "NormNonlinearity": (nn.NormNonlinearity(VECTORS), elu),
    "GatedNonlinearity": (
        nn.GatedNonlinearity(
            evx.FieldType(O2, 22 * O2.irrep(1, 1) + 22 * O2.trivial),
            gates=22 * [False] + 22 * [True],
        ),
        elu,
    ),
    "ConcatenatedNonlinearity": (nn.ConcatenatedNonlinearity(GRID), elu),
    "VectorFieldNonlinearity": (nn.VectorFieldNonlinearity(REGULAR), max_of_fields),
    "FourierNonlinearity": (nn.FourierNonlinearity(BAND), elu),
    "VectorNeuron": (nn.VectorNeuron(GRID, key=jax.random.key(0)), MIX),
    "FieldNorm": (nn.FieldNorm(VECTORS), eqx.nn.GroupNorm(32, 64)),
    "InstanceNorm": (nn.InstanceNorm(REGULAR), eqx.nn.GroupNorm(64, 64)),
    "GroupNorm": (nn.GroupNorm(GRID, 4), eqx.nn.GroupNorm(4, 64)),
    "GroupPooling": (nn.GroupPooling(REGULAR), max_of_fields),
    "NormPool": (nn.NormPool(REGULAR), max_of_fields),
    "PointwiseMaxPool": (nn.PointwiseMaxPool(REGULAR, 2, grid_check="off"), max_pool),
    "PointwiseAvgPool": (nn.PointwiseAvgPool(REGULAR, 2, grid_check="off"), mean_pool),
    "NormMaxPool": (nn.NormMaxPool(VECTORS, 2, grid_check="off"), max_pool),
}

STATEFUL: dict[str, Callable[[], Any]] = {
    "InnerBatchNorm": lambda: nn.InnerBatchNorm(REGULAR),
    "NormBatchNorm": lambda: nn.NormBatchNorm(VECTORS),
    "GNormBatchNorm": lambda: nn.GNormBatchNorm(IRREPS),
    "IIDBatchNorm": lambda: nn.IIDBatchNorm(REGULAR),
}


def step_of(call: Any, tree: Any) -> Any:
    """A compiled gradient in the arrays of a tree and the input."""
    arrays, static = eqx.partition(tree, eqx.is_inexact_array)

    @jax.jit
    def step(arrays: Any, x: Any) -> Any:
        def loss(arrays: Any, x: Any) -> Any:
            return jnp.sum(call(eqx.combine(arrays, static), x) ** 2)

        return jax.grad(loss, argnums=(0, 1))(arrays, x)

    return lambda x: step(arrays, x)


def with_state(make: Callable[[], Any], *, batched: bool) -> Any:
    """A step of a layer with running statistics."""
    layer, state = eqx.nn.make_with_state(make)()

    def call(pair: Any, x: Any) -> Any:
        layer, state = pair
        if batched:
            return layer(x, state)[0]
        mapped = jax.vmap(layer, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        return mapped(x, state)[0]

    return step_of(call, (layer, state))


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", nargs="*", default=[*STATELESS, *STATEFUL])
    arguments = parser.parse_args()
    rng, rows = np.random.default_rng(0), []
    for name in arguments.only:
        if name in STATELESS:
            layer, plain = STATELESS[name]
            channels = layer.in_type.size
            if plain is MIX:
                other = step_of(lambda m, x: jax.nn.elu(jax.vmap(m)(x)), plain)
            elif isinstance(plain, eqx.nn.GroupNorm):
                other = step_of(lambda m, x: jax.vmap(m)(x), plain)
            else:
                other = step_of(lambda m, x, f=plain: f(x), None)
            own = step_of(lambda m, x: m(x), layer)
        else:
            make = STATEFUL[name]
            channels = eqx.nn.make_with_state(make)()[0].in_type.size
            own = with_state(make, batched=True)
            other = with_state(lambda n=channels: plain_batch_norm(n), batched=False)
        x = jnp.asarray(rng.standard_normal((SHAPE[0], channels, *SHAPE[2:])), jnp.float32)
        y = x[:, : SHAPE[1]]
        times = by_turns(
            {"own": functools.partial(own, x), "plain": functools.partial(other, y)},
            rounds=arguments.rounds,
        )
        rows.append(
            [
                name,
                milliseconds(times["plain"]),
                milliseconds(times["own"]),
                ratio(times["own"], times["plain"]),
            ]
        )
    print(machine() + "\n")
    print(table(["layer", "plain (ms)", "equivax (ms)", "ratio"], rows))


if __name__ == "__main__":
    main()

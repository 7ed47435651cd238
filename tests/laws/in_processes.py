"""Training with the batch on several processes, each of which holds its part.

Run as a program: ``python in_processes.py ADDRESS PROCESSES NUMBER``. Every process prints the same
losses, by the name of the network.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import equivax as evx
from equivax import nn

EXAMPLES, STEPS = 8, 5


def mlp(key: jax.Array) -> Any:
    rep = 2 * evx.groups.dihedral(4).regular
    return evx.models.MLP(rep, rep, [32], key=key)


def network(key: jax.Array) -> Any:
    space = evx.spaces.rot_on_r2(4)
    image, hidden = evx.FieldType(space, space.trivial), evx.FieldType(space, 2 * space.regular)
    first, second = jax.random.split(key)
    return nn.Sequential(
        nn.Conv(image, hidden, 3, padding=1, use_bias=False, key=first),
        nn.InnerBatchNorm(hidden),
        nn.ReLU(hidden),
        nn.Conv(hidden, image, 3, padding=1, key=second),
    )


#: What builds a network, and the shape of an example.
NETWORKS: dict[str, tuple[Callable[[jax.Array], Any], tuple[int, ...]]] = {
    "MLP": (mlp, (16,)),
    "network with batch norm": (network, (1, 7, 7)),
}


def losses(name: str) -> list[float]:
    build, shape = NETWORKS[name]
    mesh = Mesh(np.array(jax.devices()), ("batch",))
    split, everywhere = (NamedSharding(mesh, PartitionSpec(*a)) for a in (("batch",), ()))
    model, state = eqx.nn.make_with_state(build)(jax.random.key(0))
    arrays, rest = eqx.partition((model, state), eqx.is_array)
    # All processes have drawn the same numbers: each puts its copy on its devices.
    arrays = jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(everywhere, np.asarray(leaf)), arrays
    )
    batch = np.random.default_rng(0).normal(size=(EXAMPLES, *shape)).astype(np.float32)
    own = np.split(batch, jax.process_count())[jax.process_index()]
    x = jax.make_array_from_process_local_data(split, own)

    @jax.jit
    def step(arrays: Any, x: jax.Array) -> tuple[Any, jax.Array]:
        def loss(floats: Any, others: Any) -> tuple[jax.Array, Any]:
            model, state = eqx.combine(floats, others, rest)
            y, state = model(x, state) if shape[1:] else (model(x), state)
            return jnp.mean((y - jnp.roll(x, 1, axis=0)) ** 2), eqx.filter(state, eqx.is_array)

        floats, others = eqx.partition(arrays, eqx.is_inexact_array)
        (value, state), gradient = jax.value_and_grad(loss, has_aux=True)(floats, others)
        moved = jax.tree.map(lambda p, g: p - 0.05 * g, floats, gradient)
        return (eqx.combine(moved, others)[0], state), value

    found = []
    for _ in range(STEPS):
        arrays, value = step(arrays, x)
        found.append(float(value))
    return found


def main(address: str, processes: str, number: str) -> None:
    if processes != "1":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(address, int(processes), int(number))
    print(json.dumps({name: losses(name) for name in NETWORKS}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A training step of the steerable ResNet-18 against the plain one of the same channels.

Regular fields of C4 or C8, momentum SGD, float32, by turns in one process. Both have the small
stem, batch norms in training and as many channels in every stage.

    python benchmarks/resnet.py [--groups C4 C8] [--side 33] [--batch 8] [--rounds 7]
"""

from __future__ import annotations

import argparse
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import by_turns, machine, milliseconds, ratio, table

import equivax as evx

CLASSES, WIDTHS, BLOCKS = 10, (64, 128, 256, 512), 2
SPACES = {"C4": evx.spaces.rot_on_r2(4), "C8": evx.spaces.rot_on_r2(8)}


class PlainBlock(eqx.Module):
    """Two convolutions and a shortcut."""

    convs: list[eqx.nn.Conv2d]
    norms: list[eqx.nn.BatchNorm]
    shortcut: list[Any] | None

    def __init__(self, a: int, b: int, stride: int, key: Any) -> None:
        keys = jax.random.split(key, 3)
        norm = functools.partial(eqx.nn.BatchNorm, axis_name="batch", momentum=0.9, mode="batch")
        self.convs = [
            eqx.nn.Conv2d(a, b, 3, stride, padding=1, use_bias=False, key=keys[0]),
            eqx.nn.Conv2d(b, b, 3, padding=1, use_bias=False, key=keys[1]),
        ]
        self.norms = [norm(b), norm(b)]
        self.shortcut = None
        if a != b or stride != 1:
            self.shortcut = [eqx.nn.Conv2d(a, b, 1, stride, use_bias=False, key=keys[2]), norm(b)]

    def __call__(self, x: Any, state: Any) -> Any:
        y, state = self.norms[0](self.convs[0](x), state)
        y, state = self.norms[1](self.convs[1](jax.nn.relu(y)), state)
        if self.shortcut is not None:
            x, state = self.shortcut[1](self.shortcut[0](x), state)
        return jax.nn.relu(x + y), state


class PlainResNet(eqx.Module):
    """ResNet-18 in Equinox."""

    stem: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    blocks: list[PlainBlock]
    readout: eqx.nn.Linear

    def __init__(self, key: Any) -> None:
        keys = iter(jax.random.split(key, 2 + BLOCKS * len(WIDTHS)))
        self.stem = eqx.nn.Conv2d(3, WIDTHS[0], 3, padding=1, use_bias=False, key=next(keys))
        self.norm = eqx.nn.BatchNorm(WIDTHS[0], "batch", momentum=0.9, mode="batch")
        self.blocks, width = [], WIDTHS[0]
        for number, wide in enumerate(WIDTHS):
            for position in range(BLOCKS):
                stride = 2 if number and not position else 1
                self.blocks.append(PlainBlock(width, wide, stride, next(keys)))
                width = wide
        self.readout = eqx.nn.Linear(width, CLASSES, key=next(keys))

    def one(self, x: Any, state: Any) -> Any:
        """One example, under `vmap`."""
        x, state = self.norm(self.stem(x), state)
        x = jax.nn.relu(x)
        for block in self.blocks:
            x, state = block(x, state)
        return self.readout(x.mean(axis=(1, 2))), state

    def __call__(self, x: Any, state: Any) -> Any:
        call = jax.vmap(self.one, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        return call(x, state)


def steerable(space: Any, key: Any) -> Any:
    """The network of `equivax.models`."""
    images = evx.FieldType(space, 3 * space.trivial)
    return evx.models.ResNet(images, CLASSES, stem="small", channels=WIDTHS, key=key)


def step_of(make: Any, x: Any, labels: Any) -> Any:
    """A compiled step; calling it again starts from the same parameters."""
    model, state = eqx.nn.make_with_state(make)(jax.random.key(0))
    optimiser = optax.sgd(0.1, momentum=0.9)
    arrays, static = eqx.partition(model, eqx.is_inexact_array)
    progress = optimiser.init(arrays)

    @jax.jit
    def step(arrays: Any, state: Any, progress: Any) -> Any:
        def loss(arrays: Any, state: Any) -> Any:
            logits, state = eqx.combine(arrays, static)(x, state)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), state

        gradient, state = jax.grad(loss, has_aux=True)(arrays, state)
        updates, progress = optimiser.update(gradient, progress, arrays)
        return optax.apply_updates(arrays, updates), state, progress

    leaves, structure = jax.tree.flatten(state)
    return lambda: step(arrays, jax.tree.unflatten(structure, leaves), progress)


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", nargs="*", default=list(SPACES), choices=SPACES)
    parser.add_argument("--side", type=int, default=33)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (arguments.batch, 3, arguments.side, arguments.side)
    x = jnp.asarray(rng.standard_normal(shape), jnp.float32)
    labels = jnp.asarray(rng.integers(0, CLASSES, arguments.batch))
    plain, rows = step_of(PlainResNet, x, labels), []
    for name in arguments.groups:
        own = step_of(functools.partial(steerable, SPACES[name]), x, labels)
        times = by_turns({"own": own, "plain": plain}, rounds=arguments.rounds)
        rows.append(
            [
                name,
                milliseconds(times["plain"]),
                milliseconds(times["own"]),
                ratio(times["own"], times["plain"]),
            ]
        )
    print(machine() + "\n")
    print(table(["group", "plain (ms)", "equivax (ms)", "ratio"], rows))


if __name__ == "__main__":
    main()

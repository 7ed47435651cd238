"""A transformer layer, and how long twelve take to compile, against plain ones of equal width.

A training step: the gradient in parameters and tokens, on two examples of 196 tokens in float32.
Both use `jax.nn.dot_product_attention`. Seconds are those of a process on all its cores: they
wander less than a clock where other processes run.

    python benchmarks/transformer.py [--widths 384 768] [--rounds 9] [--compile] [--gpu]

``--gpu`` estimates steps of 64 images on an H100 instead, which need not be there: `kernels.py`
says how, and what it needs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from timing import by_turns, machine, milliseconds, ratio, table

import equivax as evx
import kernels

D4 = evx.groups.dihedral(4)
C2 = evx.groups.cyclic(2)
TOKENS = 196


class PlainLayer(eqx.Module):
    """Pre-norm encoder layer with one product for queries, keys and values."""

    norms: tuple[eqx.nn.RMSNorm, eqx.nn.RMSNorm]
    qkv: eqx.nn.Linear
    out: eqx.nn.Linear
    up: eqx.nn.Linear
    down: eqx.nn.Linear
    heads: int = eqx.field(static=True)
    implementation: Literal["xla", "cudnn"] = eqx.field(static=True)

    def __init__(
        self, width: int, heads: int, key: Array, implementation: Literal["xla", "cudnn"] = "xla"
    ) -> None:
        keys = jax.random.split(key, 4)
        self.norms = (eqx.nn.RMSNorm(width), eqx.nn.RMSNorm(width))
        self.qkv = eqx.nn.Linear(width, 3 * width, key=keys[0])
        self.out = eqx.nn.Linear(width, width, key=keys[1])
        self.up = eqx.nn.Linear(width, 4 * width, key=keys[2])
        self.down = eqx.nn.Linear(4 * width, width, key=keys[3])
        self.heads = heads
        self.implementation = implementation

    def __call__(self, x: Float[Array, "batch tokens width"]) -> Float[Array, "..."]:
        first, second = (jax.vmap(jax.vmap(norm)) for norm in self.norms)
        heads = applied(self.qkv, first(x)).reshape(*x.shape[:-1], 3 * self.heads, -1)
        y = jax.nn.dot_product_attention(
            *jnp.split(heads, 3, axis=-2), implementation=self.implementation
        )
        x = x + applied(self.out, y.reshape(x.shape))
        return x + applied(self.down, jax.nn.gelu(applied(self.up, second(x))))


def applied(layer: eqx.nn.Linear, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """A linear layer on the last axis of a batch, as one product."""
    return x @ layer.weight.T + (0.0 if layer.bias is None else layer.bias)


class Stack(eqx.Module):
    """Layers in turn."""

    layers: list[Any]

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        for layer in self.layers:
            x = layer(x)
        return x


class Scanned(eqx.Module):
    """Layers in turn, of one kind, as one loop of the compiled program."""

    numbers: Any
    layer: Any = eqx.field(static=True)

    def __init__(self, layers: Sequence[Any]) -> None:
        parts = [eqx.partition(layer, eqx.is_inexact_array) for layer in layers]
        self.numbers = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(own for own, _ in parts))
        self.layer = parts[0][1]

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jax.lax.scan(
            lambda y, own: (eqx.combine(own, self.layer)(y), None), x, self.numbers
        )[0]


def step_of(model: Any) -> tuple[Callable[..., Any], Any]:
    """A compiled gradient of ``sum(y^2)`` in parameters and tokens, and the parameters."""
    parameters, static = eqx.partition(model, eqx.is_inexact_array)

    def loss(pair: tuple[Any, Array]) -> Array:
        return jnp.sum(eqx.combine(pair[0], static)(pair[1]) ** 2)

    return jax.jit(jax.grad(loss)), parameters


def layers_of(width: int) -> dict[str, Any]:
    """What is compared at a width."""
    heads, key = max(1, width // 64), jax.random.key(0)
    rep = (width // 8) * D4.regular
    return {
        "plain": PlainLayer(width, heads, key),
        "D4": evx.models.TransformerEncoderLayer(rep, heads, key=key),
        "D4, irrep by irrep": evx.models.TransformerEncoderLayer(
            rep, heads, mode="irreps", key=key
        ),
    }


def speed(widths: list[int], rounds: int) -> None:
    """Training steps."""
    rows = []
    for width in widths:
        x = jax.random.normal(jax.random.key(1), (2, TOKENS, width))
        steps = {name: step_of(model) for name, model in layers_of(width).items()}
        calls = {
            name: (lambda step=step, leaves=leaves, x=x: step((leaves, x)))
            for name, (step, leaves) in steps.items()
        }
        wall = by_turns(calls, rounds=rounds)
        used = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                start = time.process_time()
                jax.block_until_ready(call())
                used[name].append(time.process_time() - start)
        for name in calls:
            seconds = {n: np.array(v) for n, v in used.items()}
            rows.append(
                [
                    width,
                    name,
                    milliseconds(wall[name]),
                    ratio(wall["plain"], wall[name]),
                    milliseconds(seconds[name]),
                    ratio(seconds["plain"], seconds[name]),
                ]
            )
    print(table(["width", "layer", "ms", "plain / it", "ms of cores", "plain / it"], rows))


def compilation(width: int = 128, depth: int = 12) -> None:
    """Seconds of cores until a training step of a stack runs, with an empty cache."""
    keys = jax.random.split(jax.random.key(0), depth)
    plain = [PlainLayer(width, 4, key) for key in keys]
    encoder = evx.models.TransformerEncoder(
        (width // 8) * D4.regular, 4, depth, key=jax.random.key(0)
    )
    stacks = {
        "plain": Stack(plain),
        "D4": encoder,
        "plain, scanned": Scanned(plain),
        "D4, scanned": Scanned(encoder.layers),
    }
    x, rows = jax.random.normal(jax.random.key(1), (2, 16, width)), []
    for name, model in stacks.items():
        jax.clear_caches()
        step, leaves = step_of(model)
        start = time.process_time()
        lowered = step.lower((leaves, x))
        traced = time.process_time()
        lowered.compile()
        rows.append([name, traced - start, time.process_time() - traced])
    print(table([f"{depth} layers", "s to trace", "s to compile"], rows))


def estimates(widths: list[int], images: int = 64) -> None:
    """Kernels, traffic and time of training steps on a GPU that is described, by its roofline.

    Features are irrep by irrep, as they are between the layers of a stack.
    """
    rows = []
    for dtype in (jnp.bfloat16, jnp.float32):
        for width in widths:
            heads, key = max(1, width // 64), jax.random.key(0)
            plain = PlainLayer(width, heads, key)
            x, base = jax.ShapeDtypeStruct((images, TOKENS, width), dtype), 0.0
            cases = {"plain": (jax.tree.map(lambda leaf, to=dtype: leaf.astype(to), plain), x)}
            for group in (C2, D4):
                rep = (width // group.order) * group.regular
                layer = evx.models.TransformerEncoderLayer(rep, heads, dtype=dtype, key=key)
                cases[group.name] = layer, jax.eval_shape(partial(evx.IrrepTensor.of, rep), x)
            for name, (model, given) in cases.items():
                function, arguments = kernels.step(model, given)
                program = kernels.compiled_for_gpu(function, *arguments)
                count, megabytes, microseconds = kernels.summary(kernels.kernels(program))
                base = base or microseconds
                row = [dtype.__name__, width, name, count, megabytes, microseconds]
                rows.append([*row, base / microseconds])
    print(table(["", "width", "layer", "kernels", "MB", "us", "plain / it"], rows))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--widths", type=int, nargs="+", default=[384, 768])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--gpu", action="store_true")
    options = parser.parse_args()
    print(machine())
    if options.compile:
        compilation()
    elif options.gpu:
        estimates(options.widths)
    else:
        speed(options.widths, options.rounds)


if __name__ == "__main__":
    main()

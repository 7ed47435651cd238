"""A block of a vision transformer, D4 and mirror, against the plain block written in Equinox.

Training steps (gradients of the parameters) on tokens of 14 x 14 patches, by turns in one process;
then the time to compile a network of 12 blocks. Both use `jax.nn.dot_product_attention`.

    python benchmarks/vision.py --widths 384 768 --batch 2
    python benchmarks/vision.py --compile
"""

import argparse
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from timing import by_turns, machine, milliseconds, ratio, table

import equivax as evx
from equivax import models
from equivax.nn.authoring import in_turn

GROUPS = {"D4": evx.groups.dihedral(4), "mirror": evx.groups.dihedral(1)}
HEAD = 64


class PlainBlock(eqx.Module):
    """The same block without symmetry."""

    first: jax.Array
    second: jax.Array
    qkv: eqx.nn.Linear
    out: eqx.nn.Linear
    up: eqx.nn.Linear
    down: eqx.nn.Linear

    def __init__(self, width: int, key: jax.Array):
        keys = jax.random.split(key, 4)
        self.first, self.second = jnp.ones(width), jnp.ones(width)
        self.qkv = eqx.nn.Linear(width, 3 * width, key=keys[0])
        self.out = eqx.nn.Linear(width, width, key=keys[1])
        self.up = eqx.nn.Linear(width, 4 * width, key=keys[2])
        self.down = eqx.nn.Linear(4 * width, width, key=keys[3])

    def __call__(self, x: jax.Array) -> jax.Array:
        """Tokens ``(B, T, width)``."""
        y = linear(self.qkv, rms(self.first, x))
        q, k, v = jnp.split(y.reshape(*x.shape[:2], -1, HEAD), 3, axis=2)
        y = jax.nn.dot_product_attention(q, k, v).reshape(x.shape)
        x = x + linear(self.out, y)
        return x + linear(self.down, jax.nn.gelu(linear(self.up, rms(self.second, x))))


class Chain(eqx.Module):
    """Blocks in turn, as `VisionTransformer` has them."""

    blocks: list[Any]

    def __call__(self, x: jax.Array) -> jax.Array:
        """Tokens behind the last block."""
        if not isinstance(self.blocks[0], PlainBlock):
            return in_turn(self.blocks, x, key=None)
        for one in self.blocks:
            x = one(x)
        return x


def linear(layer: eqx.nn.Linear, x: jax.Array) -> jax.Array:
    """An Equinox layer on the last axis."""
    return x @ layer.weight.T + layer.bias


def rms(scale: jax.Array, x: jax.Array) -> jax.Array:
    """Root mean square norm."""
    return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-6) * scale


@eqx.filter_jit
def step(model: Any, x: jax.Array) -> Any:
    """Gradients of the parameters."""
    return eqx.filter_grad(lambda m, x: jnp.square(m(x)).mean())(model, x)


def block(name: str, width: int, dtype: Any) -> Any:
    """A block of a group, or the plain one."""
    key = jax.random.key(0)
    if name == "plain":
        made = PlainBlock(width, key)
        return jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_array(leaf) else leaf, made)
    rep = width // GROUPS[name].order * GROUPS[name].regular
    return models.VisionBlock(rep, width // HEAD, dtype=dtype, key=key)


def steps(options: argparse.Namespace) -> None:
    """Prints milliseconds of a training step, and how many times faster than the plain one."""
    dtype, rows = jnp.dtype(options.dtype), []
    for width in options.widths:
        x = jax.random.normal(jax.random.key(1), (options.batch, options.tokens, width), dtype)
        calls = {}
        for name in ["plain", *GROUPS]:
            made = block(name, width, dtype)
            calls[name] = lambda made=made, x=x: step(made, x)
        clock = time.process_time if options.processor else time.perf_counter
        found = by_turns(calls, rounds=options.rounds, clock=clock)
        row = [width, *(milliseconds(found[name]) for name in calls)]
        rows.append([*row, *(ratio(found["plain"], found[name]) for name in GROUPS)])
    print(f"{options.batch} x {options.tokens} tokens, {dtype.name}, {machine()}")
    print(table(["width", "plain ms", *(f"{n} ms" for n in GROUPS),
                 *(f"{n}: times faster" for n in GROUPS)], rows))  # fmt: skip


def compilation(options: argparse.Namespace) -> None:
    """Prints seconds to trace and compile a training step of 12 blocks."""
    width, rows = options.widths[0], []
    x = jnp.ones((options.batch, options.tokens, width))
    for name in ["plain", *GROUPS]:
        made = Chain([block(name, width, jnp.float32) for _ in range(12)])
        start = time.process_time()
        lowered = step.lower(made, x)
        middle = time.process_time()
        lowered.compile()
        rows.append([name, middle - start, time.process_time() - middle])
    print(f"12 blocks of width {width}: processor seconds, {machine()}")
    print(table(["network", "trace", "compile"], rows))


def main() -> None:
    """Parses the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="*", default=[384, 768])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=196)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--processor", action="store_true", help="processor time, not wall time")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    (compilation if options.compile else steps)(options)


if __name__ == "__main__":
    main()

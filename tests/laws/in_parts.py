"""Layers in parts, one per device: what eight devices compute together, and what they send.

Run as a program on eight devices of a CPU, in a process of its own, since their number is fixed
when JAX starts. It prints, for every case, the error of value and gradients, the collectives of the
compiled step, the same of the plain layers, and how many numbers all sums over devices have.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

import equivax as evx
from equivax import nn
from laws import relative

#: Older releases of JAX, without explicit axes, have another shard_map.
NEW = hasattr(jax.sharding, "use_abstract_mesh")
shard_map: Any = getattr(jax, "shard_map", None) if NEW else None
AxisType: Any = getattr(jax.sharding, "AxisType", None)

G = evx.groups.dihedral(4)
NARROW, WIDE, ROWS, TOKENS, DEPTH = 2, 16, 16, 3, 2
FIRST, SECOND = jax.random.split(jax.random.key(0))
MODES = ("dense", "spectral", "irreps")
TRANSFORMER_MODES = MODES[1:]


# ---- layers ------------------------------------------------------------------------------------


class Mlp(eqx.Module):
    """Two maps and a function, the second without a bias: parts are added up."""

    up: nn.Linear
    act: nn.PointwiseNonlinearity
    down: nn.Linear

    def __init__(self, wide: int, mode: str) -> None:
        inner, outer = wide * G.regular, NARROW * G.regular
        self.up = nn.Linear(outer, inner, mode=mode, key=FIRST)
        self.act = nn.PointwiseNonlinearity(inner, jax.nn.gelu)
        self.down = nn.Linear(inner, outer, mode=mode, use_bias=False, key=SECOND)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.down(self.act(self.up(x)))


class PlainMlp(eqx.Module):
    """The same of Equinox."""

    up: eqx.nn.Linear
    down: eqx.nn.Linear

    def __init__(self, wide: int) -> None:
        inner, outer = 8 * wide, 8 * NARROW
        self.up = eqx.nn.Linear(outer, inner, key=FIRST)
        self.down = eqx.nn.Linear(inner, outer, use_bias=False, key=SECOND)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.vmap(lambda v: self.down(jax.nn.gelu(self.up(v))))(x)


def attention(heads: int) -> nn.MultiheadAttention:
    """Heads of one regular field each."""
    rep = NARROW * G.regular
    return nn.MultiheadAttention(rep, heads, head_type=G.regular, use_bias=False, key=FIRST)


class PlainAttention(eqx.Module):
    """Heads of as many channels, on a sequence."""

    attention: eqx.nn.MultiheadAttention

    def __init__(self, heads: int) -> None:
        self.attention = eqx.nn.MultiheadAttention(
            heads, 8 * NARROW, qk_size=8, vo_size=8, key=FIRST
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.attention(x, x, x)


def transformer(heads: int, mode: str) -> evx.models.TransformerEncoder:
    """Heads of one regular field each, and two hidden fields for each head."""
    rep = NARROW * G.regular
    options: dict[str, Any] = {"head_type": G.regular, "feedforward": 2 * heads * G.regular}
    return evx.models.TransformerEncoder(
        rep, heads, DEPTH, use_bias=False, mode=mode, key=FIRST, **options
    )


class PlainTransformer(eqx.Module):
    """The same of Equinox, with a number for each channel in its norms."""

    attention: tuple[PlainAttention, ...]
    feedforward: tuple[PlainMlp, ...]
    norms: tuple[eqx.nn.RMSNorm, ...]

    def __init__(self, heads: int) -> None:
        self.attention = tuple(PlainAttention(heads) for _ in range(DEPTH))
        self.feedforward = tuple(PlainMlp(2 * heads) for _ in range(DEPTH))
        self.norms = tuple(eqx.nn.RMSNorm(8 * NARROW) for _ in range(2 * DEPTH + 1))


Add = Callable[[jax.Array], jax.Array]


def whole_of(layer: Any, x: jax.Array, add: Add) -> jax.Array:
    """What the parts of a layer make together: branches of networks are added one by one."""
    if isinstance(layer, evx.models.TransformerEncoder):
        for own in layer.layers:
            x = x + add(own.attention(own.attention_norm(x)))
            x = x + add(own.feedforward(own.feedforward_norm(x)))
        return layer.norm(x)
    if isinstance(layer, PlainTransformer):
        norms = [jax.vmap(jax.vmap(norm)) for norm in layer.norms]
        for number in range(DEPTH):
            x = x + add(jax.vmap(layer.attention[number])(norms[2 * number](x)))
            x = x + add(jax.vmap(layer.feedforward[number])(norms[2 * number + 1](x)))
        return norms[-1](x)
    return add(layer(x))


#: What makes all of a layer or a part of it, by the number of wide fields or heads.
BUILDS: dict[str, tuple[Callable[[int], Any], Callable[[int], Any]]] = {
    **{f"MLP, {mode}": (lambda wide, mode=mode: Mlp(wide, mode), PlainMlp) for mode in MODES},
    "attention": (attention, PlainAttention),
    **{
        f"transformer, {mode}": (functools.partial(transformer, mode=mode), PlainTransformer)
        for mode in TRANSFORMER_MODES
    },
}


# ---- programs ----------------------------------------------------------------------------------


def loss_of(layer: Any, x: jax.Array) -> jax.Array:
    plain = isinstance(layer, PlainTransformer)
    return jnp.mean(jnp.sin(whole_of(layer, x, lambda y: y) if plain else layer(x)))


def specs(whole: list[Any], part: list[Any], axis: str) -> list[PartitionSpec]:
    """Every array is cut where the part's is shorter."""
    return [
        PartitionSpec(*(axis if n != m else None for n, m in zip(a.shape, b.shape, strict=True)))
        for a, b in zip(whole, part, strict=True)
    ]


def in_parts(
    build: Callable[[int], Any], mesh: Any, wide: int, x: jax.Array
) -> tuple[Any, tuple[Any, ...]]:
    """Loss and gradients of a layer on a mesh of batch and fields, and its arguments."""
    leaves = jax.tree.leaves(eqx.filter(build(wide), eqx.is_array))
    part = eqx.filter_eval_shape(build, wide // mesh.shape["fields"])
    shapes, rest = eqx.partition(part, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
    structure = jax.tree.structure(shapes)
    cut, batch = specs(leaves, jax.tree.leaves(shapes), "fields"), PartitionSpec("batch")

    def add(y: jax.Array) -> jax.Array:
        return jax.lax.psum(y, "fields") if mesh.shape["fields"] > 1 else y

    def step(leaves: list[Any], x: jax.Array) -> Any:
        def loss(leaves: list[Any], x: jax.Array) -> jax.Array:
            layer = eqx.combine(jax.tree.unflatten(structure, leaves), rest)
            y = whole_of(layer, x, add)
            return jax.lax.pmean(jnp.mean(jnp.sin(y)), "batch")

        return jax.value_and_grad(loss, argnums=(0, 1))(leaves, x)

    outputs = PartitionSpec(), (cut, batch)
    mapped = shard_map(step, mesh=mesh, in_specs=(cut, batch), out_specs=outputs)
    placed = [jax.device_put(a, NamedSharding(mesh, s)) for a, s in zip(leaves, cut, strict=True)]
    return mapped, (placed, jax.device_put(x, NamedSharding(mesh, batch)))


def example(name: str) -> jax.Array:
    shape = (ROWS, TOKENS) if name.startswith("transformer") else (ROWS,)
    return jax.random.normal(jax.random.key(2), (*shape, 8 * NARROW))


def alone(build: Callable[[int], Any], wide: int, x: jax.Array) -> tuple[Any, tuple[Any, ...]]:
    """The same of all of the layer on one device."""
    whole, rest = eqx.partition(build(wide), eqx.is_array)
    leaves, structure = jax.tree.flatten(whole)

    def step(leaves: list[Any], x: jax.Array) -> Any:
        def loss(leaves: list[Any], x: jax.Array) -> jax.Array:
            return loss_of(eqx.combine(jax.tree.unflatten(structure, leaves), rest), x)

        return jax.value_and_grad(loss, argnums=(0, 1))(leaves, x)

    return step, (leaves, x)


def over_the_batch(
    build: Callable[[int], Any], wide: int, x: jax.Array
) -> tuple[Any, tuple[Any, ...]]:
    """The same with the batch on all devices and the layer on each, as the compiler divides it."""
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Auto,))
    step, arguments = alone(build, wide, x)
    specs = PartitionSpec(), PartitionSpec("batch")
    places = (NamedSharding(mesh, spec) for spec in specs)
    return step, tuple(jax.device_put(a, place) for a, place in zip(arguments, places, strict=True))


# ---- what is counted ---------------------------------------------------------------------------

COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")


def collectives(text: str | None) -> tuple[dict[str, int], int]:
    """How many of each kind a program has, and how many numbers they give."""
    found, numbers = Counter(), 0
    for line in (text or "").splitlines():
        match = re.search(rf"= (.*?) ({'|'.join(COLLECTIVES)})(?:-start)?\(", line)
        if match:
            found[match[2]] += 1
            for sizes in re.findall(r"[a-z]\w*\[([\d,]*)\]", match[1]):
                numbers += math.prod(int(n) for n in sizes.split(",") if n)
    return dict(found), numbers


def report(name: str, made: Any, plain: Any, expected: Any) -> None:
    step, arguments = made
    compiled = jax.jit(step).lower(*arguments).compile()
    found, numbers = collectives(compiled.as_text())
    value, wanted = (
        [jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)]
        for tree in (compiled(*arguments), expected)
    )
    line = {
        "error": max(relative(a, b) for a, b in zip(value, wanted, strict=True)),
        "collectives": found,
        "numbers": numbers,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(arguments[0])),
    }
    other, inputs = plain
    text = jax.jit(other).lower(*inputs).compile().as_text()
    line["plain"], line["plain numbers"] = collectives(text)
    print(json.dumps([name, line]), flush=True)


def main() -> None:
    def mesh(*sizes: int) -> Any:
        types = (AxisType.Auto,) * 2
        return jax.make_mesh(sizes, ("batch", "fields"), axis_types=types)

    for name, (build, plain) in BUILDS.items():
        wide, x = WIDE if name.startswith("MLP") else 8, example(name)
        step, arguments = alone(build, wide, x)
        expected = jax.jit(step)(*arguments)
        # The rows of attention are one sequence.
        meshes = {"fields": mesh(1, 8), "both": mesh(2, 4), "batch": mesh(8, 1)}
        for kind, own in list(meshes.items())[: 1 if name == "attention" else 3]:
            made, other = (in_parts(b, own, wide, x) for b in (build, plain))
            report(f"{kind}: {name}", made, other, expected)
        if name != "attention":
            made, other = (over_the_batch(b, wide, x) for b in (build, plain))
            report(f"jit: {name}", made, other, expected)


if __name__ == "__main__":
    main()

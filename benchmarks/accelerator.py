"""How fast are training steps on this machine's default device, against plain Equinox?

One line per case as it is measured: the time of the plain step and of ours, and their ratio, in
float32 and bfloat16, interleaved in one process. A step is the gradient of ``mean(y^2)`` in
parameters and input. On a GPU everything, in about five minutes; on a CPU a small version.

    python benchmarks/accelerator.py [--small] [--only linear conv ...]
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from timing import machine, ratio

import equivax as evx

#: A turn of one function takes at least so many seconds, so that dispatch is hidden.
TURN = 0.02
ROUNDS = 5
GROUPS = {
    "C2": evx.groups.cyclic(2),
    "C8": evx.groups.cyclic(8),
    "D4": evx.groups.dihedral(4),
    "C16": evx.groups.cyclic(16),
    "octahedral": evx.groups.octahedral(),
    "icosahedral": evx.groups.icosahedral(),
}


@dataclasses.dataclass
class Case:
    """A plain layer and ours, for one array."""

    name: str
    x: jax.Array
    plain: Any
    ours: dict[str, Any]
    batched: bool = False  # ours takes the batch as it is; the plain one is always mapped
    inside: Any = None  # what the mode "inside" takes instead of x


def compiled(layer: Any, x: jax.Array, batched: bool) -> Callable[[], Any]:
    """A compiled training step as a call without arguments."""
    parameters, static = eqx.partition(layer, eqx.is_inexact_array)

    def loss(parameters: Any, x: jax.Array) -> jax.Array:
        layer = eqx.combine(parameters, static)
        y = layer(x) if batched else jax.vmap(layer)(x)
        return sum(jnp.mean(jnp.square(a.astype(jnp.float32))) for a in jax.tree.leaves(y))

    step = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(parameters, x).compile()
    return lambda: step(parameters, x)


def by_turns(calls: dict[str, Callable[[], Any]]) -> dict[str, np.ndarray]:
    """Seconds per call of each function, in turns of many calls."""
    counts = {}
    for name, call in calls.items():
        for _ in range(2):
            jax.block_until_ready(call())
        start = time.perf_counter()
        jax.block_until_ready([call() for _ in range(3)])
        counts[name] = max(1, int(np.ceil(3 * TURN / (time.perf_counter() - start))))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(counts[name]):
                out = call()
            jax.block_until_ready(out)
            seconds[name].append((time.perf_counter() - start) / counts[name])
    return {name: np.array(values) for name, values in seconds.items()}


def cast(tree: Any, dtype: Any) -> Any:
    """A layer with its parameters in another type."""
    return jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, tree)


# ---- cases ---------------------------------------------------------------------------------------


def linear(small: bool, dtype: Any, key: jax.Array) -> Iterator[Case]:
    """Linear layers between regular types, in every mode, and between types of irreps."""
    widths = (256,) if small else (1024, 4096)
    for name, group in GROUPS.items():
        for width in widths:
            copies = max(1, width // group.order)
            type_ = copies * group.regular
            rows = 256 if small else 8192
            x = jax.random.normal(key, (rows, type_.size), dtype)
            plain = eqx.nn.Linear(type_.size, type_.size, key=key, dtype=dtype)
            modes = ("auto", "dense", "spectral") if name in ("C2", "D4") else ("auto", "spectral")
            ours = {
                mode: evx.nn.Linear(type_, type_, mode=mode, key=key, dtype=dtype) for mode in modes
            }
            yield Case(f"Linear {name} x {copies}, {rows} rows", x, plain, ours)


def block(small: bool, dtype: Any, key: jax.Array) -> Iterator[Case]:
    """The two layers of a transformer's block, ``d - 4 d - d`` with GELU."""
    for name in ("D4", "C8"):
        group = GROUPS[name]
        for width in (128,) if small else (768, 1024, 1280):
            inner, outer = (
                n * group.regular for n in (4 * width // group.order, width // group.order)
            )
            rows = 256 if small else 16384
            x = jax.random.normal(key, (rows, outer.size), dtype)
            first, second = jax.random.split(key)
            plain = eqx.nn.Sequential(
                [
                    eqx.nn.Linear(outer.size, inner.size, key=first, dtype=dtype),
                    eqx.nn.Lambda(jax.nn.gelu),
                    eqx.nn.Linear(inner.size, outer.size, key=second, dtype=dtype),
                ]
            )
            ours = {
                mode: evx.nn.Sequential(
                    evx.nn.Linear(outer, inner, mode=mode, key=first, dtype=dtype),
                    evx.nn.PointwiseNonlinearity(inner, jax.nn.gelu),
                    evx.nn.Linear(inner, outer, mode=mode, key=second, dtype=dtype),
                )
                for mode in ("auto", "spectral")
            }
            yield Case(f"block {name}, d = {width}, {rows} rows", x, plain, ours)


def irreps(small: bool, dtype: Any, key: jax.Array) -> Iterator[Case]:
    """Features that stay irrep by irrep: inside a network, and between arrays at its two ends."""
    rows = 256 if small else 8192
    for name in ("C8", "D4"):
        type_ = ((128 if small else 4096) // GROUPS[name].order) * GROUPS[name].regular
        x = jax.random.normal(key, (rows, type_.size), dtype)
        plain = eqx.nn.Linear(type_.size, type_.size, key=key, dtype=dtype)
        layer = evx.nn.Linear(type_, type_, mode="irreps", key=key, dtype=dtype)
        inside = evx.IrrepTensor.of(type_, x)
        ours = {"irreps": layer, "inside": layer}
        yield Case(f"Linear {name}, {type_.size}, {rows} rows", x, plain, ours, inside=inside)
    rows *= 2
    widths = {"D4": (768, 1024, 1280, 1536), **dict.fromkeys(("C2", "C8", "octahedral"), (1024,))}
    for name, all_widths in widths.items():
        for width in (128,) if small else all_widths:
            copies, regular = max(1, width // GROUPS[name].order), GROUPS[name].regular
            outer, inner = copies * regular, 4 * copies * regular
            x = jax.random.normal(key, (rows, outer.size), dtype)
            plain = eqx.nn.MLP(
                outer.size, outer.size, inner.size, 1, jax.nn.gelu, dtype=dtype, key=key
            )
            options: dict[str, Any] = dict(activation=jax.nn.gelu, dtype=dtype, key=key)
            ours = {
                mode: evx.models.MLP(outer, outer, [inner], mode=mode, **options)
                for mode in ("auto", "irreps")
            }
            yield Case(
                f"MLP {name}, d = {outer.size}, {rows} rows",
                x,
                plain,
                {**ours, "inside": ours["irreps"]},
                inside=evx.IrrepTensor.of(outer, x),
            )


def conv(small: bool, dtype: Any, key: jax.Array) -> Iterator[Case]:
    """Steerable convolutions against plain ones of as many channels."""
    spaces = {
        "C4": evx.spaces.rot_on_r2(4),
        "C8": evx.spaces.rot_on_r2(8),
        "D8": evx.spaces.flip_rot_on_r2(8),
    }
    batch, side = (2, 16) if small else (32, 64)
    for name, space in spaces.items():
        for channels, size in ((32, 3),) if small else ((64, 3), (128, 5), (256, 3)):
            type_ = evx.FieldType(space, (channels // space.group.order) * space.regular)
            x = jax.random.normal(key, (batch, channels, side, side), dtype)
            plain = eqx.nn.Conv2d(channels, channels, size, padding=size // 2, key=key, dtype=dtype)
            layer = evx.nn.Conv(type_, type_, size, padding=size // 2, key=key, dtype=dtype)
            yield Case(f"Conv {name}, {channels} channels, k = {size}", x, plain, {"auto": layer})


def images(small: bool, dtype: Any, key: jax.Array) -> Iterator[Case]:
    """Layers on tensor images: convolution, whitening and activations."""
    fields = 2 if small else 8
    signature = evx.images.Signature((((0, 0), fields), ((1, 0), fields), ((2, 0), fields)))
    batch, side = (2, 16) if small else (16, 64)
    type_ = signature.field_type(2)
    x = jax.random.normal(key, (batch, type_.size, side, side), dtype)
    plain = eqx.nn.Conv2d(
        type_.size, type_.size, 3, padding=1, padding_mode="CIRCULAR", key=key, dtype=dtype
    )
    layer = evx.nn.ConvContract(signature, signature, 3, use_bias="scalar", key=key, dtype=dtype)
    yield Case("ConvContract, orders 0 to 2", x, plain, {"auto": layer})
    norm = cast(eqx.nn.GroupNorm(1, type_.size), dtype)
    yield Case("GroupNorm (whitening)", x, norm, {"auto": cast(evx.nn.GroupNorm(type_), dtype)})
    neuron = evx.nn.VectorNeuron(type_, key=key)
    yield Case("VectorNeuron", x, jax.nn.gelu, {"auto": cast(neuron, dtype)})


def others(small: bool, dtype: Any, key: jax.Array) -> Iterator[Case]:
    """Nonlinearities, norms and pools on regular fields against their closest plain layers."""
    space = evx.spaces.flip_rot_on_r2(8)
    type_ = evx.FieldType(space, (2 if small else 16) * space.regular)
    batch, side = (2, 16) if small else (16, 64)
    x = jax.random.normal(key, (batch, type_.size, side, side), dtype)
    nn, elu = evx.nn, jax.nn.elu
    norm = cast(eqx.nn.GroupNorm(1, type_.size), dtype)
    yield Case("ELU", x, elu, {"auto": nn.ELU(type_)})
    yield Case("NormNonlinearity", x, elu, {"auto": cast(nn.NormNonlinearity(type_), dtype)})
    yield Case("FieldNorm", x, norm, {"auto": cast(nn.FieldNorm(type_), dtype)})
    pool = eqx.nn.MaxPool2d(2, 2)
    yield Case(
        "PointwiseMaxPool", x, pool, {"auto": nn.PointwiseMaxPool(type_, 2, grid_check="off")}
    )
    yield Case("NormMaxPool", x, pool, {"auto": nn.NormMaxPool(type_, 2, grid_check="off")})
    mean = eqx.nn.AvgPool2d(2, 2)
    yield Case(
        "PointwiseAvgPool", x, mean, {"auto": nn.PointwiseAvgPool(type_, 2, grid_check="off")}
    )
    group = jax.nn.relu
    yield Case("GroupPooling", x, group, {"auto": nn.GroupPooling(type_)})


FAMILIES = {
    "linear": linear,
    "block": block,
    "irreps": irreps,
    "conv": conv,
    "images": images,
    "others": others,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="small arrays; the default on a CPU")
    parser.add_argument("--only", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    options = parser.parse_args()
    small = options.small or jax.default_backend() == "cpu"
    print(f"{machine()}; training step, ratio to the plain layer (below 1 is faster)", flush=True)
    print("| layer | type | plain, ms | ours, ms | ratio |", "|---|---|---|---|---|", sep="\n")
    begun = time.perf_counter()
    for family in options.only:
        for dtype in (jnp.float32, jnp.bfloat16):
            for case in FAMILIES[family](small, dtype, jax.random.key(0)):
                measure(case, jnp.dtype(dtype).name)
    print(f"{time.perf_counter() - begun:.0f} s")


def measure(case: Case, dtype: str) -> None:
    """Prints a line per mode; a case that fails says so and does not stop the others."""
    try:
        calls = {"plain": compiled(case.plain, case.x, batched=False)}
        for mode, layer in case.ours.items():
            x = case.inside if mode == "inside" else case.x
            calls[mode] = compiled(layer, x, batched=case.batched)
        seconds = by_turns(calls)
    except Exception as error:  # an unsupported type on one device is a finding, not the end
        print(f"| {case.name} | {dtype} | failed: {str(error).splitlines()[0][:80]} |", flush=True)
        return
    for mode in case.ours:
        label = case.name if mode == "auto" else f"{case.name}, {mode}"
        plain, ours = (float(np.median(seconds[name])) * 1e3 for name in ("plain", mode))
        quotient = ratio(seconds[mode], seconds["plain"])
        print(f"| {label} | {dtype} | {plain:.3f} | {ours:.3f} | {quotient:.2f} |", flush=True)


if __name__ == "__main__":
    main()

"""How fast are training steps on this machine's default device, against plain Equinox?

One line per case as it is measured: the time of the plain step and of ours, and their ratio, in
float32 and bfloat16, interleaved in one process. A step is the gradient of ``mean(y^2)`` in
parameters and input; layers of the family ``amid`` stand amid others, where the output is written
and the cotangent read. On a CPU a small version.

A GPU compiles products by timing many, which takes seconds each. So a family in one type ends after
24 seconds, or as many as ``--seconds`` says, and all of them in less than six minutes; what matters
most comes first, and what is left out is named. With ready-made products alone, which are few,
``XLA_FLAGS="--xla_gpu_enable_triton_gemm=false --xla_gpu_autotune_level=2"``, that is most cases.

    python benchmarks/accelerator.py [--small] [--only linear conv ...] [--types bfloat16]
        [--ways auto inside] [--seconds 60]
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import points as clouds
import transformer
import volumes
from jax.typing import DTypeLike
from timing import HOST, Program, by_turns, compiled, machine, ratio, training_step

import equivax as evx
import kernels

#: A turn of one function takes at least so many seconds, so that dispatch is hidden.
TURN = 0.015
ROUNDS = 5
GROUPS = {
    "D4": evx.groups.dihedral(4),
    "C2": evx.groups.cyclic(2),
    "octahedral": evx.groups.octahedral(),
    "C8": evx.groups.cyclic(8),
    "C16": evx.groups.cyclic(16),
    "icosahedral": evx.groups.icosahedral(),
}

#: Name, and programs: what is called plain, in one way or several, and ours by modes.
Case = tuple[str, dict[str, Program]]


def array(dtype: DTypeLike, *shape: int) -> jax.ShapeDtypeStruct:
    """The shape of an array."""
    return jax.ShapeDtypeStruct(shape, dtype)


def irrep_wise(rep: Any, x: jax.ShapeDtypeStruct) -> Any:
    """The shapes of its `IrrepTensor`."""
    return jax.eval_shape(functools.partial(evx.IrrepTensor.of, rep), x)


def cast(tree: Any, dtype: DTypeLike) -> Any:
    """A layer with its parameters in another type."""
    return jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, tree)


# ---- cases ---------------------------------------------------------------------------------------


def linear(small: bool, dtype: DTypeLike, key: jax.Array) -> Iterator[Case]:
    """Linear layers between regular types, in every mode, and between types of irreps."""
    rows, widths = (256, (256,)) if small else (8192, (1024, 4096))
    for name, group in GROUPS.items():
        for width in widths:
            copies = max(1, width // group.order)
            type_ = copies * group.regular
            x = array(dtype, rows, type_.size)
            options: dict[str, Any] = {"key": key, "dtype": dtype}
            programs = {"plain": training_step(eqx.nn.Linear(type_.size, type_.size, **options), x)}
            for mode in ("auto", "dense", "spectral", "irreps"):
                layer = evx.nn.Linear(type_, type_, mode=mode, **options)
                programs[mode] = training_step(layer, x)
            programs["inside"] = training_step(layer, irrep_wise(type_, x))
            yield f"Linear {name} x {copies}, {rows} rows", programs


def mlp(small: bool, dtype: DTypeLike, key: jax.Array) -> Iterator[Case]:
    """The two layers of a transformer's block, ``d - 4 d - d`` with GELU."""
    rows = 256 if small else 16384
    widths = {"D4": (1280, 1024, 768, 1536, 512), **dict.fromkeys(("C2", "C8"), (1024,))}
    for name, all_widths in {**widths, "octahedral": (1024,)}.items():
        for width in (128,) if small else all_widths:
            copies, regular = max(1, width // GROUPS[name].order), GROUPS[name].regular
            outer, inner = copies * regular, 4 * copies * regular
            x = array(dtype, rows, outer.size)
            options: dict[str, Any] = {"dtype": dtype, "key": key}
            plain = eqx.nn.MLP(outer.size, outer.size, inner.size, 1, jax.nn.gelu, **options)
            model = functools.partial(
                evx.models.MLP, outer, outer, [inner], activation=jax.nn.gelu, **options
            )
            yield (
                f"MLP {name}, d = {outer.size}, {rows} rows",
                {
                    "plain": training_step(plain, x),
                    "auto": training_step(model(), x),
                    "irreps": training_step(model(mode="irreps"), x),
                    "inside": training_step(model(mode="irreps"), irrep_wise(outer, x)),
                },
            )


def attention(small: bool, dtype: DTypeLike, key: jax.Array) -> Iterator[Case]:
    """A layer of a transformer on images of 196 tokens; plain ones by both kinds of attention."""
    images, widths = (2, (128,)) if small else (64, (1024, 1536, 768, 1280, 384))
    ways = ["xla"]
    if jax.default_backend() == "gpu" and jnp.dtype(dtype).itemsize == 2:
        ways += ["cudnn"]
    for width in widths:
        heads = max(1, width // 64)
        x = array(dtype, images, transformer.TOKENS, width)
        programs = {}
        for way in ways:
            plain = cast(transformer.PlainLayer(width, heads, key, way), dtype)
            programs[f"plain, {way}"] = training_step(plain, x, mapped=False)
        for name in ("C2", "D4"):
            rep = (width // GROUPS[name].order) * GROUPS[name].regular
            for way in ways:
                layer = evx.models.TransformerEncoderLayer(
                    rep, heads, implementation=way, dtype=dtype, key=key
                )
                for place, given in (("auto", x), ("inside", irrep_wise(rep, x))):
                    programs[f"{name}, {place}, {way}"] = training_step(layer, given, mapped=False)
        yield f"transformer layer, d = {width}, {images} x {transformer.TOKENS} tokens", programs


def conv(small: bool, dtype: DTypeLike, key: jax.Array) -> Iterator[Case]:
    """Steerable convolutions on planes against plain ones of as many channels."""
    spaces = {
        "C4": evx.spaces.rot_on_r2(4),
        "C8": evx.spaces.rot_on_r2(8),
        "D8": evx.spaces.flip_rot_on_r2(8),
    }
    batch, side = (2, 16) if small else (32, 64)
    for name, space in spaces.items():
        for channels, size in ((32, 3),) if small else ((64, 3), (128, 5), (256, 3)):
            type_ = evx.FieldType(space, (channels // space.group.order) * space.regular)
            x = array(dtype, batch, channels, side, side)
            options: dict[str, Any] = {"padding": size // 2, "key": key, "dtype": dtype}
            plain = eqx.nn.Conv2d(channels, channels, size, **options)
            layer = evx.nn.Conv(type_, type_, size, **options)
            yield (
                f"Conv {name}, {channels} channels, k = {size}",
                {"plain": training_step(plain, x), "auto": training_step(layer, x)},
            )
    signature = evx.images.Signature((((0, 0), 8), ((1, 0), 8), ((2, 0), 8)))
    channels = signature.field_type(2).size
    x = array(dtype, batch // 2, channels, side, side)
    options = {"key": key, "dtype": dtype}
    for bias in (True, False):
        plain = eqx.nn.Conv2d(
            channels, channels, 3, padding=1, padding_mode="CIRCULAR", use_bias=bias, **options
        )
        way = "scalar" if bias else False
        layer = evx.nn.ConvContract(signature, signature, 3, use_bias=way, **options)
        yield (
            f"ConvContract, orders 0 to 2{'' if bias else ', no bias'}",
            {"plain": training_step(plain, x), "auto": training_step(layer, x)},
        )


def conv3d(small: bool, dtype: DTypeLike, key: jax.Array) -> Iterator[Case]:
    """Steerable convolutions in space against plain ones of as many channels."""
    batch, side = (1, 8) if small else (8, 24)
    for name, type_ in volumes.types().items():
        for copies, size in ((1, 3),) if small else ((1, 3), (2, 3), (1, 5)):
            own = evx.FieldType(type_.space, copies * type_.representation)
            x = array(dtype, batch, own.size, side, side, side)
            options: dict[str, Any] = {"padding": size // 2, "key": key, "dtype": dtype}
            plain = eqx.nn.Conv3d(own.size, own.size, size, **options)
            layer = evx.nn.Conv(own, own, size, **options)
            yield (
                f"Conv3d {name}, {own.size} channels, k = {size}",
                {"plain": training_step(plain, x), "auto": training_step(layer, x)},
            )


class OnCloud(eqx.Module):
    """A layer on the points of a graph, of features and positions."""

    layer: Any
    senders: Any
    receivers: Any

    def __call__(self, given: Any) -> jax.Array:
        return self.layer(*given, self.senders, self.receivers)


def points(small: bool, dtype: DTypeLike, key: jax.Array) -> Iterator[Case]:
    """`PointConv` against the edge MLP of as many channels."""
    for name, type_ in clouds.types().items():
        for count in (64,) if small else (256, 4096, 16384):
            receivers = np.repeat(np.arange(count), clouds.NEIGHBOURS)
            senders = np.random.default_rng(0).integers(0, count, len(receivers))
            dim = type_.space.dim
            x = array(dtype, count, type_.size), array(dtype, count, dim)
            layers = {
                "plain": clouds.EdgeMLP(dim, type_.size, key),
                "auto": evx.nn.PointConv(type_, type_, width=2.0, rings=3, key=key),
            }
            programs = {
                way: training_step(OnCloud(cast(layer, dtype), senders, receivers), x, mapped=False)
                for way, layer in layers.items()
            }
            yield f"PointConv {name}, {count} points", programs


def amid(small: bool, dtype: DTypeLike, key: jax.Array) -> Iterator[Case]:
    """Norms, nonlinearities and pools amid other layers, against their closest plain ones."""
    for name, plain_name, plain, ours, x in kernels.beside():
        x = array(dtype, 2 if small else x.shape[0], *x.shape[1:])
        ways = {"plain": plain, "auto": ours}
        programs = {way: kernels.amid(cast(layer, dtype), x) for way, layer in ways.items()}
        yield f"{name} / {plain_name}", programs


FAMILIES = {
    "linear": linear,
    "mlp": mlp,
    "attention": attention,
    "conv": conv,
    "conv3d": conv3d,
    "points": points,
    "amid": amid,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="small arrays; the default on a CPU")
    parser.add_argument("--only", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--types", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument(
        "--ways", nargs="+", default=[""], metavar="WORD", help="beside the plain layers"
    )
    parser.add_argument("--seconds", type=float, default=24.0, help="of a family in one type")
    options = parser.parse_args()
    small = options.small or jax.default_backend() == "cpu"
    print(f"{machine()}; training step, ratio to the plain layer (below 1 is faster)", flush=True)
    print("| layer | type | plain, ms | ours, ms | ratio |", "|---|---|---|---|---|", sep="\n")
    begun = time.perf_counter()
    for family in options.only:
        for dtype in options.types:
            cases = FAMILIES[family](small, jnp.dtype(dtype), jax.random.key(0))
            measure(cases, dtype, options.ways, time.perf_counter() + options.seconds)
        print(f"{family}: {time.perf_counter() - begun:.0f} s", flush=True)


def measure(cases: Iterator[Case], dtype: str, words: list[str], end: float) -> None:
    """Prints a line per mode; a case that fails says so and does not stop the others."""
    while True:
        with jax.default_device(HOST):
            name, programs = next(cases, ("", {}))
        if not programs:
            return
        if time.perf_counter() > end:
            print(f"| {name} | {dtype} | not run, nor what follows |", flush=True)
            return
        keep = ["plain", *words]
        programs = {way: own for way, own in programs.items() if any(word in way for word in keep)}
        calls = {}
        for way, call in compiled(programs):
            if isinstance(call, Exception):  # an unsupported type on one device is no end
                line = str(call).splitlines()[0][:80]
                print(f"| {name}, {way} | {dtype} | failed: {line} |", flush=True)
            else:
                calls[way] = call
        seconds = by_turns(calls, rounds=ROUNDS, turn=TURN)
        plain_ways = [way for way in calls if way.startswith("plain")]
        if not plain_ways:
            continue  # it has failed
        best = min(plain_ways, key=lambda way: float(np.median(seconds[way])))
        for way, own in seconds.items():
            if way == best:
                continue
            label = name if way == "auto" else f"{name}, {way}"
            plain, ours = (float(np.median(times)) * 1e3 for times in (seconds[best], own))
            quotient = ratio(own, seconds[best])
            print(f"| {label} | {dtype} | {plain:.3f} | {ours:.3f} | {quotient:.2f} |", flush=True)


if __name__ == "__main__":
    main()

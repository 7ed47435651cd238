"""What do layers become on a GPU? Kernels, bytes and an estimate of the time, without a GPU.

XLA compiles for a device that is described and not there: a few numbers (below those of an H100)
are all that the compiler asks of it. The program that comes out is the one that would run there,
but for the choice among ready-made products, which is made by timing them. Its text lists one
instruction per kernel, with the shapes of what is read and written. So

    bytes    of a kernel: those of its operands and results,
    flops    of the products in it: twice the numbers of the result times what is summed over,
    seconds  the larger of bytes / bandwidth and flops / peak, and a launch of 2 microseconds.

That is a lower bound: it knows no cache and no bank, and of convolutions it counts only the bytes.
Of operands that a kernel slices, only the slices count; loops count as often as they run. It tells
which of two programs moves less, not how long either takes; `accelerator.py` measures. Steps are
the gradients of ``sum(sin(y))`` in parameters and input.

    python benchmarks/kernels.py [--all | --beside] [--only WORD ...] [--list]

``--beside`` prints layers beside the closest plain ones, amid others: forward and back, with the
output written and the cotangent read. ``--all`` compiles every layer and network of the tables of
tests and fails if one does not; with ``--list`` kernels are listed. It needs two wheels beside JAX,
of its version, and no driver: ``nox -s kernels`` installs them.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import importlib.util
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec
from timing import table

import equivax as evx
from equivax import nn

#: An NVIDIA H100 SXM, in the words of XLA.
H100 = """
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info { major: 9 minor: 1 patch: 0 }
gpu_device_info {
  cuda_compute_capability { major: 9 minor: 0 }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  memory_bandwidth: 3352320000000
  device_memory_size: 84942979072
  l2_cache_size: 52428800
  shared_memory_per_core: 233472
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
}
"""
BANDWIDTH = 3.35e12
LAUNCH = 2e-6
#: Of matrix units, by the type of the operands; float32 as TF32.
PEAK = collections.defaultdict(lambda: 3.5e14, bf16=7.5e14, f16=7.5e14)
BITS = {"pred": 8, "c64": 64, "c128": 128, "bf16": 16}

#: Instructions that run nothing on the device.
NOTHING = (
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast"),
    *("after-all", "partition-id", "iota"),
)


# ---- compilation -------------------------------------------------------------------------------


def compiled_for_gpu(function: Callable[..., Any], *arguments: Any) -> str:
    """The optimised program of a function of arrays, or of shapes, on one described GPU."""
    topology = topologies.get_topology_desc(
        platform="cuda", topology_name="1x1x1", topology="1x1x1", target_config=H100
    )
    place = NamedSharding(topologies.make_mesh(topology, (1,), ("all",)), PartitionSpec())

    def described(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

    # Formulas that exports take along ask JAX, and not what equivax assumes.
    asked = mock.patch.object(jax, "default_backend", return_value="gpu")
    with evx.hom.assume_platform("gpu"), asked:
        lowered = jax.jit(function).lower(*jax.tree.map(described, arguments))
    try:
        return str(lowered.compile().as_text())
    except jax.errors.JaxRuntimeError:  # some tiny products have no tiles but those found by timing
        options: dict[str, str | bool] = {"xla_gpu_enable_triton_gemm": False}
        return str(lowered.compile(compiler_options=options).as_text())


def step(layer: Any, *inputs: Any) -> tuple[Callable[..., Any], Any]:
    """A training step as a function of arrays, and these arrays."""
    arrays, rest = eqx.partition(layer, eqx.is_array)

    def loss(arrays: Any, *inputs: Any) -> jax.Array:
        y = eqx.combine(arrays, rest)(*inputs)
        sums = [jnp.sum(jnp.sin(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(y)]
        return jnp.sum(jnp.stack(sums))

    return jax.grad(loss, argnums=tuple(range(1 + len(inputs)))), (arrays, *inputs)


# ---- reading -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Instruction:
    """A line of a program: ``name = shape opcode(operands), attributes``."""

    name: str
    shape: str
    opcode: str
    rest: str

    @property
    def operands(self) -> list[str]:
        """Names."""
        return re.findall(r"%([\w.\-]+)", self.rest.split(")", 1)[0])

    @property
    def calls(self) -> str | None:
        """The computation that it runs."""
        found = re.search(r"(?:calls|to_apply|body|called_computations)=\{?%?([\w.\-]+)", self.rest)
        return found[1] if found else None


@dataclasses.dataclass(frozen=True)
class Kernel:
    """What runs on the device."""

    name: str
    kind: str
    bytes: int
    flops: int
    seconds: float


Program = dict[str, dict[str, Instruction]]


def read(text: str) -> tuple[Program, str]:
    """The computations of a program, instructions by name, and the name of the first one."""
    program: Program = {}
    entry, inside = "", None
    head = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
    line_of = re.compile(r"\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|[\w\[\]{},:()]+?) ([\w\-]+)\((.*)$")
    for line in text.splitlines():
        if (found := head.match(line)) and not line.startswith(" "):
            inside = program.setdefault(found[2], {})
            entry = found[2] if found[1] else entry
        elif inside is not None and (found := line_of.match(line)):
            inside[found[1]] = Instruction(*found.groups())
    return program, entry


def shapes(text: str) -> list[tuple[str, list[int]]]:
    """Types and sizes of the arrays that a shape is made of."""
    found = re.findall(r"\b(pred|bf16|[fsuc]\d+|f8\w+)\[([\d,]*)\]", text)
    return [(dtype, [int(n) for n in sizes.split(",") if n]) for dtype, sizes in found]


def size(shape: str) -> int:
    """Bytes."""
    return sum(math.prod(sizes) * _bits(dtype) // 8 for dtype, sizes in shapes(shape))


def _bits(dtype: str) -> int:
    return BITS.get(dtype) or int(re.sub(r"\D.*", "", dtype[1:]))


def summed_over(instruction: Instruction, left: str) -> tuple[int, str]:
    """Multiply-adds of a product times two, and the type of its operands."""
    axes = re.search(r'lhs_contracting_dim\w*"?[=:][{\[]"?([\d",]*)', instruction.rest)
    if not axes or not shapes(left):
        return 0, "f32"
    dtype, sizes = shapes(left)[0]
    inner = math.prod(sizes[int(n)] for n in re.findall(r"\d+", axes[1]))
    return 2 * inner * math.prod(shapes(instruction.shape)[0][1]), dtype


def size_read(inner: dict[str, Instruction], name: str) -> int:
    """Bytes that a fused computation takes of one of its numbers: all, or of slices those."""
    taken, full = 0, size(inner[name].shape)
    for user in inner.values():
        if name in user.operands:
            taken += size_read(inner, user.name) if user.opcode in ("bitcast", "slice") else full
    return min(taken, full)


def kernels(text: str) -> list[Kernel]:
    """Everything that runs, in order."""
    program, entry = read(text)
    return list(_kernels(program, entry))


def _kernels(program: Program, computation: str) -> Iterator[Kernel]:
    lines = program[computation]
    for line in lines.values():
        opcode = line.opcode
        if opcode in NOTHING or opcode.endswith("-done"):
            continue
        if opcode in ("call", "while", "conditional", "async-start") and line.calls in program:
            rounds = re.search(r'"known_trip_count":\{"n":"(\d+)"', line.rest)
            for _ in range(int(rounds[1]) if rounds else 1):
                yield from _kernels(program, line.calls)
            continue
        read_shapes = [lines[name].shape for name in line.operands if name in lines]
        taken = [size(shape) for shape in read_shapes]
        if opcode == "fusion" and line.calls in program:
            inner = program[line.calls]
            taken = [size_read(inner, n) for n, p in inner.items() if p.opcode == "parameter"]
        moved = size(line.shape) + sum(taken)
        kind, flops, dtype = opcode, 0, "f32"
        if opcode == "fusion" and line.calls in program:
            inner = program[line.calls]
            opcodes = {part.opcode for part in inner.values()}
            kinds = ("dot", "convolution", "scatter", "reduce", "transpose")
            kind = next((k for k in kinds if k in opcodes), "pointwise")
            for part in inner.values():
                if part.opcode == "dot":
                    more, dtype = summed_over(part, inner[part.operands[0]].shape)
                    flops += more
        elif opcode == "custom-call":
            target = re.search(r'custom_call_target="([^"]+)"', line.rest)
            kind = target[1].strip("_") if target else opcode
            if "gemm" in kind or "matmul" in kind:
                flops, dtype = summed_over(line, read_shapes[0])
                kind = "dot"
        elif opcode == "dot":
            flops, dtype = summed_over(line, read_shapes[0])
        seconds = LAUNCH + max(moved / BANDWIDTH, flops / PEAK[dtype])
        yield Kernel(line.name, kind, moved, flops, seconds)


# ---- cases -------------------------------------------------------------------------------------


def summary(found: list[Kernel]) -> tuple[int, float, float]:
    """Kernels, megabytes and microseconds."""
    moved, seconds = sum(k.bytes for k in found), sum(k.seconds for k in found)
    return len(found), moved / 1e6, seconds * 1e6


class Mapped(eqx.Module):
    """A layer of Equinox, which takes one example, on several."""

    layer: Any

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.vmap(self.layer)(x)


def cases() -> Iterator[tuple[str, Any, Any]]:
    """Name, layer and input; a plain layer stands before ours."""
    key = jax.random.key(0)
    group = evx.groups.dihedral(4)
    for dtype in (jnp.float32, jnp.bfloat16):
        width, x = 1024, jax.ShapeDtypeStruct((8192, 1024), dtype)
        plain = eqx.nn.Linear(width, width, dtype=dtype, key=key)
        yield f"linear {width}, {dtype.__name__}: plain", Mapped(plain), x
        type_ = width // 8 * group.regular
        for mode in ("dense", "spectral", "irreps"):
            yield f"... D4, {mode}", nn.Linear(type_, type_, mode=mode, dtype=dtype, key=key), x
    space = evx.spaces.flip_rot_on_r2(4)
    type_ = evx.FieldType(space, 16 * space.regular)
    x = jax.ShapeDtypeStruct((16, type_.size, 64, 64), jnp.float32)
    plain = eqx.nn.Conv2d(type_.size, type_.size, 3, padding=1, key=key)
    yield "3 x 3 convolution, 128 channels: plain", Mapped(plain), x
    yield "... D4", nn.Conv(type_, type_, 3, padding=1, key=key), x
    signature = evx.images.Signature((((0, 0), 8), ((1, 0), 8), ((2, 0), 8)))
    type_ = signature.field_type(2)
    x = jax.ShapeDtypeStruct((16, type_.size, 64, 64), jnp.float32)
    plain = eqx.nn.Conv2d(type_.size, type_.size, 3, padding=1, key=key)
    yield "3 x 3 convolution, orders 0, 1, 2: plain", Mapped(plain), x
    yield "... ConvContract", nn.ConvContract(signature, signature, 3, key=key), x
    yield "norm, orders 0, 1, 2: eqx.nn.GroupNorm", Mapped(eqx.nn.GroupNorm(1, type_.size)), x
    yield "... whitening GroupNorm", nn.GroupNorm(type_, 1), x
    yield "pointwise, orders 0, 1, 2: GELU", Mapped(eqx.nn.Lambda(jax.nn.gelu)), x
    yield "... VectorNeuron", nn.VectorNeuron(type_, key=key), x


class Stateful(eqx.Module):
    """A layer with a state as a function of an array."""

    layer: Any
    state: Any

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layer(x, self.state)[0]


class MappedBatchNorm(Stateful):
    """That of Equinox, which takes one example."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.vmap(self.layer, (0, None), (0, None), axis_name="batch")(x, self.state)[0]


def amid(layer: Any, x: Any) -> tuple[Callable[..., Any], Any]:
    """A layer amid others: its output is written, and what comes back is read."""
    arrays, rest = eqx.partition(layer, eqx.is_inexact_array)

    def forward(arrays: Any, x: jax.Array) -> Any:
        return eqx.combine(arrays, rest)(x)

    def there_and_back(arrays: Any, x: jax.Array, cotangent: jax.Array) -> Any:
        y, back = jax.vjp(forward, arrays, x)
        # Otherwise what goes back would be computed along with what goes there.
        y, cotangent = jax.lax.optimization_barrier((y, cotangent))
        return y, back(cotangent)

    return there_and_back, (arrays, x, jax.eval_shape(forward, arrays, x))


def beside() -> Iterator[tuple[str, str, Any, Any, Any]]:
    """Name, name of the closest plain layer, that layer and ours, and the input of both."""
    space, key = evx.spaces.flip_rot_on_r2(4), jax.random.key(0)
    rotations = evx.spaces.rot_on_r2(8)
    signature = evx.images.Signature((((0, 0), 8), ((1, 0), 8), ((2, 0), 8)))
    tensors = signature.field_type(2)
    regular = evx.FieldType(space, 7 * space.regular)
    oriented = evx.FieldType(rotations, 7 * rotations.regular)
    vectors = evx.images.Signature((((1, 0), 28),)).field_type(2)
    gates = evx.FieldType(tensors.space, [*tensors.reps, *len(tensors) * [tensors.space.trivial]])
    marks = [False] * len(tensors) + [True] * len(tensors)

    def array(type_: Any) -> Any:
        return jax.ShapeDtypeStruct((16, type_.size, 64, 64), jnp.float32)

    def both(name: str, plain: Any, ours: Any, type_: Any) -> Any:
        called = type(ours.layer if isinstance(ours, Stateful) else ours).__name__
        return (f"{called}{name}", *plain, ours, array(type_))

    def stateful(made: Any, *arguments: Any, **options: Any) -> Any:
        return Stateful(*eqx.nn.make_with_state(made)(*arguments, **options))

    gelu = "GELU", Mapped(eqx.nn.Lambda(jax.nn.gelu))
    relu = "ReLU", Mapped(eqx.nn.Lambda(jax.nn.relu))
    group = "GroupNorm", Mapped(eqx.nn.GroupNorm(1, 56))
    single = "GroupNorm, one channel each", Mapped(eqx.nn.GroupNorm(56, 56))
    pooled = "MaxPool2d", Mapped(eqx.nn.MaxPool2d(2, 2))
    averaged = "AvgPool2d", Mapped(eqx.nn.AvgPool2d(2, 2))
    moments = stateful(eqx.nn.BatchNorm, 56, "batch", mode="batch")
    batch = "BatchNorm", MappedBatchNorm(moments.layer, moments.state)
    yield both("", relu, nn.ReLU(regular), regular)
    yield both("", gelu, nn.NormNonlinearity(tensors), tensors)
    yield both(", softplus", gelu, nn.InducedNormNonlinearity(regular, jax.nn.softplus), regular)
    yield both("", gelu, nn.GatedNonlinearity(gates, marks), gates)
    yield both("", gelu, nn.ConcatenatedNonlinearity(vectors), vectors)
    yield both("", gelu, nn.VectorFieldNonlinearity(oriented), oriented)
    yield both(", D4", gelu, nn.FourierNonlinearity(regular, jax.nn.gelu), regular)
    yield both("", gelu, nn.VectorNeuron(tensors, key=key), tensors)
    for whiten in ("full", "isotypic", "rms"):
        yield both(f", {whiten}", group, nn.GroupNorm(tensors, 1, whiten=whiten), tensors)
    yield both("", single, nn.InstanceNorm(tensors), tensors)
    yield both("", single, nn.FieldNorm(regular), regular)
    yield both("", batch, stateful(nn.InnerBatchNorm, regular), regular)
    yield both("", batch, stateful(nn.NormBatchNorm, vectors), vectors)
    yield both("", batch, stateful(nn.GNormBatchNorm, tensors), tensors)
    yield both("", batch, stateful(nn.IIDBatchNorm, tensors), tensors)
    yield both("", relu, nn.GroupPooling(regular), regular)
    yield both("", relu, nn.NormPool(tensors), tensors)
    yield both("", pooled, nn.PointwiseMaxPool(regular, 2), regular)
    yield both("", pooled, nn.NormMaxPool(tensors, 2), tensors)
    yield both("", averaged, nn.PointwiseAvgPool(tensors, 2), tensors)


def every_layer() -> Iterator[tuple[str, Callable[[], tuple[Callable[..., Any], Any]]]]:
    """The layers and networks of the tables of tests: name, and what makes a step."""
    tests = Path(__file__).parents[1] / "tests"
    sys.path[:0] = [str(tests / shelf) for shelf in ("laws", "tables", "golden")]
    import on_devices  # pyright: ignore[reportMissingImports]

    for name, case in on_devices.LAYERS.items():

        def made(case: Any = case) -> tuple[Callable[..., Any], Any]:
            arrays, function, inputs = on_devices.prepared(case, None, quiet=False)
            return on_devices.gradients(function), (arrays, *inputs)

        yield name, made


def main() -> None:
    parser = argparse.ArgumentParser(description="What do layers become on a GPU?")
    parser.add_argument("--all", action="store_true", help="every layer of the tables of tests")
    parser.add_argument(
        "--beside", action="store_true", help="layers beside the closest plain ones"
    )
    parser.add_argument("--only", nargs="+", metavar="WORD", help="names with one of the words")
    parser.add_argument("--list", action="store_true", help="list the kernels")
    arguments = parser.parse_args()
    if importlib.util.find_spec("jax_plugins.xla_cuda12") is None:
        print("The compiler for GPUs is not here: nox -s kernels installs it.")
        return
    if arguments.beside:
        print(table(("layer", "plain", "kernels", "MB", "times its bytes", "times its time"), []))
        for name, plain_name, plain, ours, x in beside():
            if arguments.only and not any(word in name for word in arguments.only):
                continue
            (_, least, time), (count, moved, ours_time) = (
                summary(kernels(compiled_for_gpu(function, *given)))
                for function, given in (amid(plain, x), amid(ours, x))
            )
            ratios = f"{moved / least:.2f} | {ours_time / time:.2f}"
            print(f"| {name} | {plain_name} | {count} | {moved:.0f} | {ratios} |", flush=True)
        return
    listed: list[tuple[str, Callable[[], tuple[Callable[..., Any], Any]]]]
    listed = [(name, lambda l=layer, x=x: step(l, x)) for name, layer, x in cases()]
    if arguments.all:
        listed = list(every_layer())
    if arguments.only:
        listed = [(n, make) for n, make in listed if any(word in n for word in arguments.only)]
    print(table(("step", "kernels", "MB", "microseconds, at least"), []))
    failed = []
    for name, make in listed:
        try:
            function, given = make()
            found = kernels(compiled_for_gpu(function, *given))
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        count, megabytes, microseconds = summary(found)
        print(f"| {name} | {count} | {megabytes:.2f} | {microseconds:.1f} |", flush=True)
        if arguments.list:
            for k in found:
                print(f"{k.seconds * 1e6:9.1f} us {k.bytes / 1e6:9.2f} MB  {k.kind:12} {k.name}")
    if failed:
        raise SystemExit("These do not compile for a GPU:\n" + "\n".join(failed))


if __name__ == "__main__":
    main()

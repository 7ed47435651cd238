"""What does the compiler of a TPU expect of layers? Without a TPU.

XLA compiles for chips that are described and not there, and says what it expects of the program:
seconds, bytes and scratch memory. Operations that it knows nothing of count as nothing and are
listed apart, so that the seconds of two programs compare only if few of these differ. The steps are
those of `kernels.py`: gradients of ``sum(sin(y))`` in parameters and input, or with ``--beside`` a
layer amid others.

    python benchmarks/tpu.py [--all] [--beside] [--only WORD ...]

``--all`` compiles every layer and network of the tables of tests and fails if one does not: that
takes some twenty minutes. It needs the wheel ``libtpu`` beside JAX:
``nox -s tpu`` installs it.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

# Where no metadata server is, the library looks for one in vain.
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")

import jax
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec
from timing import table

import equivax as evx
from kernels import amid, beside, cases, every_layer, step

CHIPS = "v5e:2x2"


class Expected(NamedTuple):
    """What a compiler says of a program.

    Attributes:
        milliseconds: On one chip, without the unknown operations.
        unknown: Operations without an estimate.
        megabytes: Read and written.
        scratch: Megabytes beside arguments and results.
    """

    milliseconds: float
    unknown: int
    megabytes: float
    scratch: float


def expected_on_tpu(function: Callable[..., Any], *arguments: Any) -> Expected:
    """What is expected of a function of arrays, or of shapes, on each chip of one host."""
    topology = topologies.get_topology_desc(topology_name=CHIPS, platform="tpu")
    mesh = topologies.make_mesh(topology, (len(topology.devices),), ("all",))
    place = NamedSharding(mesh, PartitionSpec())

    def described(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

    # Formulas that exports take along ask JAX, and not what equivax assumes.
    asked = mock.patch.object(jax, "default_backend", return_value="tpu")
    with evx.hom.assume_platform("tpu"), asked:
        compiled = jax.jit(function).lower(*jax.tree.map(described, arguments)).compile()
    cost: Any = compiled.cost_analysis()
    seconds = cost.get("optimal_seconds", math.nan)
    unknown = math.ceil(-seconds) if seconds < 0 else 0  # each of them counts as -1 s
    scratch = compiled.memory_analysis().temp_size_in_bytes
    return Expected(
        1e3 * (seconds + unknown), unknown, cost.get("bytes accessed", 0.0) / 1e6, scratch / 1e6
    )


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="every layer of the tables of tests")
    parser.add_argument(
        "--beside", action="store_true", help="layers beside the closest plain ones"
    )
    parser.add_argument("--only", nargs="+", metavar="WORD", help="names with one of the words")
    options = parser.parse_args()
    if importlib.util.find_spec("libtpu") is None:
        print("The compiler for TPUs is not here: nox -s tpu installs it.")
        return
    listed: list[tuple[str, Callable[[], tuple[Callable[..., Any], Any]]]]
    listed = [(name, lambda l=layer, x=x: step(l, x)) for name, layer, x in cases()]
    if options.beside:
        listed = []
        for name, plain_name, plain, ours, x in beside():
            listed.append((f"{name}: {plain_name}", lambda l=plain, x=x: amid(l, x)))
            listed.append((name, lambda l=ours, x=x: amid(l, x)))
    if options.all:
        listed = list(every_layer())
    if options.only:
        listed = [(n, make) for n, make in listed if any(word in n for word in options.only)]
    print(table(("step", "milliseconds", "without an estimate", "MB", "MB of scratch"), []))
    failed = []
    for name, make in listed:
        try:
            function, given = make()
            found = expected_on_tpu(function, *given)
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        cells = f"{found.milliseconds:.3f} | {found.unknown}"
        print(f"| {name} | {cells} | {found.megabytes:.1f} | {found.scratch:.1f} |", flush=True)
    if failed:
        raise SystemExit("These do not compile for a TPU:\n" + "\n".join(failed))


if __name__ == "__main__":
    main()

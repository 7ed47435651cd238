"""Runs tables of odd arguments as users would call: without the type checker of the suite.

python tests/arguments/run_cases.py [--every N] [--json] [table ...]
"""

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter

os.environ["JAX_TRACEBACK_FILTERING"] = "off"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tables", nargs="*")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    # What asks for more gets a MemoryError, before the machine is in trouble.
    limit = 6 * 2**30
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))

    import cases

    # Where time is over within a callback of another library, Python reports it and goes on.
    sys.unraisablehook = lambda _: None

    # Words that are paths are written to.
    sys.path[0] = os.path.abspath(sys.path[0])
    os.chdir(scratch := tempfile.mkdtemp())

    answer = {}
    for name in options.tables or cases.TABLES:
        start = time.perf_counter()
        report = cases.run(name, options.every, None if options.json else print)
        answer[name] = report._asdict()
        if not options.json:
            print(*[f"missing {label}" for label in report.untabled], sep="\n")
            print(*[f for f in report.failures if f.how == "invalid call"], sep="\n")
            print(f"--- {name}: {sum(report.cases.values())} cases, {len(report.failures)} fail "
                  f"{dict(Counter(f.how for f in report.failures))}, {len(report.untabled)} not "
                  f"called, {time.perf_counter() - start:.1f} s")  # fmt: skip
            print("    ", dict(Counter(f.kind for f in report.failures)), report.cases)
    if options.json:
        json.dump(answer, sys.stdout)
    shutil.rmtree(scratch)


if __name__ == "__main__":
    main()

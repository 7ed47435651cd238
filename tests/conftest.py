"""Strictness for the whole suite: checked annotations, no silent promotion, one key."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path

# Tests compile much and compute little. Without optimisation compilation is two to three times
# faster, and without the emitters of fused loops single operations take half as long again. Tests
# of whole networks ask for optimisation (`laws.OPTIMISED`); examples run as users run them in CI.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",  # the workers are the parallelism
        # XLA stops at a flag that it does not know, and this one may go.
        *["--xla_cpu_use_fusion_emitters=false"] * version("jaxlib").startswith(("0.6.", "0.10.")),
    ]
)

import jax
import jaxtyping
import pytest

# Before anything imports equivax: every annotation of the library is checked at every call.
jaxtyping.install_import_hook("equivax", "beartype.beartype")

# What tests share are plain modules; processes that tests start find them here too.
sys.path[:0] = [str(Path(__file__).parent / shelf) for shelf in ("laws", "tables", "golden")]

# A float64 basis times float32 activations is silently float64 under x64; here it is an error.
jax.config.update("jax_numpy_dtype_promotion", "strict")
# Leading axes are batch axes: `(..., n) + (n,)` is what a layer means, so ranks may promote.
jax.config.update("jax_numpy_rank_promotion", "allow")


# Linux gives a process 65,530 memory maps. Every compiled function takes some ten of them, and LLVM
# brings the process down where there are none left.
MAPS = Path("/proc/self/maps")
MOST_MAPS = 40_000
TESTS_BETWEEN_COUNTS = 8
COUNT = pytest.StashKey[int]()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Forget compiled functions before the process has too many of them."""
    item.config.stash[COUNT] = count = item.config.stash.get(COUNT, 0) + 1
    if count % TESTS_BETWEEN_COUNTS or not MAPS.exists():
        return
    if len(MAPS.read_bytes().splitlines()) > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


#: What stands on these shelves compiles much: of a long table most rows are slow.
COMPILING = {
    *("laws", "nn", "models", "kernels", "hom", "linalg", "fields", "images", "stats"),
    *("regressions", "tools"),
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Thin the long tables of the quick suite; `-m slow` runs what is left out.

    Of three to five rows every other is quick, of more every third, of twelve and more every
    fourth. Tests take turns: a row that is slow for one is quick for the next, so that every law is
    seen at once on some of the modules, and every module under some of the laws.
    """
    tables: dict[Path, dict[str, list[pytest.Item]]] = {}
    for item in items:
        if item.path.parent.name in COMPILING and item.get_closest_marker("slow") is None:
            tests = tables.setdefault(item.path, {})
            tests.setdefault(getattr(item, "originalname", item.name), []).append(item)
    for tests in tables.values():
        for turn, rows in enumerate(tests.values()):
            every = 1 + sum(len(rows) >= many for many in (3, 6, 12))
            for place, row in enumerate(rows):
                if (place + turn) % every:
                    row.add_marker(pytest.mark.slow)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look for garbage seldom, and never among the modules and tests that stay.

    Tracing makes many small objects, and every search walks all those that live.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def enable_x64(enabled: bool) -> AbstractContextManager[None]:
    """JAX's context manager for 64-bit types, wherever the installed release keeps it."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(enabled)
    from jax.experimental import enable_x64 as switch

    return switch(enabled)


@pytest.fixture
def x64() -> Iterator[None]:
    """The test runs with 64-bit types; the others run without."""
    with enable_x64(True):
        yield


@pytest.fixture
def precision() -> Callable[[bool], AbstractContextManager[None]]:
    """`enable_x64`, for tests that switch themselves."""
    return enable_x64


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(20240607)


@pytest.fixture
def unchecked_annotations() -> Iterator[None]:
    """Calls as a user makes them, without the type checker in front of the library's messages."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)

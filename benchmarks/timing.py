"""Timing by turns: what is compared runs alternately, so that a drifting machine hits all alike."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np


def by_turns(
    calls: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 15,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Seconds per call of each function, measured in turns.

    Args:
        calls: Name to a function without arguments that returns JAX arrays (or anything).
        rounds: How often each is timed.
        warm_up: Calls before timing, the first of which compiles.
        clock: What time it is; `time.process_time` where others work on the machine.

    Returns:
        Name to an array of ``rounds`` seconds.
    """
    for call in calls.values():
        for _ in range(warm_up):
            jax.block_until_ready(call())
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = clock()
            jax.block_until_ready(call())
            seconds[name].append(clock() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> float:
    """Median of the ratios round by round: robust against drift and single slow rounds."""
    return float(np.median(numerator / denominator))


def milliseconds(seconds: np.ndarray) -> float:
    """Median in milliseconds."""
    return float(np.median(seconds) * 1e3)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    cells = [[f"{c:.2f}" if isinstance(c, float) else str(c) for c in row] for row in rows]
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """Versions and device, for the record."""
    device = jax.devices()[0]
    return (
        f"jax {jax.__version__}, numpy {np.__version__}, Python {platform.python_version()}, "
        f"{device.platform} ({device.device_kind}), default float32"
    )

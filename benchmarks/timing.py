"""Timing by turns: what is compared runs alternately, so that a drifting machine hits all alike."""

from __future__ import annotations

import functools
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

#: Where parameters are drawn: an accelerator would compile a program for each of their shapes.
HOST = jax.devices("cpu")[0]

#: A function of arrays, and its arguments, which may be shapes that stand for random numbers.
Program = tuple[Callable[..., Any], Sequence[Any]]


def training_step(layer: Any, x: Any, *, mapped: bool = True) -> Program:
    """The gradient of ``mean(y^2)`` in parameters and input.

    Args:
        layer: Of Equinox or ours.
        x: Input, or a tree of arrays, or of their shapes.
        mapped: Whether the layer takes one example, of which ``x`` has several.
    """
    parameters, static = eqx.partition(layer, eqx.is_inexact_array)

    def loss(parameters: Any, x: Any) -> jax.Array:
        layer = eqx.combine(parameters, static)
        y = jax.vmap(layer)(x) if mapped else layer(x)
        return sum(
            (jnp.mean(jnp.square(a.astype(jnp.float32))) for a in jax.tree.leaves(y)),
            jnp.float32(0),
        )

    return jax.grad(loss, argnums=(0, 1)), (parameters, x)


def compiled(
    programs: Mapping[Any, Program],
) -> Iterator[tuple[Any, Callable[[], Any] | Exception]]:
    """Calls without arguments, in order; what does not compile is the exception that says why.

    On a CPU all are compiled on all cores before the first is given. An accelerator chooses among
    ready-made products by timing them, and nothing else may run there meanwhile.
    """
    together = jax.default_backend() == "cpu"
    with ThreadPoolExecutor(os.cpu_count() if together else 1) as pool:
        lowered = {name: _lowered(*program) for name, program in programs.items() if together}
        pending = {name: pool.submit(_compile, own) for name, own in lowered.items()}
        for name, program in programs.items():
            found = pending.pop(name).result() if together else _compile(_lowered(*program))
            if not isinstance(found, Exception):
                found = functools.partial(found, *jax.tree.map(_numbers, program[1]))
            yield name, found


def _lowered(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """For the device that runs, wherever parameters were drawn."""
    shapes = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype) if eqx.is_array(a) else a, arguments
    )
    try:
        return jax.jit(function).lower(*shapes)
    except Exception as error:
        return error


def _compile(lowered: Any) -> Any:
    try:
        return lowered if isinstance(lowered, Exception) else lowered.compile()
    except Exception as error:
        return error


def _numbers(leaf: Any) -> Any:
    """An array on the device that runs; for a shape, normal numbers, in part alike."""
    if isinstance(leaf, jax.ShapeDtypeStruct):
        own = np.random.default_rng(0).standard_normal(min(leaf.size, 1_000_003))
        leaf = np.resize(own.astype(leaf.dtype), leaf.shape)
    return jax.device_put(leaf, jax.devices()[0]) if eqx.is_array_like(leaf) else leaf


def by_turns(
    calls: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 15,
    warm_up: int = 2,
    turn: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Seconds per call of each function, measured in turns.

    Args:
        calls: Name to a function without arguments that returns JAX arrays (or anything).
        rounds: How often each is timed.
        warm_up: Calls before timing, the first of which compiles.
        turn: Seconds that a turn takes at least, in calls that do not wait for one another, so that
            a device which works by itself does not wait either.
        clock: What time it is; `time.process_time` where others work on the machine.

    Returns:
        Name to an array of ``rounds`` seconds.
    """
    counts = {}
    for name, call in calls.items():
        for _ in range(warm_up):
            jax.block_until_ready(call())
        counts[name] = 1
        if turn:
            start = clock()
            jax.block_until_ready([call() for _ in range(3)])
            counts[name] = max(1, round(3 * turn / (clock() - start)))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start, out = clock(), None
            for _ in range(counts[name]):
                out = call()
            jax.block_until_ready(out)
            seconds[name].append((clock() - start) / counts[name])
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

"""`rollout`: a network applied to its own output, step after step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer

from .._arguments import choice, function, integer, type_of
from ..images import MultiImage, Signature, autoregressive_step

LOOPS = ("auto", "scan", "python")

MOST_STEPS, MOST_NUMBERS = 10**6, 10**11
"""Beyond any machine: a slip of the keyboard, which would be noticed only when memory is full."""


def rollout(
    model: Callable[[MultiImage], MultiImage],
    x: MultiImage,
    steps: int,
    *,
    constants: object = None,
    future: int = 1,
    loop: str = "auto",
) -> MultiImage:
    """Predicts a series: after every call the prediction joins the input.

    Args:
        model: From images with channels ``(fields, past)``, and constant channels after them, to
            images with channels ``(fields, future)``.
        x: The first input, with any batch axes.
        steps: How many steps to predict; a multiple of ``future``.
        constants: Signature of the constant channels; None if there are none.
        future: Steps that one call predicts.
        loop: ``"scan"`` (`jax.lax.scan`), ``"python"`` (a loop over one compiled step) or
            ``"auto"``: the loop on CPU, where XLA runs convolutions inside a scan 8 to 50 times
            slower, unless something is being traced.

    Returns:
        Channels ``(fields, steps)`` with time fastest.

    Raises:
        ValueError: If the channels do not fit together, or an argument is unknown.
    """
    loop = choice(loop, "rollout", "loop", LOOPS)
    future = integer(future, "rollout", "future", 1)
    steps = integer(steps, "rollout", "steps", 1)
    if steps % future:
        raise ValueError(
            f"rollout: steps: expected a positive multiple of the {future} steps that a call "
            f"predicts, got {steps!r}"
        )
    type_of(x, "rollout", "x", MultiImage)
    function(model, "rollout", "model", "a network on images")
    size = math.prod(x.array.shape) * steps
    if steps > MOST_STEPS or size > MOST_NUMBERS:
        raise ValueError(
            f"rollout: steps: expected at most {MOST_STEPS} steps and {MOST_NUMBERS} numbers in "
            f"the result, got {steps}; predict fewer at a time, and go on from what came last"
        )
    fixed = None if constants is None else Signature(constants)
    calls = steps // future
    if loop == "auto":
        loop = "python" if _on_cpu(model, x) else "scan"
    if loop == "python":
        found = []
        for _ in range(calls):
            x, y = _step(model, x, fixed, future)
            found.append(y)
        series = MultiImage.stack(found, axis=len(x.batch))
    else:
        arrays, static = eqx.partition(model, eqx.is_array)

        def body(carry: MultiImage, _: None) -> tuple[MultiImage, MultiImage]:
            return _next(eqx.combine(arrays, static), carry, fixed, future)

        _, stacked = jax.lax.scan(body, x, length=calls)
        array = jnp.moveaxis(stacked.array, 0, len(x.batch))
        series = MultiImage.from_array(array, stacked.signature, x.D, x.is_torus, x.metric)
    axis = len(x.batch)
    return series.unfold_time(future).merge((axis, axis + 1)).fold_time()


def _next(
    model: Callable[..., Any], x: MultiImage, fixed: Signature | None, future: int
) -> tuple[MultiImage, MultiImage]:
    y = model(x)
    return autoregressive_step(x, y, fixed, future=future), y


@eqx.filter_jit
def _step(
    model: Callable[..., Any], x: MultiImage, fixed: Signature | None, future: int
) -> tuple[MultiImage, MultiImage]:
    return _next(model, x, fixed, future)


def _on_cpu(model: Callable[..., Any], x: MultiImage) -> bool:
    """Whether values are at hand, and on a CPU."""
    leaves = [leaf for leaf in jax.tree.leaves((model, x)) if eqx.is_array(leaf)]
    if any(isinstance(leaf, Tracer) for leaf in leaves):
        return False
    return all(device.platform == "cpu" for device in x.array.devices())

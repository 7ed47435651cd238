"""What containers share: layers with and without running statistics in one call.

Equinox's protocol: a layer whose ``is_stateful()`` holds is called ``(x, state) -> (y, state)``,
every other one ``x -> y``. A container is stateful if something inside is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PRNGKeyArray

from ..._arguments import integer
from ._module import AbstractModule, Layer


def is_stateful(layer: object) -> bool:
    """Whether a layer is called ``(x, state) -> (y, state)``."""
    return isinstance(layer, eqx.nn.StatefulLayer) and layer.is_stateful()


def step(
    layer: Callable[..., Any],
    inputs: tuple[Any, ...],
    state: eqx.nn.State | None,
    key: PRNGKeyArray | None,
) -> tuple[Any, eqx.nn.State | None]:
    """One layer of a container: the output and the state after it."""
    if is_stateful(layer):
        return layer(*inputs, state, key=key)
    return layer(*inputs, key=key), state


def exported(layer: Layer, state: eqx.nn.State | None, where: str) -> Callable[..., Any]:
    """``layer.export()``, or ``layer.export(state)`` for one with running statistics.

    Raises:
        ValueError: If the state is needed and missing; ``where`` names the layer.
    """
    if isinstance(layer, AbstractModule) or not is_stateful(layer):
        return layer.export()  # pyright: ignore[reportCallIssue]  # a container without statistics
    if state is None:
        raise ValueError(
            f"export: state: needed, since {where} ({type(layer).__name__}) has running "
            "statistics; call export(model, state)"
        )
    return layer.export(state)


def position(index: object, caller: str, count: int) -> int:
    """A position in a container, from the end if negative.

    Raises:
        TypeError: If it is no integer.
        IndexError: If there is no such layer.
    """
    found = integer(index, caller, "index")
    if not -count <= found < count:
        raise IndexError(f"{caller}: index: expected one of {count} layers, got {index!r}")
    return found


def split_keys(key: PRNGKeyArray | None, count: int) -> list[PRNGKeyArray | None]:
    """One key per layer, or as many times None."""
    return [None] * count if key is None else list(jax.random.split(key, count))

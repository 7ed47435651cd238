"""Layers of one kind in turn, traced once: what differs between them are numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from ._module import observer
from ._stateful import split_keys


def in_turn(
    layers: Sequence[Callable[..., Any]],
    x: object,
    *others: object,
    key: PRNGKeyArray | None,
    **options: object,
) -> Any:
    """``x`` through one layer after the other, each called ``(x, *others, key=, **options)``.

    Layers that differ in the numbers of their parameters only are traced once, and a call outside
    of `jax.jit` runs compiled layers.

    Args:
        layers: Modules.
        x: What goes through.
        others: Further inputs, the same for all.
        key: A JAX key, split among the layers.
        options: Likewise the same for all.
    """
    # Whoever looks at layers, as `summary` does, looks at all of them; what is no array of numbers
    # the layers refuse.
    plain = observer.get() is not None or not all(map(_is_traceable, jax.tree.leaves(options)))
    call = _called if plain else _traced_once
    for layer, own in zip(layers, split_keys(key, len(layers)), strict=True):
        x = call(layer, x, own, others, options)
    return x


def _called(
    layer: Callable[..., Any],
    x: object,
    key: PRNGKeyArray | None,
    others: tuple[object, ...],
    options: dict[str, object],
) -> Any:
    return layer(x, *others, key=key, **options)


def _is_traceable(leaf: object) -> bool:
    if isinstance(leaf, np.ndarray):
        return leaf.dtype.kind in "biufcV"
    return eqx.is_array(leaf) or isinstance(leaf, Hashable)


_traced_once = eqx.filter_jit(_called)

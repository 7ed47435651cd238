"""The U-Net (Ronneberger, Fischer and Brox 2015) as a formula, for fields and for tensor images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
from jaxtyping import PRNGKeyArray

from ..nn.authoring import split_keys, step

Part = Callable[..., Any]


def u_shaped(
    down: Sequence[Part],
    pools: Sequence[Part],
    enlarge: Part,
    ups: Sequence[Part],
    join: Sequence[Part],
    merges: Sequence[Part],
    head: Part,
    x: object,
    state: eqx.nn.State | None,
    key: PRNGKeyArray | None,
) -> tuple[Any, eqx.nn.State | None]:
    """Down level by level, and up again with what was there on the way down.

    Args:
        down: Per level the layers on the way down, the finest level first.
        pools: Between two levels.
        enlarge: ``(x, skip) -> x`` on the grid of the way down.
        ups: Per level but the last, what follows.
        join: Per level but the last, ``(x, skip) -> x`` with the channels of both.
        merges: Per level but the last, the layers on the way up.
        head: The last layer.
        x: An array or an image.
        state: The state of the model, if a layer has running statistics.
        key: A JAX key, split among the layers.
    """
    keys = iter(split_keys(key, 3 * len(down)))
    skips = []
    for level, block in enumerate(down):
        x, state = step(block, (x,), state, next(keys))
        if level < len(pools):
            skips.append(x)
            x = pools[level](x)
    for level in reversed(range(len(ups))):
        x, state = step(ups[level], (enlarge(x, skips[level]),), state, next(keys))
        x = join[level](x, skips[level])
        x, state = step(merges[level], (x,), state, next(keys))
    return head(x), state


def in_turn(blocks: Sequence[Part], x: object, key: PRNGKeyArray | None = None) -> Any:
    """Layers one after the other."""
    for block in blocks:
        x = block(x)
    return x

"""Which channel opens which: the static plan behind the gated nonlinearities."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._core._channels import along, at_least_float32, block_index, scale_blocks, take_channels
from .._core._plain import plain_callable, plain_function

#: In the marks of fields: this one is a gate.
GATE = -1


@dataclasses.dataclass(frozen=True)
class GatePlan:
    """Index tables of a gated layer; NumPy, built when it is traced.

    Attributes:
        gate_channels: Channels that are gates, in the order of the gate fields.
        bias_of: Per gate channel, the number of its gate field.
        gated_channels: The other channels, in order.
        sizes: Sizes of the blocks of gated channels.
        opened_by: Per block, the number of its gate channel.
        order: Places of the outputs in gate channels followed by gated channels, if the gates
            are kept.
    """

    gate_channels: np.ndarray
    bias_of: np.ndarray
    gated_channels: np.ndarray
    sizes: tuple[int, ...]
    opened_by: np.ndarray
    order: np.ndarray | None


def read_marks(caller: str, gates: Any, names: Sequence[str]) -> tuple[int, ...]:
    """Per field `GATE`, or the number of the gate that opens it.

    Args:
        caller: The layer, for messages.
        gates: Per field True or ``"gate"``, False or ``"gated"``, or the number of its gate; the
            first half are gates if None.
        names: Of the fields.

    Raises:
        ValueError: If the numbers of gates and gated fields do not match.
    """
    count = len(names)
    if gates is None:
        gates = [i < count // 2 for i in range(count)]
    if isinstance(gates, (str, bytes)) or not isinstance(gates, (Sequence, np.ndarray)):
        raise ValueError(
            f"{caller}: gates: expected a sequence with 'gate' or 'gated' for each of {count} "
            f"fields, got {gates!r}"
        )
    if len(gates) != count or not all(_is_mark(g) for g in gates):
        raise ValueError(
            f"{caller}: gates: expected 'gate' or 'gated' (or the number of a gate) for each of "
            f"{count} fields, got {list(gates)}"
        )
    is_gate = [_is_true(g) for g in gates]
    number = sum(is_gate)
    numbered = [i for i, g in enumerate(gates) if _is_number(g)]
    if not numbered:
        if 2 * number != count:
            raise ValueError(
                f"{caller}: gates: expected as many gates as gated fields, got {number} gates and "
                f"{count - number} gated fields; give the number of its gate for each gated field "
                "to share gates"
            )
        position = iter(range(number))
        return tuple(GATE if gate else next(position) for gate in is_gate)
    for i, (mark, gate) in enumerate(zip(gates, is_gate, strict=True)):
        if not gate and i not in numbered:
            raise ValueError(
                f"{caller}: gates: expected the number of a gate for field {i} ({names[i]}), as "
                f"for field {numbered[0]}, got {mark!r}"
            )
        if not gate and not 0 <= mark < number:
            raise ValueError(
                f"{caller}: gates: expected the number of one of {number} gates for field {i} "
                f"({names[i]}), got {mark}"
            )
    marks = tuple(GATE if gate else int(mark) for mark, gate in zip(gates, is_gate, strict=True))
    unused = sorted(set(range(number)) - set(marks))
    if unused:
        raise ValueError(
            f"{caller}: gates: expected every gate to open some field, but gate {unused[0]} of "
            f"{number} opens none"
        )
    return marks


def _is_number(mark: Any) -> bool:
    return isinstance(mark, (int, np.integer)) and not isinstance(mark, bool)


def _is_true(mark: Any) -> bool:
    return not _is_number(mark) and bool(mark in ("gate", True))


def _is_mark(mark: Any) -> bool:
    return _is_number(mark) or isinstance(mark, (bool, np.bool_)) or mark in ("gate", "gated")


def make_plan(
    marks: tuple[int, ...],
    sizes: Sequence[int],
    blocks: Sequence[int],
    channels: Sequence[Sequence[int]],
    *,
    keep: bool,
    split: bool,
) -> GatePlan:
    """The tables of a layer.

    Args:
        marks: As `read_marks` returns them.
        sizes: Size of every field.
        blocks: Size of the blocks of every gated field; a gate's entry plays no role.
        channels: Of every gated field, the channel of its gate that opens each of its blocks,
            counted from the gate's first.
        keep: Whether the gates stay in the output.
        split: Whether gates and gated fields come as two arrays, gates first.
    """
    mark, size, block = np.asarray(marks), np.asarray(sizes), np.asarray(blocks)
    is_gate = mark == GATE
    field = block_index(tuple(sizes))
    gate_channels = np.flatnonzero(is_gate[field])
    gated_channels = np.flatnonzero(~is_gate[field])
    gates, gated = np.flatnonzero(is_gate), np.flatnonzero(~is_gate)
    first = np.concatenate([[0], np.cumsum(size[gates])])
    opened_by = [first[mark[i]] + np.asarray(channels[int(i)]) for i in gated]
    order = None
    if keep and split:
        order = np.arange(len(field))
    elif keep:
        order = np.argsort(np.concatenate([gate_channels, gated_channels]))
    return GatePlan(
        gate_channels,
        np.repeat(np.arange(len(gates)), size[gates]),
        gated_channels - (len(gate_channels) if split else 0),
        tuple(np.repeat(block[gated], size[gated] // block[gated]).tolist()),
        np.concatenate(opened_by),
        order,
    )


def open_fields(
    plan: GatePlan,
    gates: Float[Array, "..."],
    x: Float[Array, "..."],
    bias: Float[Array, " gates"] | None,
    function: Callable[[Array], Array],
    axis: int,
) -> Float[Array, "..."]:
    """``y_i = x_i phi(s_i - b_i)`` on the channels of a plan.

    Args:
        plan: The tables.
        gates: The array that holds the gates.
        x: The array that holds the gated fields; may be the same.
        bias: One number per gate field.
        function: ``phi``.
        axis: The channel axis, negative.
    """
    shut = at_least_float32(take_channels(gates, plan.gate_channels, axis))
    if bias is not None:
        shut = shut - along(bias.astype(shut.dtype)[plan.bias_of], axis)
    opened = function(shut).astype(x.dtype)
    body = take_channels(x, plan.gated_channels, axis)
    y = scale_blocks(plan.sizes, body, take_channels(opened, plan.opened_by, axis), axis)
    if plan.order is None:
        return y
    batch = jnp.broadcast_shapes(opened.shape[:axis], y.shape[:axis])
    opened = jnp.broadcast_to(opened, (*batch, *opened.shape[axis:]))
    return take_channels(jnp.concatenate([opened, y], axis=axis), plan.order, axis)


def plain_gates(
    plan: GatePlan,
    bias: Float[Array, " gates"] | None,
    function: Callable[[Array], Array],
    axis: int,
    *,
    split: bool,
) -> Any:
    """`open_fields` as plain Equinox; a function of two arrays if ``split``."""
    constants = (
        jax.tree_util.Partial(plain_callable(function)),
        jnp.zeros((1,)) if bias is None else bias[plan.bias_of],
        jnp.asarray(plan.gate_channels),
        jnp.asarray(plan.gated_channels),
        jnp.asarray(plan.opened_by[block_index(plan.sizes)]),
        None if plan.order is None else jnp.asarray(plan.order),
        axis,
    )
    if split:
        return plain_function(_plain_two, *constants)
    return eqx.nn.Lambda(plain_function(_plain_one, *constants))


def _plain_one(function, bias, gate_channels, gated_channels, opened_by, order, axis, x):
    v = jnp.moveaxis(x, axis, -1)
    shut = v[..., gate_channels].astype(jnp.float32 if jnp.finfo(v.dtype).bits < 32 else v.dtype)
    opened = function(shut - bias.astype(shut.dtype)).astype(v.dtype)
    y = v[..., gated_channels] * opened[..., opened_by]
    if order is not None:
        y = jnp.concatenate([opened, y], axis=-1)[..., order]
    return jnp.moveaxis(y, -1, axis)


def _plain_two(function, bias, gate_channels, gated_channels, opened_by, order, axis, gates, x):
    s, v = jnp.moveaxis(gates, axis, -1), jnp.moveaxis(x, axis, -1)
    shut = s[..., gate_channels].astype(jnp.float32 if jnp.finfo(s.dtype).bits < 32 else s.dtype)
    opened = function(shut - bias.astype(shut.dtype)).astype(v.dtype)
    y = v[..., gated_channels] * opened[..., opened_by]
    if order is not None:
        opened = jnp.broadcast_to(opened, (*y.shape[:-1], opened.shape[-1]))
        y = jnp.concatenate([opened, y], axis=-1)[..., order]
    return jnp.moveaxis(y, -1, axis)

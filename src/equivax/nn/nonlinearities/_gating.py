"""Which channel opens which: the static plan behind the gated nonlinearities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...hom import widened
from .._core._channels import Runs, along, runs_of, scale_blocks, take_channels

#: In the marks of fields: this one is a gate.
GATE = -1


class GatePlan(NamedTuple):
    """Index tables of a gated layer; NumPy, built when it is traced.

    Attributes:
        gate_channels: Channels that are gates, in the order of the gate fields.
        gated_channels: The other channels, in order.
        blocks: The gated channels in blocks.
        opened_by: Per block, the number of its gate channel.
        order: Places of the outputs in gate channels followed by gated channels, if the gates
            are kept.
    """

    gate_channels: np.ndarray | Array
    gated_channels: np.ndarray | Array
    blocks: Runs
    opened_by: np.ndarray | Array
    order: np.ndarray | Array | None


Constants: TypeAlias = tuple[Callable[[Array], Array], Array | None, GatePlan, int]
"""What a gated layer is beside its input: ``phi``, biases per gate channel, tables, axis."""


def read_marks(caller: str, gates: object, names: Sequence[str]) -> tuple[int, ...]:
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


def _is_number(mark: object) -> bool:
    return isinstance(mark, (int, np.integer)) and not isinstance(mark, bool)


def _is_true(mark: object) -> bool:
    return not _is_number(mark) and bool(mark in ("gate", True))


def _is_mark(mark: object) -> bool:
    return _is_number(mark) or isinstance(mark, (bool, np.bool_)) or mark in ("gate", "gated")


def make_plan(
    marks: tuple[int, ...],
    sizes: Sequence[int],
    blocks: Sequence[int],
    channels: Sequence[Sequence[int]],
    *,
    keep: bool,
    split: bool,
) -> tuple[GatePlan, np.ndarray]:
    """The tables of a layer, and per gate channel the number of its gate field.

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
    field = np.repeat(np.arange(len(size)), size)
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
    plan = GatePlan(
        gate_channels,
        gated_channels - (len(gate_channels) if split else 0),
        runs_of((int(block[i]), int(size[i] // block[i])) for i in gated),
        np.concatenate(opened_by),
        order,
    )
    return plan, np.repeat(np.arange(len(gates)), size[gates])


def open_fields(
    function: Callable[[Array], Array],
    bias: Float[Array, " gates"] | None,
    plan: GatePlan,
    axis: int,
    gates: Float[Array, "..."],
    x: Float[Array, "..."],
) -> Float[Array, "..."]:
    """``y_i = x_i phi(s_i - b_i)`` on the channels of a plan.

    Args:
        function: ``phi``.
        bias: One number per gate channel.
        plan: The tables.
        axis: The channel axis, negative.
        gates: The array that holds the gates.
        x: The array that holds the gated fields; may be the same.
    """
    gate_channels, gated_channels, blocks, opened_by, order = plan
    shut = widened(take_channels(gates, gate_channels, axis))
    if bias is not None:
        shut = shut - along(bias.astype(shut.dtype), axis)
    opened = function(shut).astype(x.dtype)
    body = take_channels(x, gated_channels, axis)
    y = scale_blocks(blocks, body, take_channels(opened, opened_by, axis), axis)
    if order is None:
        return y
    batch = jnp.broadcast_shapes(opened.shape[:axis], y.shape[:axis])
    opened = jnp.broadcast_to(opened, (*batch, *opened.shape[axis:]))
    return take_channels(jnp.concatenate([opened, y], axis=axis), order, axis)


def open_own_fields(
    function: Callable[[Array], Array],
    bias: Float[Array, " gates"] | None,
    plan: GatePlan,
    axis: int,
    x: Float[Array, "..."],
) -> Float[Array, "..."]:
    """`open_fields` of one array that holds both."""
    return open_fields(function, bias, plan, axis, x, x)

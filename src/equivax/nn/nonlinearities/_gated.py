"""`GatedNonlinearity`: invariant fields open and shut the others."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import flag
from ...fields import IrrepTensor, Type
from ...hom import irrep_plan, join_kinds, split_kinds, trivial_name, widened
from ...representations import Representation, as_representation, direct_sum, trivial
from .._core._admission import check_fields, parameter_dtype
from .._core._channels import field_sizes, take_channels, type_like
from .._core._irrep_wise import times_fields
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer, plain_layer_of_several
from .._core._probing import check_elementwise
from ._gating import GATE, Constants, make_plan, open_fields, open_own_fields, read_marks

_NAME = "GatedNonlinearity"


class GatedNonlinearity(AbstractModule):
    """``y_i = x_i phi(s_i - b_i)``: the i-th gated field uses the i-th gate, in field order.

    Law: ``f(rho(g) x) = rho(g) f(x)``, since gates are invariant (Weiler et al. 2018, 3D Steerable
    CNNs, section 2.3). The gated fields may be of any kind.

    Shapes: ``(..., gates + gated, *spatial) -> (..., gated, *spatial)``, or unchanged with
    ``drop_gates=False``. With a pair of types, ``layer(gates, x)`` takes two arrays.
    """

    bias: Float[Array, " gates"] | None
    in_type: Type | tuple[Type, Type] = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    gates: tuple[int, ...] = eqx.field(static=True)
    drop_gates: bool = eqx.field(static=True)
    function: Callable[[Array], Array] = eqx.field(static=True)
    inside: bool = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type | tuple[Type, Type],
        gates: Sequence[bool | str | int] | str | None = None,
        *,
        drop_gates: bool = True,
        function: Callable[[Array], Array] = jax.nn.sigmoid,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        """Pairs gates with gated fields.

        Args:
            in_type: A type with as many gates as gated fields (see `for_fields`), or a pair
                ``(gate_type, gated_type)``.
            gates: Per field True or ``"gate"``, False or ``"gated"``. Default: the first half of
                the fields are gates. To share gates, the number of its gate for every gated
                field, as in ``["gate", "gate", 0, 0, 1]``. For a pair of types, None or such
                numbers for the gated fields. ``"within"``: see `within_fields`.
            drop_gates: Whether the gates are left out of the output; else they keep their places
                with their transformed values (for a pair of types, they come first).
            function: ``phi``, such as `jax.nn.sigmoid`.
            use_bias: Whether to learn one bias a gate (0 at the start).
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If numbers of gates and gated fields differ or a gate is not trivial.
            TypeError: If ``function`` is not callable.
        """
        check_elementwise(_NAME, function, example="jax.nn.sigmoid")
        drop_gates = flag(drop_gates, _NAME, "drop_gates")
        self.inside = isinstance(gates, str) and gates == "within"
        if isinstance(in_type, tuple):
            pairing = _of_two_types(in_type, gates)
        elif self.inside:
            pairing = _within_fields(in_type)
        else:
            pairing = _of_one_type(in_type, gates)
        _check_gates(pairing)
        dtype = parameter_dtype(dtype, _NAME)
        self.bias = (
            jnp.zeros((pairing.marks.count(GATE),), dtype)
            if flag(use_bias, _NAME, "use_bias")
            else None
        )
        self.in_type = in_type
        self.out_type = pairing.gated if drop_gates else pairing.whole
        self.gates = pairing.marks
        self.drop_gates = drop_gates
        self.function = function

    @classmethod
    def for_fields(cls, fields: Type, **options: Any) -> GatedNonlinearity:
        """A layer whose output is ``fields``: its input has one gate per field in front."""
        rep = representation_of(fields, _NAME, "fields")
        gates = len(field_sizes(rep)) * trivial(rep.group)
        return cls(type_like(fields, gates + rep), **options)

    @classmethod
    def within_fields(cls, in_type: Type, **options: Any) -> GatedNonlinearity:
        """Gates inside the fields: the first k of 2 k irreps are trivial and open the others.

        Args:
            in_type: A type whose fields are sums of irreps in their own basis, such as
                ``(2 * G.trivial + G.irrep(1) + G.irrep(2)).fused()``.
            **options: As for the class, but for ``gates``.

        Raises:
            ValueError: If a field is not such a sum.
        """
        return cls(in_type, "within", **options)

    def _constants(self) -> Constants:
        sizes = field_sizes(_marked(self.in_type, self.inside))
        split, keep = isinstance(self.in_type, tuple), not self.drop_gates
        plan, owner = make_plan(
            self.gates, sizes, sizes, len(sizes) * [(0,)], keep=keep, split=split
        )
        bias = None if self.bias is None else self.bias[owner]
        first = self.in_type[0] if isinstance(self.in_type, tuple) else self.in_type
        return self.function, bias, plan, channel_axis(first)

    def _forward(
        self, x: Array | tuple[Array, Array], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        if not isinstance(x, tuple):
            return open_own_fields(*self._constants(), x)
        constants, (gates, fields) = self._constants(), x
        axis = constants[-1]
        if gates.shape[gates.ndim + axis + 1 :] != fields.shape[fields.ndim + axis + 1 :]:
            raise ValueError(
                f"{_NAME}: gates and x: expected equal spatial shapes, got "
                f"{gates.shape} and {fields.shape}"
            )
        return open_fields(*constants, gates, fields)

    def _forward_irreps(
        self, x: IrrepTensor, key: PRNGKeyArray | None = None
    ) -> IrrepTensor | Array:
        if self.inside:
            return self._forward(x.array, key)
        rep, name, marks = self._rep, trivial_name(self._rep), np.array(self.gates)
        numbers = np.cumsum(marks == GATE) - 1  # of the gates
        plan, parts = irrep_plan(rep), split_kinds(rep, x.blocks)
        values, order = [], []
        for kind, part in zip(plan.kinds, parts, strict=True):
            own = np.flatnonzero(marks[kind.fields] == GATE)
            if len(own):  # gates are channels, which may be minus the coordinate
                channels = part[name][..., 0, 0, :] * np.asarray(kind.basis[0, 0], x.dtype)
                values.append(take_channels(channels, own))
                order.append(numbers[kind.fields[own]])
        shut = take_channels(jnp.concatenate(values, -1), np.argsort(np.concatenate(order)))
        shut = widened(shut)
        if self.bias is not None:
            shut = shut - self.bias.astype(shut.dtype)
        opened, found = self.function(shut), {}
        for kind, part in zip(plan.kinds, parts, strict=True):
            own, sign = marks[kind.fields], np.asarray(kind.basis[0, 0], shut.dtype)
            is_gate = own == GATE
            gates = take_channels(opened, np.where(is_gate, numbers[kind.fields], own))
            body = times_fields(part, gates)
            if self.drop_gates:
                kept = np.flatnonzero(~is_gate)
                body = {n: take_channels(p, kept) for n, p in body.items()} if len(kept) else {}
            elif is_gate.any():
                kept = (gates * sign)[..., None, None, :].astype(x.dtype)
                body = {n: jnp.where(is_gate, kept, p) for n, p in body.items()}
            found[kind.summand] = body
        out = representation_of(self.out_type, _NAME, "out_type")
        ordered = [found[kind.summand] for kind in irrep_plan(out).kinds]
        return IrrepTensor(join_kinds(out, ordered), self.out_type)

    def export(self) -> Callable[..., Any]:
        """A plain function with the biases as constants: of ``x``, or of ``(gates, x)``."""
        if isinstance(self.in_type, tuple):
            return plain_layer_of_several(open_fields, *self._constants())
        return plain_layer(open_own_fields, *self._constants())


# ---- who opens whom ------------------------------------------------------------------------------


class _Pairing(NamedTuple):
    """What the gates are and what they open.

    Attributes:
        marked: The fields of one type or of two, or the irreps inside the fields.
        marks: As `read_marks` returns them, one for each.
        whole: Their type, gates included.
        gated: What the gates open, as a type.
    """

    marked: Representation
    marks: tuple[int, ...]
    whole: Type
    gated: Type


def _of_one_type(in_type: Type, gates: object) -> _Pairing:
    """Some fields of a type open the others."""
    rep = _marked(in_type)
    marks = read_marks(_NAME, gates, [field.name for field in rep.summands])
    return _Pairing(rep, marks, in_type, type_like(in_type, direct_sum(_gated(rep, marks))))


def _of_two_types(in_type: tuple[Type, ...], gates: object) -> _Pairing:
    """The fields of one type open those of another."""
    rep = _marked(in_type)
    number = len(field_sizes(as_representation(in_type[0], "in_type")))
    names = [field.name for field in rep.summands]
    count = len(names) - number
    if gates is None:
        gates = count * ["gated"]
    if isinstance(gates, (str, bytes)) or not isinstance(gates, Collection) or len(gates) != count:
        raise ValueError(
            f"{_NAME}: gates: expected the number of a gate for each of the {count} gated fields, "
            f"got {gates!r}"
        )
    marks = read_marks(_NAME, [*(number * ["gate"]), *gates], names)
    return _Pairing(rep, marks, type_like(in_type[0], rep), in_type[1])


def _within_fields(in_type: Type) -> _Pairing:
    """In every field the first half of the irreps opens the second."""
    rep = representation_of(in_type, _NAME, "in_type")
    one = trivial(rep.group).irreps[0]

    def admits(field: Representation) -> bool:
        irreps, half = field.irreps, len(field.irreps) // 2
        own_basis = np.array_equal(field.change_of_basis, np.eye(field.size))
        return len(irreps) % 2 == 0 and irreps[:half] == half * (one,) and own_basis

    check_fields(
        f"{_NAME}: within_fields",
        rep,
        admits,
        "is not a sum of k trivial irreps followed by k irreps in their own basis",
        "pass the gates as fields of their own",
    )
    marks: list[int] = []
    gates = 0
    halves = [len(field.irreps) // 2 for field in rep.summands]
    for half in halves:
        marks += half * [GATE] + list(range(gates, gates + half))
        gates += half
    inside = _marked(in_type, inside=True)
    opened = iter(_gated(inside, tuple(marks)))
    fields = [direct_sum(list(itertools.islice(opened, half))).fused() for half in halves]
    return _Pairing(inside, tuple(marks), in_type, type_like(in_type, direct_sum(fields)))


def _marked(in_type: Type | tuple[Type, ...], inside: bool = False) -> Representation:
    """What is a gate or gated: fields, of two types together, or the irreps inside them."""
    if not isinstance(in_type, tuple):
        rep = representation_of(in_type, _NAME, "in_type")
        return direct_sum([rep.group.irrep(*i) for i in rep.irreps]) if inside else rep
    if len(in_type) != 2:
        raise ValueError(
            f"{_NAME}: in_type: expected one type or a pair (gate_type, gated_type), got "
            f"{len(in_type)} types"
        )
    gates, gated = (
        representation_of(type_, _NAME, f"in_type[{i}]") for i, type_ in enumerate(in_type)
    )
    spaces = [getattr(type_, "space", None) for type_ in in_type]
    if gates.group is not gated.group or spaces[0] != spaces[1]:
        raise ValueError(
            f"{_NAME}: in_type: expected two types on one space and group, got {in_type[0]!r} and "
            f"{in_type[1]!r}"
        )
    return gates + gated


def _gated(rep: Representation, marks: tuple[int, ...]) -> list[Representation]:
    return [field for field, mark in zip(rep.summands, marks, strict=True) if mark != GATE]


def _check_gates(pairing: _Pairing) -> None:
    """Refuses gates that are not invariant."""
    rep = pairing.marked
    one = trivial(rep.group).irreps
    for index, (field, mark) in enumerate(zip(rep.summands, pairing.marks, strict=True)):
        if mark == GATE and field.irreps != one:
            raise ValueError(
                f"{_NAME}: gates: field {index} ({field.name}) is a gate but not one trivial "
                "channel; gates must be invariant numbers, or quotient fields of "
                "InducedGatedNonlinearity"
            )

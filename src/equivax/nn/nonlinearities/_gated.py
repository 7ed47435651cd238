"""`GatedNonlinearity`: invariant fields open and shut the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...fields import Type
from ...representations import Representation, direct_sum, trivial
from .._core._admission import check_function, numbered_runs
from .._core._channels import field_sizes, type_like
from .._core._module import AbstractModule, channel_axis, representation_of
from ._gating import GATE, GatePlan, make_plan, open_fields, plain_gates, read_marks


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
        dtype: Any = None,
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
        check_function("GatedNonlinearity", function, "jax.nn.sigmoid")
        self.in_type = in_type
        self.inside = isinstance(gates, str) and gates == "within"
        rep = direct_sum(list(self._pieces()))
        if self.inside:
            self.gates = _marks_within(representation_of(in_type, "GatedNonlinearity", "in_type"))
        elif isinstance(in_type, tuple):
            self.gates = _marks_of_two(gates, *self._pieces())
        else:
            self.gates = read_marks("GatedNonlinearity", gates, [f.name for f in rep.summands])
        is_gate = [mark == GATE for mark in self.gates]
        for index, field, count in numbered_runs(rep):
            if (
                any(is_gate[index : index + count])
                and field.data[0][0].irreps != trivial(rep.group).irreps
            ):
                index += is_gate[index : index + count].index(True)
                raise ValueError(
                    f"GatedNonlinearity: gates: field {index} ({field.name}) is a gate but not "
                    "one trivial channel; gates must be invariant numbers, or quotient fields of "
                    "InducedGatedNonlinearity"
                )
        dtype = jnp.result_type(float) if dtype is None else dtype
        self.bias = jnp.zeros((sum(is_gate),), dtype) if use_bias else None
        self.drop_gates = drop_gates
        self.function = function
        self.out_type = self._out_type(rep)

    @classmethod
    def for_fields(cls, fields: Any, **options: Any) -> GatedNonlinearity:
        """A layer whose output is ``fields``: its input has one gate per field in front."""
        rep = representation_of(fields, "GatedNonlinearity", "fields")
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

    def _pieces(self) -> tuple[Representation, ...]:
        """What is marked: the fields of one type or of two, or the irreps inside the fields."""
        if isinstance(self.in_type, tuple):
            if len(self.in_type) != 2:
                raise ValueError(
                    "GatedNonlinearity: in_type: expected one type or a pair (gate_type, "
                    f"gated_type), got {len(self.in_type)} types"
                )
            gates, gated = (
                representation_of(type_, "GatedNonlinearity", f"in_type[{i}]")
                for i, type_ in enumerate(self.in_type)
            )
            spaces = [getattr(type_, "space", None) for type_ in self.in_type]
            if gates.group is not gated.group or spaces[0] != spaces[1]:
                raise ValueError(
                    "GatedNonlinearity: in_type: expected two types on one space and group, got "
                    f"{self.in_type[0]!r} and {self.in_type[1]!r}"
                )
            return gates, gated
        rep = self._rep
        if not self.inside:
            return (rep,)
        return (direct_sum([rep.group.irrep(*i) for i in rep.irreps]),)

    def _out_type(self, rep: Representation) -> Any:
        first = self.in_type[0] if isinstance(self.in_type, tuple) else self.in_type
        if not self.drop_gates:
            return type_like(first, rep) if isinstance(self.in_type, tuple) else self.in_type
        gated = [f for f, mark in zip(rep.summands, self.gates, strict=True) if mark != GATE]
        if not self.inside:
            return type_like(first, direct_sum(gated))
        whole = representation_of(first, "GatedNonlinearity", "in_type")
        fields, start = [], 0
        for field in whole.summands:
            stop = start + len(field.irreps) // 2
            fields.append(direct_sum(gated[start:stop]).fused())
            start = stop
        return type_like(first, direct_sum(fields))

    def _plan(self) -> GatePlan:
        sizes = [size for piece in self._pieces() for size in field_sizes(piece)]
        split = isinstance(self.in_type, tuple)
        channels, keep = len(sizes) * [(0,)], not self.drop_gates
        return make_plan(self.gates, sizes, sizes, channels, keep=keep, split=split)

    def _forward(self, x: Any, key: Any = None) -> Float[Array, "..."]:
        split = isinstance(self.in_type, tuple)
        gates, fields = x if split else (x, x)
        axis = channel_axis(self.in_type[0] if isinstance(self.in_type, tuple) else self.in_type)
        if gates.shape[gates.ndim + axis + 1 :] != fields.shape[fields.ndim + axis + 1 :]:
            raise ValueError(
                "GatedNonlinearity: gates and x: expected equal spatial shapes, got "
                f"{gates.shape} and {fields.shape}"
            )
        return open_fields(self._plan(), gates, fields, self.bias, self.function, axis)

    def export(self) -> Any:
        """A plain function with the biases as constants: of ``x``, or of ``(gates, x)``."""
        split = isinstance(self.in_type, tuple)
        axis = channel_axis(self.in_type[0] if isinstance(self.in_type, tuple) else self.in_type)
        return plain_gates(self._plan(), self.bias, self.function, axis, split=split)


def _marks_of_two(gates: Any, gate_rep: Representation, rep: Representation) -> tuple[int, ...]:
    count = len(field_sizes(gate_rep))
    names = [field.name for field in rep.summands]
    if gates is None:
        gates = len(names) * ["gated"]
    if isinstance(gates, (str, bytes)) or len(gates) != len(names):
        raise ValueError(
            "GatedNonlinearity: gates: expected the number of a gate for each of the "
            f"{len(names)} gated fields, got {gates!r}"
        )
    all_names = [field.name for field in gate_rep.summands] + names
    return read_marks("GatedNonlinearity", [*(count * ["gate"]), *gates], all_names)


def _marks_within(rep: Representation) -> tuple[int, ...]:
    marks: list[int] = []
    gates = 0
    one = trivial(rep.group).irreps[0]
    for index, field, count in numbered_runs(rep):
        irreps, half = field.irreps, len(field.irreps) // 2
        if (
            len(irreps) % 2
            or irreps[:half] != half * (one,)
            or not np.array_equal(field.change_of_basis, np.eye(field.size))
        ):
            raise ValueError(
                f"GatedNonlinearity: within_fields: field {index} ({field.name}) is not a sum of k "
                "trivial irreps followed by k irreps in their own basis; pass the gates as fields "
                "of their own"
            )
        for _ in range(count):
            marks += half * [GATE] + list(range(gates, gates + half))
            gates += half
    return tuple(marks)

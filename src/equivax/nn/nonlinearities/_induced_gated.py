"""`InducedGatedNonlinearity`: a quotient field opens the subfields of an induced one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import flag
from ...fields import Type
from ...representations import (
    InducedStructure,
    Representation,
    direct_sum,
    induced_structure,
)
from .._core._admission import induced_or_refuse, parameter_dtype
from .._core._channels import field_sizes, type_like
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer
from .._core._probing import check_elementwise
from ._gating import GATE, Constants, make_plan, open_own_fields, read_marks

_NAME = "InducedGatedNonlinearity"


class InducedGatedNonlinearity(AbstractModule):
    """``y_ij = x_ij phi(s_ij - b_i)``: channel j of gate field i opens subfield j of field i.

    Gates are fields on the cosets ``G / H``, gated fields are induced from a representation of
    the same ``H``. Law: ``f(rho(g) x) = rho(g) f(x)``, since the group permutes gates and subfields
    alike (Weiler and Cesa 2019, appendix B).

    Shapes: ``(..., gates + gated, *spatial) -> (..., gated, *spatial)``, or unchanged with
    ``drop_gates=False``.
    """

    bias: Float[Array, " gates"] | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    gates: tuple[int, ...] = eqx.field(static=True)
    subfield_sizes: tuple[int, ...] = eqx.field(static=True)
    drop_gates: bool = eqx.field(static=True)
    function: Callable[[Array], Array] = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        gates: Sequence[bool | str | int] | None = None,
        *,
        drop_gates: bool = True,
        function: Callable[[Array], Array] = jax.nn.sigmoid,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        """Pairs gates with gated fields.

        Args:
            in_type: A type of quotient fields (gates) and of fields induced from the same
                subgroups.
            gates: Per field True or ``"gate"``, False or ``"gated"``; the i-th gate opens the i-th
                gated field. Default: the first half are gates. To share gates, the number of its
                gate for every gated field.
            drop_gates: Whether the gates are left out of the output; else they keep their places
                with their transformed values.
            function: ``phi``, such as `jax.nn.sigmoid`.
            use_bias: Whether to learn one bias a gate field, which its channels share (0 at the
                start).
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If a field is not induced, a gate is no quotient field, or a gate and its
                field belong to different subgroups.
            TypeError: If ``function`` is not callable.
        """
        check_elementwise(_NAME, function, example="jax.nn.sigmoid")
        drop_gates = flag(drop_gates, _NAME, "drop_gates")
        rep = representation_of(in_type, _NAME, "in_type")
        fields = rep.summands
        self.gates = read_marks(_NAME, gates, [field.name for field in fields])
        found = _structures(fields, self.gates)
        opening = [i for i, mark in enumerate(self.gates) if mark == GATE]
        for i, mark in enumerate(self.gates):
            if mark != GATE and not found[opening[mark]].same_cosets(found[i]):
                raise ValueError(
                    f"{_NAME}: gates: field {i} ({fields[i].name}) is induced from "
                    f"{_described(found[i])}, but its gate, field {opening[mark]} "
                    f"({fields[opening[mark]].name}), has the cosets of "
                    f"{_described(found[opening[mark]])}; a gate needs the same subgroup, as "
                    "group.quotient(H) for group.induced(H, sigma)"
                )
        dtype = parameter_dtype(dtype, _NAME)
        self.bias = jnp.zeros((len(opening),), dtype) if flag(use_bias, _NAME, "use_bias") else None
        self.in_type = in_type
        self.subfield_sizes = tuple(structure.size for structure in found)
        self.drop_gates = drop_gates
        self.function = function
        gated = [field for field, mark in zip(fields, self.gates, strict=True) if mark != GATE]
        self.out_type = type_like(in_type, direct_sum(gated)) if drop_gates else in_type

    def _constants(self) -> Constants:
        rep = self._rep
        found = _structures(rep.summands, self.gates)
        opening = [structure for structure, m in zip(found, self.gates, strict=True) if m == GATE]
        channels: list[Sequence[int]] = []
        for structure, mark in zip(found, self.gates, strict=True):
            # Coset by coset: where the subfield stands, and where its gate does.
            blocks = np.argsort(structure.starts)
            places = () if mark == GATE else np.asarray(opening[mark].starts)[blocks].tolist()
            channels.append(places)
        plan, owner = make_plan(
            self.gates,
            field_sizes(rep),
            self.subfield_sizes,
            channels,
            keep=not self.drop_gates,
            split=False,
        )
        bias = None if self.bias is None else self.bias[owner]
        return self.function, bias, plan, channel_axis(self.in_type)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return open_own_fields(*self._constants(), x)

    def export(self) -> eqx.nn.Lambda:
        """A plain function with the biases as constants."""
        return plain_layer(open_own_fields, *self._constants())


def _structures(
    fields: tuple[Representation, ...], marks: tuple[int, ...]
) -> list[InducedStructure]:
    found = []
    for i, (field, mark) in enumerate(zip(fields, marks, strict=True)):
        if mark != GATE:
            found.append(induced_or_refuse(_NAME, i, field))
            continue
        structure = induced_structure(field, remembered=False)
        if structure is None:
            raise ValueError(
                f"{_NAME}: gates: field {i} ({field.name}) is a gate but does not permute the "
                "cosets of a subgroup; gates are quotient fields, as group.quotient(H)"
            )
        found.append(structure)
    return found


def _described(structure: InducedStructure) -> str:
    subgroup = structure.subgroup
    if subgroup.group.order is None:
        return repr(subgroup)
    elements = ", ".join(str(subgroup.embedding(g).value) for g in subgroup.group.elements[:4])
    more = ", ..." if subgroup.group.order > 4 else ""
    return f"{subgroup!r} = {{{elements}{more}}}"

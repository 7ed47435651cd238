"""The coefficients between two types one by one: names, attributes, fans."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from ._steerable_basis import SteerableBasis
from .expansion._field_order import Fields


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """What all fields of one kind send to all fields of another.

    Attributes:
        key: The name of its parameters.
        in_kind: Number of the kind of input fields.
        out_kind: Number of the kind of output fields.
        in_fields: Positions of the input fields of that kind.
        out_fields: Positions of the output fields.
        basis: The kernels from one field to one field.
    """

    key: str
    in_kind: int
    out_kind: int
    in_fields: tuple[int, ...]
    out_fields: tuple[int, ...]
    basis: SteerableBasis

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the parameters, ``(output fields, input fields, dim)``."""
        return (len(self.out_fields), len(self.in_fields), self.basis.dim)


def fan(
    pairs: tuple[Pair, ...], in_irreps: tuple[Any, ...]
) -> dict[str, Float[np.ndarray, " dim"]]:
    """``T(o) B(t, o)`` of every element, see `TypeBasis.fan`."""
    number = {irrep: n for n, irrep in enumerate(in_irreps)}
    types, totals = {}, {}
    for pair in pairs:
        data = pair.basis.data
        ids = np.array([number[irrep] for irrep in pair.basis.irrep_types[0]])
        types[pair.key] = ids[data.in_type]
        shape = (len(pair.basis.out_rep.irreps), len(number))
        total = totals.setdefault(pair.out_kind, np.zeros(shape))
        np.add.at(total, (data.out_index, types[pair.key]), len(pair.in_fields))
    fans = {}
    for pair in pairs:
        out, total = pair.basis.data.out_index, totals[pair.out_kind]
        fans[pair.key] = (total > 0).sum(axis=1)[out] * total[out, types[pair.key]]
    return fans


def _walk(pairs: tuple[Pair, ...]) -> Iterator[tuple[Pair, int, int, int]]:
    """Every coefficient: pair, output field, input field, element; as the arrays ravel."""
    for pair in pairs:
        for out_field in pair.out_fields:
            for in_field in pair.in_fields:
                for n in range(pair.basis.dim):
                    yield pair, out_field, in_field, n


def type_attributes(
    pairs: tuple[Pair, ...], in_fields: Fields, out_fields: Fields, names: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Attributes of every coefficient, see `TypeBasis.attributes`."""
    single = {pair.key: pair.basis.attributes() for pair in pairs}
    result = []
    for (pair, out_field, in_field, n), name in zip(_walk(pairs), names, strict=True):
        known = single[pair.key][n]
        result.append(
            {
                **known,
                "in_field": in_field,
                "out_field": out_field,
                "in_irrep_position": in_fields.irrep_starts[in_field] + known["in_index"],
                "out_irrep_position": out_fields.irrep_starts[out_field] + known["out_index"],
                "key": pair.key,
                "name": name,
            }
        )
    return result


def type_names(pairs: tuple[Pair, ...], in_fields: Fields, out_fields: Fields) -> tuple[str, ...]:
    """Names such as ``(regular[0] -> irrep(1)[3]) (trivial[0] -> irrep(1)[0]) r=1 f=1 #0``."""
    ins, outs = in_fields.labels, out_fields.labels
    return tuple(
        f"({ins[pair.in_kind]}[{in_field}] -> {outs[pair.out_kind]}[{out_field}]) "
        f"{pair.basis.names()[n]}"
        for pair, out_field, in_field, n in _walk(pairs)
    )

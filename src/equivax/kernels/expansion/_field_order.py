"""From blocks between kinds of fields to a kernel in field order, and back.

Fields of one kind need not be neighbours. Blocks are first put side by side by kind; if kinds are
interleaved, the channels are then cut at the runs and concatenated in order. Cuts and
concatenations are each other's transposes, so gradients have no scatter.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...hom import HIGHEST
from ...representations import Representation, irrep, regular

MANY_RUNS = 64
"""Above this number of runs of equal fields a gather takes the place of cuts."""


@dataclasses.dataclass(frozen=True, eq=False)
class Fields:
    """The kinds of fields of a representation, and the way from kind order to field order.

    Attributes:
        kinds: Distinct summands, in order of first appearance.
        labels: Their names, made unique.
        standard_labels: The same with the names that the group gives to irreps and to the regular
            representation, whatever the type calls them.
        positions: Per kind, the positions of its fields.
        irrep_starts: Per field, the position of its first irrep among all.
        cuts: Channels of each run in kind order.
        order: Which of these pieces follow one another in field order.
    """

    kinds: tuple[Representation, ...]
    labels: tuple[str, ...]
    standard_labels: tuple[str, ...]
    positions: tuple[tuple[int, ...], ...]
    irrep_starts: tuple[int, ...]
    cuts: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def is_sorted(self) -> bool:
        """Whether kind order is field order."""
        return self.order == tuple(range(len(self.order)))

    def channels(self, kind: int) -> int:
        """Channels of all fields of a kind."""
        return len(self.positions[kind]) * self.kinds[kind].size


def fields_of(rep: Representation) -> Fields:
    """The kinds of fields of a representation, by value; their names are those of this one."""
    return _fields_of(rep, tuple(kind.name for kind, _ in rep.runs))


@functools.lru_cache(maxsize=1024)
def _fields_of(rep: Representation, names: tuple[str, ...]) -> Fields:
    # Equal representations may differ in their names, and leaves of layers are named by them: a
    # cache by value alone would name them by what the process has met before.
    kinds: dict[Representation, list[int]] = {}
    runs: list[tuple[int, int]] = []  # (kind, channels), in field order
    starts, field, start = [], 0, 0
    labels: dict[Representation, str] = {}
    for (kind, count), name in zip(rep.runs, names, strict=True):
        kinds.setdefault(kind, []).extend(range(field, field + count))
        labels.setdefault(kind, name)
        runs.append((list(kinds).index(kind), count * kind.size))
        starts += [start + n * len(kind.irreps) for n in range(count)]
        field, start = field + count, start + count * len(kind.irreps)
    by_kind = sorted(range(len(runs)), key=lambda r: (runs[r][0], r))
    place = {run: n for n, run in enumerate(by_kind)}
    return Fields(
        kinds=tuple(kinds),
        labels=_unique(list(labels.values())),
        standard_labels=_unique([_standard_name(*item) for item in labels.items()]),
        positions=tuple(map(tuple, kinds.values())),
        irrep_starts=tuple(starts),
        cuts=tuple(runs[r][1] for r in by_kind),
        order=tuple(place[r] for r in range(len(runs))),
    )


def _standard_name(kind: Representation, name: str) -> str:
    """The name that the group gives to an equal representation, if it has one."""
    named = irrep(kind.group, kind.irreps[0]) if len(kind.irreps) == 1 else None
    if named is None and kind.size == kind.group.order:
        named = regular(kind.group)
    return name if named is None or named != kind else named.name


def _unique(names: list[str]) -> tuple[str, ...]:
    """Equal names are numbered: ``regular``, ``regular (2)``."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(result)


def _reorder(
    x: Float[Array, "..."], axis: int, cuts: Sequence[int], order: Sequence[int]
) -> Float[Array, "..."]:
    """Cuts an axis into pieces and concatenates them in another order."""
    if list(order) == list(range(len(order))):
        return x
    if len(cuts) > MANY_RUNS:
        ends = [0, *itertools.accumulate(cuts)]
        index = np.concatenate([np.arange(ends[p], ends[p + 1]) for p in order])
        return jnp.take(x, index, axis=axis, unique_indices=True, mode="clip")
    pieces = jax.lax.split(x, tuple(cuts), axis=axis)
    return jnp.concatenate([pieces[p] for p in order], axis=axis)


def assemble(
    blocks: Mapping[tuple[int, int], Float[Array, "no ni d_out d_in taps"]],
    out_fields: Fields,
    in_fields: Fields,
) -> Float[Array, "out in taps"]:
    """The whole kernel from blocks by (output kind, input kind); missing blocks are zero."""
    kernel = by_kinds(blocks, out_fields, in_fields)
    return to_fields(to_fields(kernel, 0, out_fields), 1, in_fields)


def by_kinds(
    blocks: Mapping[tuple[int, int], Float[Array, "no ni d_out d_in taps"]],
    out_fields: Fields,
    in_fields: Fields,
) -> Float[Array, "out in taps"]:
    """The same with the fields of a kind side by side."""
    some = next(iter(blocks.values()))
    taps, dtype, rows = some.shape[-1], some.dtype, []
    for o in range(len(out_fields.kinds)):
        row = []
        for i in range(len(in_fields.kinds)):
            shape = (out_fields.channels(o), in_fields.channels(i), taps)
            if (o, i) not in blocks:
                row.append(jnp.zeros(shape, dtype))
                continue
            row.append(blocks[o, i].transpose(0, 2, 1, 3, 4).reshape(shape))
        rows.append(row[0] if len(row) == 1 else jnp.concatenate(row, axis=1))
    return rows[0] if len(rows) == 1 else jnp.concatenate(rows, axis=0)


def to_kinds(x: Float[Array, "..."], axis: int, fields: Fields) -> Float[Array, "..."]:
    """Brings the channels of fields of one kind side by side."""
    cuts = [fields.cuts[p] for p in fields.order]
    return _reorder(x, axis, cuts, np.argsort(fields.order).tolist())


def to_fields(x: Float[Array, "..."], axis: int, fields: Fields) -> Float[Array, "..."]:
    """The inverse of `to_kinds`."""
    return _reorder(x, axis, fields.cuts, fields.order)


def turned_kinds(
    x: Float[Array, "..."], fields: Fields, matrices: Sequence[Float[np.ndarray, "d d"] | None]
) -> Float[Array, "..."]:
    """``Q x`` of every field in channels by kinds, the last axis; None for the identity."""
    if all(matrix is None for matrix in matrices):
        return x
    sizes = [fields.channels(kind) for kind in range(len(fields.kinds))]
    pieces = list(jax.lax.split(x, sizes, axis=x.ndim - 1))
    for kind, matrix in enumerate(matrices):
        if matrix is not None:
            one = pieces[kind].reshape(*x.shape[:-1], -1, len(matrix))
            one = jnp.matmul(one, jnp.asarray(matrix.T, x.dtype), precision=HIGHEST)
            pieces[kind] = one.reshape(pieces[kind].shape)
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=-1)


def take_apart(
    kernel: Float[Array, "out in taps"],
    out_fields: Fields,
    in_fields: Fields,
    wanted: Sequence[tuple[int, int]],
) -> list[Float[Array, "no ni d_out d_in taps"]]:
    """The blocks of a kernel between kinds: the inverse of `assemble`."""
    kernel = to_kinds(to_kinds(kernel, 0, out_fields), 1, in_fields)
    result = []
    out_starts = np.cumsum([0, *map(out_fields.channels, range(len(out_fields.kinds)))])
    in_starts = np.cumsum([0, *map(in_fields.channels, range(len(in_fields.kinds)))])
    for o, i in wanted:
        block = kernel[
            int(out_starts[o]) : int(out_starts[o + 1]), int(in_starts[i]) : int(in_starts[i + 1])
        ]
        a, b = out_fields.kinds[o].size, in_fields.kinds[i].size
        split = block.reshape(-1, a, block.shape[1] // b, b, block.shape[2])
        result.append(split.transpose(0, 2, 1, 3, 4))
    return result

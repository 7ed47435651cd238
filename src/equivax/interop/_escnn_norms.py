"""Batch norms of escnn that count by representation: their numbers, in our order and basis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .. import nn
from ..hom import invariant_vector, trivial_count
from ..nn.authoring import representation_of
from ..representations import Representation, Summand
from ._escnn_arrays import Statistics
from ._needed import Foreign

_SAME = 1e-4
"""Projectors on copies of an irrep may differ by this: some of theirs are made in float32."""


def with_numbers(
    layer: nn.AbstractBatchNorm, module: Foreign
) -> tuple[nn.AbstractBatchNorm, Statistics]:
    """The layer with scales, biases and running statistics of its module.

    Args:
        layer: An `nn.InducedNormBatchNorm`, `nn.IIDBatchNorm` or `nn.GNormBatchNorm`.
        module: The module of that name.

    Raises:
        ValueError: If the copies of an irrep are others there, so that their scales are.
    """
    rep = representation_of(layer.in_type, type(layer).__name__, "in_type")
    fields = list(module.in_type.representations)
    summands = [summand for summand, count in rep.data for _ in range(count)]
    per_copy = isinstance(layer, nn.GNormBatchNorm)
    orders = [_copies(s, r) if per_copy else [0] for s, r in zip(summands, fields, strict=True)]

    def in_order(what: str) -> np.ndarray:
        pairs = zip(_by_field(module, what), orders, strict=True)
        return np.concatenate([numbers[order] for numbers, order in pairs])

    def invariants(what: str) -> np.ndarray:
        vectors = [_dense(v, r) for v, r in zip(_by_field(module, what), fields, strict=True)]
        return coordinates(rep, np.concatenate(vectors))

    if layer.weight is not None:
        scale = jnp.asarray(in_order("weight"), layer.weight.dtype)
        layer = eqx.tree_at(lambda n: n.weight, layer, scale)
    if layer.bias is not None:
        bias = jnp.asarray(invariants("bias"), layer.bias.dtype)
        layer = eqx.tree_at(lambda n: n.bias, layer, bias)
    mean = np.zeros(0)
    if not isinstance(layer, nn.InducedNormBatchNorm):
        mean = invariants("running_mean")
    count = np.asarray(int(module.num_batches_tracked), np.int32)
    return layer, (mean, in_order("running_var"), count)


def with_statistics(layer: nn.AbstractBatchNorm, statistics: Statistics) -> nn.AbstractBatchNorm:
    """The layer whose state starts with given means, variances and number of batches."""
    old = layer.running
    if old is None:
        return layer
    start = cast(tuple[jax.Array, ...], old.init)
    new = tuple(jax.numpy.asarray(v, o.dtype) for v, o in zip(statistics, start, strict=True))
    return eqx.tree_at(
        lambda l: l.running, layer, eqx.nn.StateIndex(new), is_leaf=lambda x: x is old
    )


def _by_field(module: Foreign, what: str) -> Iterator[np.ndarray]:
    """The numbers of every field; they keep those of equal representations together."""
    fields = list(module.in_type.representations)
    keys = [_key(module, rep) for rep in fields]
    rows: dict[str, Iterator[np.ndarray]] = {}
    for key in keys:
        if key not in rows:
            found = getattr(module, f"{key}_{what}", None)
            count = keys.count(key)
            array = np.zeros(0) if found is None else found.detach().cpu().numpy()
            rows[key] = iter(array.astype(np.float64).reshape(count, array.size // count))
        yield next(rows[key])


def _key(module: Foreign, rep: Foreign) -> str:
    if hasattr(module, "_escape_name"):
        return module._escape_name(rep.name)
    induced = [name for name in rep.supported_nonlinearities if name.startswith("induced_norm")]
    return str((rep.size, int(induced[0].split("_")[-1])))


def _dense(numbers: np.ndarray, rep: Foreign) -> np.ndarray:
    """The invariant vector of a field; they have its channels, or its trivial coordinates."""
    irreps = [rep.group.irrep(*irrep) for irrep in rep.irreps]
    starts = np.cumsum([0, *(irrep.size for irrep in irreps)])
    trivial = [start for start, irrep in zip(starts, irreps, strict=False) if irrep.is_trivial()]
    if not trivial or not numbers.size:
        return np.zeros(rep.size)
    columns = np.asarray(rep.change_of_basis)[:, trivial]
    return numbers if numbers.size == rep.size > len(trivial) else columns @ numbers


def coordinates(rep: Representation, vector: np.ndarray) -> np.ndarray:
    """The trivial coordinates of an invariant vector; their unit vectors are orthonormal."""
    basis = jax.vmap(lambda unit: invariant_vector(rep, unit))(jnp.eye(trivial_count(rep)))
    return np.asarray(basis, np.float64) @ vector


def _copies(ours: Summand, theirs: Foreign) -> list[int]:
    """For each copy of an irrep in our field, which one it is there."""
    mine = _projectors(
        ours.change_of_basis, [ours.group.irrep_data(irrep).size for irrep in ours.irreps]
    )
    others = _projectors(
        np.asarray(theirs.change_of_basis),
        [theirs.group.irrep(*irrep).size for irrep in theirs.irreps],
    )
    found = []
    for one in mine:
        distances = [np.abs(one - other).max() for other in others]
        if min(distances) > _SAME:
            raise ValueError(
                f"interop.escnn.load: GNormBatchNorm: in_type: expected copies of irreps as here, "
                f"got others in {theirs.name}, so that a scale of each copy is another map; "
                "nn.GNormBatchNorm(type_, per='type') does not depend on the choice"
            )
        found.append(int(np.argmin(distances)))
    return found


def _projectors(basis: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    parts = np.split(basis, np.cumsum(sizes)[:-1], axis=1)
    return [part @ part.T for part in parts]

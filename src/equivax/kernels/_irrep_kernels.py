"""Basis elements between two irreps, sampled on the taps: solved once, shared by every copy.

For each part the angular coefficients are a basis of ``Hom_G(Y (x) psi_in, psi_out)``; contracted
with the part's samples they give kernels ``(d_out, d_in, taps)``. Each is scaled so that its
squared norm over all taps is ``d_out``, so that ``sum_x K K^T`` is about the identity.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from typing import Any

import numpy as np
from jaxtyping import Float

from .._numerics import freeze, freeze_indices
from ..hom import hom_basis
from ..representations import Representation
from ..spaces import GSpace
from ._parts import Recipe, ring_layout

VANISHES = 1e-6
"""Norm before scaling, relative to the square root of the size, below which an element is dropped:
samples that matter are above 1e-3, a ring between the taps is below 1e-30."""

DEPENDENT = 1e-6
"""Smallest singular value of unit elements that counts as independent; dependent ones give 1e-15,
the default policy at least 0.2."""


APART = 0.1
"""Share of an element, in norm, that no earlier elements make up, from which it is kept where a
recipe drops dependent ones."""


@dataclasses.dataclass(frozen=True, eq=False)
class IrrepKernels:
    """All elements from one irrep to another, ordered by part, then solution.

    Attributes:
        samples: Scaled elements.
        part: Number of the part of each.
        index: Number of the solution within the part.
        norms: Norm of each before scaling.
        angular: Their coefficients on the functions of their ring, padded to the widest ring.
    """

    samples: Float[np.ndarray, "n out in taps"]
    part: np.ndarray
    index: np.ndarray
    norms: Float[np.ndarray, " n"]
    angular: Float[np.ndarray, "n out in functions"]

    def __len__(self) -> int:
        return len(self.part)

    def gram(self, kept: np.ndarray) -> Float[np.ndarray, "k k"]:
        """Inner products of some of the elements, each relative to the size of the output."""
        flat = self.samples[kept].reshape(int(kept.sum()), -1)
        return flat @ flat.T / self.samples.shape[1]

    def inverse_gram(self, kept: np.ndarray) -> Float[np.ndarray, "k k"]:
        """Takes inner products with the kept elements to least-squares coefficients.

        If the kept elements are dependent, the coefficients are the smallest that give the
        projection.
        """
        gram = self.gram(kept)
        return np.linalg.pinv(gram, rcond=DEPENDENT**2, hermitian=True) / self.samples.shape[1]

    def independence(self, kept: np.ndarray) -> float:
        """Smallest singular value of the kept elements, scaled to unit norm."""
        if not kept.any():
            return 1.0
        return float(np.sqrt(max(np.linalg.eigvalsh(self.gram(kept))[0], 0.0)))


@functools.lru_cache(maxsize=16384)
def _solutions(
    rep: Representation, in_irrep: tuple[Any, ...], out_irrep: tuple[Any, ...]
) -> Float[np.ndarray, "n out y in"]:
    """A basis of ``Hom_G(Y (x) psi_in, psi_out)``, of squared norm ``d_out`` each."""
    psi_in, psi_out = rep.group.irrep(*in_irrep), rep.group.irrep(*out_irrep)
    if rep == rep.group.trivial:
        found = hom_basis(psi_in, psi_out).elements()
    elif out_irrep not in (product := _product(rep, psi_in)).multiplicities:
        found = np.zeros((0, psi_out.size, product.size))
    else:
        found = hom_basis(product, psi_out).elements()
    return freeze(found.reshape(len(found), psi_out.size, rep.size, psi_in.size))


@functools.lru_cache(maxsize=4096)
def _product(rep: Representation, irrep: Representation) -> Representation:
    return rep @ irrep


@functools.lru_cache(maxsize=4096)
def irrep_kernels(
    space: GSpace, recipe: Recipe, in_irrep: tuple[Any, ...], out_irrep: tuple[Any, ...]
) -> IrrepKernels:
    """The sampled elements from one irrep to another.

    Args:
        space: What is acted on.
        recipe: Which functions on the taps.
        in_irrep: Id of the input's irrep.
        out_irrep: Id of the output's irrep.

    Returns:
        Read-only and shared.
    """
    parts = recipe.parts(space)
    layout = ring_layout(parts)
    width = max(layout.widths)
    sizes = [space.group.irrep_data(i).size for i in (out_irrep, in_irrep)]
    taps = parts[0].samples.shape[1]
    alike: dict[Representation, list[int]] = defaultdict(list)
    for number, part in enumerate(parts):
        if recipe.allows(space, part, in_irrep, out_irrep):
            alike[part.rep].append(number)
    none = np.zeros(0, dtype=np.int64)
    samples, angular = [np.zeros((0, *sizes, taps))], [np.zeros((0, *sizes, width))]
    part_of, index = [none], [none]
    for rep, numbers in alike.items():
        solutions = _solutions(rep, in_irrep, out_irrep)
        count = len(solutions)
        if count == 0:
            continue
        functions = np.stack([parts[number].samples for number in numbers])
        found = np.einsum("noyi,pyt->pnoit", solutions, functions, optimize=True)
        samples.append(found.reshape(-1, *sizes, taps))
        placed = np.zeros((len(numbers), count, *sizes, width))
        for n, number in enumerate(numbers):
            start = layout.offset[number]
            placed[n, ..., start : start + rep.size] = solutions.transpose(0, 1, 3, 2)
        angular.append(placed.reshape(-1, *sizes, width))
        part_of.append(np.repeat(numbers, count))
        index.append(np.tile(np.arange(count), len(numbers)))
    stacked, where, which = (np.concatenate(x) for x in (samples, part_of, index))
    norms = np.sqrt((stacked**2).sum(axis=(1, 2, 3)))
    kept = np.flatnonzero(norms >= VANISHES * np.sqrt(sizes[0]))
    kept = kept[np.lexsort((which[kept], where[kept]))]
    if recipe.drops_dependent and len(kept):
        kept = kept[_independent(stacked[kept].reshape(len(kept), -1) / norms[kept, None])]
    scale = (np.sqrt(sizes[0]) / norms[kept])[:, None, None, None]
    return IrrepKernels(
        samples=freeze(stacked[kept] * scale),
        part=freeze_indices(where[kept]),
        index=freeze_indices(which[kept]),
        norms=freeze(norms[kept]),
        angular=freeze(np.concatenate(angular)[kept] * scale),
    )


def _independent(units: Float[np.ndarray, "n entries"]) -> list[int]:
    """Which of some unit vectors depart from the span of those kept before them."""
    frame, kept = np.zeros((0, units.shape[1])), []
    for number, unit in enumerate(units):
        rest = unit - (frame @ unit) @ frame
        if (length := np.linalg.norm(rest)) >= APART:
            frame = np.concatenate([frame, rest[None] / length])
            kept.append(number)
    return kept

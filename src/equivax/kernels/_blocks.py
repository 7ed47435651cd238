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
from ._parts import Recipe

VANISHES = 1e-6
"""Norm before scaling, relative to the square root of the size, below which an element is dropped:
samples that matter are above 1e-3, a ring between the taps is below 1e-30."""

DEPENDENT = 1e-6
"""Smallest singular value of unit elements that counts as independent; dependent ones give 1e-15,
the default policy at least 0.2."""


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """All elements from one irrep to another, ordered by part, then solution.

    Attributes:
        samples: Scaled elements.
        part: Number of the part of each.
        index: Number of the solution within the part.
        norms: Norm of each before scaling.
    """

    samples: Float[np.ndarray, "n out in taps"]
    part: np.ndarray
    index: np.ndarray
    norms: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.part)

    def gram(self, kept: np.ndarray) -> Float[np.ndarray, "k k"]:
        """Inner products of some of the elements, each relative to the size of the output."""
        flat = self.samples[kept].reshape(int(kept.sum()), -1)
        return flat @ flat.T / self.samples.shape[1]

    def duals(self, kept: np.ndarray) -> Float[np.ndarray, "n out in taps"]:
        """Kernels whose inner products with a kernel are its least-squares coefficients.

        Zero for elements that are not kept. If the kept ones are dependent, the coefficients are
        the smallest that give the projection.
        """
        duals = np.zeros(self.samples.shape)
        if kept.any():
            inverse = np.linalg.pinv(self.gram(kept), rcond=DEPENDENT**2, hermitian=True)
            duals[kept] = np.tensordot(inverse, self.samples[kept], 1) / self.samples.shape[1]
        return duals

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
def block(
    space: GSpace, recipe: Recipe, in_irrep: tuple[Any, ...], out_irrep: tuple[Any, ...]
) -> Block:
    """The sampled elements from one irrep to another.

    Args:
        space: What is acted on.
        recipe: Which functions on the taps.
        in_irrep: Id of the input's irrep.
        out_irrep: Id of the output's irrep.

    Returns:
        The block; read-only and shared.
    """
    parts = recipe.parts(space)
    sizes = [space.group.irrep_data(i).size for i in (out_irrep, in_irrep)]
    taps = parts[0].samples.shape[1]
    alike: dict[Representation, list[int]] = defaultdict(list)
    for number, part in enumerate(parts):
        if recipe.allows(space, part, in_irrep, out_irrep):
            alike[part.rep].append(number)
    samples, part_of, index = [np.zeros((0, *sizes, taps))], [np.zeros(0, int)], [np.zeros(0, int)]
    for rep, numbers in alike.items():
        solutions = _solutions(rep, in_irrep, out_irrep)
        count = len(solutions)
        if count == 0:
            continue
        functions = np.stack([parts[number].samples for number in numbers])
        found = np.einsum("noyi,pyt->pnoit", solutions, functions, optimize=True)
        samples.append(found.reshape(-1, *sizes, taps))
        part_of.append(np.repeat(numbers, count))
        index.append(np.tile(np.arange(count), len(numbers)))
    stacked, where, which = (np.concatenate(x) for x in (samples, part_of, index))
    norms = np.sqrt((stacked**2).sum(axis=(1, 2, 3)))
    kept = np.flatnonzero(norms >= VANISHES * np.sqrt(sizes[0]))
    kept = kept[np.lexsort((which[kept], where[kept]))]
    scale = np.sqrt(sizes[0]) / norms[kept]
    return Block(
        samples=freeze(stacked[kept] * scale[:, None, None, None]),
        part=freeze_indices(where[kept]),
        index=freeze_indices(which[kept]),
        norms=freeze(norms[kept]),
    )

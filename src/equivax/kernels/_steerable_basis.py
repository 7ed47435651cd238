"""`SteerableBasis`: the kernels that commute with a group, between two representations."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from .._arguments import arrays, integer
from .._values import AbstractValue
from ..hom import widened
from ..representations import Representation
from ..spaces import GSpace
from ._elements import Elements, Solved, attributes, enumerate_elements, names
from ._irrep_kernels import DEPENDENT
from ._parts import BasisFilter, Part, Recipe
from .expansion._products import (
    best_form,
    contract,
    project_coefficients,
    sampled,
    unsampled,
)
from .expansion._tables import dense, patterns

ACCEPTED = "; allow_dependent=True accepts them"
"""How a message ends about what a basis accepts, but no layer."""


class SteerableBasis(AbstractValue):
    """A basis of the kernels ``K`` on the taps with ``K(A(g) x) = rho_out(g) K(x) rho_in(g)^-1``.

    ``K(x) = sum_p C_p . Y_p(x)`` over parts (a ring times a frequency, or an orbit of taps), with
    ``C_p`` in ``Hom_G(Y_p (x) rho_in, rho_out)``. Stored as small tables per pair of irreps, shared
    by their copies and by all bases; the changes of basis stay apart. Elements are ordered by ring,
    input irrep, output irrep, frequency, solution; the squared norm of each over all taps is the
    size of its output irrep.

    Made by `steerable_basis`; immutable, hashable by value, a pytree without leaves.
    """

    space: GSpace
    in_rep: Representation
    out_rep: Representation
    recipe: Recipe
    _filter: BasisFilter | None
    _kept: bytes | None

    def __init__(
        self,
        space: GSpace,
        in_rep: Representation,
        out_rep: Representation,
        recipe: Recipe,
        basis_filter: BasisFilter | None = None,
        allow_dependent: bool = False,
        kept: bytes | None = None,
    ) -> None:
        """Use `steerable_basis`, which checks the arguments and caches by value."""
        self._fill(
            space=space,
            in_rep=in_rep,
            out_rep=out_rep,
            recipe=recipe,
            _filter=basis_filter,
            _kept=kept,
        )
        if recipe.checks_rank and not allow_dependent:
            self._check_rank()

    def __repr__(self) -> str:
        return (
            f"SteerableBasis({self.space!r}: {self.in_rep.name} -> {self.out_rep.name}, "
            f"{self.recipe}, dim {self.dim})"
        )

    # ---- facts -------------------------------------------------------------------------------

    @property
    def kernel(self) -> tuple[int, ...]:
        """Taps per spatial axis."""
        return self.recipe.kernel

    @property
    def taps(self) -> int:
        """Number of taps."""
        return math.prod(self.kernel)

    @property
    def dim(self) -> int:
        """Number of elements: the free parameters of one pair of fields."""
        return len(self.data)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts, ordered by ring, then frequency."""
        return self.recipe.parts(self.space)

    @functools.cached_property
    def solved(self) -> Solved:
        """The kernels between irreps, by numbers of irrep types."""
        return Solved(self.space, self.in_rep, self.out_rep, self.recipe)

    @property
    def irrep_types(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Distinct irrep ids of the input and of the output."""
        return self.solved.irrep_types

    @functools.cached_property
    def data(self) -> Elements:
        """Arrays that describe every element, for code that works on all of them at once."""
        found = enumerate_elements(self.solved)
        kept = np.ones(len(found), dtype=bool)
        if self._filter is not None:
            accept = self._filter
            kept = np.array([bool(accept(a)) for a in attributes(self.solved, found)], dtype=bool)
        if self._kept is not None:
            kept[kept] = np.frombuffer(self._kept, dtype=bool)
        return found if kept.all() else found.take(np.flatnonzero(kept))

    @overload
    def attributes(self) -> list[dict[str, Any]]: ...

    @overload
    def attributes(self, i: int) -> dict[str, Any]: ...

    def attributes(self, i: int | None = None) -> list[dict[str, Any]] | dict[str, Any]:
        """What `basis_filter` sees: a list of dicts in order, or the dict of element ``i``.

        Keys: ``in_irrep, out_irrep`` (ids), ``in_index, out_index`` (positions in the lists of
        irreps), ``radius, sigma, frequency, offset``, ``order`` (of derivatives; None where
        undefined), ``part`` (number of ring and frequency, of order and frequency, or of the
        orbit), ``index`` (among solutions that agree in all others).
        """
        if i is None:
            return attributes(self.solved, self.data)
        i = integer(i, "attributes", "i")
        if not -self.dim <= i < self.dim:
            raise IndexError(f"attributes: expected an element in 0..{self.dim - 1}, got {i}")
        return attributes(self.solved, self.data.take(np.array([i])))[0]

    @functools.cached_property
    def _names(self) -> tuple[str, ...]:
        return names(self.solved, self.data)

    def names(self) -> tuple[str, ...]:
        """A readable, stable, unique name of every element, in order."""
        return self._names

    @functools.cached_property
    def _by_name(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self._names)}

    def index(self, name: str) -> int:
        """Position of the element with a name.

        Raises:
            KeyError: If there is none.
        """
        if not isinstance(name, str) or name not in self._by_name:
            known = self._names[0] if self._names else "none, the basis is empty"
            raise KeyError(f"index: expected a name such as {known!r}, got {name!r}")
        return self._by_name[name]

    def subset(self, mask: Bool[np.ndarray, " dim"] | Sequence[bool]) -> SteerableBasis:
        """The basis of some of the elements, in the same order.

        Args:
            mask: One boolean per element.

        Raises:
            ValueError: If the mask does not have one boolean per element.
        """
        mask = arrays.host(mask, "subset", "mask", f"{self.dim} booleans")
        if mask.shape != (self.dim,) or mask.dtype != np.bool_:
            raise ValueError(
                f"subset: mask: expected {self.dim} booleans, got {mask.dtype} {mask.shape}"
            )
        if self._kept is not None:
            before = np.frombuffer(self._kept, dtype=bool).copy()
            before[before] = mask
            mask = before
        # Whoever made the basis accepted its rank.
        key = (self.space, self.in_rep, self.out_rep, self.recipe, self._filter)
        return pair_basis(*key, True, mask.tobytes())

    # ---- independence ------------------------------------------------------------------------

    def _check_rank(self) -> None:
        for (i, o), values in self.solved.kernels.items():
            for kept, _ in patterns(self.data, i, o, len(values)):
                if values.independence(kept) < DEPENDENT:
                    ids = self.irrep_types[0][i], self.irrep_types[1][o]
                    raise ValueError(
                        f"the elements from irrep {ids[0]} to irrep {ids[1]} are linearly "
                        f"dependent with {self.recipe}; use {self.recipe.remedy}, or drop elements "
                        f"by basis_filter{ACCEPTED}"
                    )

    # ---- kernels -----------------------------------------------------------------------------

    def elements(self) -> Float[np.ndarray, "dim out in *kernel"]:
        """The dense basis in float64. For inspection and small cases."""
        return dense(self).reshape(self.dim, self.out_rep.size, self.in_rep.size, *self.kernel)

    def expand(self, coeffs: Shaped[Any, "*leading dim"]) -> Float[Array, "..."]:
        """``sum_n coeffs[n] K_n``, in the dtype of the coefficients.

        Args:
            coeffs: ``(..., dim)``; 16-bit ones are expanded in float32 and cast once.

        Raises:
            ValueError: If the last axis is not ``dim``.
            TypeError: If the dtype is not floating.
        """
        coeffs = arrays.array(coeffs, "SteerableBasis", "coeffs")
        if coeffs.ndim == 0 or coeffs.shape[-1] != self.dim:
            raise ValueError(f"coeffs: expected (..., {self.dim}), got {coeffs.shape}")
        if not jnp.issubdtype(coeffs.dtype, jnp.floating):
            raise TypeError(f"coeffs: expected a floating dtype, got {coeffs.dtype}")
        return _expand(self, coeffs)

    def coefficients(self, kernel: Shaped[Any, "..."]) -> Float[Array, "*leading dim"]:
        """Coefficients of the orthogonal projection; the inverse of `expand` on the span.

        Args:
            kernel: ``(..., out, in, *kernel)``, equivariant or not.

        Raises:
            ValueError: If the last axes do not fit.
            TypeError: If the dtype is not floating.
        """
        kernel = arrays.array(kernel, "SteerableBasis", "kernel")
        shape = (self.out_rep.size, self.in_rep.size, *self.kernel)
        if kernel.ndim < len(shape) or kernel.shape[kernel.ndim - len(shape) :] != shape:
            raise ValueError(
                f"kernel: expected (..., {', '.join(map(str, shape))}), got {kernel.shape}"
            )
        if not jnp.issubdtype(kernel.dtype, jnp.floating):
            raise TypeError(f"kernel: expected a floating dtype, got {kernel.dtype}")
        return _coefficients(self, kernel)

    def project(self, kernel: Shaped[Any, "..."]) -> Float[Array, "..."]:
        """The nearest kernel of the span, in the Frobenius norm."""
        return self.expand(self.coefficients(kernel))


jax.tree_util.register_static(SteerableBasis)


@functools.partial(jax.jit, static_argnums=0)
def _expand(basis: SteerableBasis, coeffs: Array) -> Array:
    wide = widened(coeffs)
    form = best_form(((basis, math.prod(coeffs.shape[:-1])),))
    full = sampled(basis, contract(basis, wide, form), form)
    return full.reshape(*full.shape[:-1], *basis.kernel).astype(coeffs.dtype)


@functools.partial(jax.jit, static_argnums=0)
def _coefficients(basis: SteerableBasis, kernel: Array) -> Array:
    leading = kernel.shape[: kernel.ndim - 2 - len(basis.kernel)]
    form = best_form(((basis, math.prod(leading)),))
    flat = kernel.reshape(*leading, basis.out_rep.size, basis.in_rep.size, basis.taps)
    wide = unsampled(basis, widened(flat), form)
    return project_coefficients(basis, wide, form).astype(kernel.dtype)


@functools.lru_cache(maxsize=1024)
def pair_basis(
    space: GSpace,
    in_rep: Representation,
    out_rep: Representation,
    recipe: Recipe,
    basis_filter: BasisFilter | None,
    allow_dependent: bool,
    kept: bytes | None = None,
) -> SteerableBasis:
    return SteerableBasis(space, in_rep, out_rep, recipe, basis_filter, allow_dependent, kept)

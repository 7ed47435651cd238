"""`HomBasis`: the space of linear maps that commute with a group, as a hashable value."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Shaped

from .._arguments import arrays, integer
from .._values import AbstractValue
from ..representations import Representation, as_representation, check_same_group
from ._block import Block
from ._coefficients import Coefficients
from ._compiled import (
    compiled_apply,
    compiled_coefficients,
    compiled_stacked,
    compiled_synthesize,
)
from ._cost import cheapest_mode, machine
from ._dtypes import at_least_float32, widened
from ._initializers import Scheme, check_scheme, draw
from ._irrep_wise import from_irrep_wise, irrep_wise_map, to_irrep_wise
from ._layout import Layout, build_layout

MODES = ("auto", "dense", "spectral", "irreps")
"""Ways to apply a map: the cheaper one, by its matrix, irrep by irrep, on an `IrrepTensor`."""


class HomBasis(AbstractValue):
    """A basis of ``Hom_G(in_rep, out_rep)``, the matrices with ``W rho_in(g) = rho_out(g) W``.

    By Schur's lemma ``W = Q_out [sum_s Theta_s (x) Psi_s] Q_in^T``, one free matrix over R, C or
    H per irrep that both sides contain. Coefficients are a dict from the irrep's name to an array
    ``(m_out, m_in, S)``; leading axes are allowed and broadcast. Made by `hom_basis`, which checks
    the arguments and caches by value; immutable, hashable by value, a pytree without leaves.
    """

    in_rep: Representation
    out_rep: Representation

    def __repr__(self) -> str:
        text = f"HomBasis({self.in_rep!r} -> {self.out_rep.name}, dim {self.dim}"
        if self.unreached_out:
            text += f", unreached {list(self.unreached_out)}"
        return text + ")"

    # ---- facts -------------------------------------------------------------------------------

    @functools.cached_property
    def layout(self) -> Layout:
        """The host-side plan; for code that builds on Hom spaces."""
        return build_layout(self.in_rep, self.out_rep)

    @functools.cached_property
    def blocks(self) -> tuple[Block, ...]:
        """One record per shared irrep, in the group's order."""
        group, out = self.in_rep.group, self.out_rep.multiplicities
        blocks = []
        for irrep, in_multiplicity in self.in_rep.multiplicities.items():
            if irrep in out:
                data = group.irrep_data(irrep)
                blocks.append(
                    Block(
                        id=irrep,
                        name=data.name,
                        type=data.endomorphism_type,
                        size=data.size,
                        endomorphism_dimension=data.endomorphism_dimension,
                        out_multiplicity=out[irrep],
                        in_multiplicity=in_multiplicity,
                    )
                )
        return tuple(blocks)

    @property
    def dim(self) -> int:
        """Dimension of the space, ``sum m_out m_in S``."""
        return sum(math.prod(block.shape) for block in self.blocks)

    @property
    def unreached_out(self) -> tuple[str, ...]:
        """Names of irreps of the output that the input lacks: always zero."""
        return self._missing(self.out_rep, self.in_rep)

    @property
    def unused_in(self) -> tuple[str, ...]:
        """Names of irreps of the input that the output lacks: ignored by every map."""
        return self._missing(self.in_rep, self.out_rep)

    @staticmethod
    def _missing(one: Representation, other: Representation) -> tuple[str, ...]:
        present = other.multiplicities
        return tuple(one.group.irrep_data(i).name for i in one.multiplicities if i not in present)

    # ---- coefficients ------------------------------------------------------------------------

    def init(
        self,
        key: PRNGKeyArray,
        scheme: Scheme = "xavier_normal",
        *,
        dtype: DTypeLike | None = None,
        taps: int = 1,
    ) -> dict[str, Float[Array, "out in s"]]:
        """Draws initial coefficients.

        Args:
            key: A JAX key. Each irrep's key comes from its name.
            scheme: ``"xavier_normal"``, ``"xavier_uniform"``, ``"he_normal"``, ``"he_uniform"``
                (alias ``"kaiming_*"``), ``"lecun_normal"``, ``"lecun_uniform"``, ``"equinox"``,
                ``"small_normal"`` (a tenth of He, for last layers), ``"orthogonal"``,
                ``"identity"``, ``"zeros"``, or a callable ``(key, shape, dtype, fan_in, fan_out)``.
            dtype: Of the coefficients; JAX's default float if None.
            taps: Kernel taps that share the fan.

        Returns:
            Name to ``(m_out, m_in, S)``.

        Raises:
            ValueError: For an unknown scheme, one that returns a wrong shape, or no taps.
            TypeError: For a dtype that is not floating.
        """
        return dict(self.initial(key, scheme, dtype=dtype, taps=taps))

    def initial(
        self,
        key: PRNGKeyArray,
        scheme: Scheme = "xavier_normal",
        *,
        dtype: DTypeLike | None = None,
        taps: int = 1,
    ) -> Coefficients:
        """The coefficients that `init` draws, those of equal shape in one array."""
        check_scheme(scheme)
        key = arrays.key(key, "init")
        taps = integer(taps, "init", "taps", 1)
        dtype = arrays.dtype(jnp.result_type(float) if dtype is None else dtype, "init")
        blocks = tuple((block.name, *block.shape) for block in self.blocks)
        drawn = draw(key, blocks, scheme, dtype, taps)
        for block in self.blocks:
            if jnp.shape(drawn[block.name]) != block.shape:
                raise ValueError(
                    f"scheme: expected a callable that returns {block.shape} for irrep "
                    f"'{block.name}', got {jnp.shape(drawn[block.name])}"
                )
        return compiled_stacked(drawn, self.layout.stacking)

    def stacked(self, coeffs: Mapping[str, ArrayLike]) -> Coefficients:
        """The same coefficients, those of equal shape in one array.

        Raises:
            ValueError: If a name or a shape does not fit, naming the irrep.
        """
        if isinstance(coeffs, Coefficients) and self._fits(coeffs):
            return coeffs
        self._leading(coeffs)
        given = {name: jnp.asarray(array) for name, array in coeffs.items()}
        return compiled_stacked(given, self.layout.stacking)

    def _fits(self, coeffs: Coefficients) -> bool:
        """Whether they are stacked as here; else they are asked one by one."""
        if coeffs.stacking != self.layout.stacking:
            return False
        shapes = {block.name: block.shape for block in self.blocks}
        return all(
            isinstance(stack, (jax.Array, np.ndarray))
            and jnp.issubdtype(stack.dtype, jnp.floating)
            and stack.shape[-4:] == (len(names), *shapes[names[0]])
            for stack, names in zip(coeffs.stacks, coeffs.stacking.stacks, strict=True)
        )

    def _leading(self, coeffs: Mapping[str, ArrayLike]) -> tuple[int, ...]:
        """Checks names and shapes; returns the broadcast leading axes."""
        names = [block.name for block in self.blocks]
        if not isinstance(coeffs, Mapping) or set(coeffs) != set(names):
            got = list(coeffs) if isinstance(coeffs, Mapping) else type(coeffs).__name__
            raise ValueError(f"coeffs: expected one array per irrep {names}, got {got}")
        leading = []
        for block in self.blocks:
            given = arrays.array(coeffs[block.name], "HomBasis", f"coeffs[{block.name!r}]")
            shape = given.shape
            if shape[-3:] != block.shape:
                raise ValueError(
                    f"coeffs: expected (..., {', '.join(map(str, block.shape))}) for irrep "
                    f"'{block.name}', got {shape}"
                )
            dtype = given.dtype
            if not jnp.issubdtype(dtype, jnp.floating):
                raise TypeError(
                    f"coeffs: expected floating numbers for irrep '{block.name}', got dtype {dtype}"
                )
            leading.append(shape[:-3])
        try:
            return np.broadcast_shapes(*leading)
        except ValueError:
            raise ValueError(
                "coeffs: expected leading axes that broadcast, got "
                f"{', '.join(map(str, leading))} for irreps {names}"
            ) from None

    @staticmethod
    def _dtype(coeffs: Coefficients) -> Any:
        return jnp.result_type(*coeffs.stacks) if coeffs.stacks else jnp.result_type(float)

    def synthesize(self, coeffs: Mapping[str, ArrayLike]) -> Float[Array, "*leading out in"]:
        """The dense matrix of a commuting map.

        Args:
            coeffs: Name to ``(..., m_out, m_in, S)``.

        Returns:
            ``(..., out, in)`` in the dtype of the coefficients; 16-bit ones are expanded in
            float32 and cast once.

        Raises:
            ValueError: If a name or a shape does not fit, naming the irrep.
        """
        coeffs = self.stacked(coeffs)
        leading = np.broadcast_shapes(*(stack.shape[:-4] for stack in coeffs.stacks))
        dtype = self._dtype(coeffs)
        wide = at_least_float32(dtype)
        wider = [
            jnp.broadcast_to(jnp.asarray(stack, wide), leading + stack.shape[-4:])
            for stack in coeffs.stacks
        ]
        return compiled_synthesize(self, wider, leading, wide).astype(dtype)

    def coefficients(
        self, matrix: Shaped[ArrayLike, "*leading out in"]
    ) -> dict[str, Float[Array, "*leading m_out m_in s"]]:
        """Coefficients of the orthogonal projection: ``<Q_o^T W Q_i, Psi_s> / d``.

        Args:
            matrix: ``(..., out, in)``, equivariant or not.

        Returns:
            Name to ``(..., m_out, m_in, S)``.

        Raises:
            ValueError: If the last two axes are not ``(out, in)``.
        """
        matrix = arrays.array(matrix, "HomBasis", "matrix")
        expected = (self.out_rep.size, self.in_rep.size)
        if matrix.shape[-2:] != expected:
            raise ValueError(
                f"matrix: expected (..., {expected[0]}, {expected[1]}), got {matrix.shape}"
            )
        if not jnp.issubdtype(matrix.dtype, jnp.floating):
            raise TypeError(f"matrix: expected a floating dtype, got {matrix.dtype}")
        if not self.blocks:
            return {}
        found = compiled_coefficients(self, widened(matrix))
        return {b.name: found[b.name].astype(matrix.dtype) for b in self.blocks}

    def project(
        self, matrix: Shaped[ArrayLike, "*leading out in"]
    ) -> Float[Array, "*leading out in"]:
        """Frobenius-orthogonal projection ``mean_g rho_out(g) W rho_in(g)^T``."""
        matrix = arrays.array(matrix, "HomBasis", "matrix")
        coeffs = self.coefficients(matrix)
        if not coeffs:
            return jnp.zeros_like(matrix)
        return self.synthesize(coeffs)

    def apply(
        self,
        coeffs: Mapping[str, ArrayLike],
        x: Shaped[ArrayLike, "*batch in"],
        *,
        mode: str = "spectral",
        precision: jax.lax.PrecisionLike = None,
    ) -> Float[Array, "*batch out"]:
        """``x W^T``.

        Args:
            coeffs: Name to ``(..., m_out, m_in, S)``; leading axes broadcast against the batch
                axes of ``x``.
            x: ``(..., in)``.
            mode: ``"spectral"`` (never forms the matrix), ``"irreps"`` (the same by way of an
                `IrrepTensor`), ``"dense"``, or ``"auto"`` (the cheapest one by static shapes).
            precision: Of the large products; changes of basis always run at the highest.

        Returns:
            ``(..., out)`` in the promoted dtype.

        Raises:
            ValueError: If a shape or the mode does not fit.
        """
        if not isinstance(mode, str) or mode not in MODES:
            raise ValueError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
        x = arrays.array(x, "HomBasis", "x")
        precision = arrays.precision(precision, "HomBasis")
        if jnp.issubdtype(x.dtype, jnp.complexfloating):
            raise TypeError(f"x: expected real numbers, got dtype {x.dtype}")
        if x.ndim == 0 or x.shape[-1] != self.in_rep.size:
            raise ValueError(f"x: expected (..., {self.in_rep.size}), got {x.shape}")
        coeffs = self.stacked(coeffs)
        dtype = jnp.result_type(x.dtype, *coeffs.stacks)
        if any(stack.ndim > 4 for stack in coeffs.stacks):
            matrix = self.synthesize(coeffs).astype(dtype)
            return jnp.einsum("...oi,...i->...o", matrix, x.astype(dtype), precision=precision)
        if not coeffs:
            return jnp.zeros((*x.shape[:-1], self.out_rep.size), dtype)
        if mode == "auto":
            mode = self.choose_mode(rows_of(x, dtype), dtype)
        if mode == "dense":
            matrix = self.synthesize(coeffs).astype(dtype)
            return jnp.matmul(x.astype(dtype), matrix.T, precision=precision)
        if mode == "irreps":
            blocks = to_irrep_wise(self.in_rep, x.astype(dtype))
            y = irrep_wise_map(self.in_rep, self.out_rep, coeffs, blocks, precision)
            return from_irrep_wise(self.out_rep, y)
        wide = at_least_float32(dtype)
        wider = [jnp.asarray(stack, wide) for stack in coeffs.stacks]
        return compiled_apply(self, wider, x.astype(wide), precision).astype(dtype)

    def choose_mode(self, rows: int, dtype: DTypeLike) -> str:
        """What ``mode="auto"`` means for a number of vectors, on the platform that runs."""
        rows = integer(rows, "choose_mode", "rows", 0)
        dtype = arrays.dtype(dtype, "choose_mode")
        return cheapest_mode(self.layout, self.in_rep, self.out_rep, rows, dtype)

    def transpose(self, coeffs: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Coefficients of ``W^T`` in ``Hom_G(out_rep, in_rep)``."""
        self._leading(coeffs)
        return {
            block.name: jnp.swapaxes(jnp.asarray(coeffs[block.name]), -3, -2)
            * np.array([1] + [-1] * (block.endomorphism_dimension - 1)).astype(
                jnp.asarray(coeffs[block.name]).dtype
            )
            for block in self.blocks
        }

    def norm_sq(self, coeffs: Mapping[str, ArrayLike]) -> Float[Array, "*leading"]:
        """Squared Frobenius norm of the matrix, ``sum_k d_k |theta_k|^2``."""
        leading = self._leading(coeffs)
        total = jnp.zeros(leading, self._dtype(self.stacked(coeffs)))
        for block in self.blocks:
            total = total + block.size * jnp.sum(
                jnp.asarray(coeffs[block.name]) ** 2, axis=(-3, -2, -1)
            )
        return total

    def elements(self) -> Float[np.ndarray, "dim out in"]:
        """The dense basis, NumPy float64: orthogonal, squared norm ``d``.

        Ordered as the coefficients (irrep; out copy, in copy, s). For inspection and small cases.
        """
        group = self.in_rep.group
        q_in, q_out = self.in_rep.change_of_basis, self.out_rep.change_of_basis
        in_columns = {i: c for i, _, c in self.in_rep.isotypic_blocks}
        out_columns = {i: c for i, _, c in self.out_rep.isotypic_blocks}
        pieces = [np.zeros((0, self.out_rep.size, self.in_rep.size))]
        for block in self.blocks:
            psi = group.irrep_data(block.id).endomorphism_basis
            left = q_out[:, out_columns[block.id]]  # (out, m_out, d)
            right = q_in[:, in_columns[block.id]]
            dense = np.einsum("xoa,sab,yib->oisxy", left, psi, right, optimize=True)
            pieces.append(dense.reshape(-1, self.out_rep.size, self.in_rep.size))
        return np.concatenate(pieces)


def rows_of(x: Array, dtype: DTypeLike) -> int:
    """Number of vectors that an array is, for choices of speed.

    A single vector is what a layer sees under vmap, where the batch is out of sight, as is one of
    symbolic size (`jax.export`).
    """
    rows = math.prod(x.shape[:-1])
    return rows if x.ndim > 1 and isinstance(rows, int) else machine(dtype).rows


def hom_basis(in_rep: object, out_rep: object) -> HomBasis:
    """The space of linear maps from ``in_rep`` to ``out_rep`` that commute with the group.

    Args:
        in_rep: A `Representation`, or a type that has one.
        out_rep: Likewise, of the same group.

    Returns:
        A `HomBasis`; equal arguments give the same object.

    Raises:
        ValueError: If the groups differ.
        TypeError: If an argument is not a representation.

    Examples:
        >>> import equivax as evx
        >>> G = evx.groups.cyclic(4)
        >>> evx.hom_basis(G.regular, G.regular).dim
        4
    """
    in_rep = as_representation(in_rep, "in_rep")
    out_rep = as_representation(out_rep, "out_rep")
    check_same_group("HomBasis", in_rep, out_rep)
    return _cached(in_rep, out_rep)


@functools.lru_cache(maxsize=4096)
def _cached(in_rep: Representation, out_rep: Representation) -> HomBasis:
    return HomBasis(in_rep, out_rep)

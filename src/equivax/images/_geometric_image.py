"""`GeometricImage`: one image whose pixels hold tensors, with its algebra."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from .._arguments import arrays, integer, integers, refuse, type_of
from .._windows import Integers, ModeLike, PaddingLike, correlate, make_windows, one_of
from . import _tensors as tensors
from ._arguments import (
    MOST_CELLS,
    MOST_ORDER,
    as_dimension,
    as_factor,
    as_flags,
    as_parity,
    as_real,
    type_name,
)
from ._signed_axes import SignedAxes, turn_axis, turn_grid


class GeometricImage(eqx.Module):
    """A tensor of order k in every pixel: an array ``(*spatial, *(D,)*k)``, with a parity.

    Tensor index j runs along spatial axis j. A signed permutation ``g`` of the axes acts by
    ``(g A)(i) = det(g)^p g^(tensor k) A(g^-1 i)`` (Gregory et al. 2024, GeometricImageNet). A
    pytree with the one leaf ``data``; immutable.

    Examples:
        >>> import equivax as evx, jax.numpy as jnp
        >>> flow = evx.images.GeometricImage(jnp.ones((4, 4, 2)), parity=0, D=2)
        >>> flow, (flow * flow).contract(0, 1).k
        (GeometricImage(k1p0 on (4, 4), torus (True, True)), 0)
    """

    data: Array
    parity: int = eqx.field(static=True)
    D: int = eqx.field(static=True)
    is_torus: tuple[bool, ...] = eqx.field(static=True)
    covariant_axes: tuple[bool, ...] = eqx.field(static=True)

    __array_ufunc__ = None  # numpy scalars leave `2 * image` to us

    def __init__(
        self,
        data: object,
        parity: int,
        D: int,
        is_torus: object = True,
        covariant_axes: object = False,
    ) -> None:
        """An image from its array.

        Args:
            data: ``(*spatial, *(D,)*k)``.
            parity: 0, or 1 for pseudotensors; taken modulo 2.
            D: Number of spatial axes.
            is_torus: Which spatial axes are periodic: a boolean, or one per axis.
            covariant_axes: Which tensor axes are lower: a boolean, or one per axis.

        Raises:
            ValueError: If a tensor axis is not D long, or parity or flags do not fit.
            TypeError: If ``data`` is no array.
        """
        name = "GeometricImage"
        if not isinstance(data, (jax.Array, np.ndarray)):
            refuse(TypeError, name, "data", "an array", data)
        data, D = arrays.array(data, name, "data"), as_dimension(D, name)
        if data.ndim < D or any(n != D for n in data.shape[D:]):
            raise ValueError(
                f"{name}: data: expected {D} spatial axes, then tensor axes of length {D}, got "
                f"shape {data.shape}"
            )
        self.data = data
        self.parity = as_parity(parity, name)
        self.D = D
        self.is_torus = as_flags(is_torus, D, name, "is_torus")
        self.covariant_axes = as_flags(covariant_axes, data.ndim - D, name, "covariant_axes")

    @classmethod
    def zeros(
        cls, spatial: object, k: int, parity: int, D: int, is_torus: object = True, **options: Any
    ) -> GeometricImage:
        """The image of zeros.

        Args:
            spatial: Side of the image, or one per axis.
            k: Order.
            parity: Parity.
            D: Number of spatial axes.
            is_torus: Which axes are periodic.
            **options: ``covariant_axes``, ``dtype``.

        Raises:
            ValueError: If the order is negative or the sides do not fit.
        """
        D, k = as_dimension(D, "zeros"), integer(k, "zeros", "k", 0, MOST_ORDER)
        if D**k > MOST_CELLS:
            refuse(ValueError, "zeros", "k", f"at most {MOST_CELLS} components", k)
        return cls.fill(spatial, parity, D, np.zeros((D,) * k), is_torus, **options)

    @classmethod
    def fill(
        cls,
        spatial: object,
        parity: int,
        D: int,
        value: object,
        is_torus: object = True,
        covariant_axes: object = False,
        dtype: DTypeLike | None = None,
    ) -> GeometricImage:
        """The image with one tensor in every pixel.

        Args:
            spatial: Side of the image, or one per axis.
            parity: Parity.
            D: Number of spatial axes.
            value: The tensor ``(D,) * k``.
            is_torus: Which axes are periodic.
            covariant_axes: Which tensor axes are lower.
            dtype: Of the array; JAX's default float if None.

        Raises:
            ValueError: If the sides or the tensor do not fit.
        """
        D = as_dimension(D, "fill")
        sides = integers(spatial, "fill", "spatial", 0, count=D)
        if math.prod(sides) > MOST_CELLS:
            refuse(ValueError, "fill", "spatial", f"at most {MOST_CELLS} cells", spatial)
        dtype = arrays.dtype(jnp.result_type(float) if dtype is None else dtype, "fill")
        value = as_real(value, "fill", "value").astype(dtype)
        data = jnp.broadcast_to(value, (*sides, *value.shape))
        return cls(data, parity, D, is_torus, covariant_axes)

    # ---- facts -------------------------------------------------------------------------------

    @property
    def k(self) -> int:
        """Order: the number of tensor axes."""
        return len(self.covariant_axes)

    @property
    def spatial(self) -> tuple[int, ...]:
        """Pixels per axis."""
        return self.data.shape[: self.D]

    @property
    def type(self) -> tuple[tuple[bool, ...], int]:
        """``(flags, parity)``, as in a `Signature`."""
        return self.covariant_axes, self.parity

    def __repr__(self) -> str:
        shape = getattr(self.data, "shape", "?")
        sides = shape if isinstance(shape, str) else shape[: self.D]
        return f"GeometricImage({type_name(self.type)} on {sides}, torus {self.is_torus})"

    def _with(
        self, data: object, parity: int | None = None, flags: object = None
    ) -> GeometricImage:
        return GeometricImage(
            data,
            self.parity if parity is None else parity,
            self.D,
            self.is_torus,
            self.covariant_axes if flags is None else flags,
        )

    def _same(self, other: object, sign: str, *, algebra: bool = False) -> GeometricImage:
        if not isinstance(other, GeometricImage):
            raise TypeError(f"a {sign} b: expected a GeometricImage, got {type(other).__name__}")
        facts = ("D", "spatial", "is_torus") if algebra else ("D", "type", "spatial", "is_torus")
        for fact in facts:
            if getattr(self, fact) != getattr(other, fact):
                raise ValueError(
                    f"a {sign} b: expected images of equal {fact}, got {getattr(self, fact)} and "
                    f"{getattr(other, fact)}"
                )
        return other

    # ---- algebra -----------------------------------------------------------------------------

    def __add__(self, other: object) -> GeometricImage:
        """Sum of two images of one type."""
        return self._with(self.data + self._same(other, "+").data)

    def __sub__(self, other: object) -> GeometricImage:
        """Difference of two images of one type."""
        return self._with(self.data - self._same(other, "-").data)

    def __neg__(self) -> GeometricImage:
        return self._with(-self.data)

    def __mul__(self, other: object) -> GeometricImage:
        """Product with a number, or pixelwise outer product ``a_{i..} b_{j..}``; parities add."""
        if not isinstance(other, GeometricImage):
            return self._with(self.data * self._number(other))
        self._same(other, "*", algebra=True)
        data = tensors.outer(self.data, other.data, self.k, other.k)
        flags = self.covariant_axes + other.covariant_axes
        return self._with(data, self.parity + other.parity, flags)

    def __rmul__(self, other: object) -> GeometricImage:
        return self * other

    def __truediv__(self, other: object) -> GeometricImage:
        return self._with(self.data / self._number(other))

    def _number(self, value: object) -> Any:
        takes = "a number or an image"
        factor = as_factor(value, self.data.dtype, "GeometricImage", takes)
        if jnp.ndim(factor):
            refuse(TypeError, "GeometricImage", "factor", takes, value)
        return factor

    def transpose(self, axes: object) -> GeometricImage:
        """Tensor axes in another order: axis n of the result is axis ``axes[n]``.

        Raises:
            ValueError: If it is no permutation of all axes.
        """
        listed = tensors.as_axes(axes, self.k, "transpose", "axes")
        if len(listed) != self.k:
            refuse(ValueError, "transpose", "axes", f"all of {self.k} tensor axes", axes)
        data = jnp.transpose(self.data, [*range(self.D), *(self.D + a for a in listed)])
        return self._with(data, flags=tuple(self.covariant_axes[a] for a in listed))

    def contract(self, i: int, j: int, metric: object = None) -> GeometricImage:
        """Sum over equal values of two tensor axes; see `multicontract`."""
        return self.multicontract([(i, j)], metric)

    def multicontract(self, pairs: object, metric: object = None) -> GeometricImage:
        """Sum over equal values of each pair of tensor axes.

        Args:
            pairs: Disjoint pairs.
            metric: None for the flat sum. With a metric, one of two axes of equal flags is raised
                or lowered first.

        Raises:
            ValueError: If an axis is repeated or out of range.
        """
        pairs = tensors.as_pairs(pairs, self.k, "contract")
        image = self
        if metric is not None:
            flags = list(self.covariant_axes)
            for a, b in pairs:
                flags[a] = not flags[b]
            image = self.raise_lower(metric, tuple(flags))
        gone = {axis for pair in pairs for axis in pair}
        kept = tuple(f for axis, f in enumerate(image.covariant_axes) if axis not in gone)
        return self._with(tensors.contract(image.data, pairs, self.k), flags=kept)

    def levi_civita_contract(self, indices: object) -> GeometricImage:
        """``sum A_{..} eps_{indices.., l}``: D - 1 axes go, the free index comes last.

        The order becomes ``k - D + 2`` and the parity flips; the flags are those of the remaining
        axes, then upper.

        Args:
            indices: D - 1 tensor axes; ``indices[m]`` meets the m-th index of epsilon.

        Raises:
            ValueError: If their number is wrong, or one is repeated or out of range.
        """
        axes = tensors.as_axes(indices, self.k, "levi_civita_contract", "indices")
        if len(axes) != self.D - 1:
            raise ValueError(
                f"levi_civita_contract: indices: expected {self.D - 1} tensor axes in dimension "
                f"{self.D}, got {indices!r}"
            )
        data = tensors.levi_civita_contract(self.data, axes, self.D, self.k)
        kept = tuple(f for axis, f in enumerate(self.covariant_axes) if axis not in axes)
        return self._with(data, self.parity + 1, (*kept, False))

    def raise_lower(self, metric: object, covariant_axes: object) -> GeometricImage:
        """Lowers tensor axes with the metric, raises them with its inverse.

        Args:
            metric: A `GeometricImage` of order 2, or its array ``(*spatial, D, D)``: symmetric
                positive definite matrices.
            covariant_axes: Flags of the result.

        Raises:
            ValueError: If the metric has another shape, or the number of flags is wrong.
        """
        wanted = as_flags(covariant_axes, self.k, "raise_lower", "covariant_axes")
        given = metric.data if isinstance(metric, GeometricImage) else metric
        array = as_real(given, "raise_lower", "metric")
        if array.shape != (*self.spatial, self.D, self.D):
            raise ValueError(
                f"raise_lower: metric: expected {(*self.spatial, self.D, self.D)}, got "
                f"{array.shape}"
            )
        data = tensors.raise_lower(self.data, array, self.covariant_axes, wanted, self.D)
        return self._with(data, flags=wanted)

    def norm(self) -> GeometricImage:
        """Frobenius norm per pixel, a scalar image; its gradient at zero is zero."""
        return self._with(tensors.safe_norm(self.data, self.k), 0, ())

    def normalize(self) -> GeometricImage:
        """Divided by the largest norm of a pixel, unless that is below 1e-5."""
        largest = jnp.max(tensors.safe_norm(self.data, self.k))
        return self._with(self.data / jnp.where(largest < 1e-5, jnp.ones_like(largest), largest))

    # ---- the group ---------------------------------------------------------------------------

    def translate(self, tau: object) -> GeometricImage:
        """``out(i) = in(i - tau)`` on the torus.

        Raises:
            ValueError: If an axis that is not periodic would move.
        """
        shift = as_shift(tau, self.is_torus, "translate", "tau")
        return self._with(jnp.roll(self.data, shift, axis=tuple(range(self.D))))

    def transform(self, g: object) -> GeometricImage:
        """``det(g)^p g^(tensor k) A(g^-1 i)``; the torus flags turn with the axes.

        Args:
            g: A signed permutation matrix, or an element of a group with such defining matrices.

        Raises:
            ValueError: If it is none.
        """
        axes = SignedAxes.of(g, self.D, "transform")
        moved = turn_grid(self.data, axes, 0)
        flat = moved.reshape(*moved.shape[: self.D], self.D**self.k)
        turned = turn_axis(flat, *axes.components(self.k, self.parity), axis=-1)
        torus = axes.flags(self.is_torus)
        data = turned.reshape(moved.shape)
        return GeometricImage(data, self.parity, self.D, torus, self.covariant_axes)

    # ---- windows -----------------------------------------------------------------------------

    def convolve_with(
        self,
        filter: object,
        stride: Integers = 1,
        padding: PaddingLike | None = None,
        lhs_dilation: Integers | None = None,
        rhs_dilation: Integers | None = None,
        *,
        padding_mode: ModeLike | None = None,
        dilation: Integers = 1,
        input_dilation: Integers = 1,
    ) -> GeometricImage:
        """``out(i)_{ab} = sum_q A(s i + d q - pad)_a F(q)_b``: orders and parities add.

        Args:
            filter: A `GeometricImage` of any sides.
            stride: Pixels from a window to the next, one or one per axis.
            padding: As in `equivax.nn.ConvContract`, like the next.
            lhs_dilation: Another name of ``input_dilation``.
            rhs_dilation: Another name of ``dilation``.
            padding_mode: What the cells around the image are.
            dilation: Of the filter.
            input_dilation: Of the image.

        Raises:
            ValueError: If the dimensions differ or the windows do not fit.
        """
        name = "convolve_with"
        filter = type_of(filter, name, "filter", GeometricImage)
        if filter.D != self.D:
            raise ValueError(f"{name}: filter: expected dimension {self.D}, got {filter.D}")
        windows = make_windows(
            name,
            self.D,
            filter.spatial,
            stride=stride,
            padding=padding,
            padding_mode=padding_mode,
            dilation=one_of(name, "dilation", dilation, "rhs_dilation", rhs_dilation),
            input_dilation=one_of(
                name, "input_dilation", input_dilation, "lhs_dilation", lhs_dilation
            ),
            images=True,
        ).on(name, self.spatial, self.is_torus)
        rows = jnp.moveaxis(self.data.reshape(*self.spatial, -1), -1, 0)[:, None]
        kernels = jnp.moveaxis(filter.data.reshape(*filter.spatial, -1), -1, 0)[:, None]
        y = correlate(rows, kernels, **windows.settings, precision=jax.lax.Precision.HIGHEST)
        data = jnp.moveaxis(y, (0, 1), (-2, -1))
        data = data.reshape(*windows.counts(self.spatial), *(self.D,) * (self.k + filter.k))
        flags = self.covariant_axes + filter.covariant_axes
        return self._with(data, self.parity + filter.parity, flags)

    def _blocks(self, side: int, caller: str) -> Array:
        side = integer(side, caller, "side", 1)
        if any(n % side for n in self.spatial):
            raise ValueError(
                f"{caller}: side: expected a positive divisor of the sides {self.spatial}, got "
                f"{side}; other windows would not commute with reflections"
            )
        return tensors.blocks_of(self.data, side, 0, self.D)

    def max_pool(self, side: int) -> GeometricImage:
        """The tensor of largest norm of every window of ``side`` pixels; the mean of ties.

        Raises:
            ValueError: If the window does not divide the sides.
        """
        return self._with(tensors.largest_of(self._blocks(side, "max_pool"), self.k))

    def average_pool(self, side: int) -> GeometricImage:
        """The mean over every window of ``side`` pixels.

        Raises:
            ValueError: If the window does not divide the sides.
        """
        return self._with(jnp.mean(self._blocks(side, "average_pool"), axis=self.D))

    def unpool(self, side: int) -> GeometricImage:
        """Every pixel repeated ``side`` times along every axis.

        Raises:
            ValueError: If ``side`` is not a positive integer.
        """
        side = integer(side, "unpool", "side", 1)
        if math.prod(self.data.shape[: self.D]) * side**self.D > MOST_CELLS:
            refuse(ValueError, "unpool", "side", f"at most {MOST_CELLS} cells", side)
        data = self.data
        for axis in range(self.D):
            data = jnp.repeat(data, side, axis=axis, total_repeat_length=side * data.shape[axis])
        return self._with(data)


def as_shift(
    shift: object, is_torus: tuple[bool, ...], caller: str, argument: str
) -> tuple[int, ...]:
    """One integer per axis, zero where the axis is not periodic.

    Raises:
        TypeError: If something is no integer.
        ValueError: If there is not one per axis, or an axis that is not periodic would move.
    """
    found = integers(shift, caller, argument, count=len(is_torus))
    for axis, (n, periodic) in enumerate(zip(found, is_torus, strict=True)):
        if n and not periodic:
            takes = f"a shift along periodic axes only; axis {axis} is not periodic"
            refuse(ValueError, caller, argument, takes, shift)
    return found

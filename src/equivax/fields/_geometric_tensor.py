"""`GeometricTensor`: an array with the type of its channels."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from .._arguments import arrays, integers, is_traced, refuse, several
from ..groups import GroupElement
from ._field_type import FieldType
from ._slicing import parse


class GeometricTensor(eqx.Module):
    """Feature fields: an array ``(..., C, *spatial)`` and its `FieldType`.

    A pytree with the one leaf ``array``; the type is static. Layers check it and pass it on.
    Indexing counts fields on the channel axis. Sums need equal types; products are with
    invariant numbers only.

    Examples:
        >>> import equivax as evx, jax.numpy as jnp
        >>> space = evx.spaces.rot_on_r2(4)
        >>> type_ = evx.FieldType(space, 2 * space.regular + space.trivial)
        >>> x = type_(jnp.ones((5, 9, 8, 8)))
        >>> x[:, 1:].shape
        (5, 5, 8, 8)
    """

    array: Array
    type: FieldType = eqx.field(static=True)

    __array_ufunc__ = None  # numpy scalars leave `2 * x` to us

    def __init__(self, array: object, type: FieldType) -> None:
        """Pairs an array with its type.

        Args:
            array: ``(..., C, *spatial)``, channel axis ``-1 - d``.
            type: The type, of size C.

        Raises:
            ValueError: If the channel axis does not fit.
            TypeError: If ``type`` is no `FieldType` or ``array`` no array.
        """
        if not isinstance(type, FieldType):
            raise TypeError(
                f"GeometricTensor: type: expected a FieldType, got {type.__class__.__name__}"
            )
        if not isinstance(array, (jax.Array, np.ndarray)):
            raise TypeError(
                f"GeometricTensor: array: expected an array, got {array.__class__.__name__}"
            )
        type.check(array)
        self.array = jnp.asarray(array)
        self.type = type

    # ---- facts -------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.array.shape

    @property
    def ndim(self) -> int:
        """Number of axes of the array."""
        return self.array.ndim

    @property
    def dtype(self) -> Any:
        """Dtype of the array."""
        return self.array.dtype

    @property
    def tensor(self) -> Array:
        """Deprecated name of ``array``, which peers use."""
        warnings.warn(
            "GeometricTensor.tensor is named .array here", DeprecationWarning, stacklevel=2
        )
        return self.array

    @property
    def _channel_axis(self) -> int:
        return self.array.ndim - 1 - self.type.space.dim

    # ---- fields ------------------------------------------------------------------------------

    def __getitem__(self, index: object) -> GeometricTensor:
        """Selects fields and slices axes; an integer keeps its axis with length 1.

        Args:
            index: One entry per axis. The entry of the channel axis counts fields (a list of
                integers or booleans is allowed there); other axes take integers and slices.

        Raises:
            IndexError: If an integer is out of range.
            ValueError: If no field is left.
            TypeError: For arrays, None, or too many entries.
        """
        for entry in index if isinstance(index, tuple) else (index,):
            if is_traced(entry):
                takes = "integers and slices known outside of jit; x.array takes traced ones"
                refuse(TypeError, "GeometricTensor", "index", takes, entry)
        slices, fields = parse(index, self.array.shape, self.type)
        if fields == list(range(len(self.type))):
            return GeometricTensor(self.array[tuple(slices)], self.type)
        axis = self._channel_axis
        start, stop = self.type.fields_start[fields[0]], self.type.fields_end[fields[-1]]
        if fields == list(range(fields[0], fields[-1] + 1)):
            slices[axis] = slice(start, stop)
            chosen = self.array[tuple(slices)]
        else:
            channels = self.type.channels_of(fields).astype(np.int32)
            chosen = jnp.take(self.array[tuple(slices)], channels, axis=axis)
        return GeometricTensor(chosen, self.type.index_select(fields))

    def __setitem__(self, index: object, value: object) -> None:
        raise TypeError(
            "GeometricTensor: arrays in JAX do not change in place; use x.array.at[...].set(...) "
            "and x.type(...)"
        )

    def split(self, breaks: Sequence[int] | None = None) -> tuple[GeometricTensor, ...]:
        """Cuts between fields.

        Args:
            breaks: Ascending positions of the fields that start a new piece; None cuts at every
                field.

        Returns:
            The pieces in order.

        Raises:
            ValueError: If the positions do not ascend within 1 to ``len(type) - 1``.
        """
        count = len(self.type)
        takes = "a list of ascending positions of fields"
        given = [] if breaks is None else several(breaks, "split", "breaks", takes, 0)
        given = integers(given, "split", "breaks") if given else ()
        cuts = [0, *(range(1, count) if breaks is None else given), count]
        if any(b <= a for a, b in itertools.pairwise(cuts)):
            raise ValueError(
                f"breaks: expected ascending positions within 1 to {count - 1}, got {breaks}"
            )
        axis = self._channel_axis
        starts = self.type.fields_start
        pieces = jnp.split(self.array, [starts[cut] for cut in cuts[1:-1]], axis=axis)
        return tuple(
            GeometricTensor(piece, self.type.index_select(range(a, b)))
            for piece, (a, b) in zip(pieces, itertools.pairwise(cuts), strict=True)
        )

    # ---- arithmetic --------------------------------------------------------------------------

    def _same_type(self, other: object, sign: str) -> Array:
        if not isinstance(other, GeometricTensor):
            raise TypeError(
                f"GeometricTensor: x {sign} y: expected another GeometricTensor, got "
                f"{type(other).__name__}; adding numbers to channels does not commute with a group"
            )
        if other.type != self.type:
            raise ValueError(
                f"GeometricTensor: x {sign} y: expected equal types, got {self.type!r} and "
                f"{other.type!r}"
            )
        inner = 1 + self.type.space.dim
        if self.shape[-inner:] != other.shape[-inner:]:
            raise ValueError(
                f"GeometricTensor: x {sign} y: expected equal spatial shapes, got {self.shape} and "
                f"{other.shape}"
            )
        return other.array

    def __add__(self, other: GeometricTensor) -> GeometricTensor:
        """Sum of fields of one type; batch axes broadcast."""
        return GeometricTensor(self.array + self._same_type(other, "+"), self.type)

    def __sub__(self, other: GeometricTensor) -> GeometricTensor:
        """Difference of fields of one type; batch axes broadcast."""
        return GeometricTensor(self.array - self._same_type(other, "-"), self.type)

    def __neg__(self) -> GeometricTensor:
        return GeometricTensor(-self.array, self.type)

    def _scalar(self, other: object, sign: str) -> Any:
        if isinstance(other, GeometricTensor):
            raise TypeError(
                f"GeometricTensor: x {sign} y: the channelwise product of two fields does not "
                "commute with the group; nn.TensorProduct multiplies fields"
            )
        if isinstance(other, (bool, str, bytes)) or not isinstance(
            other, (int, float, np.generic, np.ndarray, jax.Array)
        ):
            raise TypeError(
                f"GeometricTensor: x {sign} s: expected a number or an array, got "
                f"{type(other).__name__}"
            )
        if isinstance(other, (int, float)):
            return float(other)
        factor = arrays.array(other, "GeometricTensor", f"x {sign} s")
        if jnp.issubdtype(factor.dtype, jnp.complexfloating):
            refuse(TypeError, "GeometricTensor", f"x {sign} s", "real numbers", other)
        if factor.size == 1:
            return factor.reshape(()).astype(self.dtype)
        axis = -1 - self.type.space.dim
        if factor.ndim < -axis or factor.shape[axis] != 1:
            raise ValueError(
                f"GeometricTensor: x {sign} s: expected a number, or an array of length 1 on the "
                f"channel axis {axis}, got shape {factor.shape}"
            )
        inner = (1, *self.shape[axis + 1 :]) if axis < -1 else (1,)
        if any(n not in (1, m) for n, m in zip(factor.shape[axis:], inner, strict=True)):
            raise ValueError(
                f"GeometricTensor: x {sign} s: expected an array that broadcasts against "
                f"{self.shape}, got shape {factor.shape}"
            )
        return factor.astype(self.dtype)

    def __mul__(self, factor: object) -> GeometricTensor:
        """Product with a number, or with an array of length 1 on the channel axis."""
        return GeometricTensor(self.array * self._scalar(factor, "*"), self.type)

    __rmul__ = __mul__

    def __truediv__(self, factor: object) -> GeometricTensor:
        """Quotient by a number, or by an array of length 1 on the channel axis."""
        return GeometricTensor(self.array / self._scalar(factor, "/"), self.type)

    # ---- the group ---------------------------------------------------------------------------

    def restrict(self, subgroup: object) -> GeometricTensor:
        """The same array under fewer symmetries."""
        return GeometricTensor(self.array, self.type.restrict(subgroup))

    def transform(self, g: GroupElement, order: int = 1) -> GeometricTensor:
        """``rho(g) f(A(g)^-1 x)``; see `FieldType.transform`."""
        return GeometricTensor(self.type.transform(self.array, g, order), self.type)

    def transform_fibers(self, g: GroupElement) -> GeometricTensor:
        """``rho(g) f(x)``; see `FieldType.transform_fibers`."""
        return GeometricTensor(self.type.transform_fibers(self.array, g), self.type)

    # ---- convenience -------------------------------------------------------------------------

    def astype(self, dtype: DTypeLike) -> GeometricTensor:
        """The same fields in another floating dtype."""
        return GeometricTensor(self.array.astype(arrays.dtype(dtype, "astype")), self.type)

    def reshape_batch(self, *shape: int) -> GeometricTensor:
        """Other batch axes: ``shape`` replaces all axes before the channels."""
        inner = self.shape[self._channel_axis :]
        sizes = integers(shape, "reshape_batch", "shape", -1) if shape else ()
        known, size = (
            math.prod(n for n in sizes if n >= 0),
            math.prod(self.shape) // (math.prod(inner) or 1),
        )
        free = sizes.count(-1)
        if free > 1 or (not free and known != size) or (free and (not known or size % known)):
            raise ValueError(
                f"reshape_batch: shape: expected batch axes of {size} entries in all, got {shape}"
            )
        return GeometricTensor(self.array.reshape(*sizes, *inner), self.type)

    def to(self, device: object) -> GeometricTensor:
        """The same fields on another device or sharding (`jax.device_put`)."""
        if device is not None and not isinstance(device, (jax.Device, jax.sharding.Sharding)):
            refuse(TypeError, "GeometricTensor.to", "device", "a device or a sharding", device)
        return GeometricTensor(jax.device_put(self.array, device), self.type)

    def __repr__(self) -> str:
        shape = getattr(self.array, "shape", "?")
        return f"GeometricTensor({shape}, {self.type!r})"

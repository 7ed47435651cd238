"""`MultiImage`: images of several tensor types over one grid, stored as one dense array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from .._arguments import arrays, is_integer, refuse, type_of
from ..fields import FieldType
from . import _reshaping as reshaping
from . import _tensors as tensors
from ._agreement import matched
from ._arguments import as_dimension, as_flags
from ._batch_axes import as_batch_factor, as_batch_index, same_channels, scalars
from ._dense_channels import channel_action, joined, reordered, to_block
from ._geometric_image import GeometricImage, as_shift
from ._metric import as_metric, change_flags, is_per_example, turn_metric, uniform
from ._signature import Signature
from ._signed_axes import SignedAxes, turn_axis, turn_grid


class MultiImage(eqx.Module):
    """Images of several tensor types on one grid: blocks by name, one dense array underneath.

    ``array`` is ``(..., C, *spatial)`` with ``C = sum c D^k``: types in signature order, fields of
    a type in order, the components of a field contiguous in C order. So it is the array of a
    `GeometricTensor` of type ``signature.field_type(D)``. ``x[(1, 0)]`` is the block of a type,
    ``(..., c, *spatial, *(D,)*k)``; other indices select from the batch axes. A pytree: leaves are
    the array and the metric, everything else is static. Immutable.

    Examples:
        >>> import equivax as evx, jax.numpy as jnp
        >>> blocks = {(0, 0): jnp.ones((3, 4, 4)), (1, 0): jnp.ones((1, 4, 4, 2))}
        >>> x = evx.images.MultiImage(blocks, D=2)
        >>> x.array.shape, x[(1, 0)].shape
        ((5, 4, 4), (1, 4, 4, 2))
    """

    array: Array
    metric: Array | None
    signature: Signature = eqx.field(static=True)
    D: int = eqx.field(static=True)
    is_torus: tuple[bool, ...] = eqx.field(static=True)

    __array_ufunc__ = None  # numpy scalars leave `2 * x` to us

    def __init__(
        self, blocks: object, D: int, is_torus: object = True, metric: object = None
    ) -> None:
        """Images from one array per type.

        Args:
            blocks: Mapping from types, such as ``(1, 0)``, to ``(..., c, *spatial, *(D,)*k)``.
            D: Number of spatial axes.
            is_torus: Which of them are periodic: a boolean, or one per axis.
            metric: None, or symmetric positive definite matrices ``(*spatial, D, D)`` with lower
                axes (an array or a `GeometricImage`); the batch axes of the blocks may precede.

        Raises:
            ValueError: If ranks, batch shapes, spatial shapes, dtypes or the metric do not fit.
            TypeError: If something is no array.
        """
        D = as_dimension(D, "MultiImage")
        array, signature = joined(blocks, D)
        self._fill(array, signature, D, is_torus, metric)

    @classmethod
    def from_array(
        cls,
        array: object,
        signature: object,
        D: int,
        is_torus: object = True,
        metric: object = None,
    ) -> MultiImage:
        """Wraps a dense array ``(..., C, *spatial)``.

        Args:
            array: The array.
            signature: What its channels are.
            D: Number of spatial axes.
            is_torus: Which of them are periodic.
            metric: As in the constructor.

        Raises:
            ValueError: If the channel axis ``-1 - D`` is not ``signature.size(D)`` long, or there
                is no type.
            TypeError: If ``array`` is no array.
        """
        D, signature = as_dimension(D, "MultiImage"), Signature(signature)
        if not len(signature):
            refuse(ValueError, "MultiImage", "signature", "at least one type", signature)
        if not isinstance(array, (jax.Array, np.ndarray)):
            refuse(TypeError, "MultiImage", "array", "an array", array)
        array = arrays.array(array, "MultiImage", "array")
        size = signature.size(D)
        if array.ndim < D + 1 or array.shape[-1 - D] != size:
            expected = ", ".join(["...", str(size), *["_"] * D])
            raise ValueError(
                f"MultiImage: array: expected ({expected}) for {signature!r}, got {array.shape}"
            )
        self = object.__new__(cls)
        self._fill(array, signature, D, is_torus, metric)
        return self

    def _fill(
        self, array: Array, signature: Signature, D: int, is_torus: object, metric: object
    ) -> None:
        vars(self).update(
            array=array,
            metric=as_metric(metric, array, D),
            signature=signature,
            D=D,
            is_torus=as_flags(is_torus, D, "MultiImage", "is_torus"),
        )

    def astype(self, dtype: DTypeLike) -> MultiImage:
        """The same image with numbers of another type; the metric stays as it is."""
        wanted = jax.dtypes.canonicalize_dtype(arrays.dtype(dtype, "astype"))
        return self.with_array(self.array.astype(wanted))

    def with_array(
        self,
        array: Array,
        signature: Signature | None = None,
        *,
        metric: Array | None = None,
        is_torus: tuple[bool, ...] | None = None,
    ) -> MultiImage:
        """Another array on the same grid; the types, the metric and the torus stay unless given."""
        return MultiImage.from_array(
            array,
            self.signature if signature is None else signature,
            self.D,
            self.is_torus if is_torus is None else is_torus,
            self.metric if metric is None else metric,
        )

    # ---- facts -------------------------------------------------------------------------------

    @property
    def batch(self) -> tuple[int, ...]:
        """Batch axes, before the channels."""
        return self.array.shape[: self._axis]

    @property
    def spatial(self) -> tuple[int, ...]:
        """Pixels per axis."""
        return self.array.shape[self._axis + 1 :]

    @property
    def dtype(self) -> Any:
        """Dtype of the array."""
        return self.array.dtype

    @property
    def types(self) -> tuple[Any, ...]:
        """The types, as ``(flags, parity)``."""
        return self.signature.types

    @property
    def _axis(self) -> int:
        return self.array.ndim - 1 - self.D

    def field_type(self, group: object = None) -> FieldType:
        """`Signature.field_type` in the dimension of the image."""
        return self.signature.field_type(self.D, group)

    def __repr__(self) -> str:
        shape = getattr(self.array, "shape", "?")
        metric = "" if self.metric is None else ", metric"
        return f"MultiImage({shape}, {self.signature!r}, torus {self.is_torus}{metric})"

    def dense(self, type_: object) -> Array:
        """The channels of a type, ``(..., c D^k, *spatial)``."""
        place = self.signature.slices(self.D)[self.signature.key(type_)]
        return jax.lax.slice_in_dim(self.array, place.start, place.stop, axis=self._axis)

    def blocks(self) -> dict[Any, Array]:
        """The block of every type, in order."""
        return {type_: self[type_] for type_ in self.types}

    def __getitem__(self, index: Any) -> Any:
        """The block of a type, or a selection from the batch axes.

        Args:
            index: A type: ``(order, parity)``, ``(flags, parity)`` or a name. Or an integer, a
                slice, an array, or a tuple of them for the batch axes; `at_batch` takes what looks
                like a type.

        Raises:
            KeyError: If the type is not there; the message lists those that are.
            IndexError: If an integer is out of range.
            ValueError: If there are not so many batch axes.
        """
        pair = isinstance(index, tuple) and len(index) == 2 and is_integer(index[1])
        if isinstance(index, str) or (pair and isinstance(index[0], (int, np.integer, tuple))):
            key = self.signature.key(index)
            return to_block(self.dense(key), len(key[0]), self.D)
        return self.at_batch(index)

    def at_batch(self, indices: object) -> MultiImage:
        """Selects from the batch axes, as indexing of an array does.

        Args:
            indices: An integer, a slice, an array, or a tuple of them.

        Raises:
            IndexError: If an integer is out of range.
            ValueError: If there are not so many batch axes.
        """
        index = as_batch_index(indices, self.batch)
        metric = self.metric
        if metric is not None and is_per_example(metric, self.D):
            metric = metric[index]
        return self.with_array(self.array[index], metric=metric)

    # ---- arithmetic --------------------------------------------------------------------------

    def reorder(self, signature: object) -> MultiImage:
        """The same images with the types in the order of another signature.

        Raises:
            ValueError: Naming the first type that is missing, or has other channels.
        """
        wanted = same_channels(self.signature, Signature(signature))
        channels = reordered(self.signature, wanted, self.D)
        if channels is None:
            return self
        return self.with_array(jnp.take(self.array, channels, axis=self._axis), wanted)

    def _term(self, other: object, sign: str) -> Any:
        image = isinstance(other, MultiImage)
        return matched(self, other, f"x {sign} y") if image else as_batch_factor(self, other)

    def __add__(self, other: object) -> MultiImage:
        """Sum with an image of the same types, or with numbers."""
        return self.with_array(self.array + self._term(other, "+"))

    __radd__ = __add__

    def __sub__(self, other: object) -> MultiImage:
        """Difference with an image of the same types, or with numbers."""
        return self.with_array(self.array - self._term(other, "-"))

    def __neg__(self) -> MultiImage:
        return self.with_array(-self.array)

    def __mul__(self, factor: object) -> MultiImage:
        """Product with a number, or an array that broadcasts against the batch axes."""
        return self.with_array(self.array * as_batch_factor(self, factor))

    __rmul__ = __mul__

    def __truediv__(self, factor: object) -> MultiImage:
        """Quotient by a number, or by an array that broadcasts against the batch axes."""
        return self.with_array(self.array / as_batch_factor(self, factor))

    # ---- norms -------------------------------------------------------------------------------

    def norm(self) -> MultiImage:
        """Frobenius norm of every field of every type, in order, as scalars; zero slope at zero."""
        array = jnp.concatenate([n.array for n in self.block_norms().values()], axis=self._axis)
        return self.with_array(array, scalars(array.shape[self._axis]))

    def block_norms(self) -> dict[Any, MultiImage]:
        """The norms of the fields of each type, as scalar images."""
        found = {}
        for type_, channels in self.signature:
            norms = tensors.safe_norm(self[type_], len(type_[0]))
            found[type_] = self.with_array(norms, scalars(channels))
        return found

    # ---- channels and batches ------------------------------------------------------------------

    def concat(self, other: MultiImage, axis: int | None = None) -> MultiImage:
        """Appends the channels of another image, or its examples.

        Args:
            other: Channels of equal types are appended, new types go to the end.
            axis: None for channels, or a batch axis; the types must then agree.

        Raises:
            ValueError: If the images do not fit together.
        """
        return reshaping.concat(self, type_of(other, "concat", "other", MultiImage), axis)

    def split(self, signature: object) -> tuple[MultiImage, MultiImage]:
        """Takes the last channels of each type away: the inverse of `concat`.

        Returns:
            What is left (types without channels are dropped), and what was taken.

        Raises:
            ValueError: If there are fewer channels than that, or nothing is left.
        """
        return reshaping.split(self, Signature(signature))

    @staticmethod
    def stack(images: Sequence[MultiImage], axis: int = 0) -> MultiImage:
        """Images of one signature along a new batch axis.

        Raises:
            ValueError: If there is none, or they do not fit together.
        """
        return reshaping.stack(reshaping.listed(images, "stack", MultiImage), axis)

    def expand(self, axis: int, size: int) -> MultiImage:
        """Splits a batch axis of length n into two, ``(size, n / size)``.

        Raises:
            ValueError: If it is no batch axis, or ``size`` does not divide its length.
        """
        return reshaping.expand(self, axis, size)

    def merge(self, axes: Sequence[int]) -> MultiImage:
        """Joins neighbouring batch axes into one.

        Raises:
            ValueError: If they are no neighbouring batch axes, in order.
        """
        return reshaping.merge(self, axes)

    # ---- other forms ---------------------------------------------------------------------------

    def to_vector(self) -> Array:
        """All numbers: the raveled blocks in signature order, each in block layout."""
        return jnp.concatenate([block.ravel() for block in self.blocks().values()])

    @staticmethod
    def from_vector(vector: object, like: MultiImage) -> MultiImage:
        """The inverse of `to_vector` for images shaped like a given one.

        Raises:
            ValueError: If the length differs.
        """
        like = type_of(like, "from_vector", "like", MultiImage)
        return reshaping.from_vector(arrays.array(vector, "from_vector", "vector"), like)

    def to_scalar(self) -> MultiImage:
        """The dense channels labelled as scalars, which only translations respect."""
        return self.with_array(self.array, scalars(self.signature.size(self.D)))

    def from_scalar(self, signature: object) -> MultiImage:
        """The inverse of `to_scalar`: the dense channels labelled by another signature."""
        return self.with_array(self.array, Signature(signature))

    def to_images(self) -> list[GeometricImage]:
        """Every field of every example, ordered by type, example, channel; flags are kept."""
        return reshaping.to_images(self)

    @staticmethod
    def from_images(images: Sequence[GeometricImage], batch: int | Sequence[int] = 0) -> MultiImage:
        """The inverse of `to_images`.

        Args:
            images: Ordered by type, example, channel.
            batch: Number of examples, or a batch shape; 0 for no batch axis.

        Raises:
            ValueError: If images of a type are not as many for every example.
        """
        blocks, first = reshaping.blocks_of_images(images, batch)
        return MultiImage(blocks, first.D, first.is_torus)

    # ---- time --------------------------------------------------------------------------------

    def fold_time(self) -> MultiImage:
        """The last batch axis, of T steps, into the channels: ``(fields, T)`` with T fastest.

        Raises:
            ValueError: If there is no batch axis, or every step has a metric of its own.
        """
        return reshaping.fold_time(self)

    def unfold_time(self, steps: int) -> MultiImage:
        """The inverse of `fold_time`.

        Raises:
            ValueError: If the steps do not divide the channels of every type.
        """
        return reshaping.unfold_time(self, steps)

    def component(self, i: int, steps: int = 1) -> MultiImage:
        """The i-th scalar component of a series with time folded into the channels.

        Args:
            i: Counts types in order, fields, tensor components in C order.
            steps: T, the number of time steps.

        Returns:
            T scalars.

        Raises:
            ValueError: If T does not divide the channels.
            IndexError: If there is no such component.
        """
        return reshaping.component(self, i, steps)

    # ---- the group and the metric ------------------------------------------------------------

    def transform(self, g: object) -> MultiImage:
        """``(g A)(i) = det(g)^p g^(tensor k) A(g^-1 i)`` on data, metric and torus flags.

        Args:
            g: A signed permutation matrix, or an element of a group with such defining matrices.

        Raises:
            ValueError: If it is none.
        """
        axes = SignedAxes.of(g, self.D, "transform")
        moved = turn_grid(self.array, axes, self._axis + 1)
        array = turn_axis(moved, *channel_action(self.signature, self.D, axes), self._axis)
        metric = None if self.metric is None else turn_metric(self.metric, axes)
        return self.with_array(array, metric=metric, is_torus=axes.flags(self.is_torus))

    def translate(self, shift: object) -> MultiImage:
        """``out(i) = in(i - shift)`` along periodic axes, the metric too.

        Raises:
            ValueError: If an axis that is not periodic would move.
        """
        steps, grid = as_shift(shift, self.is_torus, "translate", "shift"), range(-self.D, 0)
        metric = self.metric
        if metric is not None:
            metric = jnp.roll(metric, steps, axis=tuple(a - 2 for a in grid))
        return self.with_array(jnp.roll(self.array, steps, axis=tuple(grid)), metric=metric)

    def raise_lower(self, signature: object) -> MultiImage:
        """Raises and lowers tensor axes with the metric.

        Args:
            signature: Types of the result. Fields are matched in order within equal order and
                parity, whose numbers of channels must agree.

        Raises:
            ValueError: If they do not, or there is no metric.
        """
        wanted = Signature(signature)
        if wanted == self.signature:
            return self
        if self.metric is None:
            raise ValueError("raise_lower: expected an image with a metric, got none")
        changed = change_flags(self.array, self.signature, wanted, self.metric, self.D)
        return self.with_array(changed, wanted)

    def raise_all(self) -> MultiImage:
        """All tensor axes upper."""
        return self.raise_lower(uniform(self.signature, False))

    def lower_all(self) -> MultiImage:
        """All tensor axes lower."""
        return self.raise_lower(uniform(self.signature, True))

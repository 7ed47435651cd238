"""`MultiImage`: images of several tensor types over one grid, stored as one dense array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..fields import FieldType
from . import _forms as forms
from . import _tensors as tensors
from ._arguments import as_dimension, as_flags, as_type, is_integer, type_name
from ._batch import as_batch_index, as_factor, same_channels, scalars
from ._dense_channels import checked_block, reordered, to_block, to_dense
from ._geometric_image import GeometricImage, as_shift
from ._signature import Signature
from ._signed_axes import SignedAxes


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

    def __init__(self, blocks: Any, D: int, is_torus: Any = True, metric: Any = None) -> None:
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
        if not isinstance(blocks, Mapping) or not blocks:
            raise ValueError(
                f"MultiImage: blocks: expected a mapping from types to arrays, got {blocks!r}"
            )
        arrays, entries, first = [], [], None
        for key, given in blocks.items():
            type_ = as_type(key, "MultiImage")
            name, k = type_name(type_), len(type_[0])
            block, batch, spatial = checked_block(given, type_, D, name)
            shared = (batch, spatial, block.dtype)
            first = shared if first is None else first
            for what, one, other in zip(
                ("batch shape", "spatial shape", "dtype"), first, shared, strict=True
            ):
                if one != other:
                    raise ValueError(
                        f"MultiImage: blocks: expected one {what}, got {one} for "
                        f"{type_name(as_type(entries[0][0], ''))} and {other} for {name}"
                    )
            entries.append((type_, block.shape[len(batch)]))
            arrays.append(to_dense(block, k, D))
        signature = Signature(tuple(entries))
        array = jnp.concatenate(arrays, axis=-1 - D) if len(arrays) > 1 else arrays[0]
        self._fill(array, signature, D, is_torus, metric)

    @classmethod
    def from_array(
        cls, array: Any, signature: Any, D: int, is_torus: Any = True, metric: Any = None
    ) -> MultiImage:
        """Wraps a dense array ``(..., C, *spatial)``.

        Args:
            array: The array.
            signature: What its channels are.
            D: Number of spatial axes.
            is_torus: Which of them are periodic.
            metric: As in the constructor.

        Raises:
            ValueError: If the channel axis ``-1 - D`` is not ``signature.size(D)`` long.
            TypeError: If ``array`` is no array.
        """
        D, signature = as_dimension(D, "MultiImage"), Signature(signature)
        if not isinstance(array, (jax.Array, np.ndarray)):
            raise TypeError(f"MultiImage: array: expected an array, got {type(array).__name__}")
        size = signature.size(D)
        if array.ndim < D + 1 or array.shape[-1 - D] != size:
            expected = ", ".join(["...", str(size), *["_"] * D])
            raise ValueError(
                f"MultiImage: array: expected ({expected}) for {signature!r}, got {array.shape}"
            )
        self = object.__new__(cls)
        self._fill(jnp.asarray(array), signature, D, is_torus, metric)
        return self

    def _fill(self, array: Array, signature: Signature, D: int, is_torus: Any, metric: Any) -> None:
        if isinstance(metric, GeometricImage):
            metric = metric.data
        if metric is not None:
            metric = jnp.asarray(metric)
            inner = (*array.shape[array.ndim - D :], D, D)
            batch = array.shape[: array.ndim - D - 1]
            if metric.shape not in (inner, (*batch, *inner)):
                raise ValueError(
                    f"MultiImage: metric: expected shape {inner}, or that after the batch axes "
                    f"{batch}, got {metric.shape}"
                )
        values = dict(array=array, metric=metric, signature=signature, D=D)
        values["is_torus"] = as_flags(is_torus, D, "MultiImage", "is_torus")
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _with(self, array: Any, signature: Signature | None = None, **changes: Any) -> MultiImage:
        facts = {"is_torus": self.is_torus, "metric": self.metric, **changes}
        signature = self.signature if signature is None else signature
        return MultiImage.from_array(array, signature, self.D, **facts)

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

    def field_type(self, group: Any = None) -> FieldType:
        """`Signature.field_type` in the dimension of the image."""
        return self.signature.field_type(self.D, group)

    def __repr__(self) -> str:
        shape = getattr(self.array, "shape", "?")
        metric = "" if self.metric is None else ", metric"
        return f"MultiImage({shape}, {self.signature!r}, torus {self.is_torus}{metric})"

    def _dense(self, type_: Any) -> Array:
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
            return to_block(self._dense(key), len(key[0]), self.D)
        return self.at_batch(index)

    def at_batch(self, indices: Any) -> MultiImage:
        """Selects from the batch axes, as indexing of an array does.

        Args:
            indices: An integer, a slice, an array, or a tuple of them.

        Raises:
            IndexError: If an integer is out of range.
            ValueError: If there are not so many batch axes.
        """
        index = as_batch_index(indices, self.batch)
        metric = self.metric
        if metric is not None and metric.ndim > self.D + 2:
            metric = metric[index]
        return self._with(self.array[index], metric=metric)

    # ---- arithmetic --------------------------------------------------------------------------

    def reorder(self, signature: Any) -> MultiImage:
        """The same images with the types in the order of another signature.

        Raises:
            ValueError: Naming the first type that is missing, or has other channels.
        """
        wanted = same_channels(self.signature, Signature(signature))
        channels = reordered(self.signature, wanted, self.D)
        if channels is None:
            return self
        return self._with(jnp.take(self.array, channels, axis=self._axis), wanted)

    def _term(self, other: Any, sign: str) -> Any:
        image = isinstance(other, MultiImage)
        return forms.matched(self, other, sign) if image else as_factor(self, other)

    def __add__(self, other: Any) -> MultiImage:
        """Sum with an image of the same types, or with numbers."""
        return self._with(self.array + self._term(other, "+"))

    __radd__ = __add__

    def __sub__(self, other: Any) -> MultiImage:
        """Difference with an image of the same types, or with numbers."""
        return self._with(self.array - self._term(other, "-"))

    def __neg__(self) -> MultiImage:
        return self._with(-self.array)

    def __mul__(self, factor: Any) -> MultiImage:
        """Product with a number, or an array that broadcasts against the batch axes."""
        return self._with(self.array * as_factor(self, factor))

    __rmul__ = __mul__

    def __truediv__(self, factor: Any) -> MultiImage:
        """Quotient by a number, or by an array that broadcasts against the batch axes."""
        return self._with(self.array / as_factor(self, factor))

    # ---- norms -------------------------------------------------------------------------------

    def norm(self) -> MultiImage:
        """Frobenius norm of every field of every type, in order, as scalars; zero slope at zero."""
        norms = [n.array for n in self.block_norms().values()]
        array = jnp.concatenate(norms, axis=self._axis)
        return self._with(array, scalars(array.shape[self._axis]))

    def block_norms(self) -> dict[Any, MultiImage]:
        """The norms of the fields of each type, as scalar images."""
        found = {}
        for type_, channels in self.signature:
            norms = tensors.safe_norm(self[type_], len(type_[0]))
            found[type_] = self._with(norms, scalars(channels))
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
        return forms.concat(self, other, axis)

    def split(self, signature: Any) -> tuple[MultiImage, MultiImage]:
        """Takes the last channels of each type away: the inverse of `concat`.

        Returns:
            What is left (types without channels are dropped), and what was taken.

        Raises:
            ValueError: If there are fewer channels than that, or nothing is left.
        """
        return forms.split(self, Signature(signature))

    @staticmethod
    def stack(images: Sequence[MultiImage], axis: int = 0) -> MultiImage:
        """Images of one signature along a new batch axis.

        Raises:
            ValueError: If there is none, or they do not fit together.
        """
        return forms.stack(images, axis)

    def expand(self, axis: int, size: int) -> MultiImage:
        """Splits a batch axis of length n into two, ``(size, n / size)``.

        Raises:
            ValueError: If it is no batch axis, or ``size`` does not divide its length.
        """
        return forms.expand(self, axis, size)

    def merge(self, axes: Sequence[int]) -> MultiImage:
        """Joins neighbouring batch axes into one.

        Raises:
            ValueError: If they are no neighbouring batch axes, in order.
        """
        return forms.merge(self, axes)

    # ---- other forms ---------------------------------------------------------------------------

    def to_vector(self) -> Array:
        """All numbers: the raveled blocks in signature order, each in block layout."""
        return jnp.concatenate([block.ravel() for block in self.blocks().values()])

    @staticmethod
    def from_vector(vector: Any, like: MultiImage) -> MultiImage:
        """The inverse of `to_vector` for images shaped like a given one.

        Raises:
            ValueError: If the length differs.
        """
        return forms.from_vector(jnp.asarray(vector), like)

    def to_scalar(self) -> MultiImage:
        """The dense channels labelled as scalars, which only translations respect."""
        return self._with(self.array, scalars(self.signature.size(self.D)))

    def from_scalar(self, signature: Any) -> MultiImage:
        """The inverse of `to_scalar`: the dense channels labelled by another signature."""
        return self._with(self.array, Signature(signature))

    def to_images(self) -> list[GeometricImage]:
        """Every field of every example, ordered by type, example, channel; flags are kept."""
        return forms.to_images(self)

    @staticmethod
    def from_images(images: Sequence[GeometricImage], batch: Any = 0) -> MultiImage:
        """The inverse of `to_images`.

        Args:
            images: Ordered by type, example, channel.
            batch: Number of examples, or a batch shape; 0 for no batch axis.

        Raises:
            ValueError: If images of a type are not as many for every example.
        """
        blocks, first = forms.blocks_of_images(images, batch)
        return MultiImage(blocks, first.D, first.is_torus)

    # ---- time --------------------------------------------------------------------------------

    def fold_time(self) -> MultiImage:
        """The last batch axis, of T steps, into the channels: ``(fields, T)`` with T fastest.

        Raises:
            ValueError: If there is no batch axis, or every step has a metric of its own.
        """
        return forms.fold_time(self)

    def unfold_time(self, steps: int) -> MultiImage:
        """The inverse of `fold_time`.

        Raises:
            ValueError: If the steps do not divide the channels of every type.
        """
        return forms.unfold_time(self, steps)

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
        return forms.component(self, i, steps)

    # ---- the group and the metric ------------------------------------------------------------

    def transform(self, g: Any) -> MultiImage:
        """``(g A)(i) = det(g)^p g^(tensor k) A(g^-1 i)`` on data, metric and torus flags.

        Args:
            g: A signed permutation matrix, or an element of a group with such defining matrices.

        Raises:
            ValueError: If it is none.
        """
        return forms.transform(self, SignedAxes.of(g, self.D, "transform"))

    def translate(self, shift: Any) -> MultiImage:
        """``out(i) = in(i - shift)`` along periodic axes, the metric too.

        Raises:
            ValueError: If an axis that is not periodic would move.
        """
        return forms.translate(self, as_shift(shift, self.is_torus, "translate"))

    def raise_lower(self, signature: Any) -> MultiImage:
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
        return self._with(forms.change_flags(self, wanted), wanted)

    def raise_all(self) -> MultiImage:
        """All tensor axes upper."""
        return self.raise_lower(forms.uniform(self.signature, False))

    def lower_all(self) -> MultiImage:
        """All tensor axes lower."""
        return self.raise_lower(forms.uniform(self.signature, True))

"""`PatchEmbed` and `PatchUnembed`: from the pixels of patches to tokens, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Shaped

from ..._arguments import arrays, integers, shown
from ..._windows import Integers
from ...fields import FieldType, GeometricTensor, IrrepTensor, Type
from ...hom import Scheme
from ...representations import check_same_group
from .._core._cells import CellFields, cell_fields, check_fields, check_sides, to_cells
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_conv, plain_function, plain_layer
from ..linear import Linear


class PatchEmbed(AbstractModule):
    """Every patch of an image as one token: ``y_t = W (pixels of patch t) + b``.

    The pixels of a patch are a vector of ``grid (x) rho_in``, which the group turns like the whole
    image: it moves them within the patch and acts on channels. ``W`` is a `Linear` from there, the
    same for all patches, and the group moves the patches: ``f(g x) = g f(x)``. It is the
    convolution whose stride is the size of its kernel, in the basis ``"grid"``.

    Shapes: ``(..., c_in, *sides) -> (..., tokens, c_out)``, with the patches in the order of the
    raveled grid, or ``(..., c_out, *grid)`` if ``out_type`` is a type of fields on the same space.

    Examples:
        >>> import equivax as evx, jax, jax.numpy as jnp
        >>> space = evx.spaces.flip_rot_on_r2(4)
        >>> rgb = evx.FieldType(space, 3 * space.trivial)
        >>> embed = evx.nn.PatchEmbed(rgb, 8 * space.regular, 4, key=jax.random.key(0))
        >>> embed(jnp.ones((3, 32, 32))).shape
        (64, 64)
    """

    linear: Linear
    in_type: FieldType = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    patch: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        in_type: FieldType,
        out_type: Type,
        patch: Integers,
        *,
        use_bias: bool = True,
        init: Scheme = "xavier_normal",
        mode: str = "auto",
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: Fields on a line, plane or volume whose group turns and mirrors its axes.
            out_type: A type of vectors for tokens, or of fields on the same space for an image of
                patches.
            patch: Pixels of a patch along every axis, equal on axes that the group exchanges.
            use_bias: Whether tokens get an invariant bias.
            init: Scheme of the weights, see `HomBasis.init`.
            mode: As in `Linear`.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the group does not map patches to themselves, groups or spaces differ,
                or no linear map exists.
            TypeError: If a type is of another kind.
        """
        name = "PatchEmbed"
        self.in_type = check_fields(name, "in_type", in_type)
        self.out_type = _tokens_or_fields(name, "out_type", out_type, in_type)
        self.patch = check_sides(name, "patch", in_type.space, patch)
        self.linear = Linear(
            self._pixels.representation,
            representation_of(out_type, name, "out_type"),
            use_bias=use_bias,
            init=init,
            mode=mode,
            warn_unused=False,
            dtype=dtype,
            key=arrays.key(key, name),
        )

    @property
    def _pixels(self) -> CellFields:
        return cell_fields(self.in_type.space, self.patch, self.in_type.representation)

    @property
    def kernel(self) -> Float[Array, "out in *patch"]:
        """The dense kernel of the same convolution, synthesised at every access."""
        dense = jnp.swapaxes(self._pixels.channels(self.linear.weight), 1, 2)
        return dense.reshape(*dense.shape[:2], *self.patch)

    def with_kernel(self, kernel: Shaped[ArrayLike, "out in *patch"]) -> PatchEmbed:
        """This layer with the orthogonal projection of a dense kernel as its weight.

        Raises:
            ValueError: If the shape does not fit.
        """
        dense = arrays.array(kernel, "PatchEmbed", "kernel")
        takes = (self.out_type.size, self.in_type.size, *self.patch)
        if dense.shape != takes:
            raise ValueError(f"PatchEmbed: kernel: expected shape {takes}, got {dense.shape}")
        pixels = jnp.swapaxes(dense.reshape(*takes[:2], -1), 1, 2)
        linear = self.linear.with_weight(self._pixels.vector(pixels))
        return eqx.tree_at(lambda tree: tree.linear, self, linear)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        sides = x.shape[x.ndim - len(self.patch) :]
        if any(side % size for side, size in zip(sides, self.patch, strict=True)):
            raise ValueError(
                f"PatchEmbed: x: expected sides that are multiples of the patch {self.patch}, got "
                f"{sides}; pad or crop the image, or use nn.Conv with a stride and padding"
            )
        y = self.linear(self._pixels.vector(cut(self.patch, x)))
        if channel_axis(self.out_type) == -1:
            return as_list(len(sides), y)
        return jnp.moveaxis(y, -1, -1 - len(sides))

    def _value(self, y: Array, given: tuple[object, ...]) -> Any:
        """As for every layer, but tokens of an image are no image."""
        if channel_axis(self.out_type) != -1:
            return super()._value(y, given)
        y = super()._value(y, (y,))
        out_type = self.out_type
        if isinstance(given[0], GeometricTensor) and isinstance(out_type, FieldType):
            return GeometricTensor(y, out_type)
        return y

    def export(self) -> eqx.nn.Conv | eqx.nn.Sequential:
        """A convolution of Equinox; where its cells are tokens, with a layer that lists them."""
        conv = plain_conv(self.kernel, self.linear.bias, stride=self.patch)
        if channel_axis(self.out_type) != -1:
            return conv
        return eqx.nn.Sequential([conv, plain_layer(as_rows, -1 - len(self.patch))])


class PatchUnembed(AbstractModule):
    """Every token as the pixels of a patch of an image: ``(pixels of patch t) = W x_t + b``.

    The inverse way of `PatchEmbed`: ``W`` is a `Linear` to ``grid (x) rho_out``, the same for all
    tokens, and ``b`` a patch that does not change under the group. Law: ``f(g x) = g f(x)``.

    Shapes: ``(..., tokens, c_in) -> (..., c_out, *sides)``, where the patches form a square, a cube
    or a grid that the call names, ``layer(x, grid=(h, w))``; or from ``(..., c_in, *grid)`` if
    ``in_type`` is a type of fields on the same space.

    Examples:
        >>> import equivax as evx, jax, jax.numpy as jnp
        >>> space = evx.spaces.flip_rot_on_r2(4)
        >>> flow = evx.FieldType(space, space.vector)
        >>> layer = evx.nn.PatchUnembed(8 * space.regular, flow, 4, key=jax.random.key(0))
        >>> layer(jnp.ones((6, 64)), grid=(2, 3)).shape
        (2, 8, 12)
    """

    linear: Linear
    in_type: Type = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)
    patch: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        out_type: FieldType,
        patch: Integers,
        *,
        use_bias: bool = True,
        init: Scheme = "xavier_normal",
        mode: str = "auto",
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: A type of vectors for tokens, or of fields on the same space for an image of
                patches.
            out_type: Fields on a line, plane or volume whose group turns and mirrors its axes.
            patch: Pixels of a patch along every axis, equal on axes that the group exchanges.
            use_bias: Whether patches get an invariant bias.
            init: Scheme of the weights, see `HomBasis.init`.
            mode: As in `Linear`.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the group does not map patches to themselves, groups or spaces differ,
                or no linear map exists.
            TypeError: If a type is of another kind.
        """
        name = "PatchUnembed"
        self.out_type = check_fields(name, "out_type", out_type)
        self.in_type = _tokens_or_fields(name, "in_type", in_type, out_type)
        self.patch = check_sides(name, "patch", out_type.space, patch)
        self.linear = Linear(
            representation_of(in_type, name, "in_type"),
            self._pixels.representation,
            use_bias=use_bias,
            init=init,
            mode=mode,
            warn_unused=False,
            dtype=dtype,
            key=arrays.key(key, name),
        )

    @property
    def _pixels(self) -> CellFields:
        return cell_fields(self.out_type.space, self.patch, self.out_type.representation)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None, grid: object = None
    ) -> Float[Array, "..."]:
        shape = self._grid(x.shape, grid)
        return self._paved(shape, self.linear(as_rows(channel_axis(self.in_type), x)))

    def _forward_irreps(
        self, x: IrrepTensor, key: PRNGKeyArray | None = None, grid: object = None
    ) -> Float[Array, "..."]:
        shape, rep = self._grid(x.shape, grid), self.linear.basis.in_rep
        return self._paved(shape, self.linear(IrrepTensor(x.blocks, rep)).array)

    def _paved(self, grid: tuple[int, ...], rows: Array) -> Array:
        return paved(self.patch, grid, self._pixels.channels(rows))

    def _grid(self, shape: tuple[int, ...], grid: object) -> tuple[int, ...]:
        """How many tokens there are along every axis."""
        dim = len(self.patch)
        if channel_axis(self.in_type) != -1:
            if grid is not None:
                raise ValueError(
                    "PatchUnembed: grid: expected None, since fields have a grid, got "
                    f"{shown(grid)}"
                )
            return shape[len(shape) - dim :]
        if len(shape) < 2:
            raise ValueError(f"PatchUnembed: x: expected (..., tokens, channels), got {shape}")
        if grid is None:
            found = root(shape[-2], dim)
        else:
            found = integers(grid, "PatchUnembed", "grid", 1, count=dim)
        if math.prod(found) != shape[-2]:
            raise ValueError(
                f"PatchUnembed: grid: expected {dim} numbers with the product {shape[-2]}, the "
                f"number of tokens, got {found if grid is not None else None}"
            )
        return found

    def export(self) -> Callable[..., Array]:
        """A plain function ``(x, grid=None)`` of one example that holds the dense matrix."""
        pixels, linear = self._pixels, self.linear
        layout = pixels.runs, pixels.order, self.patch, channel_axis(self.in_type)
        return plain_function(unembedded, linear.weight, linear.bias, *layout)


# ---- formulas ------------------------------------------------------------------------------------


def cut(patch, x):
    """Patches of ``(..., c, *sides)``, each with its pixels listed: ``(..., *grid, pixels, c)``."""
    dim = len(patch)
    lead, sides = x.shape[: x.ndim - dim], x.shape[x.ndim - dim :]
    split = [n for side, size in zip(sides, patch, strict=True) for n in (side // size, size)]
    first = len(lead)
    places = [first + i for start in (0, 1) for i in range(start, 2 * dim, 2)]
    x = jnp.transpose(x.reshape(*lead, *split), (*range(first - 1), *places, first - 1))
    return x.reshape(*x.shape[: first - 1 + dim], math.prod(patch), lead[-1])


def paved(patch, grid, x):
    """The image ``(..., c, *sides)`` of patches ``(..., cells, pixels, c)``: undoes `cut`."""
    dim, lead, first = len(patch), x.shape[:-3], x.ndim - 3
    x = x.reshape(*lead, *grid, *patch, x.shape[-1])
    places = [first + start + axis for axis in range(dim) for start in (0, dim)]
    x = jnp.transpose(x, (*range(first), x.ndim - 1, *places))
    return x.reshape(*x.shape[: first + 1], *[n * p for n, p in zip(grid, patch, strict=True)])


def as_list(dim, x):
    """Vectors on a grid ``(..., *grid, c)`` as a list ``(..., cells, c)``."""
    lead, grid = x.shape[: -1 - dim], x.shape[-1 - dim : -1]
    return x.reshape(*lead, math.prod(grid), x.shape[-1])


def as_rows(axis, x):
    """Vectors with their channels last and in a list, wherever their type has the channels."""
    return x if axis == -1 else as_list(-1 - axis, jnp.moveaxis(x, axis, -1))


def root(count, dim):
    """The sides of a square or cube of a number of cells, or those next to it."""
    return (round(count ** (1 / dim)),) * dim


def unembedded(weight, bias, runs, order, patch, axis, x, grid=None, key=None):
    """`PatchUnembed` with a dense matrix."""
    if axis != -1:
        grid = x.shape[axis + 1 :]
    elif grid is None:
        grid = root(x.shape[-2], len(patch))
    rows = jnp.matmul(as_rows(axis, x), weight.T)
    rows = rows if bias is None else rows + bias
    return paved(patch, grid, to_cells(runs, order, rows))


# ---- types ---------------------------------------------------------------------------------------


def _tokens_or_fields(caller: str, argument: str, type_: Type, fields: FieldType) -> Type:
    """A type of vectors of the group of the fields, or of fields on their space.

    Raises:
        ValueError: If the group or the space is another one.
        TypeError: If it is no type.
    """
    rep = representation_of(type_, caller, argument)
    check_same_group(caller, fields.representation, rep)
    if isinstance(type_, FieldType) and type_.space.dim and type_.space != fields.space:
        raise ValueError(
            f"{caller}: {argument}: expected a type of vectors, or of fields on {fields.space!r}, "
            f"got {type_!r}"
        )
    return type_

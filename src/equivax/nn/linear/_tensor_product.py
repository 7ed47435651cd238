"""`TensorProduct`: fields times fields, and a learned equivariant map of the products."""

from __future__ import annotations

import dataclasses
import functools
import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import arrays, is_flag, refuse, type_of
from ...fields import Type
from ...hom import HomBasis, Scheme, hom_basis, widened
from ...representations import Representation, check_same_group, symmetric_pairs, symmetric_square
from .._core._admission import checked_scheme, parameter_dtype
from .._core._channels import field_sizes, take_channels
from .._core._fibres import turned
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer, plain_layer_of_several

_NAME = "TensorProduct"


@dataclasses.dataclass(frozen=True, eq=False)
class Kind:
    """Fields that are multiplied and mapped alike.

    Attributes:
        name: Key of the parameters.
        basis: Maps from the products of the entries to the output field.
        first: Channels of the fields of the first input, ``(fields, size)``.
        second: Likewise of the second.
        out: Channels of the output.
        pairs: Entries ``(i, j)`` of each product, and its factor.
    """

    name: str
    basis: HomBasis
    first: np.ndarray
    second: np.ndarray
    out: np.ndarray
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray]


class TensorProduct(AbstractModule):
    """``z_i = W_i (x_i (x) y_i)``: field by field, with ``W_i`` learned in ``Hom_G``.

    The entries of the i-th field of one input times those of the other (of itself, with one
    input) turn by ``rho (x) rho'``, and ``W_i`` maps them to the i-th output field: the quadratic
    (bilinear) equivariant maps of a field (Thomas et al. 2018; Cesa, Lang and Weiler 2022). With
    one input only the symmetric square is kept: ``size (size + 1) / 2`` products in place of
    ``size^2``, and the same functions.

    Law: ``f(rho(g) x, rho'(g) y) = rho_out(g) f(x, y)``. Homogeneous of degree 2, so outputs of
    large inputs are larger: normalise, or add the result to its input.

    Shapes: ``(..., C, *spatial) -> (..., C_out, *spatial)``, in the dtype of the input.

    Examples:
        >>> import equivax as evx, jax
        >>> space = evx.spaces.rot_on_r2(8)
        >>> type_ = evx.FieldType(space, 4 * space.regular)
        >>> layer = evx.nn.TensorProduct(type_, key=jax.random.key(0))
        >>> layer(jax.numpy.ones((32, 5, 5))).shape
        (32, 5, 5)
    """

    weights: dict[str, dict[str, Float[Array, "fields m_out m_in s"]]]
    in_type: Type | tuple[Type, Type] = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    symmetric: bool = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type | tuple[Type, Type],
        out_type: Type | None = None,
        *,
        symmetric: bool | None = None,
        init: Scheme = "lecun_normal",
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the parameters.

        Args:
            in_type: A type, or a pair of types; the layer is then called ``(x, y)``.
            out_type: A type with as many fields as ``in_type``; default the (first) input type.
            symmetric: Whether equal products ``x_i x_j = x_j x_i`` are counted once; default with
                one input.
            init: Scheme of each field's map, see `HomBasis.init`. The default, generalized He,
                keeps the variance: products of variance 1 give outputs of variance 1.
            dtype: Of the parameters; JAX's default float if None.
            key: A JAX key.

        Raises:
            ValueError: If the numbers of fields or the groups differ, a field of the output has no
                irrep in common with its products, or an option does not fit.
            TypeError: If a type is none.
        """
        several = isinstance(in_type, tuple)
        types = in_type if several else (in_type, in_type)
        if len(types) != 2:
            raise ValueError(
                f"{_NAME}: in_type: expected one type or a pair of types, got {len(types)} types"
            )
        out_type = types[0] if out_type is None else out_type
        first, second = (representation_of(t, _NAME, "in_type") for t in types)
        out = representation_of(out_type, _NAME, "out_type")
        for other, name in ((second, "in_type"), (out, "out_type")):
            _check_alike(name, first, other, types[0], types[1] if name == "in_type" else out_type)
        if symmetric is None:
            symmetric = not several
        if not is_flag(symmetric):
            refuse(TypeError, _NAME, "symmetric", "True, False or None", symmetric)
        symmetric = bool(symmetric)
        if symmetric and several:
            raise ValueError(
                f"{_NAME}: symmetric: expected False or None for two inputs, whose products differ "
                "when they are exchanged, got True"
            )
        scheme, key = checked_scheme(init, _NAME), arrays.key(key, _NAME)
        dtype = parameter_dtype(dtype, _NAME)
        self.in_type = in_type
        self.out_type = out_type
        self.symmetric = symmetric
        self.weights = {}
        for kind in self.kinds:
            own = jax.random.fold_in(key, zlib.crc32(kind.name.encode()))
            keys = jax.random.split(own, len(kind.out))
            draw = functools.partial(kind.basis.init, scheme=scheme, dtype=dtype)
            self.weights[kind.name] = jax.vmap(draw)(keys)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Fields that are multiplied and mapped alike, with the Hom space of their maps."""
        types = self.in_type if isinstance(self.in_type, tuple) else (self.in_type, self.in_type)
        first, second = (representation_of(t, _NAME, "in_type") for t in types)
        out = representation_of(self.out_type, _NAME, "out_type")
        return _kinds(first, second, out, self.symmetric)

    def matrix(self, kind: Kind) -> Float[Array, "fields out products"]:
        """The maps of all fields of a kind, dense."""
        type_of(kind, _NAME, "kind", Kind, "one of the layer's kinds")
        if kind.name not in self.weights:
            raise ValueError(f"{_NAME}: kind: expected one of the layer's kinds, got {kind.name!r}")
        return kind.basis.synthesize(self.weights[kind.name])

    def _forward(
        self, x: Array | tuple[Array, Array], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        arrays = x if isinstance(x, tuple) else (x,)
        constants = self._constants()
        if len(arrays) == 2:
            _check_outside(*arrays, constants[-1])
        return products(*constants, *arrays)

    def _constants(self) -> tuple[list[tuple[Any, ...]], np.ndarray, int]:
        kinds = []
        for kind in self.kinds:
            i, j, factors = kind.pairs
            matrix = kind.basis.synthesize(jax.tree.map(widened, self.weights[kind.name]))
            matrix = matrix * jnp.asarray(factors, matrix.dtype)
            left, right = kind.first[:, i].ravel(), kind.second[:, j].ravel()
            kinds.append((len(kind.out), left, right, matrix))
        order = np.argsort(np.concatenate([kind.out.ravel() for kind in self.kinds]))
        return kinds, order.astype(np.int32), channel_axis(self.out_type)

    def export(self) -> Callable[..., Any]:
        """A plain function of one or two arrays, with dense maps as constants."""
        if isinstance(self.in_type, tuple):
            return plain_layer_of_several(products, *self._constants())
        return plain_layer(products, *self._constants())


def products(
    kinds: Sequence[tuple[Any, ...]],
    order: np.ndarray | Array,
    axis: int,
    x: Float[Array, "..."],
    y: Float[Array, "..."] | None = None,
) -> Float[Array, "..."]:
    """``W_i (x_i (x) y_i)`` for the fields of every kind.

    Args:
        kinds: Per kind the number of fields, the channels of both factors of all their products,
            and their maps ``(fields, out, products)``.
        order: Channels of the output from those of the kinds, one after the other.
        axis: The channel axis, negative.
        x: ``(..., channels, *spatial)``.
        y: Likewise; ``x`` if None.
    """
    y = x if y is None else y
    dtype = jnp.result_type(x, y)
    x, y = widened(x.astype(dtype)), widened(y.astype(dtype))
    batch, points = (
        jax.lax.broadcast_shapes(x.shape[:axis], y.shape[:axis]),
        x.shape[x.ndim + axis + 1 :],
    )
    x, y = (jnp.broadcast_to(v, (*batch, *v.shape[axis:])) for v in (x, y))
    pieces = []
    for fields, left, right, matrix in kinds:
        z = take_channels(x, left, axis) * take_channels(y, right, axis)
        z = z.reshape(math.prod(batch), fields, left.size // fields, math.prod(points))
        z = turned(matrix, z)
        pieces.append(z.reshape(z.shape[0], z.shape[1] * z.shape[2], z.shape[3]))
    z = pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=1)
    z = z.reshape(*batch, z.shape[1], *points)
    return take_channels(z, order, axis).astype(dtype)


def _check_outside(x: Array, y: Array, axis: int) -> None:
    """Refuses inputs whose batch axes do not broadcast, or whose spatial axes differ."""
    fits = x.shape[x.ndim + axis + 1 :] == y.shape[y.ndim + axis + 1 :]
    try:
        jax.lax.broadcast_shapes(x.shape[:axis], y.shape[:axis])
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{_NAME}: x and y: expected equal spatial axes and batch axes that broadcast, got "
            f"{x.shape} and {y.shape}"
        )


def _check_alike(
    name: str, first: Representation, other: Representation, in_type: Type, other_type: Type
) -> None:
    """Refuses types of different groups, spaces or numbers of fields."""
    try:
        check_same_group(_NAME, first, other)
    except ValueError:
        raise ValueError(
            f"{_NAME}: {name}: expected fields that {first.group.name} acts on, got {other!r}"
        ) from None
    spaces = [getattr(t, "space", None) for t in (in_type, other_type)]
    if spaces[0] != spaces[1]:
        raise ValueError(
            f"{_NAME}: {name}: expected fields on {spaces[0]!r}, as in_type {in_type!r}, got "
            f"{other_type!r}"
        )
    counts = [len(field_sizes(rep)) for rep in (first, other)]
    if counts[0] != counts[1]:
        raise ValueError(
            f"{_NAME}: {name}: expected {counts[0]} fields, one for each of {first!r}, got "
            f"{counts[1]} in {other!r}"
        )


@functools.lru_cache(maxsize=256)
def _kinds(
    first: Representation, second: Representation, out: Representation, symmetric: bool
) -> tuple[Kind, ...]:
    """Kinds in the order in which they occur.

    Raises:
        ValueError: If only the zero map leads to a field.
    """
    listed = [[s for s, n in rep.data for _ in range(n)] for rep in (first, second, out)]
    starts = [np.cumsum([0, *field_sizes(rep)]) for rep in (first, second, out)]
    found: dict[tuple[Any, ...], list[int]] = {}
    for index, summands in enumerate(zip(*listed, strict=True)):
        found.setdefault(summands, []).append(index)
    kinds = []
    for number, ((a, b, c), fields) in enumerate(found.items()):
        one, two, target = (Representation(first.group, [(s, 1)]) for s in (a, b, c))
        products = symmetric_square(one) if symmetric else one @ two
        basis = hom_basis(products, target)
        if basis.dim == 0:
            raise ValueError(
                f"{_NAME}: out_type: field {fields[0]} ({c.name}) has no irrep in common with the "
                f"products {products.name}; expected one of irreps {', '.join(basis.unused_in)}"
            )
        if symmetric:
            pairs = symmetric_pairs(a.size)
        else:
            i, j = np.divmod(np.arange(a.size * b.size), b.size)
            pairs = i, j, np.ones(len(i))
        left, right, made = (
            (start[fields][:, None] + np.arange(s.size)).astype(np.int32)
            for start, s in zip(starts, (a, b, c), strict=True)
        )
        label = a.name if symmetric else f"{a.name} x {b.name}"
        kinds.append(Kind(f"{number}: {label} -> {c.name}", basis, left, right, made, pairs))
    return tuple(kinds)

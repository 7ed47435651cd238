"""`IrrepTensor`: vectors that stay in the coordinates of their irreps, one array per irrep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from .._arguments import arrays, refuse
from .._arguments import function as as_function
from ..hom import from_irrep_wise, irrep_plan, to_irrep_wise
from ..representations import Representation, as_representation
from ._field_type import FieldType
from ._type import Type


class IrrepTensor(eqx.Module):
    """Vectors of a type as one array per irrep, so that a linear layer is one product for each.

    Between layers that take it nothing is turned, sliced or transposed, which is what a symmetric
    layer costs on an accelerator. Vector layers take an `IrrepTensor` of ``in_type`` and give one
    of ``out_type``; the numbers are those of the layer on arrays, up to rounding.

    A pytree whose leaves are the arrays; the type is static. The array of an irrep of dimension
    ``d`` that occurs ``m`` times has shape ``(..., d, m)``:

    - Components come first, in the basis in which what commutes with the irrep acts by the table
      of the real, complex or quaternionic numbers. For a real irrep that is the irrep's own basis.
      With ``S`` = 2 or 4 the components are ``(q, S)`` with ``S`` fastest, so that
      ``(..., q, S m)`` is the same array and a linear map contracts ``(S, m)``, contiguous.
    - Copies come last: distinct summands in the order of their first appearance, in each first the
      copy within the summand, then the number of the summand.

    Attributes:
        blocks: Irrep name to array.
        type: A `Representation`, or a field type of vectors.

    Examples:
        >>> import equivax as evx, jax, jax.numpy as jnp
        >>> R = evx.groups.dihedral(4).regular
        >>> x = evx.IrrepTensor.of(16 * R, jnp.ones((5, 128)))
        >>> {name: block.shape for name, block in x.blocks.items() if block.shape[-2] == 2}
        {'irrep(1,1)': (5, 2, 32)}
        >>> layer = evx.nn.Linear(16 * R, 32 * R, key=jax.random.key(0))
        >>> layer(x).array.shape
        (5, 256)
    """

    blocks: dict[str, Array]
    type: Type = eqx.field(static=True)

    __array_ufunc__ = None  # numpy scalars leave `2 * x` to us

    def __init__(self, blocks: Mapping[str, Array], type: Type) -> None:
        """Pairs arrays with their type; `of` makes them from vectors.

        Args:
            blocks: One array ``(..., d, m)`` per irrep of the type, alike in dtype and in all
                axes but the last two.
            type: The type.

        Raises:
            ValueError: If a name, a shape or a dtype does not fit.
            TypeError: If ``type`` is no type of vectors.
        """
        plan = irrep_plan(_vectors(type))
        if not isinstance(blocks, Mapping) or set(blocks) != set(plan.spaces):
            got = list(blocks) if isinstance(blocks, Mapping) else blocks.__class__.__name__
            raise ValueError(
                f"IrrepTensor: blocks: expected one array per irrep {list(plan.spaces)}, got {got}"
            )
        read = {
            name: arrays.array(blocks[name], "IrrepTensor", f"blocks of '{name}'")
            for name in plan.spaces
        }
        first = next(iter(plan.spaces))
        for name, space in plan.spaces.items():
            block, inner = read[name], (space.size, space.copies)
            shape, other = block.shape, read[first].shape
            if shape[-2:] != inner or shape[:-2] != other[:-2]:
                raise ValueError(
                    f"IrrepTensor: blocks: expected {(*other[:-2], *inner)} for irrep '{name}', "
                    f"got {shape}"
                )
            if block.dtype != read[first].dtype:
                raise ValueError(
                    f"IrrepTensor: blocks: expected one dtype, got {read[first].dtype} for "
                    f"irrep '{first}' and {block.dtype} for '{name}'"
                )
        self.blocks = read
        self.type = type

    @classmethod
    def of(cls, type: Type, array: object) -> IrrepTensor:
        """Vectors in the coordinates of their irreps, ``Q^T x``.

        The change of basis runs in at least float32, at the highest precision, and is rounded once.

        Args:
            type: A `Representation`, or a field type of vectors.
            array: ``(..., n)``.

        Raises:
            ValueError: If the last axis does not fit the type.
            TypeError: If ``array`` is no array of floating numbers, or ``type`` no type of vectors.
        """
        rep = _vectors(type)
        if not isinstance(array, (jax.Array, np.ndarray)):
            raise TypeError(
                f"IrrepTensor: array: expected an array, got {array.__class__.__name__}"
            )
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(
                f"IrrepTensor: array: expected floating numbers, got dtype {array.dtype}"
            )
        if array.ndim == 0 or array.shape[-1] != rep.size:
            raise ValueError(
                f"IrrepTensor: array: expected (..., {rep.size}) for {type!r}, got {array.shape}"
            )
        return cls(to_irrep_wise(rep, jnp.asarray(array)), type)

    @property
    def array(self) -> Float[Array, "*batch n"]:
        """The vectors ``(..., n)``: the inverse of `of`, up to rounding."""
        return from_irrep_wise(_vectors(self.type), self.blocks)

    # ---- facts -------------------------------------------------------------------------------

    @property
    def _first(self) -> Array:
        return next(iter(self.blocks.values()))

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the axes before the channels."""
        return self._first.shape[:-2]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the vectors, ``(..., n)``."""
        return (*self.batch_shape, self.type.size)

    @property
    def ndim(self) -> int:
        """Number of axes of the vectors."""
        return self._first.ndim - 1

    @property
    def dtype(self) -> jnp.dtype:
        """Dtype of the arrays."""
        return self._first.dtype

    # ---- arithmetic --------------------------------------------------------------------------

    def map(self, function: Callable[[Array], Array]) -> IrrepTensor:
        """The tensor with a function of arrays applied to every block.

        Args:
            function: ``(..., d, m)`` to the same shape. The caller answers for what commutes: sums
                over ``m`` do, functions of single entries do not.
        """
        function = as_function(function, "map", "function")
        return IrrepTensor({name: function(b) for name, b in self.blocks.items()}, self.type)

    def _with(
        self, other: object, sign: str, function: Callable[[Array, Array], Array]
    ) -> IrrepTensor:
        if not isinstance(other, IrrepTensor):
            raise TypeError(
                f"IrrepTensor: x {sign} y: expected another IrrepTensor, got "
                f"{type(other).__name__}; IrrepTensor.of(x.type, array) makes one"
            )
        if other.type != self.type:
            raise ValueError(
                f"IrrepTensor: x {sign} y: expected equal types, got {self.type!r} and "
                f"{other.type!r}"
            )
        pairs = {name: function(block, other.blocks[name]) for name, block in self.blocks.items()}
        return IrrepTensor(pairs, self.type)

    def __add__(self, other: object) -> IrrepTensor:
        """Sum of vectors of one type; batch axes broadcast."""
        return self._with(other, "+", jnp.add)

    def __sub__(self, other: object) -> IrrepTensor:
        """Difference of vectors of one type; batch axes broadcast."""
        return self._with(other, "-", jnp.subtract)

    def __neg__(self) -> IrrepTensor:
        return self.map(jnp.negative)

    def _factor(self, other: object, sign: str) -> Array | float:
        if isinstance(other, (bool, str, bytes)) or not isinstance(
            other, (int, float, np.generic, np.ndarray, jax.Array)
        ):
            raise TypeError(
                f"IrrepTensor: x {sign} s: expected a number or an array, got "
                f"{type(other).__name__}; nn.TensorProduct multiplies vectors"
            )
        if isinstance(other, (int, float)):
            return float(other)
        factor = arrays.array(other, "IrrepTensor", f"x {sign} s")
        if jnp.issubdtype(factor.dtype, jnp.complexfloating):
            refuse(TypeError, "IrrepTensor", f"x {sign} s", "real numbers", other)
        if factor.size != 1 and factor.shape[-1] != 1:
            raise ValueError(
                f"IrrepTensor: x {sign} s: expected a number, or an array of length 1 on the last "
                f"axis, got shape {factor.shape}"
            )
        factor = factor.astype(self.dtype)
        return factor.reshape(()) if factor.size == 1 else factor[..., None]

    def __mul__(self, factor: object) -> IrrepTensor:
        """Product with a number, or with an array of length 1 on the last axis."""
        number = self._factor(factor, "*")
        return self.map(lambda block: block * number)

    __rmul__ = __mul__

    def __truediv__(self, factor: object) -> IrrepTensor:
        """Quotient by a number, or by an array of length 1 on the last axis."""
        number = self._factor(factor, "/")
        return self.map(lambda block: block / number)

    def __getitem__(self, index: object) -> NoReturn:
        raise TypeError(
            "IrrepTensor: x[...]: channels are spread over arrays; index x.array, or the batch "
            "axes with jax.tree.map(lambda block: block[...], x)"
        )

    # ---- convenience -------------------------------------------------------------------------

    def astype(self, dtype: DTypeLike) -> IrrepTensor:
        """The same vectors in another floating dtype."""
        to = arrays.dtype(dtype, "astype")
        return self.map(lambda block: block.astype(to))

    def __repr__(self) -> str:
        shapes = {name: getattr(block, "shape", "?") for name, block in self.blocks.items()}
        return f"IrrepTensor({shapes}, {self.type!r})"


def _vectors(type_: object) -> Representation:
    """The representation of a type of vectors.

    Raises:
        TypeError: If it is none.
    """
    if isinstance(type_, FieldType) and type_.space.dim > 0:
        raise TypeError(
            f"IrrepTensor: type: expected a type of vectors, got {type_!r}, whose arrays have "
            f"{type_.space.dim} axes of points"
        )
    try:
        return as_representation(type_, "type")
    except TypeError as error:
        raise TypeError(f"IrrepTensor: {error}") from None

"""To and from e3nn and e3nn-jax: irreps of O(3), their order, their basis, their layouts.

Both libraries use real spherical harmonics, here with z and there with y as the polar axis. The
cyclic exchange of the axes is a rotation P, so their matrices are D(P) D(g) D(P)^T of ours.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from .._arguments import arrays, choice, integer, refuse
from .._numerics import freeze
from ..groups import Group, o3, so3
from ..representations import Representation, direct_sum

LAYOUTS = ("mul_ir", "ir_mul")
"""Copies slow, components fast; and the converse, as cuEquivariance has it."""
_AXES = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""P takes (x, y, z) to (z, x, y): theirs at r is ours at P r, whose polar coordinate is their y."""
MOST_COPIES, MOST_DEGREE = 10**6, 100
"""More of an irrep, and irreps of a higher degree, are not meant."""
_TERM = re.compile(r"(?:(\d+)x)?(\d+)([eo])")


class Term(NamedTuple):
    """One term of a sum: ``count`` copies of the irrep of degree ``l`` and parity ``p``.

    Attributes:
        count: Number of copies.
        degree: The degree l, of size 2 l + 1.
        parity: 1 for even, -1 for odd ones.
    """

    count: int
    degree: int
    parity: int


def read(irreps: object) -> tuple[Term, ...]:
    """The terms of irreps, in their order.

    Args:
        irreps: Text such as ``"8x0e + 4x1o"``, or an `e3nn.o3.Irreps` or `e3nn_jax.Irreps`.

    Raises:
        ValueError: If it is no sum of irreps.

    Examples:
        >>> from equivax import interop
        >>> interop.e3nn.read("8x0e + 1o")[1]
        Term(count=1, degree=1, parity=-1)
    """
    takes = "irreps such as '8x0e + 4x1o'"
    if not isinstance(irreps, str) and not hasattr(irreps, "dim"):
        refuse(TypeError, "interop.e3nn.read", "irreps", takes, irreps)
    found = []
    for term in str(irreps).replace(" ", "").split("+"):
        match = _TERM.fullmatch(term)
        if match is None:
            refuse(ValueError, "interop.e3nn.read", "irreps", takes, irreps)
        count, degree, parity = match.groups()
        if int(count or 1) > MOST_COPIES or int(degree) > MOST_DEGREE:
            limits = f"at most {MOST_COPIES} copies of degree at most {MOST_DEGREE}"
            refuse(ValueError, "interop.e3nn.read", "irreps", limits, irreps)
        found.append(Term(int(count or 1), int(degree), 1 if parity == "e" else -1))
    return tuple(term for term in found if term.count)


def representation(irreps: object) -> Representation:
    """The representation of O(3) with these irreps, copies one after the other.

    Even irreps ``le`` are ``irrep(0, l)``, which the inversion leaves alone; odd ones ``lo`` are
    ``irrep(1, l)``.

    Args:
        irreps: As in `read`.

    Raises:
        ValueError: If there is none.

    Examples:
        >>> from equivax import interop
        >>> interop.e3nn.representation("2x0e + 1o")
        O(3): 2 x trivial + irrep(1,1)
    """
    group = o3()
    terms = read(irreps)
    if not terms:
        raise ValueError("interop.e3nn.representation: irreps: expected at least one, got none")
    return direct_sum([n * group.irrep(int(p < 0), degree) for n, degree, p in terms])


def irreps(rep: Representation) -> str:
    """The irreps of a sum of irreps of O(3) or SO(3), as e3nn writes them.

    Args:
        rep: A sum of irreps, each in its own basis.

    Raises:
        ValueError: If it is of another group or in another basis.

    Examples:
        >>> from equivax import groups, interop
        >>> interop.e3nn.irreps(2 * groups.o3().irrep(0, 0) + groups.o3().irrep(1, 1))
        '2x0e + 1x1o'
    """
    if not isinstance(rep, Representation) or rep.group not in (o3(), so3()):
        takes = "a representation of O(3) or SO(3)"
        refuse(ValueError, "interop.e3nn.irreps", "rep", takes, rep)
    terms = []
    for summand, count in rep.data:
        if len(summand.irreps) > 1 or not summand.is_diagonal_basis:
            raise ValueError(
                f"interop.e3nn.irreps: rep: expected irreps in their own basis, got {summand.name}"
            )
        for id in summand.irreps:
            *odd, degree = id  # SO(3) has no inversion, hence nothing odd
            terms.append(f"{count}x{degree}{'o' if any(odd) else 'e'}")
    return " + ".join(terms)


def change_of_basis(degree: int) -> Float[np.ndarray, "d d"]:
    """``C`` with ``D_e3nn(g) = C D(g) C^T`` for irreps of a degree: theirs are ``C x``.

    Args:
        degree: The degree l.

    Raises:
        ValueError: If it is negative, or above 100.
        TypeError: If it is no integer.
    """
    return _basis(integer(degree, "interop.e3nn.change_of_basis", "degree", 0, MOST_DEGREE))


@functools.cache
def _basis(degree: int) -> Float[np.ndarray, "d d"]:
    group: Group = so3()
    return freeze(group.irrep(degree)(group.element(_AXES)))


def from_e3nn(x: object, irreps: object = None, *, layout: str = "mul_ir") -> Float[Array, "... n"]:
    """An array of e3nn as one of `representation`: in our basis, copies one after the other.

    Args:
        x: ``(..., n)``, or an `e3nn_jax.IrrepsArray`, which knows its irreps.
        irreps: As in `read`.
        layout: Of x, ``"mul_ir"`` or ``"ir_mul"``.

    Raises:
        ValueError: If the size is not that of the irreps.
    """
    if irreps is None:
        if not hasattr(x, "irreps"):
            refuse(TypeError, "interop.e3nn.from_e3nn", "irreps", "irreps, since x has none", None)
        irreps = getattr(x, "irreps", None)
    return _mapped(
        "from_e3nn", cast(ArrayLike, getattr(x, "array", x)), irreps, layout, "mul_ir", inverse=True
    )


def to_e3nn(
    x: Float[Array, "... n"], irreps: object, *, layout: str = "mul_ir"
) -> Float[Array, "... n"]:
    """An array of `representation` as one of e3nn; the inverse of `from_e3nn`.

    Args:
        x: ``(..., n)``.
        irreps: As in `read`.
        layout: Of the result, ``"mul_ir"`` or ``"ir_mul"``.

    Raises:
        ValueError: If the size is not that of the irreps.
    """
    return _mapped("to_e3nn", x, irreps, "mul_ir", layout, inverse=False)


def relayout(
    x: Float[Array, "... n"], irreps: object, source: str, target: str
) -> Float[Array, "... n"]:
    """The same array with copies and components in another order; no basis changes.

    Args:
        x: ``(..., n)``.
        irreps: As in `read`.
        source: Layout of x.
        target: Layout of the result.

    Raises:
        ValueError: If the size is not that of the irreps.
    """
    return _mapped("relayout", x, irreps, source, target, inverse=None)


def _mapped(
    caller: str, x: ArrayLike, irreps: object, source: str, target: str, *, inverse: bool | None
) -> Array:
    caller = f"interop.e3nn.{caller}"
    for argument, value in (("layout", source), ("layout", target)):
        choice(value, caller, argument, LAYOUTS)
    terms, x = read(irreps), arrays.array(x, caller, "x")
    if jnp.iscomplexobj(x):
        refuse(TypeError, caller, "x", "an array of real numbers", x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(float)  # else the basis would be cut to integers
    size = sum(n * (2 * degree + 1) for n, degree, _ in terms)
    if x.ndim == 0 or x.shape[-1] != size:
        refuse(ValueError, caller, "x", f"(..., {size}) for {irreps}", x.shape)
    pieces, start = [], 0
    for count, degree, _ in terms:
        d = 2 * degree + 1
        block, start = x[..., start : start + count * d], start + count * d
        shape = (count, d) if source == "mul_ir" else (d, count)
        block = block.reshape(*x.shape[:-1], *shape)
        block = block if source == "mul_ir" else jnp.swapaxes(block, -1, -2)
        if inverse is not None:
            basis = _basis(degree)
            matrix = jnp.asarray(basis if inverse else basis.T, block.dtype)
            block = jnp.matmul(block, matrix, precision=jax.lax.Precision.HIGHEST)
        block = block if target == "mul_ir" else jnp.swapaxes(block, -1, -2)
        pieces.append(block.reshape(*x.shape[:-1], count * d))
    return jnp.concatenate(pieces, -1)

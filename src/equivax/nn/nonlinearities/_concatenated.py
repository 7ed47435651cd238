"""`ConcatenatedNonlinearity`: a function of both ends of every axis."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import flag
from ...fields import Type
from ...representations import Representation, direct_sum, doubled
from .._core._admission import check_fields
from .._core._channels import merge_axis, take_channels, type_like
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_layer
from .._core._probing import check_elementwise

_NAME = "ConcatenatedNonlinearity"


class ConcatenatedNonlinearity(AbstractModule):
    """``(phi(x_j), phi(-x_j))`` for every channel, on fields that the group permutes with signs.

    Law: ``f(rho(g) x) = rho_out(g) f(x)``, where ``rho_out`` has the 2 x 2 identity for every 1 of
    ``rho`` and the exchange matrix for every -1: a permutation (Shang et al. 2016, CReLU;
    Weiler and Cesa 2019, appendix B). Each output field is one field of twice the size. If its
    channels form one orbit they stand in coset order and the field equals the regular or quotient
    representation (the sign of C_2 becomes the regular one, and so does irrep 1 of C_4); else
    the two of a channel stand side by side.

    Shapes: ``(..., C, *spatial) -> (..., 2 C, *spatial)``.
    """

    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    function: Callable[[Array], Array] = eqx.field(static=True)
    interleaved: bool = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        function: Callable[[Array], Array] = jax.nn.relu,
        *,
        interleaved: bool = False,
    ) -> None:
        """Finds how the group permutes the output.

        Args:
            in_type: A type whose fields are signed permutation representations.
            function: ``phi``, elementwise, any.
            interleaved: Let the two of a channel stand side by side in every field.

        Raises:
            ValueError: If a field is not permuted up to signs, or ``function`` mixes entries.
            TypeError: If ``function`` is not callable.
        """
        check_elementwise(_NAME, function)
        rep = representation_of(in_type, _NAME, "in_type")
        check_fields(
            _NAME,
            rep,
            lambda field: field.is_signed_permutation,
            f"is not permuted up to signs by {rep.group.name}",
            "expected a signed permutation representation, use NormNonlinearity or "
            "GatedNonlinearity, which take any field",
        )
        self.in_type = in_type
        self.function = function
        self.interleaved = flag(interleaved, _NAME, "interleaved")
        self.out_type = type_like(
            in_type,
            direct_sum([n * made for (made, _), n in self._doubled(rep)]),
        )

    def _doubled(
        self, rep: Representation
    ) -> list[tuple[tuple[Representation, tuple[int, ...]], int]]:
        return [(doubled(field, interleaved=self.interleaved), n) for field, n in rep.runs]

    def _order(self) -> np.ndarray:
        """The end ``2 j + sign`` of channel ``j`` that each output channel is."""
        rep = self._rep
        pieces, start = [], 0
        for (_, order), count in self._doubled(rep):
            size = len(order)
            shifts = start + size * np.arange(count)
            pieces.append((shifts[:, None] + np.asarray(order)).ravel())
            start += count * size
        return np.concatenate(pieces)

    def _constants(self) -> tuple[Callable[[Array], Array], np.ndarray, int]:
        return self.function, self._order(), channel_axis(self.in_type)

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        return both_ends(*self._constants(), x)

    def export(self) -> eqx.nn.Lambda:
        """A plain function with the order of the channels as a constant."""
        return plain_layer(both_ends, *self._constants())


def both_ends(
    function: Callable[[Array], Array],
    order: np.ndarray | Array,
    axis: int,
    x: Float[Array, "..."],
) -> Float[Array, "..."]:
    """A function of ``x_j`` and of ``-x_j``, in a given order."""
    ends = merge_axis(jnp.stack([x, -x], axis=axis), axis)
    return function(take_channels(ends, order, axis))

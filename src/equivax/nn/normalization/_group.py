"""`GroupNorm`: fields of an example are centred and whitened, group by group."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import choice, flag, integer, is_flag, number, refuse
from ...fields import Type
from ...hom import hom_basis, in_few_leaves, unstacked
from ...representations import Representation
from .._core._admission import parameter_dtype
from .._core._fibres import Fibre, FibrePlan, constants, fibre_plan, kind_names
from .._core._module import AbstractModule, channel_axis, representation_of
from .._core._plain import plain_function, plain_layer
from ._rounding import by_kind_above_rounding
from ._whitening import whitened

WHITENS = ("full", "isotypic", "rms")
BIASES = ("auto", "mean", "scalar")


class GroupNorm(AbstractModule):
    """``y = scale z + bias mean(x)`` with ``z = (S + eps I)^(-1/2) (x - mu)``, kind by kind.

    Fields of one representation are a kind; ``groups`` groups of neighbouring fields share a mean
    ``mu`` and a covariance ``S = mean (x - mu)(x - mu)^T``, over their fields and all points of one
    example (Wu and He 2018; whitening as in Gregory et al. 2024). ``mean(x)`` is that of the field
    over its points; trivial fields get ``+ bias`` instead, and are normalised as usual. As many
    groups as fields is an instance norm.

    ``whiten="isotypic"`` averages S over the group, ``"rms"`` divides by ``sqrt(tr S / n + eps)``:
    fewer numbers to estimate, for fields of many components or few points. Components are taken as
    orthonormal: a metric of an image is passed on, not used.

    Law: ``f(rho(g) x) = rho(g) f(x)``, and the same when the points move: the symmetric root turns
    with S. Gradients are finite everywhere, also second ones. In single precision the formula holds
    for directions of very different strength, and beside large means. What varies by less than the
    rounding of x itself is taken for zero, and so are two things that layers before leave of what
    symmetry makes zero: directions below 256 roundings (3e-5) of the strongest one, and on constant
    images fields below as much of the largest channel. Kinds of an image that varies may be in
    units as far apart as floating numbers are, if the norm makes more than 2e-4 of them.

    Shapes: ``(..., C, *spatial)``, unchanged. Statistics are taken in at least float32.

    Examples:
        >>> import equivax as evx
        >>> signature = evx.images.Signature((((0, 0), 4), ((1, 0), 8)))
        >>> norm = evx.nn.GroupNorm(signature.field_type(2), groups=2)
        >>> {kind: scale.shape for kind, scale in norm.scale.items()}
        {'trivial': (4,), 'k1p0': (8,)}
    """

    scale: Mapping[str, Float[Array, " fields"]]
    bias: Mapping[str, Float[Array, " fields"]]
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    groups: int = eqx.field(static=True)
    eps: float = eqx.field(static=True)
    whiten: str = eqx.field(static=True)
    bias_mode: str | None = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        groups: int = 1,
        *,
        eps: float = 1e-5,
        whiten: str = "full",
        bias: bool | str = "auto",
        affine: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        """Starts with scales 1 and biases 0.

        Args:
            in_type: A type of any fields; for tensor images ``signature.field_type(D)``.
            groups: Must divide the number of fields of every kind.
            eps: Added to the covariance, positive; far below the variances of the data.
            whiten: ``"full"``, ``"isotypic"`` or ``"rms"``.
            bias: ``"auto"`` (or True): added to trivial fields, times the mean for the others;
                ``"mean"``: the latter for all; ``"scalar"``: trivial fields only; False: none.
            affine: Whether to learn scales and biases.
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If ``groups`` does not divide, ``eps`` is not positive or a mode is unknown.
            TypeError: If ``in_type`` is no type, ``groups`` no integer or ``affine`` no bool.
        """
        name = "GroupNorm"
        rep = representation_of(in_type, name, "in_type")
        self.groups = _checked_groups(groups, rep)
        self.eps = number(eps, name, "eps", above=0)
        self.whiten = choice(whiten, name, "whiten", WHITENS)
        affine, mode = flag(affine, name, "affine"), _bias_mode(bias)
        dtype = parameter_dtype(dtype, name)
        kinds = dict(zip(kind_names(rep), fibre_plan(rep).fibres, strict=True))
        scale, shift = {}, {}
        if affine:
            scale = {label: jnp.ones((len(k.fields),), dtype) for label, k in kinds.items()}
            shift = {
                label: jnp.zeros((len(kind.fields),), dtype)
                for label, kind in kinds.items()
                if mode and (mode != "scalar" or kind.is_trivial)
            }
        self.scale, self.bias = in_few_leaves(scale), in_few_leaves(shift)
        self.in_type = in_type
        self.out_type = in_type
        self.bias_mode = mode

    def _kinds(self, plan: FibrePlan) -> list[tuple[Any, ...]]:
        rep, kinds = self._rep, []
        scale, bias = unstacked(self.scale), unstacked(self.bias)
        for label, fibre in zip(kind_names(rep), plan.fibres, strict=True):
            commuting = _commuting(fibre) if self.whiten == "isotypic" else (None, None)
            parameters = scale.get(label), bias.get(label)
            added = fibre.is_trivial and self.bias_mode != "mean"
            kinds.append((len(fibre.fields), fibre.summand.size, *commuting, *parameters, added))
        return kinds

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        if any(isinstance(side, int) and side == 0 for side in x.shape):
            return x
        plan = fibre_plan(self._rep)
        function = functools.partial(whitened, self.groups, self.eps, self.whiten)
        kinds, axis = constants(plan, self._kinds(plan)), channel_axis(self.in_type)
        return by_kind_above_rounding(function, self.eps, *kinds, axis, x)

    def export(self) -> eqx.nn.Lambda:
        """A plain function."""
        plan = fibre_plan(self._rep)
        function = plain_function(whitened, self.groups, self.eps, self.whiten)
        kinds, axis = constants(plan, self._kinds(plan)), channel_axis(self.in_type)
        return plain_layer(by_kind_above_rounding, function, self.eps, *kinds, axis)


@functools.lru_cache(maxsize=512)
def _commuting(fibre: Fibre) -> tuple[np.ndarray | None, np.ndarray]:
    """The basis of irreps, if there are several, and the matrices that commute with a field.

    The latter are orthonormal rows ``(rank, squares)``, in coordinates of that basis.
    """
    size, summand = fibre.summand.size, fibre.summand
    rep = Representation(summand.group, [(summand, 1)])
    matrices = hom_basis(rep, rep).elements().reshape(-1, size, size)
    basis = summand.change_of_basis if len(summand.irreps) > 1 else None
    if basis is not None:
        matrices = basis.T @ matrices @ basis
        matrices[np.abs(matrices) < 1e-10] = 0.0  # exactly, between irreps of different kinds
    rows = matrices.reshape(-1, size * size)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    rows.setflags(write=False)
    return basis, rows


def _bias_mode(bias: object) -> str | None:
    if is_flag(bias):
        return "auto" if bias else None
    takes = f"a boolean or one of {', '.join(BIASES)}"
    if not isinstance(bias, str):
        refuse(TypeError, "GroupNorm", "bias", takes, bias)
    if bias not in BIASES:
        refuse(ValueError, "GroupNorm", "bias", takes, bias)
    return bias


def _checked_groups(groups: object, rep: Representation) -> int:
    groups = integer(groups, "GroupNorm", "groups", 1)
    for label, fibre in zip(kind_names(rep), fibre_plan(rep).fibres, strict=True):
        if len(fibre.fields) % groups:
            raise ValueError(
                f"GroupNorm: groups: expected a divisor of {len(fibre.fields)}, the number of "
                f"fields {label} of {rep!r}, got {groups}"
            )
    return groups

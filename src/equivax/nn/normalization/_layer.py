"""Normalisation of single examples: `RMSNorm` and `LayerNorm`."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...fields import Type
from ...hom import at_least_float32, from_irreps, to_irreps
from ...linalg import invariant_projector
from ...representations import Representation
from .._core._module import AbstractModule, channel_axis, on_channels, representation_of
from .._core._plain import plain_function, plain_on_channels
from ..linear._affine import Affine
from ._checks import checked_eps
from ._group import GroupNorm

POOLS = ("all", "type", "copy")


class RMSNorm(AbstractModule):
    """``y = D x / sqrt(mean(x^2) + eps)`` with one learned scale per irrep copy.

    Law: ``f(rho(g) x) = rho(g) f(x)`` in any orthogonal basis (Zhang and Sennrich 2019).

    Shapes: unchanged. Statistics are taken in at least float32.
    """

    affine: Affine | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    eps: float = eqx.field(static=True)

    def __init__(
        self, in_type: Type, *, eps: float = 1e-6, affine: bool = True, dtype: Any = None
    ) -> None:
        """Starts with scales 1.

        Args:
            in_type: Any type.
            eps: Added to the mean square, positive.
            affine: Whether to learn one scale per irrep copy.
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If ``eps`` is not positive.
        """
        representation_of(in_type, "RMSNorm", "in_type")
        self.affine = Affine(in_type, use_bias=False, dtype=dtype) if affine else None
        self.in_type = in_type
        self.out_type = in_type
        self.eps = checked_eps("RMSNorm", eps)

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        def act(v: Array) -> Array:
            wide = v.astype(at_least_float32(v.dtype))
            return (wide / jnp.sqrt(jnp.mean(wide * wide, -1, keepdims=True) + self.eps)).astype(
                v.dtype
            )

        y = on_channels(act, x, self.in_type)
        return y if self.affine is None else self.affine(y)

    def export(self) -> eqx.nn.Sequential:
        """A plain function, and `equinox.nn.Linear` for the scales."""
        plain = eqx.nn.Lambda(plain_on_channels(plain_function(_rms, self.eps), self.in_type))
        return eqx.nn.Sequential([plain] if self.affine is None else [plain, self.affine.export()])


def _rms(eps, x):
    return x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps)


class LayerNorm(AbstractModule):
    """On a grid `GroupNorm` with one group; on vectors centre, divide, scale and shift.

    Vectors: centring removes the component along the invariant part ``c = P 1`` of the all-ones
    vector; ``v`` in the divisor ``sqrt(v + eps)`` is the mean square of the whole vector, of all
    copies of an irrep, or of each copy; then copies are scaled and an invariant bias is added.
    With the defaults it is `equinox.nn.LayerNorm` on every permutation type, up to the scales.

    Fields on a grid, tensor images among them: every kind of field is whitened over its fields and
    all points of the example. ``whiten=None`` treats every point as a vector.

    Law: ``f(rho(g) x) = rho(g) f(x)``.

    Shapes: unchanged. Statistics are taken in at least float32.
    """

    affine: Affine | None
    whitening: GroupNorm | None
    in_type: Type = eqx.field(static=True)
    out_type: Type = eqx.field(static=True)
    eps: float = eqx.field(static=True)
    pool: str = eqx.field(static=True)
    center: bool = eqx.field(static=True)

    def __init__(
        self,
        in_type: Type,
        *,
        eps: float | None = None,
        pool: str = "all",
        center: bool = True,
        affine: bool = True,
        use_bias: bool = True,
        whiten: str | None = "auto",
        bias: bool | str = "auto",
        dtype: Any = None,
    ) -> None:
        """Starts with scales 1 and bias 0.

        Args:
            in_type: Any type.
            eps: Added to the mean square or the covariance, positive; None: 1e-5 where fields are
                whitened, else 1e-6.
            pool: Of vectors, over what the mean square is taken: ``"all"``, ``"type"`` (all copies
                of an irrep) or ``"copy"``. The latter two keep only a sign where they pool a single
                number; a warning says so.
            center: Of vectors, whether to remove the component along ``P 1``.
            affine: Whether to learn scales (of vectors one per irrep copy) and a bias.
            use_bias: Whether there is a bias.
            whiten: As in `GroupNorm`; None for vectors; ``"auto"``: ``"full"`` on a grid.
            bias: As in `GroupNorm`.
            dtype: Of the parameters; JAX's default float if None.

        Raises:
            ValueError: If ``eps`` is not positive, a mode is unknown, or options of vectors meet
                those of whitening.
        """
        rep = representation_of(in_type, "LayerNorm", "in_type")
        if pool not in POOLS:
            raise ValueError(f"LayerNorm: pool: expected one of {', '.join(POOLS)}, got {pool!r}")
        if whiten == "auto":
            whiten = "full" if channel_axis(in_type) < -1 else None
        self.eps = checked_eps(
            "LayerNorm", (1e-6 if whiten is None else 1e-5) if eps is None else eps
        )
        self.pool, self.center = pool, center
        self.in_type = in_type
        self.out_type = in_type
        if whiten is not None:
            if pool != "all" or not center:
                raise ValueError(
                    "LayerNorm: pool, center: belong to vectors; expected whiten=None with them on "
                    f"a grid, got pool={pool!r}, center={center!r}"
                )
            mode = bias if use_bias else False
            options: dict[str, Any] = dict(eps=self.eps, whiten=whiten, affine=affine, dtype=dtype)
            self.whitening, self.affine = GroupNorm(in_type, 1, bias=mode, **options), None
            return
        if bias != "auto":
            raise ValueError(f"LayerNorm: bias: belongs to whitening, got {bias!r} on vectors")
        lonely = _pools_of_one(rep, pool)
        if lonely:
            _warn_signs(rep, pool, lonely)
        self.affine = Affine(in_type, use_bias=use_bias, dtype=dtype) if affine else None
        self.whitening = None

    def _forward(self, x: Float[Array, "..."], key: Any = None) -> Float[Array, "..."]:
        if self.whitening is not None:
            return self.whitening(x)
        rep = self._rep

        def act(v: Array) -> Array:
            wide = v.astype(at_least_float32(v.dtype))
            if self.center:
                direction = ones_direction(rep).astype(wide.dtype)
                wide = wide - jnp.sum(wide * direction, -1, keepdims=True) * direction
            return self._divided(rep, wide).astype(v.dtype)

        y = on_channels(act, x, self.in_type)
        return y if self.affine is None else self.affine(y)

    def _divided(self, rep: Representation, x: Array) -> Array:
        if self.pool == "all":
            return x / jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + self.eps)
        axes = (-2, -1) if self.pool == "type" else (-1,)
        normed = {
            name: v / jnp.sqrt(jnp.mean(v * v, axis=axes, keepdims=True) + self.eps)
            for name, v in to_irreps(rep, x).items()
        }
        return from_irreps(rep, normed)

    def export(self) -> eqx.nn.Sequential | eqx.nn.Lambda:
        """A plain function with constant matrices, and `equinox.nn.Linear` for the affine part."""
        if self.whitening is not None:
            return self.whitening.export()
        rep = self._rep
        dtype = jnp.result_type(float)
        direction = ones_direction(rep) if self.center else np.zeros(rep.size)
        columns = np.eye(rep.size) if self.pool == "all" else np.asarray(rep.change_of_basis)
        arrays = (direction, columns, pooling_matrix(rep, self.pool))
        function = plain_function(_layer_norm, *(jnp.asarray(a, dtype) for a in arrays), self.eps)
        plain = eqx.nn.Lambda(plain_on_channels(function, self.in_type))
        return eqx.nn.Sequential([plain] if self.affine is None else [plain, self.affine.export()])


def _layer_norm(direction, columns, pooling, eps, x):
    x = x - jnp.sum(x * direction, axis=-1, keepdims=True) * direction
    moved = jnp.matmul(x, columns, precision="highest")
    square = jnp.matmul(moved * moved, pooling, precision="highest")
    return jnp.matmul(moved / jnp.sqrt(square + eps), columns.T, precision="highest")


def ones_direction(rep: Representation) -> Float[np.ndarray, " n"]:
    """The unit vector along ``P 1``, or zero if no part of the all-ones vector is invariant."""
    invariant = invariant_projector(rep) @ np.ones(rep.size)
    length = np.linalg.norm(invariant)
    return invariant / length if length > 1e-9 else np.zeros(rep.size)


def pooling_matrix(rep: Representation, pool: str) -> Float[np.ndarray, "n n"]:
    """``v = (spectral coordinates)^2 @ M``: the mean square that each coordinate is divided by."""
    if pool == "all":
        return np.full((rep.size, rep.size), 1 / rep.size)
    sizes = [rep.group.irrep_data(i).size for i in rep.irreps]
    labels = list(range(len(sizes))) if pool == "copy" else list(rep.irreps)
    kinds = list(dict.fromkeys(labels))
    owner = np.repeat([kinds.index(label) for label in labels], sizes)
    same = owner[:, None] == owner[None, :]
    return same / same.sum(axis=0)


def _pools_of_one(rep: Representation, pool: str) -> tuple[str, ...]:
    if pool == "all":
        return ()
    return tuple(
        rep.group.irrep_data(irrep).name
        for irrep, m in rep.multiplicities.items()
        if rep.group.irrep_data(irrep).size * (m if pool == "type" else 1) == 1
    )


@functools.lru_cache(maxsize=4096)
def _warn_signs(rep: Representation, pool: str, lonely: tuple[str, ...]) -> None:
    """Warns once per type."""
    warnings.warn(
        f"LayerNorm: pool={pool!r} keeps only the sign of {', '.join(lonely)} of {rep!r}; "
        "pool='all' keeps sizes",
        UserWarning,
        stacklevel=4,
    )

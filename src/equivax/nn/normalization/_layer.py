"""`LayerNorm`: the norm of one example, of vectors or of fields on a grid."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import equinox as eqx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import choice, flag, number
from ...fields import IrrepTensor, Type
from ...hom import Machine
from ...representations import Representation
from .._core._admission import parameter_dtype
from .._core._module import AbstractModule, channel_axis, on_channels, representation_of
from .._core._plain import plain_on_channels
from .._core._ways import Ways
from ..linear import Affine
from ._group import GroupNorm
from ._vectors import POOLS, in_layer, irreps_normed, plain


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
        dtype: DTypeLike | None = None,
    ) -> None:
        """Starts with scales 1 and bias 0.

        Args:
            in_type: A type of any fields.
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
        affine, dtype = flag(affine, "LayerNorm", "affine"), parameter_dtype(dtype, "LayerNorm")
        use_bias = flag(use_bias, "LayerNorm", "use_bias")
        if isinstance(whiten, str) and whiten == "auto":
            whiten = "full" if channel_axis(in_type) < -1 else None
        eps = (1e-6 if whiten is None else 1e-5) if eps is None else eps
        self.eps = number(eps, "LayerNorm", "eps", above=0)
        self.pool = choice(pool, "LayerNorm", "pool", POOLS)
        self.center = flag(center, "LayerNorm", "center")
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
        if not isinstance(bias, str) or bias != "auto":
            raise ValueError(f"LayerNorm: bias: belongs to whitening, got {bias!r} on vectors")
        lonely = _pools_of_one(rep, pool)
        if lonely:
            _warn_signs(rep, pool, lonely)
        self.affine = Affine(in_type, use_bias=use_bias, dtype=dtype) if affine else None
        self.whitening = None

    def _forward(
        self, x: Float[Array, "..."], key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        if self.whitening is not None:
            return self.whitening(x)
        y = on_channels(in_layer(*self._vector_norm), x, self.in_type)
        return y if self.affine is None else self.affine(y)

    def _forward_irreps(self, x: IrrepTensor, key: PRNGKeyArray | None = None) -> IrrepTensor:
        if self.whitening is not None:
            return self.whitening(x)
        y = IrrepTensor(irreps_normed(*self._vector_norm, x), self.out_type)
        return y if self.affine is None else self.affine(y)

    def costs_of_ways(self, rows: int, prices: Machine) -> Ways:
        """See `AbstractLayer`: those of the scales."""
        return Ways(0.0, 0.0) if self.affine is None else self.affine.costs_of_ways(rows, prices)

    def export(self) -> eqx.nn.Sequential | eqx.nn.Lambda:
        """A plain function with constant matrices, and `equinox.nn.Linear` for the affine part."""
        if self.whitening is not None:
            return self.whitening.export()
        function = eqx.nn.Lambda(plain_on_channels(plain(*self._vector_norm), self.in_type))
        affine = [] if self.affine is None else [self.affine.export()]
        return eqx.nn.Sequential([function, *affine])

    @property
    def _vector_norm(self) -> tuple[Representation, str, bool, float]:
        return self._rep, self.pool, self.center, self.eps


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

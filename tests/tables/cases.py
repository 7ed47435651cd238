"""The tables that the laws run over: groups, types of each group, and recipes for modules.

A recipe builds one module for a type of vectors; a case is a recipe on one type. A new layer
is one new recipe here, and `test_cases.py` fails until it has one.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import equivax as evx
from equivax import groups, models, nn
from equivax.representations import Representation
from equivax.representations._summand import Summand

# ---- groups ------------------------------------------------------------------------------------

SHEAR = np.array([[1.0, 0.4], [0.0, 1.3]])


def sheared_triangle() -> groups.FiniteGroup:
    """A user's group: the symmetry of a triangle, in coordinates that are not orthogonal."""
    turn = np.array([[-0.5, -np.sqrt(0.75)], [np.sqrt(0.75), -0.5]])
    flip = np.diag([1.0, -1.0])
    inverse = np.linalg.inv(SHEAR)
    return groups.from_generators([SHEAR @ turn @ inverse, SHEAR @ flip @ inverse], "sheared")


GROUPS: dict[str, Callable[[], Any]] = {
    "C1": lambda: groups.cyclic(1),
    "C4": lambda: groups.cyclic(4),
    "C8": lambda: groups.cyclic(8),
    "D3": lambda: groups.dihedral(3),
    "D4": lambda: groups.dihedral(4),
    "klein": groups.klein,
    "Q8": groups.quaternion,
    "C3xC3": lambda: groups.direct_product(groups.cyclic(3), groups.cyclic(3)),
    "C4xD3": lambda: groups.direct_product(groups.cyclic(4), groups.dihedral(3)),
    "octahedral": groups.octahedral,
    "icosahedral": groups.icosahedral,
    "sheared": sheared_triangle,
    "SO2": groups.so2,
    "O2": groups.o2,
    "SO3": groups.so3,
}

# ---- types -------------------------------------------------------------------------------------


def random_orthogonal(size: int, seed: int) -> np.ndarray:
    """A Haar-distributed orthogonal matrix."""
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    return q * np.sign(np.diag(r))


def from_irreps(parts: list[Representation], basis: np.ndarray, name: str) -> Representation:
    """One summand ``Q (psi_1 + psi_2 + ...) Q^T`` with exactly the given ``Q``."""
    irreps = tuple(i for part in parts for i in part.irreps)
    return Representation(parts[0].group, [(Summand(parts[0].group, irreps, basis, name), 1)])


def turned(parts: list[Representation], seed: int) -> Representation:
    """`from_irreps` in a random orthogonal basis."""
    size = sum(part.size for part in parts)
    return from_irreps(parts, random_orthogonal(size, seed), f"turned{seed}")


@functools.cache
def types(group_name: str) -> dict[str, Representation]:
    """The types of a group, by what is special about them."""
    return fresh_types(group_name)


def fresh_types(group_name: str) -> dict[str, Representation]:
    """`types`, built anew: equal values, other objects."""
    G = GROUPS[group_name]()
    finite = G.order is not None
    irreps = G.irreps(None if finite else 2)
    trivial, last, middle = irreps[0], irreps[-1], irreps[len(irreps) // 2]
    table = {
        "interleaved": last + 2 * trivial + middle + 2 * last + trivial,
        "turned": turned([last, trivial, middle, last, trivial], 1),
        "one kind": turned([last, last], 2),
        "two trivial": turned([trivial, trivial], 3),
        "defining": G.defining,
    }
    mixed = evx.direct_sum([last, trivial, middle])
    Q = random_orthogonal(mixed.size, 4)
    table["measured"] = Representation.from_matrices(G, lambda g: Q @ mixed(g) @ Q.T, "measured")
    if len(irreps) > 1:
        table["no trivial"] = middle + 2 * last + middle
    if finite:
        table["regular"] = G.regular
    if finite and G.order <= 12:
        table["regulars"] = trivial + 2 * G.regular + last + G.regular
    if group_name == "sheared":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it is not orthogonal, on purpose
            table["sheared"] = Representation.from_matrices(G, G.given_matrices, "sheared")
    return table


def partner(table: dict[str, Representation], type_name: str) -> Representation:
    """Another type of the same group that some map reaches: the output of two-sided layers."""
    names = list(table)
    start = names.index(type_name)
    for name in names[start + 1 :] + names[: start + 1]:
        if set(table[name].irreps) & set(table[type_name].irreps):
            return table[name]
    raise AssertionError("a type reaches itself")


# ---- facts by characters, from another source than the layers --------------------------------


def _characters(rep: Representation, frequency: int) -> tuple[np.ndarray, np.ndarray]:
    coordinates, weights = rep.group.quadrature(2 * frequency)
    return np.trace(rep.evaluate(coordinates), axis1=1, axis2=2), weights


def hom_dimension(a: Representation, b: Representation) -> int:
    """``mean_g chi_a(g) chi_b(g)``."""
    frequency = max(a.group.irrep_data(i).frequency for i in a.irreps + b.irreps)
    one, weights = _characters(a, frequency)
    other, _ = _characters(b, frequency)
    return round(float(np.sum(weights * one * other)))


def invariant_dimension(rep: Representation) -> int:
    """``mean_g chi(g)``."""
    return hom_dimension(rep, rep.group.trivial)


# ---- recipes -----------------------------------------------------------------------------------


def _no_parameters(module: Any) -> int:
    return 0


def _linear_parameters(module: nn.Linear) -> int:
    bias = 0 if module.bias_coeffs is None else invariant_dimension(module.out_type)
    return hom_dimension(module.in_type, module.out_type) + bias


def _batch_norm_parameters(module: nn.GNormBatchNorm) -> int:
    rep = module.in_type
    return len(rep.irreps) + rep.irreps.count(rep.group.trivial.irreps[0])


def _affine_parameters(module: nn.Affine) -> int:
    rep = module.in_type
    scales = {
        "irrep": len(rep.irreps),
        "field": len(rep.summands),
        "type": len(set(rep.irreps)),
    }[module.per]
    return scales + invariant_dimension(rep) if module.learnable else 0


def _total(*modules: Any) -> int:
    """Sum over the layers of a model, each counted by its own rule."""
    total = 0
    for module in modules:
        if isinstance(module, nn.Linear):
            total += _linear_parameters(module)
        elif isinstance(module, nn.NormNonlinearity):
            total += len(module.in_type.summands)
        elif isinstance(module, nn.GatedNonlinearity):
            total += len(module.in_type.summands) // 2
        elif isinstance(module, nn.Affine):
            total += _affine_parameters(module)
        elif isinstance(module, nn.GNormBatchNorm) and module.weight is not None:
            total += _batch_norm_parameters(module)
    return total


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to build a module for a type, and what the laws must know about it.

    Attributes:
        covers: The public class.
        build: From a type, a partner type and a key; stateful ones also take ``axis_name=``.
        parameters: The number of parameters that the module should have.
        fits: Whether the type admits the module.
        kind: ``"vectors"``: a module on vectors; ``"projection"``: a projection of parameters;
            ``"stateful"``: a module on batches of vectors, ``(x, state) -> (y, state)``, whose
            ``build`` hands on ``axis_name=``; ``"distribution"``: from parameters to a density.
        summary: What a stateful module says about a whole batch, as an invariant vector; None if
            its output is a vector for every example.
        needs_key: The call takes ``key=``.
        film: The call takes ``scale=`` and ``bias=``.
        exports_inference: The export is the function at inference.
        depth: Layers in a row: rounding errors add up over them.
        everywhere: Equivariance is tested on every type of every group that fits.
        on: Types that stand for the recipe where a law does not run over all of them.
    """

    covers: type
    build: Callable[..., Any]
    on: tuple[tuple[str, str], ...]
    parameters: Callable[[Any], int] = _no_parameters
    fits: Callable[[Representation], bool] = lambda rep: True
    kind: str = "vectors"
    summary: Callable[[Any], Any] | None = None
    needs_key: bool = False
    film: bool = False
    exports_inference: bool = False
    depth: int = 1
    everywhere: bool = False


def _permuted(rep: Representation) -> bool:
    return rep.is_permutation


def _permuted_with_signs(rep: Representation) -> bool:
    return rep.is_signed_permutation


def _has_invariants(rep: Representation) -> bool:
    return rep.contains_trivial


def _small_group(rep: Representation) -> bool:
    return rep.group.order is not None and rep.group.order <= 24


def _gates_between(rep: Representation, **options: Any) -> nn.GatedNonlinearity:
    """Gates and gated fields in turn."""
    fields = [part for field in rep.summands for part in (field, rep.group.trivial)]
    marks = ["gated", "gate"] * len(rep.summands)
    return nn.GatedNonlinearity(evx.direct_sum(fields), marks, **options)


def _sequence(rep: Representation, other: Representation, key: Any) -> nn.Sequential:
    first, second = jax.random.split(key)
    return nn.Sequential(
        nn.Affine(rep),
        nn.Linear(rep, rep, key=first),
        nn.NormNonlinearity(rep, use_bias=False),
        nn.Linear(rep, other, key=second),
    )


def _sequence_with_statistics(
    rep: Representation, other: Representation, key: Any, **axes: Any
) -> nn.Sequential:
    return nn.Sequential(
        nn.Affine(rep),
        nn.GNormBatchNorm(rep, **axes),
        nn.Sequential(
            nn.Linear(rep, other, key=key), nn.GNormBatchNorm(other, affine=False, **axes)
        ),
    )


def _flat(*arrays: Any) -> Any:
    return jnp.concatenate([jnp.ravel(array) for array in arrays])


RECIPES: dict[str, Recipe] = {
    "Linear": Recipe(
        covers=nn.Linear,
        build=lambda rep, other, key: nn.Linear(rep, other, bias_init="equinox", key=key),
        parameters=_linear_parameters,
        on=(("D4", "regulars"), ("Q8", "turned"), ("C3xC3", "interleaved"), ("SO3", "measured")),
        everywhere=True,
    ),
    "Linear dense": Recipe(
        covers=nn.Linear,
        build=lambda rep, other, key: nn.Linear(rep, other, mode="dense", key=key),
        parameters=_linear_parameters,
        on=(("C4", "interleaved"), ("sheared", "sheared")),
    ),
    "Linear spectral": Recipe(
        covers=nn.Linear,
        build=lambda rep, other, key: nn.Linear(rep, other, mode="spectral", key=key),
        parameters=_linear_parameters,
        on=(("Q8", "regulars"), ("D3", "one kind"), ("icosahedral", "regular")),
    ),
    "Linear without bias": Recipe(
        covers=nn.Linear,
        build=lambda rep, other, key: nn.Linear(rep, other, use_bias=False, key=key),
        parameters=_linear_parameters,
        on=(("O2", "measured"),),
    ),
    "InvariantBias": Recipe(
        covers=nn.InvariantBias,
        build=lambda rep, other, key: nn.InvariantBias(rep, bias_init="equinox", key=key),
        parameters=lambda module: invariant_dimension(module.in_type),
        on=(("C4xD3", "turned"), ("D3", "two trivial"), ("klein", "no trivial")),
        everywhere=True,
    ),
    "Affine": Recipe(
        covers=nn.Affine,
        build=lambda rep, other, key: nn.Affine(rep),
        parameters=_affine_parameters,
        on=(("D4", "turned"), ("SO2", "interleaved")),
        everywhere=True,
    ),
    "Affine per field, residual": Recipe(
        covers=nn.Affine,
        build=lambda rep, other, key: nn.Affine(rep, per="field", residual=True),
        parameters=_affine_parameters,
        on=(("C8", "regulars"),),
    ),
    "Affine per type": Recipe(
        covers=nn.Affine,
        build=lambda rep, other, key: nn.Affine(rep, per="type"),
        parameters=_affine_parameters,
        on=(("C3xC3", "measured"), ("O2", "no trivial")),
    ),
    "Affine from outside": Recipe(
        covers=nn.Affine,
        build=lambda rep, other, key: nn.Affine(rep, learnable=False),
        on=(("D3", "regulars"), ("Q8", "interleaved")),
        film=True,
        everywhere=True,
    ),
    "Affine from outside, per type, residual": Recipe(
        covers=nn.Affine,
        build=lambda rep, other, key: nn.Affine(
            rep, learnable=False, per="type", residual=True, use_bias=False
        ),
        on=(("C4", "turned"),),
        film=True,
    ),
    "Affine from outside, per field": Recipe(
        covers=nn.Affine,
        build=lambda rep, other, key: nn.Affine(rep, learnable=False, per="field"),
        on=(("klein", "turned"),),
        film=True,
    ),
    "Identity": Recipe(
        covers=nn.Identity,
        build=lambda rep, other, key: nn.Identity(rep),
        on=(("C1", "regular"),),
    ),
    "Sequential": Recipe(
        covers=nn.Sequential,
        build=_sequence,
        parameters=lambda module: _total(*module.layers[:2], module.layers[3]),
        on=(("D3", "turned"), ("SO3", "interleaved")),
        depth=4,
        everywhere=True,
    ),
    "Disentangle": Recipe(
        covers=nn.Disentangle,
        build=lambda rep, other, key: nn.Disentangle(rep),
        on=(("C8", "regular"), ("Q8", "one kind"), ("O2", "interleaved")),
        everywhere=True,
    ),
    "Disentangle back": Recipe(
        covers=nn.Disentangle,
        build=lambda rep, other, key: nn.Disentangle(rep).inverse,
        on=(("D4", "regulars"), ("C4xD3", "measured")),
        everywhere=True,
    ),
    "FieldDropout": Recipe(
        covers=nn.FieldDropout,
        build=lambda rep, other, key: nn.FieldDropout(rep, 0.4),
        on=(("D4", "interleaved"), ("SO2", "no trivial")),
        needs_key=True,
        exports_inference=True,
        everywhere=True,
    ),
    "FieldDropout at inference": Recipe(
        covers=nn.FieldDropout,
        build=lambda rep, other, key: nn.FieldDropout(rep, 0.4, inference=True),
        on=(("D3", "regular"),),
    ),
    "ReLU": Recipe(
        covers=nn.ReLU,
        build=lambda rep, other, key: nn.ReLU(rep),
        fits=_permuted,
        on=(("octahedral", "regular"),),
        everywhere=True,
    ),
    "ELU": Recipe(
        covers=nn.ELU,
        build=lambda rep, other, key: nn.ELU(rep, 0.7),
        fits=_permuted,
        on=(("D4", "regular"),),
    ),
    "PointwiseNonlinearity": Recipe(
        covers=nn.PointwiseNonlinearity,
        build=lambda rep, other, key: nn.PointwiseNonlinearity(rep, jax.nn.gelu),
        fits=_permuted,
        on=(("Q8", "regular"),),
    ),
    "PointwiseNonlinearity, odd": Recipe(
        covers=nn.PointwiseNonlinearity,
        build=lambda rep, other, key: nn.PointwiseNonlinearity(rep, jnp.tanh, odd=True),
        fits=_permuted_with_signs,
        on=(("klein", "interleaved"), ("C4", "regulars")),
        everywhere=True,
    ),
    "NormNonlinearity": Recipe(
        covers=nn.NormNonlinearity,
        build=lambda rep, other, key: nn.NormNonlinearity(rep),
        parameters=lambda module: len(module.in_type.summands),
        on=(("D4", "no trivial"), ("SO3", "turned")),
        everywhere=True,
    ),
    "NormNonlinearity without bias": Recipe(
        covers=nn.NormNonlinearity,
        build=lambda rep, other, key: nn.NormNonlinearity(rep, jax.nn.sigmoid, use_bias=False),
        on=(("C8", "interleaved"),),
    ),
    "NormNonlinearity, squash": Recipe(
        covers=nn.NormNonlinearity,
        build=lambda rep, other, key: nn.NormNonlinearity(rep, nn.squash, use_bias=False),
        on=(("C4", "defining"),),
    ),
    "GatedNonlinearity": Recipe(
        covers=nn.GatedNonlinearity,
        build=lambda rep, other, key: nn.GatedNonlinearity.for_fields(rep),
        parameters=lambda module: len(module.in_type.summands) // 2,
        on=(("C8", "no trivial"), ("octahedral", "turned")),
        everywhere=True,
    ),
    "GatedNonlinearity, gates kept": Recipe(
        covers=nn.GatedNonlinearity,
        build=lambda rep, other, key: _gates_between(rep, drop_gates=False),
        parameters=lambda module: len(module.in_type.summands) // 2,
        on=(("SO2", "measured"), ("D3", "interleaved")),
    ),
    "GatedNonlinearity without bias": Recipe(
        covers=nn.GatedNonlinearity,
        build=lambda rep, other, key: _gates_between(rep, function=jnp.tanh, use_bias=False),
        on=(("Q8", "defining"),),
    ),
    "RMSNorm": Recipe(
        covers=nn.RMSNorm,
        build=lambda rep, other, key: nn.RMSNorm(rep),
        parameters=lambda module: len(module.in_type.irreps),
        on=(("D4", "turned"), ("Q8", "interleaved")),
        depth=2,
        everywhere=True,
    ),
    "LayerNorm": Recipe(
        covers=nn.LayerNorm,
        build=lambda rep, other, key: nn.LayerNorm(rep),
        parameters=lambda module: _affine_parameters(module.affine),
        on=(("D3", "regulars"), ("C3xC3", "turned"), ("SO3", "interleaved")),
        depth=2,
        everywhere=True,
    ),
    "LayerNorm per type": Recipe(
        covers=nn.LayerNorm,
        build=lambda rep, other, key: nn.LayerNorm(rep, pool="type", eps=1e-3),
        parameters=lambda module: _affine_parameters(module.affine),
        on=(("octahedral", "turned"),),
        depth=2,
    ),
    "GNormBatchNorm": Recipe(
        covers=nn.GNormBatchNorm,
        build=lambda rep, other, key, **axes: nn.GNormBatchNorm(rep, **axes),
        parameters=lambda module: _batch_norm_parameters(module),
        on=(("D4", "turned"), ("Q8", "interleaved"), ("SO3", "no trivial")),
        kind="stateful",
        depth=2,
        everywhere=True,
    ),
    "GNormBatchNorm, ema": Recipe(
        covers=nn.GNormBatchNorm,
        build=lambda rep, other, key, **axes: nn.GNormBatchNorm(
            rep, mode="ema", momentum=0.3, affine=False, eps=1e-3, **axes
        ),
        on=(("C3xC3", "interleaved"),),
        kind="stateful",
        depth=2,
    ),
    "GNormBatchNorm, cumulative": Recipe(
        covers=nn.GNormBatchNorm,
        build=lambda rep, other, key, **axes: nn.GNormBatchNorm(
            rep, momentum=None, correction=1, **axes
        ),
        parameters=lambda module: _batch_norm_parameters(module),
        on=(("D3", "regulars"),),
        kind="stateful",
        depth=2,
    ),
    "RunningMoments": Recipe(
        covers=nn.RunningMoments,
        build=lambda rep, other, key, **axes: nn.RunningMoments(rep, **axes),
        on=(("D3", "turned"), ("Q8", "regular"), ("O2", "interleaved")),
        kind="stateful",
        summary=lambda moments: _flat(moments.mean_x, moments.cov_xx, moments.cov_yx),
        depth=2,
        everywhere=True,
    ),
    "Sequential with running statistics": Recipe(
        covers=nn.Sequential,
        build=_sequence_with_statistics,
        parameters=lambda module: _total(
            module.layers[0], module.layers[1], module.layers[2].layers[0]
        ),
        on=(("D3", "turned"),),
        kind="stateful",
        depth=6,
    ),
    "EquivariantMultivariateNormal": Recipe(
        covers=nn.EquivariantMultivariateNormal,
        build=lambda rep, other, key: nn.EquivariantMultivariateNormal(rep),
        on=(("D4", "turned"), ("SO3", "interleaved")),
        kind="distribution",
        everywhere=True,
    ),
    "EquivariantMultivariateNormal, full": Recipe(
        covers=nn.EquivariantMultivariateNormal,
        build=lambda rep, other, key: nn.EquivariantMultivariateNormal(rep, covariance="full"),
        on=(("Q8", "interleaved"), ("C3xC3", "turned")),
        kind="distribution",
        everywhere=True,
    ),
    "EquivariantMultivariateNormal per type, with a floor": Recipe(
        covers=nn.EquivariantMultivariateNormal,
        build=lambda rep, other, key: nn.EquivariantMultivariateNormal(
            rep, covariance="type", min_var=0.1
        ),
        on=(("octahedral", "turned"),),
        kind="distribution",
    ),
    "EquivariantMultivariateNormal, full, with a floor": Recipe(
        covers=nn.EquivariantMultivariateNormal,
        build=lambda rep, other, key: nn.EquivariantMultivariateNormal(
            rep, covariance="full", min_var=0.1
        ),
        on=(("C4", "interleaved"),),
        kind="distribution",
    ),
    "InvariantPool": Recipe(
        covers=nn.InvariantPool,
        build=lambda rep, other, key: nn.InvariantPool(rep),
        fits=_has_invariants,
        on=(("C4xD3", "regular"), ("D3", "two trivial"), ("O2", "turned")),
        everywhere=True,
    ),
    "IrrepNormPool": Recipe(
        covers=nn.IrrepNormPool,
        build=lambda rep, other, key: nn.IrrepNormPool(rep),
        on=(("C8", "turned"), ("icosahedral", "defining")),
        everywhere=True,
    ),
    "IrrepNormPool, smooth": Recipe(
        covers=nn.IrrepNormPool,
        build=lambda rep, other, key: nn.IrrepNormPool(rep, trivial="value", eps=0.1),
        on=(("klein", "regulars"), ("SO3", "interleaved")),
    ),
    "QuadraticPool": Recipe(
        covers=nn.QuadraticPool,
        build=lambda rep, other, key: nn.QuadraticPool(rep),
        on=(("C4", "regulars"), ("Q8", "interleaved"), ("D3", "one kind")),
        everywhere=True,
    ),
    "MLP": Recipe(
        covers=models.MLP,
        # Wide enough that ReLU leaves more than rounding errors.
        build=lambda rep, other, key: models.MLP(rep, other, [4 * rep.group.order] * 2, key=key),
        parameters=lambda module: _total(*module.layers.layers),
        fits=_small_group,
        on=(("D4", "turned"), ("sheared", "defining")),
        depth=5,
        everywhere=True,
    ),
    "MLP with norms and dropout": Recipe(
        covers=models.MLP,
        build=lambda rep, other, key: models.MLP(
            rep, other, [rep], activation=nn.NormNonlinearity, dropout=0.3, key=key
        ),
        parameters=lambda module: _total(*module.layers.layers),
        on=(("SO2", "turned"), ("C3xC3", "no trivial")),
        needs_key=True,
        exports_inference=True,
        depth=4,
    ),
    "MLP with gates": Recipe(
        covers=models.MLP,
        build=lambda rep, other, key: models.MLP(
            rep, other, [rep], activation=nn.GatedNonlinearity, use_bias=False, key=key
        ),
        parameters=lambda module: _total(*module.layers.layers),
        fits=_has_invariants,  # else no linear map makes gates
        on=(("SO3", "interleaved"), ("C4", "turned")),
        depth=3,
    ),
    "InvariantMLP": Recipe(
        covers=models.InvariantMLP,
        build=lambda rep, other, key: models.InvariantMLP(rep, 3, [2 * rep.group.order], key=key),
        parameters=lambda module: (
            _total(*module.backbone.layers) + 3 * (module.pool.out_type.size + 1)
        ),
        fits=_small_group,
        on=(("D3", "regulars"), ("Q8", "turned")),
        depth=4,
        everywhere=True,
    ),
    "InvariantMLP, quadratic": Recipe(
        covers=models.InvariantMLP,
        build=lambda rep, other, key: models.InvariantMLP(
            rep, 2, [rep], activation=nn.NormNonlinearity, pool="quadratic", key=key
        ),
        parameters=lambda module: (
            _total(*module.backbone.layers) + 2 * (module.pool.out_type.size + 1)
        ),
        on=(("SO3", "no trivial"),),
        depth=4,
    ),
    "InvariantMLP, mean": Recipe(
        covers=models.InvariantMLP,
        build=lambda rep, other, key: models.InvariantMLP(
            rep, 2, [3 * rep], activation=nn.NormNonlinearity, pool="mean", use_bias=False, key=key
        ),
        parameters=lambda module: _total(*module.backbone.layers) + 2 * module.pool.out_type.size,
        fits=_has_invariants,
        on=(("klein", "regular"),),
        depth=4,
    ),
    "CommutingConstraint": Recipe(
        covers=nn.CommutingConstraint,
        build=lambda rep, other, key: nn.CommutingConstraint(rep, other),
        kind="projection",
        on=(("D4", "turned"), ("Q8", "regular"), ("SO3", "interleaved")),
    ),
    "InvariantConstraint": Recipe(
        covers=nn.InvariantConstraint,
        build=lambda rep, other, key: nn.InvariantConstraint(rep),
        kind="projection",
        on=(("D4", "turned"), ("C3xC3", "regular"), ("SO3", "no trivial")),
    ),
}


# ---- cases -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Case:
    """A recipe on one type."""

    recipe: Recipe
    group: str
    type: str

    @property
    def rep(self) -> Representation:
        """The type."""
        return types(self.group)[self.type]

    def build(self, key: Any, *, fresh: bool = False) -> Any:
        """The module, with a new draw of its parameters; ``fresh`` rebuilds the types too."""
        if self.recipe.kind == "stateful":
            return self.build_with_state(key, fresh=fresh)[0]
        return self._build(key, fresh)

    def build_with_state(self, key: Any, *, fresh: bool = False, **axes: Any) -> tuple[Any, Any]:
        """A stateful module and its first state; ``axis_name=`` is handed on."""
        return eqx.nn.make_with_state(self._build)(key, fresh, **axes)

    def _build(self, key: Any, fresh: bool, **axes: Any) -> Any:
        table = fresh_types(self.group) if fresh else types(self.group)
        with warnings.catch_warnings():
            # A table of types against types meets irreps that reach no output.
            warnings.simplefilter("ignore", nn.UnusedIrrepsWarning)
            return self.recipe.build(table[self.type], partner(table, self.type), key, **axes)

    @property
    def abstract(self) -> Any:
        """The module with shapes for arrays."""
        return eqx.filter_eval_shape(self.build, jax.random.key(0))

    def options(self, module: Any, key: Any, dtype: Any = None) -> dict[str, Any]:
        """Further arguments of the call: invariant, and the same for every example."""
        options: dict[str, Any] = {}
        if self.recipe.needs_key:
            options["key"] = key
        if self.recipe.film:
            dtype = jnp.result_type(float) if dtype is None else dtype
            rng = np.random.default_rng(7)
            options["scale"] = jnp.asarray(rng.standard_normal(module.num_scale), dtype)
            if module.num_bias and module.per != "type":
                options["bias"] = jnp.asarray(rng.standard_normal(module.num_bias), dtype)
        return options


CASES: dict[str, Case] = {
    f"{name} [{group}: {type_}]": Case(recipe, group, type_)
    for name, recipe in RECIPES.items()
    for group, type_ in recipe.on
}

#: The cases that map vectors to vectors.
LAYERS = {name: case for name, case in CASES.items() if case.recipe.kind == "vectors"}

#: The cases with running statistics.
STATEFUL = {name: case for name, case in CASES.items() if case.recipe.kind == "stateful"}

#: The cases that map parameters to distributions.
DISTRIBUTIONS = {name: case for name, case in CASES.items() if case.recipe.kind == "distribution"}

#: The first case of every class of layers.
ONE_PER_CLASS = {
    name: case
    for name, case in LAYERS.items()
    if case is next(c for c in LAYERS.values() if c.recipe.covers is case.recipe.covers)
}

#: Pytrees that modules return. They are no layers (no types at the border, nothing to train), so
#: no recipe builds them; the laws of the class that returns them run through them, and these
#: tests hold their methods.
VALUE_CLASSES: dict[type, tuple[type, str]] = {
    nn.MultivariateNormal: (
        nn.EquivariantMultivariateNormal,
        "nn/test_statistics_layers.py::test_the_density_is_invariant_and_that_of_scipy",
    ),
    nn.Moments: (
        nn.RunningMoments,
        "nn/test_statistics_layers.py::test_running_moments_weigh_samples_exactly",
    ),
}

#: Every type of every group, by label.
TYPES = [(group, type_) for group in GROUPS for type_ in types(group)]

#: Where every law runs that runs over types, one of each thing that can go wrong: copies mixed in a
#: random basis for irreps of every kind, summands in runs, no trivial irrep, a change of basis that
#: was measured, a user's group in coordinates that are not orthogonal. The others are slow.
QUICK_TYPES = {
    ("C3xC3", "turned"),
    ("D3", "regulars"),
    ("O2", "measured"),
    ("Q8", "turned"),
    ("SO2", "no trivial"),
    ("SO3", "interleaved"),
    ("sheared", "sheared"),
}

#: What can go wrong in statistics: a basis that mixes copies, trivial copies in a
#: turned basis, none, one kind of irrep, fields in runs.
STATISTICS_TYPES = [
    (group, type_)
    for group, type_ in TYPES
    if type_ in ("turned", "two trivial", "no trivial", "one kind", "regulars", "sheared")
    # One group of each kind: statistics see irreps and their types, not how elements multiply.
    and group in ("C1", "D3", "Q8", "C3xC3", "icosahedral", "SO2", "SO3", "sheared")
]

#: Of these, one of each thing.
QUICK_STATISTICS_TYPES = {
    ("C3xC3", "turned"),
    ("D3", "regulars"),
    ("D3", "two trivial"),
    ("Q8", "one kind"),
    ("SO2", "no trivial"),
    ("SO3", "turned"),
    ("sheared", "sheared"),
}

#: What can go wrong in maps: copies that are mixed, apart or missing, and summands in runs.
MAP_TYPES = [
    (group, type_)
    for group, type_ in TYPES
    if type_ in ("turned", "interleaved", "no trivial", "regulars", "measured", "sheared")
]


def modules_of(package: Any) -> list[Any]:
    """A package and all modules in it, private ones too."""
    walk = pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    return [package, *(importlib.import_module(info.name) for info in walk)]


def public_modules() -> set[type]:
    """Every class of layers that `equivax.nn` or `equivax.models` defines for users."""
    return {cls for cls in public_classes() if cls not in VALUE_CLASSES}


def public_classes() -> set[type]:
    """Every class of Equinox modules that `equivax.nn` or `equivax.models` defines for users."""
    return {
        value
        for package in (nn, models)
        for module in modules_of(package)
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, eqx.Module)
        and value.__module__.startswith(package.__name__ + ".")
        and not name.startswith(("_", "Abstract"))
        and value is not nn.ModuleList  # a list: no types, no call
    }

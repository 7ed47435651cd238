"""Batch norms on many spaces, and what they compute written down with dense projectors."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

from equivax import FieldType, Representation, groups, nn, spaces, testing
from equivax.spaces import GSpace
from laws import normal

D4 = groups.dihedral(4)
VECTOR = spaces.flip_rot_on_r2(4).vector


def _turned(rep: Representation) -> Representation:
    """The representation as one field in a random orthogonal basis."""
    q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(rep.size, rep.size)))
    return Representation.from_matrices(rep.group, q @ rep.matrices @ q.T)


#: One group on a point, a line (with the mirrored direction), the plane and a volume.
SCENES: dict[str, GSpace] = {
    "vectors": spaces.no_base_space(D4),
    "line": GSpace(D4, D4.irrep(1, 0)),
    "plane": spaces.flip_rot_on_r2(4),
    "volume": GSpace(D4, VECTOR + D4.irrep(1, 0)),
}

ANY = [
    _turned(D4.trivial + D4.irrep(1, 1) + D4.irrep(0, 2)),
    D4.regular,
    D4.irrep(1, 1),
    D4.trivial,
    D4.regular,
]
PERMUTED = [D4.regular, (D4.quotient(D4.subgroup((0, 1))) + D4.trivial).fused(), D4.trivial]
TURNED = [D4.irrep(1, 1), D4.irrep(1, 0), _turned(D4.irrep(1, 1) + D4.irrep(0, 2))]
ROTATIONS = D4.subgroup((None, 4))
INDUCED = [D4.induced(ROTATIONS, ROTATIONS.group.irrep(k)) for k in (1, 2, 1)]

LAYERS: dict[str, tuple[type, list[Representation], dict[str, Any]]] = {
    "inner": (nn.InnerBatchNorm, PERMUTED, {}),
    "inner, per orbit": (nn.InnerBatchNorm, PERMUTED, {"per_orbit": True}),
    "inner, equal fields": (nn.InnerBatchNorm, [D4.regular] * 3, {}),
    "norm": (nn.NormBatchNorm, TURNED, {}),
    "induced norm": (nn.InducedNormBatchNorm, INDUCED, {}),
    "gnorm": (nn.GNormBatchNorm, ANY, {}),
    "gnorm, per type": (nn.GNormBatchNorm, ANY, {"per": "type", "correction": 1}),
    "gnorm, irreps": (nn.GNormBatchNorm, [D4.irrep(1, 1), D4.trivial, D4.irrep(1, 1)], {}),
    "iid": (nn.IIDBatchNorm, ANY, {}),
    "iid, invariant": (nn.IIDBatchNorm, ANY, {"variance": "about_invariant_mean"}),
}

#: Every layer on the plane, one of each way of computing on every space.
PLACES = [
    (name, scene)
    for name in LAYERS
    for scene in SCENES
    if scene == "plane" or name in ("inner", "norm", "gnorm")
]


def typed(cls: type, type_: Any, **options: Any) -> tuple[Any, eqx.nn.State]:
    """A layer and its state."""
    return eqx.nn.make_with_state(cls)(type_, **options)


def made(name: str, scene: str, **options: Any) -> tuple[Any, eqx.nn.State]:
    """A layer of the table on a space."""
    cls, reps, arguments = LAYERS[name]
    return typed(cls, FieldType(SCENES[scene], reps), **arguments, **options)


def trained(name: str, scene: str, **options: Any) -> tuple[Any, eqx.nn.State]:
    """The same with random parameters and the statistics of two batches."""
    layer, state = made(name, scene, **options)
    layer = testing.randomize_parameters(layer, jax.random.key(4))
    points = (3, 3, 3)[: SCENES[scene].dim]
    for seed in (5, 6):
        shape = (7, layer.in_type.size, *points)
        _, state = called(layer, 2 * normal(*shape, seed=seed) + 1, state)
    return layer, state


def called(layer: Any, x: Any, state: Any) -> tuple[Any, eqx.nn.State]:
    """A call that leaves ``state`` for another one; Equinox refuses a state used twice."""
    leaves, structure = jax.tree.flatten(state)
    return _compiled(layer, x, jax.tree.unflatten(structure, leaves))


@eqx.filter_jit
def _compiled(layer: Any, x: Any, state: Any) -> Any:
    return layer(x, state)


def statistics(layer: Any, state: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Running means, running variances and the number of batches."""
    mean, variance, count = state.get(layer.running)
    return np.asarray(mean), np.asarray(variance), int(count)


def reference(name: str, layer: Any, x: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Output, means and unbiased variances by group averages and dense matrices, in NumPy."""
    cls, _, arguments = LAYERS[name]
    type_ = layer.in_type
    rows = np.moveaxis(np.asarray(x, np.float64), 1, -1).reshape(-1, type_.size)
    out, means, variances = np.zeros_like(rows), [], []
    for i, field in enumerate(type_):
        block = slice(type_.fields_start[i], type_.fields_end[i])
        y, mean, variance = _field_reference(cls, arguments, field, rows[:, block])
        out[:, block] = y
        means += list(np.atleast_1d(mean))
        variances += list(np.atleast_1d(variance))
    inner = np.asarray(x).shape
    back = np.moveaxis(out.reshape(inner[0], *inner[2:], inner[1]), -1, 1)
    return back, np.array(means), np.array(variances)


def _field_reference(cls, arguments, field, v):
    count, size = v.shape
    if cls is nn.InnerBatchNorm:
        if not arguments.get("per_orbit"):
            return _inner(v)
        orbits = np.unique(field.matrices.sum(axis=0) > 0.5, axis=0)
        order = np.argsort([int(np.flatnonzero(o)[0]) for o in orbits])
        y, means, variances = np.zeros_like(v), [], []
        for orbit in orbits[order]:
            y[:, orbit], mean, variance = _inner(v[:, orbit])
            means.append(mean)
            variances.append(variance)
        return y, means, variances
    invariant = field.matrices.mean(axis=0)
    columns = field.change_of_basis[:, _trivial_columns(field)]
    if cls in (nn.NormBatchNorm, nn.InducedNormBatchNorm):
        parts = 1 if cls is nn.NormBatchNorm else size // field.induced_from[1].size
        n = count * parts
        variance = (v.reshape(n, -1) ** 2).sum(axis=1).mean() / (size // parts) * n / (n - 1)
        return v / np.sqrt(variance + 1e-5), [], variance
    mean = invariant @ v.mean(axis=0)
    bessel = count / (count - 1)
    if cls is nn.IIDBatchNorm:
        centre = mean if "variance" in arguments else v.mean(axis=0)
        variance = ((v - centre) ** 2).mean() * bessel
        return (v - mean) / np.sqrt(variance + 1e-5), columns.T @ mean, variance
    y, variances = np.zeros_like(v), []
    for projector in _projectors(field, per_type=arguments.get("per") == "type"):
        part = (v - mean) @ projector
        variance = (part**2).sum(axis=1).mean() / np.trace(projector)
        used = variance * (bessel if arguments.get("correction") else 1)
        y += part / np.sqrt(used + 1e-5)
        variances.append(variance * bessel)
    return y, columns.T @ mean, variances


def _inner(v):
    n = v.size
    y = (v - v.mean()) / np.sqrt(v.var() + 1e-5)
    return y, v.mean(), v.var() * n / (n - 1)


def _trivial_columns(field):
    sizes = [field.group.irrep_data(i).size for i in field.irreps]
    starts = np.cumsum(sizes) - sizes
    identity = field.group.trivial.irreps[0]
    return [int(s) for s, i in zip(starts, field.irreps, strict=True) if i == identity]


def _projectors(field, *, per_type):
    """On copies by columns of Q; on types by characters, ``d/|G| sum_g chi(g) rho(g)``."""
    if per_type:
        for irrep in dict.fromkeys(field.irreps):
            data = field.group.irrep_data(irrep)
            characters = np.trace(field.group.irrep(*irrep).matrices, axis1=1, axis2=2)
            weights = data.size / data.endomorphism_dimension * characters
            yield np.einsum("g,gij->ij", weights, field.matrices) / field.group.order
        return
    start = 0
    for irrep in field.irreps:
        stop = start + field.group.irrep_data(irrep).size
        q = field.change_of_basis[:, start:stop]
        yield q @ q.T
        start = stop

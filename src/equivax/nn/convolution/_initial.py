"""Initial coefficients of steerable kernels.

A scheme is a callable ``(basis, key) -> {pair of kinds: array}``; layers take these by name.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._arguments import arrays, number, refuse, type_of
from ...hom import SCHEMES as MAPS
from ...hom import hom_basis, standard_normal
from ...kernels import SteerableBasis, TypeBasis
from ...spaces import GSpace

Coefficients = dict[str, Float[Array, "out in dim"]]
"""Coefficients: pair of kinds to an array."""
Scheme = Callable[[TypeBasis, PRNGKeyArray], Coefficients]
"""Draws coefficients: ``(basis, key)`` to `Coefficients`."""

_CENTER = 1e-9
"""Radius in taps below which an element sits on the centre tap."""


def generalized_he(basis: TypeBasis, key: PRNGKeyArray, gain: float = 1.0) -> Coefficients:
    """Independent normal coefficients that keep the variance of every output irrep.

    An element from an input irrep of type t into an output irrep o has standard deviation
    ``gain / sqrt(T(o) B(t, o))``: T(o) types reach o, by B(t, o) elements each. Each output
    channel of a reachable irrep then has an expected squared kernel norm of ``gain^2`` (Weiler,
    Hamprecht and Storath 2018, section 3; there is no factor 2 for ReLU: use ``gain=sqrt(2)``).

    Args:
        basis: The kernels.
        key: A JAX key; each pair of kinds draws from a key made of its name.
        gain: Factor of all standard deviations.

    Returns:
        Pair of kinds to ``(fields out, fields in, dim)``, in JAX's default float.
    """
    name, dtype = "generalized_he", jnp.result_type(float)
    shapes = type_of(basis, name, "basis", TypeBasis).shapes
    key, gain = arrays.key(key, name), number(gain, name, "gain", 0)
    deviations = {pair: gain / np.sqrt(fan) for pair, fan in basis.fan().items()}
    return standard_normal(key, shapes, jnp.dtype(dtype), deviations)


def delta_orthonormal(basis: TypeBasis, key: PRNGKeyArray) -> Coefficients:
    """Everything zero but the centre tap, which is orthonormal on every irrep type.

    For an irrep with i copies in the input and o in the output, the centre is
    ``sum_s w_s W (x) Psi_s`` with ``W`` (o, i) cut from a Haar-orthogonal matrix and a unit vector
    ``w`` per output copy: ``K_0 K_0^T = 1`` if o <= i for each type, ``K_0^T K_0 = 1`` if o >= i
    (Xiao et al. 2018, generalised by Weiler and Cesa 2019). Irreps on one side only stay 0.

    Args:
        basis: The kernels; of odd size, and with all elements of the centre present. Of
            differential operators, those of order 0 take the place of the centre.
        key: A JAX key.

    Returns:
        Pair of kinds to ``(fields out, fields in, dim)``, in JAX's default float.

    Raises:
        ValueError: If the basis has no element at the centre, or lacks some there.
    """
    key = arrays.key(key, "delta_orthonormal")
    group = type_of(basis, "delta_orthonormal", "basis", TypeBasis).space.group
    out_copies, in_copies = basis.out_rep.multiplicities, basis.in_rep.multiplicities
    drawn: dict[Any, tuple[Array, Array]] = {}
    for irrep, outs in out_copies.items():
        if irrep not in in_copies:
            continue
        ins = in_copies[irrep]
        data = group.irrep_data(irrep)
        first, second = jax.random.split(
            jax.random.fold_in(key, zlib.crc32(f"centre {data.name}".encode()))
        )
        square = jax.random.orthogonal(first, max(outs, ins))[:outs, :ins]
        directions = jax.random.normal(second, (outs, data.endomorphism_dimension))
        unit = directions / jnp.linalg.norm(directions, axis=1, keepdims=True)
        drawn[irrep] = (square, unit)
    found = {}
    seen = dict.fromkeys(drawn, 0)
    out_numbers = _copy_numbers(basis.out_fields)
    in_numbers = _copy_numbers(basis.in_fields)
    for pair in basis.pairs:
        data = pair.basis.data
        block = jnp.zeros(pair.shape, jnp.result_type(float))
        for irrep, element, out_index, in_index, s in _central(pair.basis):
            rows = np.array([out_numbers[f][out_index] for f in pair.out_fields], np.int32)
            columns = np.array([in_numbers[f][in_index] for f in pair.in_fields], np.int32)
            square, unit = drawn[irrep]
            values = unit[rows, s][:, None] * square[rows[:, None], columns]
            block = block.at[:, :, element].set(values)
            seen[irrep] += len(rows) * len(columns)
        found[pair.key] = block
    for irrep, count in seen.items():
        square, unit = drawn[irrep]
        expected = square.size * unit.shape[1]
        if count != expected:
            raise ValueError(
                f"delta_orthonormal: basis: expected all {expected} elements of irrep "
                f"{group.irrep_data(irrep).name} at the centre tap, got {count}; even kernel sizes "
                "have no centre, and a basis_filter must not touch it"
            )
    if not drawn:
        raise ValueError(
            "delta_orthonormal: basis: the input and the output share no irrep, so the centre tap "
            f"is zero for {basis!r}"
        )
    return found


def _copy_numbers(fields: Any) -> dict[int, list[int]]:
    """For every field, the running number of each of its irreps among equal ones of the type."""
    numbers: dict[int, list[int]] = {}
    counts: dict[Any, int] = {}
    order = sorted((f, kind) for kind, fs in enumerate(fields.positions) for f in fs)
    for field, kind in order:
        row = []
        for irrep in fields.kinds[kind].irreps:
            row.append(counts.get(irrep, 0))
            counts[irrep] = row[-1] + 1
        numbers[field] = row
    return numbers


def _central(basis: SteerableBasis) -> Iterator[tuple[Any, int, int, int, int]]:
    """Elements at the centre between equal irreps: irrep, element, out and in index, number."""
    data = basis.data
    ins, outs = basis.irrep_types
    for n in np.flatnonzero(data.radius < _CENTER).tolist():
        irrep = ins[data.in_type[n]]
        if irrep == outs[data.out_type[n]]:
            yield irrep, n, int(data.out_index[n]), int(data.in_index[n]), int(data.index[n])


def zeros(basis: TypeBasis, key: PRNGKeyArray) -> Coefficients:
    """All coefficients zero."""
    shapes = type_of(basis, "zeros", "basis", TypeBasis).shapes
    return {name: jnp.zeros(shape) for name, shape in shapes.items()}


def of_maps(scheme: str, basis: TypeBasis, key: PRNGKeyArray) -> Coefficients:
    """Taps drawn like the weights of `Linear`, where every tap is a free map.

    ``"identity"`` and ``"orthogonal"`` are isometries on the centre tap, and zero elsewhere.
    """
    maps, taps = hom_basis(basis.in_rep, basis.out_rep), math.prod(basis.kernel)
    if scheme in ("identity", "orthogonal"):
        centre = maps.synthesize(maps.init(key, scheme))
        kernel = jnp.zeros((*centre.shape, taps), centre.dtype).at[..., (taps - 1) // 2].set(centre)
    else:
        keys = jax.random.split(key, taps)
        kernel = jnp.stack(
            [maps.synthesize(maps.init(one, scheme, taps=taps)) for one in keys], axis=-1
        )
    return basis.coefficients(kernel.reshape(*kernel.shape[:2], *basis.kernel))


SCHEMES: dict[str, Scheme] = {
    "generalized_he": generalized_he,
    "delta_orthonormal": delta_orthonormal,
    "zeros": zeros,
}
"""The schemes by name."""


def resolve(
    caller: str, scheme: str | Callable[..., Any] | None, space: GSpace
) -> Callable[..., Any]:
    """The callable behind a name; None stands for zeros.

    Raises:
        ValueError: For an unknown name.
        TypeError: If it is neither a name nor a function.
    """
    if scheme is None:
        return zeros
    if callable(scheme) and not isinstance(scheme, type):
        return scheme
    if isinstance(scheme, str):
        if scheme in SCHEMES:
            return SCHEMES[scheme]
        if scheme in MAPS and not space.moves_points:
            return functools.partial(of_maps, scheme)
    more = "" if space.moves_points else f" (on {space.domain} also {', '.join(MAPS)})"
    takes = f"one of {', '.join(SCHEMES)}{more}, None or a callable (basis, key)"
    refuse(ValueError if isinstance(scheme, str) else TypeError, caller, "init", takes, scheme)

"""`symmetry_report`: which of the symmetries of a group a sample has, tested one by one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float

from .._arguments import integer, is_traced, number, real_array, refuse
from ..groups import Subgroup
from ..representations import Representation, as_representation, check_same_group, direct_sum
from ._averages import Averages, averages_over, chosen, matrices_products
from ._report import SymmetryReport, SymmetryRow

CALLER = "symmetry_report"


def symmetry_report(
    x: object,
    *given: object,
    subgroups: object = None,
    level: float = 0.05,
    draws: int = 199,
    folds: int = 5,
    seed: int = 0,
) -> SymmetryReport:
    """Which symmetries a sample does not contradict: ``(x, rep)`` or ``(x, y, in_rep, out_rep)``.

    **A sample x.** If its distribution is invariant under H, acting on every row with an
    element of H of its own gives a sample as likely as the first. So what mean and covariance have
    outside of the symmetry is compared with what they have after such draws, and the p-value is the
    place of the first: the test is exact for independent rows, whatever their distribution (Chiu
    and Bloem-Reddy 2023). It sees the first two moments only.

    **Pairs.** The best affine maps from x to y with and without the symmetry are compared by their
    errors on rows that were left out: the p-value is that of a t-test of the hypothesis that the
    symmetry does not raise the error. It asks for a map that is affine up to noise, or for inputs
    whose distribution has the symmetry; of x alone nothing is asked then.

    Args:
        x: ``(N, n)``, independent rows.
        *given: The representation of x; or ``y, in_rep, out_rep``.
        subgroups: What to test: subgroups, or what ``group.subgroup`` takes; by default all
            subgroups of a finite group up to conjugation. Of conjugate subgroups the row is that
            of the one that the data contradict least.
        level: Probability with which a symmetry that the data have is contradicted.
        draws: Of the group, for a sample.
        folds: Parts that are left out in turn, for pairs.
        seed: Of the draws, and of the order of the rows.

    Returns:
        A `SymmetryReport`: rows with share, baseline, p-value (and error), `largest`, the largest
        subgroup that is not contradicted, and ``parts``: mean and covariance of a sample. Shares
        are of mean and covariance in units of the total variance, less what is isotropic; for
        pairs of the unconstrained map.

    Raises:
        ValueError: If shapes, groups or numbers do not fit, or there are too few rows.
        TypeError: If an argument is of another kind.

    Examples:
        >>> import equivax as evx, numpy as np
        >>> G = evx.groups.dihedral(4)
        >>> x = np.random.default_rng(0).normal(size=(200, 2)) + [0.5, 0.0]  # a wind along x
        >>> report = evx.stats.symmetry_report(x, G.irrep(1, 1))
        >>> report.largest
        D1 < D4
    """
    level = number(level, CALLER, "level", 0, 1)
    draws = integer(draws, CALLER, "draws", 1, 10**6)
    folds = integer(folds, CALLER, "folds", 2)
    rng = np.random.default_rng(integer(seed, CALLER, "seed", 0))
    if len(given) == 1:
        rep = as_representation(given[0], "rep")
        sample = _rows("x", x, rep, 3)
        return _of_sample(sample, rep, subgroups, level, draws, rng)
    if len(given) != 3:
        raise TypeError(
            f"{CALLER}: expected (x, rep) or (x, y, in_rep, out_rep), got {1 + len(given)} "
            "arguments"
        )
    in_rep = as_representation(given[1], "in_rep")
    out_rep = as_representation(given[2], "out_rep")
    check_same_group(CALLER, in_rep, out_rep)
    xs, ys = _rows("x", x, in_rep, folds + 1), _rows("y", given[0], out_rep, folds + 1)
    if len(xs) != len(ys):
        raise ValueError(f"{CALLER}: x and y: expected as many rows, got {len(xs)} and {len(ys)}")
    return _of_pairs(xs, ys, in_rep, out_rep, subgroups, level, folds, rng)


def _rows(name: str, value: object, rep: Representation, least: int) -> Float[np.ndarray, "N n"]:
    """Rows in float64."""
    takes = f"an array (N, {rep.size}) with N >= {least} outside of jit"
    if is_traced(value):
        refuse(TypeError, CALLER, name, takes, value)
    found = real_array(value, CALLER, name).astype(np.float64)
    if found.ndim != 2 or found.shape[1] != rep.size or len(found) < least:
        refuse(ValueError, CALLER, name, takes, value)
    return found


def _degree(*reps: Representation) -> int:
    """Frequency of ``<W, g W>`` for maps between representations."""
    group = reps[0].group
    return sum(max(group.irrep_data(i).frequency for i in rep.irreps) for rep in reps)


# ---- one sample ----------------------------------------------------------------------------------


class _Moments(NamedTuple):
    """Mean and covariance less its isotropic part, in units of the total variance."""

    mean: Float[np.ndarray, "... n"]
    covariance: Float[np.ndarray, "... n n"]


def _moments(x: Float[np.ndarray, "... N n"], scale: float) -> _Moments:
    mean = x.mean(axis=-2)
    centred = x - mean[..., None, :]
    covariance = np.swapaxes(centred, -1, -2) @ centred / x.shape[-2]
    isotropic = np.trace(covariance, axis1=-2, axis2=-1) / x.shape[-1]
    covariance = covariance - isotropic[..., None, None] * np.eye(x.shape[-1])
    return _Moments(mean / scale**0.5, covariance / scale)


def _of_sample(
    x: np.ndarray,
    rep: Representation,
    subgroups: object,
    level: float,
    draws: int,
    rng: np.random.Generator,
) -> SymmetryReport:
    averages = averages_over(CALLER, rep.group, subgroups, _degree(rep, rep))
    matrices = rep.evaluate(averages.coordinates)
    scale = float((x**2).mean()) or 1.0
    moments = _moments(x, scale)
    mean, covariance = moments.mean[:, None], moments.covariance
    one, size = np.ones((len(matrices), 1, 1)), rep.size
    characters = np.trace(matrices, axis1=1, axis2=2)
    squares = np.trace(matrices @ matrices, axis1=1, axis2=2)
    symmetric = (characters**2 + squares) / 2 - 1
    parts = {
        "mean": (mean, matrices_products(mean, matrices, one), characters, size),
        "covariance": (
            covariance,
            matrices_products(covariance, matrices, matrices),
            symmetric,
            size * (size + 1) // 2 - 1,
        ),
    }
    p_values = [
        _p_value(x, rep, subgroup, scale, draws, rng, weights, matrices)
        for subgroup, weights in zip(averages.subgroups, averages.weights, strict=True)
    ]
    best = chosen(averages.classes, p_values)
    tables, inside, norms, bases = {}, 0.0, 0.0, 0.0
    for name, (array, products, traces, dim) in parts.items():
        if dim == 0:  # the variance of one number is isotropic
            continue
        norm = float(np.vdot(array, array))
        kept, baseline = averages.of(products), averages.of(traces) / dim
        tables[name] = _rows_of(averages, best, kept / norm if norm else kept + 1, baseline)
        inside, norms, bases = inside + kept, norms + norm, bases + baseline * norm
    # Without a variance everything is invariant.
    total = norms or 1.0
    shares = np.asarray((inside + (norms == 0)) / total)
    baselines = np.asarray((bases + (norms == 0)) / total)
    rows = _rows_of(averages, best, shares, baselines, p_values)
    return SymmetryReport(rows, tables, level)


def _p_value(
    x: np.ndarray,
    rep: Representation,
    subgroup: Subgroup,
    scale: float,
    draws: int,
    rng: np.random.Generator,
    weights: np.ndarray,
    matrices: np.ndarray,
) -> float:
    """The place of what lies outside of the symmetry among that of samples that were acted on."""
    if subgroup.group.order == 1:
        return 1.0
    used = weights > 0
    weights, matrices = weights[used], matrices[used]
    found = [_moments(x, scale)]
    elements = None
    if subgroup.group.order is not None:
        every = rep.evaluate(subgroup.embed(subgroup.group.quadrature(0)[0]))
        elements = np.einsum("gij,nj->gni", every, x)
    for _ in range(draws):
        if elements is not None:
            moved = elements[rng.integers(len(elements), size=len(x)), np.arange(len(x))]
        else:
            coordinates = subgroup.group.sample_coordinates(rng, len(x))
            moved = np.einsum("nij,nj->ni", rep.evaluate(subgroup.embed(coordinates)), x)
        found.append(_moments(moved, scale))
    means = np.stack([moments.mean for moments in found])
    covariances = np.stack([moments.covariance for moments in found])
    projector = np.einsum("g,gij->ij", weights, matrices)
    outside = [((means - means @ projector.T) ** 2).sum(axis=1)]
    inside = np.zeros_like(covariances)
    for weight, matrix in zip(weights, matrices, strict=True):
        inside += weight * (matrix @ covariances @ matrix.T)
    outside.append(((covariances - inside) ** 2).sum(axis=(1, 2)))
    # Each statistic in units of its own spread: a function of the whole set, so that the order of
    # the samples stays as likely as any other.
    rounding = 1e-20
    standard = [(t - t.mean()) / t.std() for t in outside if t.max() > rounding]
    if not standard:
        return 1.0
    largest = np.maximum.reduce(standard)
    return float((largest >= largest[0]).mean())


def _rows_of(
    averages: Averages,
    best: list[int],
    shares: np.ndarray,
    baselines: np.ndarray,
    p_values: list[float] | None = None,
    errors: list[float] | None = None,
) -> tuple[SymmetryRow, ...]:
    return tuple(
        SymmetryRow(
            averages.subgroups[i],
            float(np.clip(shares[i], 0, 1)),
            float(np.clip(baselines[i], 0, 1)),
            None if p_values is None else p_values[i],
            None if errors is None else errors[i],
        )
        for i in best
    )


# ---- pairs ---------------------------------------------------------------------------------------


def _of_pairs(
    x: np.ndarray,
    y: np.ndarray,
    in_rep: Representation,
    out_rep: Representation,
    subgroups: object,
    level: float,
    folds: int,
    rng: np.random.Generator,
) -> SymmetryReport:
    averages = averages_over(CALLER, in_rep.group, subgroups, _degree(in_rep, in_rep, out_rep))
    # A constant input makes the maps affine.
    source = direct_sum([in_rep, in_rep.group.trivial])
    into = source.evaluate(averages.coordinates)
    out = out_rep.evaluate(averages.coordinates)
    scale = float((x**2).mean()) ** 0.5 or 1.0
    features = np.concatenate([x, np.full((len(x), 1), scale)], axis=1)
    variance = float(((y - y.mean(axis=0)) ** 2).sum(axis=1).mean()) or 1.0
    order = rng.permutation(len(x))
    tests = np.array_split(order, folds)
    free, errors = np.zeros(len(x)), np.zeros((len(averages.subgroups), len(x)))
    for test in tests:
        train = np.setdiff1d(order, test)
        moments = _second_moments(features[train], y[train])
        free[test] = _errors(features[test], y[test], _solved(*moments))
        moved = [
            np.einsum("gij,jk,glk->gil", left, moment, into)
            for left, moment in zip((into, out), moments, strict=True)
        ]
        for row, weights in enumerate(averages.weights):
            constrained = [np.einsum("g,gij->ij", weights, each) for each in moved]
            errors[row, test] = _errors(features[test], y[test], _solved(*constrained))
    p_values = [_raised(each - free) for each in errors]
    best = chosen(averages.classes, p_values)
    fitted = _solved(*_second_moments(features, y))
    products = matrices_products(fitted, out, into)
    traces = np.trace(out, axis1=1, axis2=2) * np.trace(into, axis1=1, axis2=2)
    norm = float(np.vdot(fitted, fitted))
    shares = averages.of(products) / norm if norm else np.ones(len(averages.subgroups))
    return SymmetryReport(
        _rows_of(
            averages,
            best,
            shares,
            averages.of(traces) / fitted.size,
            p_values,
            [float(each.mean() / variance) for each in errors],
        ),
        {},
        level,
        float(free.mean() / variance),
    )


def _second_moments(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.T @ x / len(x), y.T @ x / len(x)


def _solved(xx: np.ndarray, yx: np.ndarray) -> Float[np.ndarray, "out in"]:
    """Least squares of least norm.

    Of moments that were averaged over a group it is the best map that commutes: averaging is what
    adding all copies to the sample does.
    """
    return yx @ np.linalg.pinv(xx, rcond=1e-10, hermitian=True)


def _errors(x: np.ndarray, y: np.ndarray, matrix: np.ndarray) -> Float[np.ndarray, " N"]:
    return ((y - x @ matrix.T) ** 2).sum(axis=1)


def _raised(differences: Any) -> float:
    """The p-value of the hypothesis that the mean is not above zero."""
    spread = float(differences.std(ddof=1))
    mean = float(differences.mean())
    # Without any spread both maps are the same but for rounding.
    if spread == 0.0:
        return 1.0
    statistic = mean / (spread / len(differences) ** 0.5)
    return float(scipy.stats.t.sf(statistic, len(differences) - 1))

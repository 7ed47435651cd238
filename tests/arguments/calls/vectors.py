"""Calls of `hom`, `linalg` and `stats`."""

from __future__ import annotations

import jax
import numpy as np

from cases import Call
from equivax import groups, hom, hom_basis, linalg, stats
from kinds import (
    EITHER,
    TAKEN,
    Argument,
    any_representation,
    anything,
    array,
    choice,
    coefficients,
    dtype,
    flag,
    function,
    integer,
    integers,
    key,
    number,
    representation,
    several,
)

C4 = groups.cyclic(4)
R4 = C4.regular
BASIS = hom_basis(R4, R4)
COEFFS = BASIS.init(jax.random.key(0))
X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
WEIGHTS = np.ones(20, np.float32)


def rep() -> Argument:
    """A type of vectors: a field type of a point is one."""
    return representation(R4)


CALLS = [
    Call(hom.assume_platform, platform=choice("cpu")),
    Call(hom_basis, in_rep=rep(), out_rep=rep()),
    Call(
        BASIS.apply,
        coeffs=coefficients(COEFFS),
        x=array(X),
        mode=choice("dense"),
        precision=anything("highest"),
    ),
    Call(BASIS.choose_mode, rows=integer(8), dtype=dtype()),
    Call(BASIS.coefficients, matrix=array(np.eye(4, dtype=np.float32))),
    Call(
        BASIS.init,
        key=key(),
        scheme=choice("zeros", of_types="function"),
        dtype=dtype(),
        taps=integer(2),
    ).but("scheme", "representation", EITHER, "it can be called"),
    Call(BASIS.norm_sq, coeffs=coefficients(COEFFS)),
    Call(BASIS.project, matrix=array(np.eye(4, dtype=np.float32))),
    Call(BASIS.synthesize, coeffs=coefficients(COEFFS)),
    Call(BASIS.transpose, coeffs=coefficients(COEFFS)),
    Call(linalg.invariant_projector, rep=any_representation(R4)),
    Call(linalg.irrep_norms, x=array(X), rep=rep(), eps=number(1e-6)),
    Call(linalg.isotypic_projector, rep=any_representation(R4), irrep=anything((1,))),
    Call(
        linalg.lstsq,
        x=array(X),
        y=array(X),
        in_rep=rep(),
        out_rep=rep(),
        ridge=number(0.1),
        weights=array(WEIGHTS),
        solver=choice("normal"),
    ),
    Call(linalg.lstsq, x=X, y=X, in_rep=R4, out_rep=R4, rcond=number(1e-6)),
    Call(
        linalg.orbit_average,
        function=function(lambda x: x),
        in_rep=rep(),
        out_rep=rep(),
    ).but("function", "representation", EITHER, "it can be called"),
    Call(linalg.project, matrix=array(np.eye(4, dtype=np.float32)), in_rep=rep(), out_rep=rep()),
    Call(stats.mean, x=array(X), rep=rep(), axis=integers(0), weights=array(WEIGHTS)),
    Call(
        stats.var_mean,
        x=array(X),
        rep=rep(),
        estimator=choice("ml"),
        center=array(np.zeros(4, np.float32)),
        axis=integers(0),
        weights=array(WEIGHTS),
    ).but("center", "a number", EITHER, "one mean for all channels"),
    Call(
        stats.spectral_var,
        x=array(X),
        rep=rep(),
        estimator=choice("ml"),
        axis=integers((0,)),
        weights=array(WEIGHTS),
    ),
    Call(
        stats.symmetry_report,
        _0=array(X, traced=False),
        _1=rep(),
        subgroups=several([2]),
        level=number(0.1),
        draws=integer(9),
        folds=integer(3),
        seed=integer(0),
    )
    .but("subgroups", "None", TAKEN, "all of them")
    .slow(8),
    Call(
        stats.symmetry_report,
        _0=array(X, traced=False),
        _1=array(X, traced=False),
        _2=rep(),
        _3=rep(),
    ),
    Call(
        stats.cov,
        x=array(X),
        y=array(X),
        in_rep=rep(),
        out_rep=rep(),
        estimator=choice("ml"),
        centered=flag(True),
        axis=integers(0),
        weights=array(WEIGHTS),
    ),
]

LEFT_OUT = {
    r"hom\.(Block|HomBasis)(\..*)?": "made by `hom_basis`",
    r"stats\.Symmetry(Report|Row)(\..*)?": "made by `symmetry_report`",
    r"hom\.Machine": "a record of prices, of which the table has one for every machine",
    r"hom\.(check_scheme|irrep_product|standard_normal|varying_alike)": "helpers within `hom`",
}

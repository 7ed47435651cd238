"""Calls of `testing`, `tools`, `viz` and of the package itself."""

from __future__ import annotations

import tempfile

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import equivax as evx
from cases import Call
from equivax import FieldType, groups, interop, kernels, nn, spaces, stats, testing, tools, viz
from kinds import (
    EITHER,
    TAKEN,
    any_representation,
    anything,
    array,
    dtype,
    field_type,
    flag,
    function,
    integer,
    integers,
    key,
    model,
    number,
    path,
    representation,
    several,
)

C4 = groups.cyclic(4)
ROT = spaces.rot_on_r2(4)
R4 = C4.regular
LINEAR = nn.Linear(R4, R4, key=jax.random.key(0))
FOLDER = tempfile.mkdtemp()
FILE = f"{FOLDER}/linear.evx"
T = FieldType(ROT, ROT.regular)
POINT = nn.PointwiseNonlinearity(T)
REPORT = stats.symmetry_report(np.ones((9, 4)), R4, draws=9)
GRID = np.ones((1, 4, 9, 9), np.float32)


def make(*, key):
    return nn.Linear(R4, R4, key=key)


evx.save(FILE, LINEAR)
evx.save(f"{FOLDER}/hyper.evx", LINEAR, hyperparameters={"width": 3})

CALLS = [
    Call(
        tools.save,
        path=path(f"{FOLDER}/saved.evx"),
        model=anything(LINEAR),
        state=anything(None),
        hyperparameters=anything({}),
        make=function(make),
    ),
    Call(tools.load, path=path(FILE), make=function(make, classes=True), dtype=dtype()),
    Call(tools.describe, path=path(FILE)),
    Call(tools.fingerprint, model=anything(LINEAR)),
    Call(
        tools.summary,
        model=model(LINEAR),
        in_shape=several((4,), empty=True),
        state=anything(None),
        depth=integer(2),
        width=integer(100),
    ).but("in_shape", "one", EITHER, "no sequence"),
    Call(evx.export, model=anything(LINEAR), state=anything(None)),
    Call(
        testing.assert_equivariant,
        function=model(LINEAR),
        in_type=representation(R4),
        out_type=representation(R4),
        key=key(),
        rtol=number(1e-4),
    ).but("key", "traced", "refused", "numbers are compared"),
    Call(
        testing.equivariance_error,
        function=model(LINEAR),
        in_type=representation(R4),
        out_type=representation(R4),
        key=key(),
        elements=several([C4.elements[1]]),
        batch=integer(2),
        dtype=dtype(),
        randomize=flag(True),
        call_options=anything({}),
        state=anything(None),
    ).but("key", "traced", "refused", "numbers are compared"),
    Call(
        testing.equivariance_error,
        function=POINT,
        key=jax.random.key(0),
        spatial=integers((5, 5)),
    ),
    Call(
        testing.assert_finite_gradients,
        _0=model(lambda x: jnp.sum(x**2)),
        _1=jnp.ones(3),
    ),
    Call(testing.assert_homomorphism, rep=any_representation(R4), atol=number(1e-8)),
    Call(testing.assert_only_parameters, module=anything(LINEAR), expected=integer(5)),
    Call(
        testing.symmetry_report,
        _0=anything(np.eye(4)),
        _1=representation(R4),
        _2=representation(R4),
        subgroups=several([2]),
    ).but("subgroups", "None", TAKEN, "all of them"),
    Call(
        interop.impose,
        _0=anything(eqx.nn.Linear(4, 4, key=jax.random.key(0))),
        _1=representation(R4),
        _2=representation(R4),
    ),
    Call(viz.plot_symmetry_report, report=anything(REPORT)).slow(8),
    Call(REPORT.table, width=integer(80)),
    Call(testing.randomize_parameters, module=anything(LINEAR), key=key()),
    Call(
        viz.error_by_angle,
        function=model(POINT),
        x=array(GRID, sized=False),
        in_type=field_type(T),
        out_type=field_type(T),
        angles=several([0.0, np.pi / 2]),
        order=integer(1),
    )
    .but("x", "traced", "refused", "numbers are compared")
    .but("angles", "one", EITHER, "one angle"),
    Call(viz.plot_error_by_angle, one=anything(([0.0, 1.0], [0.0, 1.0]))),
    Call(
        viz.plot_fields,
        x=array(np.ones((4, 5, 5), np.float32), sized=False, traced=False),
        in_type=field_type(T),
        columns=integer(4),
    ).slow(8),
    Call(
        viz.plot_kernels,
        basis=anything(kernels.steerable_basis(ROT, R4, R4, 3)),
        columns=integer(6),
    ).slow(8),
]

LEFT_OUT = {
    r"(FieldType|GeometricTensor|HomBasis|IrrepTensor|Representation)(\..*)?": (
        "in the tables of their rooms"
    ),
    r"(direct_sum|hom_basis|induced|tensor_directsum|tensor_product)": "in those tables too",
    r"interop\.Imposed": "made by `impose`",
    r"testing\.count_traces": "a context, which counts calls of whatever it is given",
    r"testing\.(EquivarianceErrors?|TraceCount)": "made by functions",
    r"tools\.(Description|StoredArray)": "made by `describe`",
}

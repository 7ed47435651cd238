"""Calls of the rooms of `interop`: objects of other libraries are told by their attributes."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import numpy as np

from cases import Call
from equivax import FieldType, groups, interop, nn, spaces
from kinds import REFUSED, Argument, anything, array, choice, coefficients, integer, kind

O3 = groups.o3()
LINEAR = nn.Linear(O3.irrep(1, 1), O3.irrep(1, 1), key=jax.random.key(0))
C4 = spaces.rot_on_r2(4)
T = FieldType(C4, C4.regular)
CONV = nn.Conv(T, T, 3, use_bias=False, key=jax.random.key(0))


class CyclicGroup:
    """A cyclic group as escnn writes it."""

    name = "C4"

    def __init__(self) -> None:
        self.elements = [SimpleNamespace(value=n) for n in range(4)]

    def order(self) -> int:
        return 4


class Turns:
    """The representation by quarter turns as escnn writes it."""

    name, size, irreps, change_of_basis = "turns", 2, [(1,)], np.eye(2)
    group = CyclicGroup()

    def __call__(self, g: SimpleNamespace) -> np.ndarray:
        return np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), g.value)


TURNS = Turns()
SPACE = SimpleNamespace(fibergroup=Turns.group, dimensionality=2, basespace_action=TURNS)
FIELDS = SimpleNamespace(gspace=SPACE, representations=[TURNS])


def irreps() -> Argument:
    """Irreps as e3nn writes them."""
    refuse = {"''": "", "signs": "1x0e - 1x1o", "no parity": "2x1", "negative": "-1x0e",
              "fraction": "1.5x0e", "number": 4, "list": ["0e", "1o"]}  # fmt: skip
    huge = {"many": f"{10**9}x0e", "high": f"1x{10**9}e", "None of them": "0x0e + 0x1o"}
    return kind("irreps", "2x0e + 1o", refuse=refuse, take={"e3nn's": "2x0e+1x1o"}, leave=huge)


def foreign(good: object) -> Argument:
    """An object of another library."""
    return kind("foreign", good, refuse={"the type": type(good), "nothing in it": SimpleNamespace(),
                "ours": LINEAR, "a name": "C4"})  # fmt: skip


X = np.ones((3, 5), np.float32)

CALLS = [
    Call(interop.e3nn.read, irreps=irreps()),
    Call(interop.e3nn.representation, irreps=irreps()),
    Call(interop.e3nn.irreps, rep=foreign(O3.irrep(1, 1))),
    Call(interop.e3nn.change_of_basis, degree=integer(2)),
    Call(interop.e3nn.from_e3nn, x=array(X), irreps=irreps(), layout=choice("mul_ir")),
    Call(interop.e3nn.to_e3nn, x=array(X), irreps=irreps(), layout=choice("mul_ir")),
    Call(
        interop.e3nn.relayout,
        x=array(X),
        irreps=irreps(),
        source=choice("mul_ir"),
        target=choice("ir_mul"),
    ),
    Call(interop.escnn.group, theirs=foreign(Turns.group)),
    Call(interop.escnn.representation, theirs=foreign(TURNS)),
    Call(interop.escnn.space, theirs=foreign(SPACE)),
    Call(interop.escnn.field_type, theirs=foreign(FIELDS)),
    Call(
        interop.escnn.load_arrays,
        model=anything(CONV),
        arrays=coefficients({"0.filter": np.asarray(CONV.kernel)}),
        state=anything(None),
    ).but("arrays", "traced", REFUSED, "they are projected outside of jit"),
    Call(interop.ginjax.signature, theirs=kind("signature", (((1, 0), 2),), either="[] {}")),
]

LEFT_OUT = {
    r"interop\.e3nn\.Term": "a record that `read` makes",
    r"interop\.(escnn|ginjax|symm_learning)\.load": "takes modules of the other library, and "
    "refuses all else by one sentence: tests/interop",
    r"interop\.mujoco\..*": "needs MuJoCo: tests/interop",
}

"""The equivariant model nearest to a plain one: exact where the plain one had the symmetry."""

import equinox as eqx
import jax
import numpy as np
import pytest

import equivax as evx
from equivax import FieldType, interop, nn, testing
from laws import exported, normal, relative

D4 = evx.groups.dihedral(4)
V = D4.irrep(1, 1)
PLANE = evx.spaces.flip_rot_on_r2(4)
FIELDS = FieldType(PLANE, PLANE.regular + PLANE.trivial)


def test_a_plain_network_becomes_equivariant_and_says_what_it_lost(key):
    plain = eqx.nn.MLP(2, 2, 16, 2, key=key)
    types = (V, 2 * D4.regular, 2 * D4.regular, V)
    model, lost = interop.impose(plain, *types)
    assert list(lost) == ["layers[0]", "layers[1]", "layers[2]"]
    report = testing.symmetry_report(plain, *types, subgroups=["all"])
    for number, layer in enumerate(plain.layers):
        norms = [float((np.asarray(a) ** 2).sum()) for a in (layer.weight, layer.bias)]
        names = (f"layers[{number}]", f"layers[{number}].bias")
        kept = [n * report.parts[name][0].share for n, name in zip(norms, names, strict=True)]
        assert lost[names[0]] == pytest.approx(1 - sum(kept) / sum(norms), abs=1e-5)
    again = interop.impose(plain, list(types))
    assert jax.tree.structure(again.model) == jax.tree.structure(model)
    rows = testing.equivariance_error(jax.vmap(model), V, V, key=key)
    assert max(row.relative for row in rows) < 1e-5


def test_what_has_the_symmetry_loses_nothing(key):
    strict = nn.Conv(
        2 * FIELDS, FIELDS * 2, 3, basis="grid", padding=1, stride=2, groups=2,
        padding_mode="circular", key=key,
    )  # fmt: skip
    model, lost = interop.impose(strict.export(), 2 * FIELDS, 2 * FIELDS)
    assert lost[""] == pytest.approx(0.0, abs=1e-10)
    x = normal(1, 18, 6, 6)
    assert relative(exported(model, x), exported(strict, x)) < 1e-5
    assert model.windows == strict.windows


def test_pairs_leave_layers_out(key):
    plain = eqx.nn.MLP(2, 3, 16, 1, key=key)
    model, lost = interop.impose(plain, [(V, 2 * D4.regular), None])
    assert list(lost) == ["layers[0]"]
    assert model.layers[1] is plain.layers[1]
    assert isinstance(model.layers[0], nn.Linear)


def test_what_does_not_fit_is_refused(key):
    plain = eqx.nn.MLP(2, 2, 16, 1, key=key)
    with pytest.raises(ValueError, match=r"impose: types: expected one type more.*2 here"):
        interop.impose(plain, V, V)
    with pytest.raises(ValueError, match=r"expected 2 channels to 16 for layers\[0\] Linear"):
        interop.impose(plain, V, 3 * D4.regular, V)
    with pytest.raises(ValueError, match="impose: model: expected a pytree with plain linear"):
        interop.impose(nn.Identity(V), V, V)

"""How much of the weights commutes: against projections, baselines by counting dimensions."""

import equinox as eqx
import numpy as np
import pytest

import equivax as evx
from equivax import FieldType, hom_basis, images, models, nn, testing
from laws import drawn

D4 = evx.groups.dihedral(4)
V = D4.irrep(1, 1)
PLANE = evx.spaces.flip_rot_on_r2(4)
FIELDS = FieldType(PLANE, PLANE.regular + PLANE.trivial)
SUBGROUPS = ["trivial", (None, 2), (0, 1), (None, 4), "all"]


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def test_shares_are_those_of_the_projection_on_every_subgroup():
    source, target = D4.regular + V, 2 * V + D4.trivial
    matrix = normal(target.size, source.size)
    report = testing.symmetry_report(matrix, source, target, subgroups=SUBGROUPS)
    for row in report.rows:
        H = row.subgroup
        inner = np.mean(
            [target(H.embedding(h)) @ matrix @ source(H.embedding(h)).T for h in H.group.elements],
            axis=0,
        )
        assert row.share == pytest.approx((inner**2).sum() / (matrix**2).sum())
        space = hom_basis(source.restrict(H), target.restrict(H))
        assert row.baseline == pytest.approx(space.dim / matrix.size)


def test_kernels_are_turned_on_their_grid(key):
    kernel = normal(9, 9, 3, 3)
    report = testing.symmetry_report(kernel, FIELDS, FIELDS, subgroups=["all"])
    layer = nn.Conv(FIELDS, FIELDS, 3, basis="grid", key=key)
    near = np.asarray(layer.with_kernel(kernel.astype(np.float32)).kernel, np.float64)
    (row,) = report.rows
    assert row.share == pytest.approx((near**2).sum() / (kernel**2).sum(), rel=1e-5)
    assert row.baseline == pytest.approx(layer.basis.dim / kernel.size)


def test_strict_layers_have_a_share_of_one(key):
    signature = images.Signature((((0, 0), 1), ((1, 0), 1)))
    for layer in (
        nn.Linear(D4.regular + V, D4.regular, key=key),
        nn.Conv(2 * FIELDS, FIELDS * 2, 3, groups=2, key=key),
        nn.ConvContract(signature, signature, key=key),
    ):
        report = testing.symmetry_report(layer)
        assert min(row.share for row in report.rows) == pytest.approx(1.0, abs=1e-6)
        assert report.rows[-1].baseline < 0.3


def test_a_relaxed_model_has_the_symmetry_that_was_kept(key):
    model = drawn(nn.relax(models.MLP(V, V, [16], key=key), to=(2, 1)))
    report = testing.symmetry_report(model)
    rows = {row.label: row for row in report.rows}
    assert rows["D1 (1, 2)"].share == pytest.approx(1.0, abs=1e-6)
    assert rows["D4"].share < 0.9
    assert len(report.parts) == 4
    # All weights together are the mean of the layers by their squares.
    assert all(len(part) == len(report.rows) for part in report.parts.values())
    squares = [
        float((np.asarray(a) ** 2).sum())
        for layer in model.layers.layers
        if isinstance(layer, nn.Relaxed)
        for a in (layer.weight, layer.bias)
    ]
    whole = sum(s * part[-1].share for s, part in zip(squares, report.parts.values(), strict=True))
    assert rows["D4"].share == pytest.approx(whole / sum(squares))


def test_plain_models_are_measured_between_their_types(key):
    plain = eqx.nn.MLP(2, 2, 16, 1, key=key)
    types = (V, 2 * D4.regular, V)
    report = testing.symmetry_report(plain, *types)
    assert list(report.parts) == [
        "layers[0]",
        "layers[0].bias",
        "layers[1]",
        "layers[1].bias",
    ]
    assert list(testing.symmetry_report(plain, [types[:2], None]).parts) == list(report.parts)[:2]
    again = testing.symmetry_report(plain, list(types))
    assert repr(again) == repr(report)
    exported = evx.export(nn.Conv(FIELDS, FIELDS, 3, key=key))
    turned = testing.symmetry_report(exported, FIELDS, FIELDS, subgroups=["all"])
    assert turned.rows[0].share == pytest.approx(1.0, abs=1e-6)


def test_only_elements_that_map_the_grid_to_itself_are_asked_about(key):
    plane = evx.spaces.rot_on_r2(8)
    layer = nn.Conv(FieldType(plane, plane.regular), FieldType(plane, plane.regular), 3, key=key)
    report = testing.symmetry_report(layer)
    assert [row.order for row in report.rows] == [1, 2, 4]
    with pytest.raises(ValueError, match="expected elements that map the grid to itself"):
        testing.symmetry_report(layer, subgroups=["all"])
    oblong = normal(1, 1, 3, 5)
    scalar = FieldType(PLANE, PLANE.trivial)
    kept = testing.symmetry_report(oblong, scalar, scalar)
    assert max(row.order for row in kept.rows) == 4


def test_continuous_subgroups_are_averaged_exactly():
    G = evx.groups.so3()
    rep = G.irrep(0) + G.irrep(1)
    matrix = normal(4, 4)
    report = testing.symmetry_report(matrix, rep, rep, subgroups=["so2", "all"])
    for row in report.rows:
        H = row.subgroup
        space = hom_basis(rep.restrict(H), rep.restrict(H))
        near = np.asarray(space.project(matrix.astype(np.float32)))
        assert row.share == pytest.approx((near**2).sum() / (matrix**2).sum(), rel=1e-5)
        assert row.baseline == pytest.approx(space.dim / 16)


def test_what_does_not_fit_is_refused(key):
    with pytest.raises(ValueError, match=r"model: expected a dense array \(2, 2\)"):
        testing.symmetry_report(normal(3, 2), V, V)
    with pytest.raises(ValueError, match="weights that are not all zero"):
        testing.symmetry_report(np.zeros((2, 2)), V, V)
    with pytest.raises(ValueError, match="weights that are not all zero, with types"):
        testing.symmetry_report(eqx.nn.Linear(2, 2, key=key))
    with pytest.raises(ValueError, match="types: expected in_type and out_type"):
        testing.symmetry_report(normal(2, 2), V, V, V)

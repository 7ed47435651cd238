"""Which symmetries a sample has: shares by hand, tests that find what was built in."""

import math

import numpy as np
import pytest
import scipy.stats

import equivax as evx
from equivax import stats

D4 = evx.groups.dihedral(4)
V = D4.irrep(1, 1)


def rows_by_label(report):
    return {row.label: row for row in report.rows}


def sample(count=300, seed=0, size=2):
    return np.random.default_rng(seed).standard_normal((count, size))


def test_a_wind_leaves_the_mirror_along_it():
    x = sample() + np.array([0.6, 0.0])
    report = stats.symmetry_report(x, V)
    rows = rows_by_label(report)
    assert report.largest == D4.subgroup((0, 1))
    assert next(iter(rows)) == "C1"
    assert list(rows)[-1] == "D4"
    assert rows["D1 (1, 0)"].p_value > 0.05
    # The other mirrors, and all that contain the half turn, move the mean.
    assert all(row.p_value <= 0.01 for label, row in rows.items() if label[:2] in ("C2", "C4"))
    assert rows["D4"].p_value <= 0.01


def test_shares_of_a_sample_are_projections_of_its_moments():
    x = sample() * [1.0, 2.0] + [0.6, 0.1]
    report = stats.symmetry_report(x, V, subgroups=[(None, 4), (0, 1)])
    scale = (x**2).mean()
    mean = x.mean(axis=0) / math.sqrt(scale)
    covariance = np.cov(x.T, bias=True) / scale
    covariance -= np.trace(covariance) / 2 * np.eye(2)
    for number, spec in enumerate([(None, 4), (0, 1)]):
        H = D4.subgroup(spec)
        matrices = [V(H.embedding(h)) for h in H.group.elements]
        inner = np.mean([m @ mean for m in matrices], axis=0)
        whole = np.mean([m @ covariance @ m.T for m in matrices], axis=0)
        parts = [part[number] for part in report.parts.values()]
        expected = [(inner**2).sum() / (mean**2).sum()]
        expected.append((whole**2).sum() / (covariance**2).sum())
        assert [row.share for row in parts] == pytest.approx(expected, abs=1e-12)
        both = ((inner**2).sum() + (whole**2).sum()) / ((mean**2).sum() + (covariance**2).sum())
        assert report.rows[number].share == pytest.approx(both)
    # Of two numbers one is left alone by the mirror; of two entries one, and none by the turns.
    assert [row.baseline for row in report.parts["mean"]] == pytest.approx([0.0, 0.5])
    assert [row.baseline for row in report.parts["covariance"]] == pytest.approx([0.0, 0.5])


def test_of_conjugate_subgroups_the_one_that_fits_is_named():
    for wind, mirror in (([0.6, 0.0], (0, 1)), ([0.0, 0.6], (2, 1)), ([0.5, 0.5], (1, 1))):
        assert stats.symmetry_report(sample() + wind, V).largest == D4.subgroup(mirror)


def test_a_sample_with_all_symmetries_keeps_them():
    report = stats.symmetry_report(sample(), V)
    assert report.largest == D4.subgroup("all")
    still = stats.symmetry_report(np.zeros((9, 2)), V)
    assert still.largest == D4.subgroup("all")
    assert {row.share for row in still.rows} == {1.0}


def test_the_covariance_alone_can_break_a_symmetry():
    report = stats.symmetry_report(sample() * [1.0, 1.6], V)
    assert report.largest == D4.subgroup((0, 2))


def test_infinite_groups_take_a_list():
    G = evx.groups.so2()
    with pytest.raises(ValueError, match="subgroups: expected a list of subgroups, since SO"):
        stats.symmetry_report(sample(), G.irrep(1))
    turned = stats.symmetry_report(sample(), G.irrep(1), subgroups=[2, "so2"], draws=49)
    assert turned.largest == G.subgroup("so2")
    stretched = stats.symmetry_report(
        sample() * [1.0, 2.0], G.irrep(1), subgroups=[2, "so2"], draws=49
    )
    assert stretched.largest == G.subgroup(2)


def test_pairs_find_the_symmetry_of_a_map_whatever_the_inputs_are():
    x = sample(400) * [1.0, 2.0] + [1.0, 0.0]  # the inputs have none
    noise = 0.3 * sample(400, seed=1)
    turning = x @ np.array([[1.0, -0.5], [0.5, 1.0]]).T + noise
    report = stats.symmetry_report(x, turning, V, V)
    assert report.largest == D4.subgroup((None, 4))
    stretching = x * [1.0, 2.0] + noise
    assert stats.symmetry_report(x, stretching, V, V).largest == D4.subgroup((0, 2))
    blown = x + np.array([0.5, 0.0]) + noise  # equivariant but for a constant
    report = stats.symmetry_report(x, blown, V, V)
    assert report.largest == D4.subgroup((0, 1))
    rows = rows_by_label(report)
    assert rows["D1 (1, 0)"].error < 0.045 < rows["D4"].error
    assert report.free_error == pytest.approx(rows["C1"].error)


def test_errors_of_pairs_are_those_of_constrained_least_squares():
    x, noise = sample(60), sample(60, seed=1)
    y = x @ np.array([[1.0, 0.2], [0.1, 0.7]]).T + noise
    report = stats.symmetry_report(x, y, V, V, subgroups=[(0, 1)], folds=3, seed=5)
    H = D4.subgroup((0, 1))
    order = np.random.default_rng(5).permutation(60)
    constant = math.sqrt((x**2).mean())
    inputs = np.concatenate([x, np.full((60, 1), constant)], axis=1)
    into = [np.diag([*np.diag(V(H.embedding(h))), 1.0]) for h in H.group.elements]
    out = [V(H.embedding(h)) for h in H.group.elements]
    total = 0.0
    for test in np.array_split(order, 3):
        train = np.setdiff1d(order, test)
        # Plain least squares on the sample with all its copies.
        copies = np.concatenate([inputs[train] @ m.T for m in into])
        targets = np.concatenate([y[train] @ m.T for m in out])
        fitted = np.linalg.lstsq(copies, targets, rcond=None)[0]
        total += ((y[test] - inputs[test] @ fitted) ** 2).sum()
    variance = ((y - y.mean(axis=0)) ** 2).sum()
    assert report.rows[0].error == pytest.approx(total / variance)


def test_reports_print_as_tables():
    x = sample(40)
    text = repr(stats.symmetry_report(x, x, V, V, subgroups=[(0, 1), "all"]))
    lines = text.splitlines()
    assert lines[0].split() == ["subgroup", "order", "share", "baseline", "p", "error"]
    assert lines[1].startswith("D1 (1, 0)")
    assert "*" in lines[2]
    assert lines[3].startswith("no symmetry")
    whole = stats.symmetry_report(x, V)
    assert "covariance" in whole.table()
    assert "more parts" in whole.table(width=50)
    assert stats.symmetry_report(sample(9, size=3), evx.groups.octahedral().defining).rows


def test_what_does_not_fit_is_refused():
    x = sample(20)
    with pytest.raises(TypeError, match=r"expected \(x, rep\) or \(x, y, in_rep, out_rep\), got 3"):
        stats.symmetry_report(x, x, V)
    with pytest.raises(ValueError, match=r"x: expected an array \(N, 2\) with N >= 3"):
        stats.symmetry_report(x[:2], V)
    with pytest.raises(ValueError, match="as many rows, got 20 and 19"):
        stats.symmetry_report(x, x[1:], V, V)
    with pytest.raises(ValueError, match="subgroups: expected subgroups of D4, got 'none'"):
        stats.symmetry_report(x, V, subgroups=["none"])
    with pytest.raises(ValueError, match="x: expected finite entries"):
        stats.symmetry_report(np.full((9, 2), np.nan), V)


@pytest.mark.slow
def test_symmetries_that_the_data_have_are_contradicted_at_the_level():
    """Of 400 samples with a symmetry, the tests contradict 20 at 5 %, up to their own spread."""
    level, count = 0.05, 400
    G = evx.groups.dihedral(4)
    rep = 2 * G.irrep(1, 1)
    wrong = np.zeros(3, int)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        x = rng.standard_t(4, size=(40, 4))  # heavy tails, few rows: the test is exact
        turned = G.elements_at(G.sample_coordinates(rng, 40))
        x = np.stack(
            [rep(g) @ row for g, row in zip(turned, x * [2.0, 1.0, 1.0, 0.5], strict=True)]
        )
        report = stats.symmetry_report(x, rep, subgroups=["all", (None, 4)], draws=99, seed=seed)
        wrong[:2] += [row.p_value <= level for row in report.rows]
        matrix = np.kron(rng.standard_normal((2, 2)), np.eye(2))
        y = x @ matrix.T + rng.standard_normal((40, 4))
        pairs = stats.symmetry_report(x, y, rep, rep, subgroups=["all"], seed=seed)
        wrong[2] += pairs.rows[0].p_value <= level
    low, high = scipy.stats.binom.interval(0.998, count, level)
    assert (wrong <= high).all(), wrong
    assert (wrong[:2] >= low).all(), wrong  # an exact test is not lazy either

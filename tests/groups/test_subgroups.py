"""Subgroups: every way to name one, embeddings, cosets, errors."""

import pickle

import numpy as np
import pytest

from equivax import groups
from equivax.groups import FiniteGroup, Group, Subgroup

c, d = groups.cyclic, groups.dihedral
o2, so3, o3 = groups.o2(), groups.so3(), groups.o3()
cube, ico = groups.octahedral(), groups.icosahedral()
pair = groups.direct_product(c(4), d(3))
lie_pair = groups.direct_product(groups.so2(), c(2))
quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
CASES: dict[str, tuple[Group, object, str]] = {
    "C8: M": (c(8), 4, "C4"),
    "C8: generators": (c(8), [6], "C4"),
    "D6: rotations": (d(6), (None, 3), "C3"),
    "D6: mirror": (d(6), (1, 3), "D3"),
    "D6: one mirror": (d(6), (5, 1), "D1"),
    "D6: generators": (d(6), [(0, 2), (1, 1)], "D3"),
    "D6: a reflection": (d(6), [(1, 4)], "D1"),
    "D4: Klein": (d(4), [(0, 2), (1, 0)], "D2"),
    "D5: name": (d(5), "rotations", "C5"),
    "D5: all": (d(5), "all", "D5"),
    "D5: trivial": (d(5), "trivial", "C1"),
    "D5: no generators": (d(5), [], "C1"),
    "SO2: M": (groups.so2(), 5, "C5"),
    "SO2: generators": (groups.so2(), [2 * np.pi / 3], "C3"),
    "O2: SO2": (o2, (None, -1), "SO(2)"),
    "O2: name": (o2, "so2", "SO(2)"),
    "O2: rotations": (o2, (None, 6), "C6"),
    "O2: mirror": (o2, (0.3, 4), "D4"),
    "O2: generators": (o2, [(0, np.pi / 2), (1, 0.2)], "D4"),
    "O2: a reflection": (o2, [(1, 0.2)], "D1"),
    "SO3: so2": (so3, "so2", "SO(2)"),
    "SO3: octahedral": (so3, "octahedral", "octahedral"),
    "SO3: generators": (so3, [quarter], "C4"),
    "SO3: all": (so3, "all", "SO(3)"),
    "O3: rotations": (o3, "rotations", "SO(3)"),
    "O3: id": (o3, (None, -1), "SO(3)"),
    "O3: so2": (o3, "so2", "SO(2)"),
    "O3: generators": (o3, [-np.eye(3)], "C2"),
    "O3: full": (o3, "full_icosahedral", "full_icosahedral"),
    "cube: tetrahedral": (cube, "tetrahedral", "tetrahedral"),
    "cube: generic": (cube, list(groups.tetrahedral().elements[1:3]), "group(12)"),
    "cube: turn": (cube, [quarter], "C4"),
    "full: rotations": (groups.full_octahedral(), "rotations", "octahedral"),
    "signed: rotations": (groups.hyperoctahedral(3), "rotations", "octahedral"),
    "signed 4: rotations": (groups.hyperoctahedral(4), "rotations", "group(192)"),
    "ico: five-fold": (ico, [1], "C5"),
    "ico: tetrahedral": (ico, "tetrahedral", "tetrahedral"),
    "S4: three points": (groups.symmetric(4), [(1, 0, 2, 3), (0, 2, 1, 3)], "D3"),
    "product": (pair, [(2, (0, 0)), (0, (1, 0))], "D2"),
    "Lie product": (lie_pair, [(np.pi, 1)], "C2"),
    "homomorphism": (cube, (d(2), [np.diag([1.0, -1, -1]), np.diag([-1.0, -1, 1])]), "D2"),
}


def make(name: str) -> Subgroup:
    parent, spec, _ = CASES[name]
    if name == "cube: generic":  # generators as elements of the parent
        spec = [parent.element(g.value) for g in spec]  # type: ignore[attr-defined]
    return parent.subgroup(spec)


@pytest.mark.parametrize("name", CASES)
def test_embedding(name: str) -> None:
    sub = make(name)
    assert str(sub.group) == CASES[name][2]
    parent, group = sub.parent, sub.group
    if isinstance(group, FiniteGroup) and group.order <= 60:
        x = np.repeat(group.element_coordinates, group.order, axis=0)
        y = np.tile(group.element_coordinates, (group.order, 1))
    else:
        x, y = group.sample_coordinates(0, 50), group.sample_coordinates(1, 50)
    image = parent.defining_matrices(sub.embed(group.compose(x, y)))
    product = parent.compose(sub.embed(x), sub.embed(y))
    np.testing.assert_allclose(image, parent.defining_matrices(product), atol=1e-9)
    inside, back = sub.locate(sub.embed(x))
    assert inside.all()
    np.testing.assert_allclose(group.defining_matrices(back), group.defining_matrices(x), atol=1e-9)
    _outside, rest = sub.locate(parent.sample_coordinates(0, 40))
    assert rest.shape == (40, group.coordinate_size)
    if isinstance(parent, FiniteGroup) and isinstance(group, FiniteGroup):
        everywhere, _ = sub.locate(parent.element_coordinates)
        assert everywhere.sum() == group.order
        assert sub.index * group.order == parent.order
    assert sub.embedding(group.identity) == parent.identity
    assert parent.subgroup(sub) is sub


@pytest.mark.parametrize("name", CASES)
def test_subgroups_are_values(name: str) -> None:
    sub, again = make(name), make(name)
    assert sub == again
    assert hash(sub) == hash(again)
    assert pickle.loads(pickle.dumps(sub)) == sub
    assert sub != c(3).subgroup("trivial")


def test_equal_subgroups_from_different_generators() -> None:
    assert d(6).subgroup([(0, 2)]) == d(6).subgroup([(0, 4)]) == d(6).subgroup((None, 3))
    assert d(6).subgroup([(1, 3), (1, 5)]) == d(6).subgroup((1, 3))
    assert c(8).subgroup([6]) == c(8).subgroup(4)
    a, b = (cube.subgroup([g]).group for g in (quarter, quarter.T))
    assert a is b is c(4)


def test_cosets_in_the_order_of_their_first_elements() -> None:
    sub = d(4).subgroup((0, 2))  # {e, r^2, f, r^2 f}
    assert [g.value for g in sub.coset_representatives] == [(0, 0), (0, 1)]
    assert sub.index == 2
    mirror = d(3).subgroup((1, 1))
    assert [g.value for g in mirror.coset_representatives] == [(0, 0), (0, 1), (0, 2)]
    assert [g.value for g in o2.subgroup("so2").coset_representatives] == [(0, 0.0), (1, 0.0)]
    two = o3.subgroup("rotations").coset_representatives
    np.testing.assert_array_equal(two[1].value, -np.eye(3))
    assert so3.subgroup("all").index == 1
    with pytest.raises(ValueError, match="infinite index"):
        _ = o2.subgroup((None, 4)).index
    with pytest.raises(ValueError, match="infinite parent"):
        _ = o2.subgroup((None, 4)).coset_labels


def test_peer_ids_mean_these_elements() -> None:
    sub = d(6).subgroup((1, 2))
    assert [sub.embedding(h).value for h in sub.group.elements] == [(0, 0), (0, 3), (1, 1), (1, 4)]
    sub = o2.subgroup((0.5, 2))
    values = [sub.embedding(h).value for h in sub.group.elements]
    np.testing.assert_allclose(values, [(0, 0), (0, np.pi), (1, 0.5), (1, 0.5 + np.pi)])


@pytest.mark.parametrize(
    "group, spec, error, message",
    [
        (c(8), 3, ValueError, "divides 8 in C8"),
        (d(6), (None, 4), ValueError, "divides 6 in D6"),
        (d(6), (2, 3), ValueError, r"in 0\.\.1"),
        (d(6), (0.5, 3), ValueError, "an integer in"),
        (groups.so2(), 0, ValueError, ">= 1"),
        (o2, (None, 0), ValueError, ">= 1 or -1"),
        (o2, "octahedral", ValueError, "no subgroup of O"),
        (c(4), "mirrors", ValueError, "no subgroup named 'mirrors'"),
        (groups.symmetric(3), "rotations", ValueError, "no meaning"),
        (c(4), d(4).subgroup("rotations"), ValueError, "of C4, got one of D4"),
        (groups.so2(), [1.0], ValueError, "more than 5000"),
        (c(4), 1.5, TypeError, "list of generators"),
        (cube, (c(4), []), ValueError, "one per generator"),
        (cube, (c(3), [quarter]), ValueError, "homomorphism"),
        (cube, (c(8), [quarter]), ValueError, "injectively"),
        (o2, (groups.so2(), []), ValueError, "infinite"),
    ],
)
def test_bad_specifications(group: Group, spec: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        group.subgroup(spec)


# ---- all of them -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "group, classes, subgroups",
    # Numbers of classes and of subgroups as in the literature, S5: OEIS A000638 and A005432.
    [
        (groups.cyclic(12), 6, 6),
        (groups.dihedral(4), 8, 10),
        (groups.quaternion(), 6, 6),
        (groups.symmetric(4), 11, 30),
        (groups.symmetric(5), 19, 156),
        (groups.full_octahedral(), 33, 98),
        (groups.full_icosahedral(), 22, 164),
    ],
    ids=str,
)
def test_all_subgroups_are_found_up_to_conjugation(group, classes, subgroups):
    found = group.subgroup_classes
    assert len(found) == classes
    listed = [H for each in found for H in each]
    assert len({tuple(sorted(H.embed(H.group.element_coordinates)[:, 0])) for H in listed}) == (
        subgroups
    )
    assert len(listed) == subgroups
    assert found[0][0].group.order == 1
    assert found[-1][0].group.order == group.order
    for each in found:
        assert len({H.group.order for H in each}) == 1


def test_large_groups_ask_for_a_list():
    with pytest.raises(ValueError, match="subgroup_classes: expected a group of order at most 200"):
        _ = groups.cyclic(201).subgroup_classes

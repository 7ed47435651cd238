"""Laws of irreps, for every kind of group: homomorphism, orthogonality, types, counts."""

import functools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from equivax import groups
from equivax.groups import FiniteGroup, Group

# Provenance of the numbers: first entry of the file.
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "groups.json").read_text())
LETTER = {"real": "R", "complex": "C", "quaternionic": "H"}

product = groups.direct_product
NAMED = [
    "klein",
    "quaternion",
    "tetrahedral",
    "octahedral",
    "icosahedral",
    "full_tetrahedral",
    "full_octahedral",
    "full_icosahedral",
]
FINITE: dict[str, Callable[[], Group]] = {
    **{f"C{n}": functools.partial(groups.cyclic, n) for n in range(1, 17)},
    **{f"D{n}": functools.partial(groups.dihedral, n) for n in range(1, 9)},
    **{name: getattr(groups, name) for name in NAMED},
    **{f"S{n}": functools.partial(groups.symmetric, n) for n in range(1, 6)},
    **{f"B{d}": functools.partial(groups.hyperoctahedral, d) for d in range(1, 4)},
    "C2xC2": lambda: product(groups.cyclic(2), groups.cyclic(2)),
    "C3xC3": lambda: product(groups.cyclic(3), groups.cyclic(3)),
    "C4xD3": lambda: product(groups.cyclic(4), groups.dihedral(3)),
    "Q8xQ8": lambda: product(groups.quaternion(), groups.quaternion()),
    "C4xQ8": lambda: product(groups.cyclic(4), groups.quaternion()),
    "Q8xC4": lambda: product(groups.quaternion(), groups.cyclic(4)),
    "nested": lambda: product(product(groups.cyclic(3), groups.cyclic(4)), groups.cyclic(3)),
    "SL(2,3)": lambda: binary_tetrahedral(),
}
LIE: dict[str, Callable[[], Group]] = {
    "SO2": groups.so2,
    "O2": groups.o2,
    "SO3": groups.so3,
    "O3": groups.o3,
    "SO2xC3": lambda: product(groups.so2(), groups.cyclic(3)),
    "Q8xSO2": lambda: product(groups.quaternion(), groups.so2()),
    "O2xSO2": lambda: product(groups.o2(), groups.so2()),
}


def binary_tetrahedral() -> FiniteGroup:
    """Order 24, with irreps of all three types: quaternions 1, i, j, k and (+-1+-i+-j+-k)/2."""
    i = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0.0]])
    j = np.array([[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0.0]])
    return groups.from_generators([i, (np.eye(4) + i + j + i @ j) / 2])


def check_irreps(group: Group, max_frequency: int | None, bound: float = 1e-12) -> None:
    points, weights = group.quadrature(2 * (max_frequency or 0))
    if isinstance(group, FiniteGroup):
        sample, steps = points, group.generator_coordinates
    else:
        sample, steps = group.sample_coordinates(0, 16), group.testing_coordinates
    identity = group.identity.array
    irreps = [group.irrep_data(key) for key in group.irrep_ids(max_frequency)]
    assert len({irrep.name for irrep in irreps}) == len(irreps)
    assert irreps[0].name == "trivial"
    assert sorted(irreps, key=lambda irrep: group.irrep_sort_key(irrep.id)) == irreps or (
        not isinstance(group, FiniteGroup)
    )
    characters = np.array([irrep.characters(points) for irrep in irreps])
    np.testing.assert_allclose(weights.sum(), 1)
    np.testing.assert_allclose(
        (characters * weights) @ characters.T,
        np.diag([irrep.endomorphism_dimension for irrep in irreps]),
        atol=bound,
    )
    for irrep in irreps:
        eye = np.eye(irrep.size)
        matrices = irrep.matrices(sample)
        assert matrices.shape == (len(sample), irrep.size, irrep.size)
        np.testing.assert_allclose(irrep.matrices(identity)[0], eye, atol=bound)
        inverse = irrep.matrices(group.invert(sample))
        np.testing.assert_allclose(inverse, matrices.transpose(0, 2, 1), atol=bound)
        for step in steps:
            together = irrep.matrices(group.compose(sample, step[None]))
            np.testing.assert_allclose(matrices @ irrep.matrices(step[None]), together, atol=bound)
        basis = irrep.endomorphism_basis
        assert basis.shape == (irrep.endomorphism_dimension, irrep.size, irrep.size)
        assert not basis.flags.writeable
        for unit in basis:
            np.testing.assert_allclose(matrices @ unit, unit @ matrices, atol=bound)
        for unit in basis[1:]:
            np.testing.assert_allclose(unit @ unit, -eye, atol=bound)
        if len(basis) == 4:
            np.testing.assert_allclose(basis[1] @ basis[2], basis[3], atol=bound)


def check_faithful(group: Group) -> None:
    x, y = group.sample_coordinates(1, 40), group.sample_coordinates(2, 40)
    a, b = group.defining_matrices(x), group.defining_matrices(y)
    np.testing.assert_allclose(a @ b, group.defining_matrices(group.compose(x, y)), atol=1e-13)
    eye = np.broadcast_to(np.eye(a.shape[1]), a.shape)
    np.testing.assert_allclose(a @ a.transpose(0, 2, 1), eye, atol=1e-13)


@pytest.mark.parametrize("name", FINITE)
def test_finite(name: str) -> None:
    group = FINITE[name]()
    assert isinstance(group, FiniteGroup)
    check_irreps(group, None)
    check_faithful(group)
    defining = group.defining_matrices(group.element_coordinates).reshape(group.order, -1)
    assert len(np.unique(defining.round(6), axis=0)) == group.order
    irreps = [group.irrep_data(key) for key in group.irrep_ids()]
    assert sum(i.size**2 / i.endomorphism_dimension for i in irreps) == group.order


@pytest.mark.parametrize("name", LIE)
def test_lie(name: str) -> None:
    group = LIE[name]()
    check_irreps(group, 3 if "x" not in name else 1)
    check_faithful(group)


def test_all_pairs() -> None:
    for group in (groups.dihedral(4), groups.octahedral(), groups.quaternion()):
        for key in group.irrep_ids():
            m = group.irrep_matrices(key)
            np.testing.assert_allclose(m[:, None] @ m[None], m[group.cayley_table], atol=1e-13)


def test_larger_generated_groups() -> None:
    group = groups.hyperoctahedral(4)
    check_irreps(group, None)
    check_irreps(groups.symmetric(6), None)


@pytest.mark.parametrize("name", GOLDEN["irreps"])
def test_golden_ids_sizes_types(name: str) -> None:
    expected = GOLDEN["irreps"][name]
    group = {**FINITE, **LIE}[name]()
    finite = isinstance(group, FiniteGroup)
    assert (group.order or -1) == expected["order"]
    irreps = [group.irrep_data(key) for key in group.irrep_ids(None if finite else 3)]
    assert [",".join(map(str, i.id)) for i in irreps] == [e["id"] for e in expected["irreps"]]
    for irrep, entry in zip(irreps, expected["irreps"], strict=True):
        assert irrep.size == entry["size"]
        assert LETTER[irrep.endomorphism_type] == entry["type"]
        assert irrep.endomorphism_dimension == entry["endomorphism_dim"]
        if "label" in entry:
            assert group.irrep_data(entry["label"]) is irrep
        if isinstance(group, FiniteGroup):
            values = np.round(irrep.characters(group.element_coordinates), 6) + 0.0
            histogram = Counter(values.tolist())
            assert histogram == {value: count for value, count in entry["character_histogram"]}


@pytest.mark.parametrize("name", GOLDEN["characters"])
@pytest.mark.parametrize("how", ["named", "generated"])
def test_golden_characters(name: str, how: str) -> None:
    expected = GOLDEN["characters"][name]
    matrices = np.array(expected["matrices"])
    group = FINITE[name]() if how == "named" else groups.from_generators(list(matrices[1:4]))
    assert isinstance(group, FiniteGroup)
    ours = group.defining_matrices(group.element_coordinates)
    distance = np.abs(ours[:, None] - matrices[None]).max(axis=(-1, -2))
    match = distance.argmin(axis=1)
    assert distance.min(axis=1).max() < 1e-9
    found = Counter(
        (
            irrep.size,
            LETTER[irrep.endomorphism_type],
            tuple((np.round(irrep.characters(group.element_coordinates), 6) + 0.0).tolist()),
        )
        for irrep in map(group.irrep_data, group.irrep_ids())
    )
    wanted = Counter(
        (e["d"], e["type"], tuple((np.round(e["character"], 6)[match] + 0.0).tolist()))
        for e in expected["irreps"]
    )
    assert found == wanted


def test_types_of_direct_products() -> None:
    squared = product(groups.quaternion(), groups.quaternion())
    data = squared.irrep_data(((4,), (4,)))
    assert (data.size, data.endomorphism_type) == (4, "real")
    mixed = product(groups.cyclic(4), groups.quaternion())
    data = mixed.irrep_data(((1,), (4,), 0))
    assert (data.size, data.endomorphism_type) == (4, "complex")
    both = product(groups.cyclic(3), groups.cyclic(3))
    assert both.irrep_data(((1,), (1,))).id == ((1,), (1,), 0)
    assert both.irrep_data(((1,), (1,), 1)).endomorphism_type == "complex"


def test_wigner_matrices() -> None:
    rotations = groups.so3().sample_coordinates(0, 30)
    xyz = groups.so3().defining_matrices(rotations)
    order = [1, 2, 0]  # y, z, x
    first = groups.so3().irrep_data((1,)).matrices(rotations)
    np.testing.assert_allclose(first, xyz[:, order][:, :, order], atol=1e-14)

    # Degree 2 against the harmonics themselves: Y(R x) = D(R) Y(x).
    def harmonics(v: np.ndarray) -> np.ndarray:
        x, y, z = v
        return np.array(
            [x * y, y * z, (2 * z * z - x * x - y * y) / np.sqrt(12), x * z, (x * x - y * y) / 2]
        )

    v = np.array([0.3, -0.5, 0.8])
    second = groups.so3().irrep_data((2,)).matrices(rotations)
    turned = np.stack([harmonics(r @ v) for r in xyz])
    np.testing.assert_allclose(turned, second @ harmonics(v), atol=1e-14)
    # High degrees stay exact.
    p, q = rotations[:15], rotations[15:]
    for degree in (8, 14):
        d = groups.so3().irrep_data((degree,))
        both = d.matrices(groups.so3().compose(p, q))
        np.testing.assert_allclose(d.matrices(p) @ d.matrices(q), both, atol=1e-12)


def test_icosahedral_h_is_degree_two() -> None:
    ico, so3 = groups.icosahedral(), groups.so3()
    where = so3.coordinates_of(list(ico.defining_matrices(ico.element_coordinates)))
    second = so3.irrep_data((2,)).matrices(where)
    np.testing.assert_allclose(ico.irrep_matrices("H"), second, atol=1e-14)


def test_dihedral_closed_form() -> None:
    group = groups.dihedral(5)
    r = group.irrep_data((1, 2)).matrices(group.element((0, 1)).array)[0]
    t = 2 * np.pi * 2 / 5
    np.testing.assert_allclose(r, [[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]], atol=1e-15)
    f = group.irrep_data((1, 2)).matrices(group.element((1, 0)).array)[0]
    np.testing.assert_array_equal(f, np.diag([1.0, -1.0]))


def test_mirror_spellings() -> None:
    mirror = groups.dihedral(1)
    assert mirror.irrep_data((1,)) is mirror.irrep_data((1, 0))
    assert mirror.irrep_data((0,)) is mirror.irrep_data((0, 0))


@pytest.mark.parametrize(
    "group, key, valid",
    [
        (groups.cyclic(8), (5,), r"valid ids are \(0,\), \(1,\)"),
        (groups.dihedral(4), (0, 1), "has no irrep"),
        (groups.so2(), (-1,), "k >= 0"),
        (groups.so2(), ("a",), "k >= 0"),
        (groups.o2(), (0, 1), "k >= 1"),
        (groups.o3(), (2, 1), "l >= 0"),
        (groups.octahedral(), "T3", "labels A1"),
        (product(groups.so2(), groups.cyclic(2)), ((1,), (1,), 1), "k = 0"),
        (product(groups.so2(), groups.cyclic(2)), (1, 1, 1, 1), "k = 0"),
    ],
)
def test_unknown_irreps(group: Group, key: tuple, valid: str) -> None:
    with pytest.raises(ValueError, match=valid):
        group.irrep_data(key)


@pytest.mark.parametrize("bad", [None, -1])
def test_max_frequency(bad: object) -> None:
    with pytest.raises(ValueError, match="max_frequency"):
        groups.so3().irrep_ids(bad)  # type: ignore[arg-type]

"""Elements, factories, interning, sampling; groups from generators."""

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equivax import groups
from equivax.groups import FiniteGroup, Group

ALL: list[Group] = [
    groups.cyclic(1),
    groups.cyclic(6),
    groups.dihedral(1),
    groups.dihedral(5),
    groups.klein(),
    groups.quaternion(),
    groups.symmetric(4),
    groups.hyperoctahedral(3),
    groups.tetrahedral(),
    groups.full_icosahedral(),
    groups.so2(),
    groups.o2(),
    groups.so3(),
    groups.o3(),
    groups.direct_product(groups.cyclic(3), groups.dihedral(2)),
    groups.direct_product(groups.o2(), groups.cyclic(2)),
    groups.from_generators([[1, 2, 0]], name="triangle"),
]
each_group = pytest.mark.parametrize("group", ALL, ids=str)


def as_matrix(element: groups.GroupElement) -> np.ndarray:
    return element.group.defining_matrices(element.array)[0]


@each_group
def test_element_arithmetic(group: Group) -> None:
    rng = np.random.default_rng(0)
    a, b, c = (group.sample(rng) for _ in range(3))
    np.testing.assert_allclose(as_matrix(a @ b), as_matrix(a) @ as_matrix(b), atol=1e-13)
    np.testing.assert_allclose(as_matrix((a @ b) @ c), as_matrix(a @ (b @ c)), atol=1e-13)
    assert a @ ~a == group.identity
    assert group.identity @ a == a
    assert a**0 == group.identity
    np.testing.assert_allclose(as_matrix(a**3), as_matrix(a @ a @ a), atol=1e-13)
    np.testing.assert_allclose(as_matrix(a**-1), as_matrix(~a), atol=1e-13)
    assert str(group) in repr(a)


@each_group
def test_natural_values(group: Group) -> None:
    for element in [*group.testing_elements[:20], *group.generators, group.sample(3)]:
        again = group.element(element.value)
        np.testing.assert_allclose(as_matrix(again), as_matrix(element), atol=1e-13)
        assert element.group is group
        if group.order is not None:
            assert again == element
            assert group.elements[element.index] == element
            assert group.element(element.index) == element


@each_group
def test_same_object_after_copies(group: Group) -> None:
    assert pickle.loads(pickle.dumps(group)) is group
    assert copy.copy(group) is group
    assert copy.deepcopy(group) is group
    element = group.sample(0)
    again = pickle.loads(pickle.dumps(element))
    assert again == element
    assert hash(again) == hash(element)
    irrep = group.irrep_data(group.irrep_ids(1)[-1])
    assert pickle.loads(pickle.dumps(irrep)) is irrep


@each_group
def test_sampling(group: Group) -> None:
    assert group.sample(5) == group.sample(5)
    assert group.sample_coordinates(0, 7).shape == (7, group.coordinate_size)
    assert group.testing_elements[0] == group.identity
    with pytest.raises(TypeError, match="seed"):
        group.sample("0")  # type: ignore[arg-type]


@pytest.mark.parametrize("group", [groups.so2(), groups.o2(), groups.so3(), groups.o3()], ids=str)
def test_haar_mean_vanishes(group: Group) -> None:
    key = group.irrep_ids(1)[-1]
    mean = group.irrep_data(key).matrices(group.sample_coordinates(0, 20000)).mean(axis=0)
    assert np.abs(mean).max() < 0.03
    with pytest.raises(ValueError, match="testing_elements or sample"):
        _ = group.elements
    for path in group.one_parameter_coordinates(np.array([0.0, 0.7, 2 * np.pi])):
        m = group.defining_matrices(path)
        np.testing.assert_allclose(m[0], m[2], atol=1e-14)
        assert np.abs(m[0] - m[1]).max() > 0.1


def test_interning() -> None:
    assert groups.cyclic(4) is groups.cyclic(np.int64(4))  # type: ignore[arg-type]
    assert groups.so2() is groups.so2()
    a, b = groups.cyclic(2), groups.dihedral(3)
    assert groups.direct_product(a, b) is groups.direct_product(a, b)
    assert groups.direct_product(a, b) is not groups.direct_product(b, a)
    turn = np.array([[0.0, -1], [1, 0]])
    made = groups.from_generators([turn])
    assert made is groups.from_generators([turn.tolist()])
    assert made is groups.from_generators([turn + 0.0 * turn])
    assert made is not groups.from_generators([turn], name="other")


def test_interning_in_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: groups.dihedral(97), range(32)))
    assert all(group is found[0] for group in found)


def test_names() -> None:
    assert [str(group) for group in ALL[:4]] == ["C1", "C6", "D1", "D5"]
    nested = groups.direct_product(
        groups.direct_product(groups.cyclic(2), groups.so2()), groups.o3()
    )
    assert str(nested) == "(C2 x SO(2)) x O(3)"
    assert groups.octahedral().name == "octahedral"


def test_element_order_of_the_plane() -> None:
    group = groups.dihedral(3)
    assert [g.value for g in group.elements] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    r, f = group.element((0, 1)), group.element((1, 0))
    assert r @ f == group.element((1, 1))
    assert f @ r == group.element((1, 2))
    assert group.element((1, 4)) == group.element((1, 1))


def test_structure_of_finite_groups() -> None:
    s4 = groups.symmetric(4)
    assert sorted(np.bincount(s4.conjugacy_classes).tolist()) == [1, 3, 6, 6, 8]
    assert np.bincount(groups.quaternion().element_orders).tolist() == [0, 1, 1, 0, 6]
    p, q = s4.element((1, 2, 0, 3)), s4.element((0, 1, 3, 2))
    assert (p @ q).value == tuple(p.value[i] for i in q.value)
    signs = groups.hyperoctahedral(2).elements[1].value
    assert signs == ((0.0, 1.0), (1.0, 0.0))


@pytest.mark.parametrize("name", ["symmetric", "hyperoctahedral", "quaternion", "icosahedral"])
def test_extend_carries_generators_to_all(name: str) -> None:
    args = (3,) if name in ("symmetric", "hyperoctahedral") else ()
    group = getattr(groups, name)(*args)
    for key in group.irrep_ids():
        m = group.irrep_matrices(key)
        np.testing.assert_allclose(group.extend(m[group.generator_indices]), m, atol=1e-13)
    with pytest.raises(ValueError, match="one per generator"):
        group.extend(np.zeros((0, 2, 2)))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: groups.cyclic(0), ValueError, "n: expected an integer >= 1, got 0"),
        (lambda: groups.cyclic(2.5), TypeError, r"(?s)n\b.*2\.5"),
        (lambda: groups.symmetric(7), ValueError, "in 1..6"),
        (lambda: groups.hyperoctahedral(5), ValueError, "in 1..4"),
        (lambda: groups.direct_product(groups.so2(), 3), TypeError, r"(?s)H\b.*3"),
        (lambda: groups.cyclic(4).element("x"), ValueError, "an integer a or an index"),
        (lambda: groups.dihedral(4).element((2, 0)), ValueError, r"a pair \(b, a\)"),
        (lambda: groups.octahedral().element(np.ones((3, 3))), ValueError, "3 x 3 matrices"),
        (lambda: groups.so2().element(np.nan), ValueError, "angle"),
        (lambda: groups.o2().element(0.3), ValueError, r"pair \(b, angle\)"),
        (lambda: groups.so3().element(-np.eye(3)), ValueError, "rotation matrix"),
        (lambda: groups.o3().element(2 * np.eye(3)), ValueError, "orthogonal 3 x 3"),
        (lambda: groups.so2().element(groups.o2().identity), ValueError, "SO.2., got one of O.2."),
        (lambda: groups.so2().identity @ groups.o2().identity, ValueError, "got one of O.2."),
        (lambda: groups.so2().identity.index, ValueError, "no index"),
    ],
)
def test_bad_input(call, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_elements_are_immutable() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        groups.cyclic(3).identity.coordinates = (1,)  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        groups.cyclic(3).irrep_data((0,)).endomorphism_basis[0] = 2


# from_generators


@pytest.mark.parametrize(
    "generators, order",
    [
        ([[1, 2, 3, 0]], 4),
        ([[1, 0, 2, 3], [1, 2, 3, 0]], 24),
        ([([1, 0, 2], [1, -1, 1])], 4),
        ([np.diag([1, -1]), np.diag([-1, 1])], 4),
        ([[[-1]]], 2),
        ([np.eye(3)], 1),
    ],
)
def test_from_generators(generators: list, order: int) -> None:
    group = groups.from_generators(generators)
    assert group.order == order
    assert str(group) == f"generated({order})"
    m = group.defining_matrices(group.element_coordinates)
    np.testing.assert_array_equal(m[:, None] @ m[None], m[group.cayley_table])
    np.testing.assert_array_equal(m[0], np.eye(m.shape[1]))


def test_generators_that_are_not_orthogonal() -> None:
    base = groups.octahedral()
    m = base.defining_matrices(base.generator_coordinates)
    t = np.array([[1.0, 0.4, 0], [0, 2.0, -0.3], [0.1, 0, 0.5]])
    group = groups.from_generators(list(t @ m @ np.linalg.inv(t)))
    assert group.order == 24
    ours = group.defining_matrices(group.element_coordinates)
    given = group.given_matrices
    assert given is not None
    metric = (given.transpose(0, 2, 1) @ given).mean(axis=0)
    values, vectors = np.linalg.eigh(metric)
    root = vectors * np.sqrt(values) @ vectors.T
    np.testing.assert_allclose(root @ given, ours @ root, atol=1e-12)
    np.testing.assert_allclose(ours[:, None] @ ours[None], ours[group.cayley_table], atol=1e-13)
    assert group.element(given[5]).index == 5


def test_generators_given_in_single_precision() -> None:
    base = groups.icosahedral()
    m = base.defining_matrices(base.generator_coordinates).astype(np.float32)
    group = groups.from_generators(list(m))
    ours = group.defining_matrices(group.element_coordinates)
    assert group.order == 60
    np.testing.assert_allclose(ours[:, None] @ ours[None], ours[group.cayley_table], atol=1e-13)


@pytest.mark.parametrize(
    "generators, message",
    [
        ([], "at least one generator"),
        ([np.eye(2), np.eye(3)], "one shape"),
        ([np.ones((2, 3))], "square matrix"),
        ([np.ones((2, 2))], "singular"),
        ([np.array([[np.nan]])], "finite"),
        ([[0, 0, 1]], "permutation"),
        ([([0, 1, 2], [1, 1, 2])], "signs"),
        ([[[1.0, 1.0], [0.0, 1.0]]], "order at most 5000"),
        ([[[2.0]]], "order at most 5000"),
        ([[[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]]], "order at most 5000"),
    ],
)
def test_bad_generators(generators: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        groups.from_generators(generators)


def test_closure_stops() -> None:
    with pytest.raises(ValueError, match="order at most 100"):
        groups.from_generators([[1, 0, 2, 3, 4], [1, 2, 3, 4, 0]], max_order=100)
    # Two half turns about lines at an angle of one radian generate infinitely many rotations.
    c, s = np.cos(2.0), np.sin(2.0)
    with pytest.raises(ValueError, match="order at most 200"):
        groups.from_generators([np.diag([1, -1]), [[c, s], [s, -c]]], max_order=200)


PERMUTATIONS = st.integers(2, 5).flatmap(
    lambda n: st.lists(st.permutations(range(n)), min_size=1, max_size=2)
)


@settings(max_examples=20, deadline=None)
@given(PERMUTATIONS)
def test_random_permutation_groups(generators: list) -> None:
    group = groups.from_generators(generators)
    irreps = [group.irrep_data(key) for key in group.irrep_ids()]
    assert sum(i.size**2 / i.endomorphism_dimension for i in irreps) == group.order
    for irrep in irreps:
        m = group.irrep_matrices(irrep.id)
        np.testing.assert_allclose(m[:, None] @ m[None], m[group.cayley_table], atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 6), st.randoms(use_true_random=False))
def test_random_products(n: int, m: int, random) -> None:
    group = groups.direct_product(groups.cyclic(n), groups.dihedral(m))
    assert isinstance(group, FiniteGroup)
    irreps = [group.irrep_data(key) for key in group.irrep_ids()]
    assert sum(i.size**2 / i.endomorphism_dimension for i in irreps) == 2 * n * m
    a, b = (group.elements[random.randrange(2 * n * m)] for _ in range(2))
    ga, gb = (groups.cyclic(n).element(g.value[0]) for g in (a, b))
    ha, hb = (groups.dihedral(m).element(g.value[1]) for g in (a, b))
    assert (a @ b).value == ((ga @ gb).value, (ha @ hb).value)


SCRIPT = """
import sys, numpy as np
from equivax import groups
base = groups.hyperoctahedral(4)
rotations = groups.icosahedral()
t = np.array([[1.0, 0.4, 0], [0, 2.0, -0.3], [0.1, 0, 0.5]])
m = rotations.defining_matrices(rotations.generator_coordinates)
made = groups.from_generators(list(t @ m @ np.linalg.inv(t)))
q = groups.from_generators([[1, 2, 0, 3, 4, 5, 6], [0, 1, 2, 4, 5, 6, 3]])
irreps = [(g, k) for g in (base, made, q) for k in g.irrep_ids()]
parts = [g.irrep_matrices(k).ravel() for g, k in irreps]
parts += [g.irrep_data(k).endomorphism_basis.ravel() for g, k in irreps]
np.save(sys.argv[1], np.concatenate(parts))
"""


def test_irreps_do_not_depend_on_the_thread_count(tmp_path) -> None:
    results = []
    for threads in ("1", "2"):
        path = tmp_path / f"{threads}.npy"
        variables = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), threads)
        environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", SCRIPT, str(path)], check=True, env=environment)
        results.append(np.load(path))
    np.testing.assert_allclose(results[0], results[1], atol=1e-12)


def test_no_jax_and_no_scipy_on_import() -> None:
    code = """
import importlib.util, sys, types
spec = importlib.util.find_spec("equivax")  # the package itself may import JAX
package = types.ModuleType("equivax")
package.__path__ = list(spec.submodule_search_locations)
sys.modules["equivax"] = package
import equivax.groups
print([name for name in ("jax", "scipy") if name in sys.modules])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"

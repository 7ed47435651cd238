"""Bases are part of the weight format: the same on every machine, now and later."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from equivax import Representation, groups

STORED = Path(__file__).parents[1] / "golden" / "basis_fingerprints.npz"

#: Rounding of the longest sums in a construction; the pivots are far from any tie.
SAME_BASIS = 1e-12
#: Stored numbers have passed through another BLAS and another version.
STORED_BASIS = 1e-10


def _conjugated(rep: Representation) -> Representation:
    """The representation in a fixed orthogonal basis that is not the identity."""
    n = rep.size
    shift = np.cos(1.0 + np.arange(n * n, dtype=np.float64).reshape(n, n) ** 1.5)
    q, r = np.linalg.qr(shift)
    q = q * np.sign(np.diag(r))
    return Representation.from_matrices(rep.group, q @ rep.matrices @ q.T)


def bases() -> dict[str, np.ndarray]:
    """Changes of basis and irreps of every construction there is."""
    d4, c8, q8 = groups.dihedral(4), groups.cyclic(8), groups.quaternion()
    octahedral, icosahedral = groups.octahedral(), groups.icosahedral()
    product = groups.direct_product(groups.cyclic(4), q8)
    # The symmetries of a triangular prism, by matrices in a basis that is not orthonormal.
    turn = np.array([[0.0, -1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    flip = np.diag([1.0, 1.0, -1.0])
    swap = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    prism = groups.from_generators([turn, swap, flip])
    found = {
        f"regular {g.name}": g.regular.change_of_basis
        for g in (c8, d4, q8, octahedral, icosahedral, product, prism, groups.symmetric(4))
    }
    found |= {
        "quotient D4": d4.quotient((0, 1)).change_of_basis,
        "induced D4": d4.induced((None, 4), groups.cyclic(4).irrep(1)).change_of_basis,
        "conjugated D4": _conjugated(d4.regular + d4.irrep(1, 1)).change_of_basis,
        "conjugated Q8": _conjugated(q8.regular).change_of_basis,
        "tensor product": (octahedral.irrep(2) @ octahedral.irrep(1)).change_of_basis,
        "tensor product SO(3)": (groups.so3().irrep(2) @ groups.so3().irrep(1)).change_of_basis,
        "restriction": icosahedral.irrep(2).restrict("tetrahedral").change_of_basis,
        "defining prism": prism.defining.change_of_basis,
    }
    for group in (prism, groups.hyperoctahedral(3)):
        for irrep in group.irreps():
            found[f"{group.name} {irrep.name}"] = irrep.evaluate(group.generator_coordinates)
    rotations = groups.so3()
    points = np.array([[0.5, 0.5, -0.5, 0.5], [0.8, 0.6, 0.0, 0.0], [0.6, 0.0, 0.64, 0.48]])
    found["Wigner 3"] = rotations.irrep(3).evaluate(points)
    found["hom elements"] = _hom_elements(d4)
    return found


def _hom_elements(group: groups.Group) -> np.ndarray:
    import equivax

    return equivax.hom_basis(group.regular, group.regular + group.irrep(1, 1)).elements()


def _in_subprocess(threads: int, folder: Path) -> dict[str, np.ndarray]:
    target = folder / f"{threads}.npz"
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads))}
    subprocess.run([sys.executable, __file__, str(target)], env=environment, check=True, cwd=folder)
    return dict(np.load(target))


def test_bases_do_not_depend_on_threads(tmp_path: Path):
    one, two = _in_subprocess(1, tmp_path), _in_subprocess(2, tmp_path)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=0, atol=SAME_BASIS, err_msg=name)


@pytest.mark.parametrize("name", sorted(np.load(STORED).files) if STORED.exists() else ["missing"])
def test_bases_are_those_of_the_first_release(name: str, computed: dict[str, np.ndarray]):
    stored = np.load(STORED)[name]
    np.testing.assert_allclose(computed[name], stored, rtol=0, atol=STORED_BASIS)


def test_every_construction_is_stored(computed: dict[str, np.ndarray]):
    assert set(computed) == set(np.load(STORED).files)


@pytest.fixture(scope="module")
def computed() -> dict[str, np.ndarray]:
    return bases()


# python tests/habits/test_canonical.py tests/golden/basis_fingerprints.npz
if __name__ == "__main__":
    np.savez_compressed(sys.argv[1], **bases())

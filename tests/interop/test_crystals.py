"""The page on spglib, ase and sympy runs where they are installed; what they give is exact."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "crystals.md"


@pytest.fixture(scope="module")
def names():
    """What the blocks of the page define."""
    for library in ("spglib", "ase", "sympy"):
        pytest.importorskip(library, reason=f"{library} is no dependency")
    found: dict = {}
    for block in re.findall(
        r"^```py\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        exec(compile(block, str(PAGE), "exec"), found)
    return found


@pytest.mark.parametrize("name", ["rutile", "hexagonal", "c3v"])
def test_groups_are_exact(name, names):
    """Orthogonal matrices that multiply as their elements do, whatever was rounded."""
    group = names[name]
    matrices = np.stack([group.defining(g) for g in group.elements])
    transposed = np.swapaxes(matrices, 1, 2)
    np.testing.assert_allclose(
        matrices @ transposed, np.tile(np.eye(3), (group.order, 1, 1)), atol=1e-12
    )
    products = np.einsum("aij,bjk->abik", matrices, matrices)
    np.testing.assert_allclose(products, matrices[group.cayley_table], atol=1e-12)


def test_a_turned_molecule_stands_where_it_stood(names):
    """Moving the atoms and naming each by the place where it arrives changes nothing."""
    atoms, space, positions = names["atoms"], names["space"], names["positions"]
    for g in names["turn"].elements:
        moved = atoms(g) @ positions @ space(g).T
        np.testing.assert_allclose(moved, positions, atol=1e-3)

"""Golden numbers about tensor images; `golden/README.md` says what they are."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from equivax import spaces

FOLDER = Path(__file__).parent / "golden"

SPACES = {"full": spaces.hyperoctahedral_on, "rotations": spaces.rotations_on}


@functools.cache
def facts() -> dict[str, Any]:
    return json.loads((FOLDER / "images.json").read_text())


@functools.cache
def archive() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "images.npz") as stored:
        return {name: stored[name] for name in stored.files}


def array(key: str) -> np.ndarray:
    return archive()[key]


def below(prefix: str) -> dict[str, np.ndarray]:
    """Arrays under a prefix, by the rest of their names."""
    return {n[len(prefix) + 1 :]: a for n, a in archive().items() if n.startswith(prefix + "/")}

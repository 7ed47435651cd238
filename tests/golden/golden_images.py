"""Golden numbers about tensor images; `golden/README.md` says what they are."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from equivax import spaces

FOLDER = Path(__file__).parent

SPACES = {"full": spaces.hyperoctahedral_on, "rotations": spaces.rotations_on}


@functools.cache
def facts() -> dict[str, Any]:
    return json.loads((FOLDER / "images.json").read_text())


@functools.cache
def archive() -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for name in ("images.npz", "series.npz"):
        with np.load(FOLDER / name) as stored:
            found |= {key: stored[key] for key in stored.files}
    return found


def array(key: str) -> np.ndarray:
    return archive()[key]


def below(prefix: str) -> dict[str, np.ndarray]:
    """Arrays under a prefix, by the rest of their names."""
    return {n[len(prefix) + 1 :]: a for n, a in archive().items() if n.startswith(prefix + "/")}

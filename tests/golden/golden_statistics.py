"""Golden numbers of least squares, moments, Gaussians and norms; see `golden/README.md`."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "statistics.npz"


@functools.cache
def gaussians() -> dict[str, dict[str, float]]:
    """Numbers of parameters, entropies and divergences per representation."""
    return json.loads(FILE.with_suffix(".json").read_text())


@functools.cache
def _archive() -> Any:
    return np.load(FILE)


@functools.cache
def array(key: str) -> np.ndarray:
    """One array, read-only."""
    value = _archive()[key]
    value.setflags(write=False)
    return value


def has(key: str) -> bool:
    """Whether the file holds that array."""
    return key in _archive().files

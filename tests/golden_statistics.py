"""Golden numbers of least squares, moments, Gaussians and norms; see `golden/README.md`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "golden" / "statistics.npz"


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

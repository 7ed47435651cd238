"""Golden numbers of steerable kernels, and the objects that they are about."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

import golden_fields
from equivax import Representation, spaces

space_named, rep_named = golden_fields.space, golden_fields.representation


@dataclasses.dataclass(frozen=True)
class Type:
    """What `TypeBasis` asks of a field type."""

    space: spaces.GSpace
    representation: Representation


FOLDER = Path(__file__).parent


@functools.cache
def facts() -> dict[str, Any]:
    return json.loads((FOLDER / "kernels.json").read_text())


@functools.cache
def arrays() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "kernels.npz") as stored:
        return dict(stored)

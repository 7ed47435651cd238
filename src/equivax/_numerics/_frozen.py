"""Read-only arrays and their content digest.

Cached arrays are shared by every caller, so they must not be writable; values that carry
arrays compare and hash by exact bytes, which a digest computed once makes cheap.
"""

import hashlib

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

_SHIFT = 0.6180339887
"""Moves the borders of cells to where no entry of a structured matrix lies."""


def freeze(array: ArrayLike) -> Float[np.ndarray, "..."]:
    """A read-only, C-contiguous float64 copy of an array.

    Args:
        array: Anything NumPy reads as a real array.

    Returns:
        An array of the same shape. Negative zeros become zeros, so that equal arrays
        have equal bytes.
    """
    copy = np.array(array, dtype=np.float64, order="C")
    copy += 0.0  # -0.0 + 0.0 = 0.0
    copy.flags.writeable = False
    return copy


def freeze_indices(array: ArrayLike) -> np.ndarray:
    """A read-only, C-contiguous int64 copy of an array of indices."""
    copy = np.array(array, dtype=np.int64, order="C")
    copy.flags.writeable = False
    return copy


def digest(*arrays: np.ndarray) -> bytes:
    """Content hash of arrays: equal if and only if dtypes, shapes and values are.

    Args:
        arrays: However many; their order matters.

    Returns:
        16 bytes. Negative and positive zero count as the same value.
    """
    state = hashlib.blake2b(digest_size=16)
    for array in arrays:
        array = np.ascontiguousarray(array)
        if array.dtype.kind in "fc":
            array = array + 0.0
        state.update(f"{array.dtype.str}{array.shape};".encode())
        state.update(array.tobytes())
    return state.digest()


def rounded_digest(*arrays: np.ndarray, resolution: float) -> str:
    """Content hash of arrays up to rounding errors, so that it does not depend on the machine.

    Args:
        arrays: However many; their order matters.
        resolution: Width of the cells in which entries count as equal.

    Returns:
        32 hexadecimal digits.
    """
    state = hashlib.blake2b(digest_size=16)
    for array in arrays:
        cells = np.floor(np.asarray(array, np.float64) / resolution + _SHIFT).astype("<i8")
        state.update(f"{cells.shape};".encode())
        state.update(np.ascontiguousarray(cells).tobytes())
    return state.hexdigest()

"""Numbers in rows on the host: arrays, and matrices that generate groups."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ._checks import is_several, is_traced, refuse, several

_KINDS = "biuf"
"""Kinds of real numbers, as NumPy abbreviates them."""
_IMAGINARY_ROUNDING = 1e-12
"""Imaginary parts below this share of the largest entry are rounding of real numbers."""


def real_array(value: object, caller: str, argument: str, takes: str = "") -> np.ndarray:
    """Finite real numbers as a float64 array, from arrays and nested lists.

    Exact numbers (fractions, those of sympy) become floats; imaginary parts that are rounding of
    zero are left out.

    Raises:
        TypeError: If it holds no numbers.
        ValueError: If it is ragged, complex or not finite.
    """
    takes = takes or "an array of finite numbers"
    if is_traced(value):
        refuse(TypeError, caller, argument, takes, value)
    try:
        found: Any = np.asarray(value)
    except ValueError:
        refuse(ValueError, caller, argument, f"{takes}, of one length along each axis", value)
    except Exception:  # what other libraries refuse to make an array of
        refuse(TypeError, caller, argument, takes, value)
    if found.dtype.kind == "O":
        found = _exact_numbers(found)
    if found.dtype.kind == "c" and found.size:
        if np.abs(found.imag).max() > _IMAGINARY_ROUNDING * np.abs(found).max():
            raise ValueError(
                f"{caller}: {argument}: expected {takes}, got complex entries; a complex A is real "
                "at twice the size, np.block([[A.real, -A.imag], [A.imag, A.real]])"
            )
        found = found.real
    if found.dtype.kind not in _KINDS:
        error = ValueError if found.ndim and found.dtype.kind == "O" else TypeError
        refuse(error, caller, argument, takes, value)
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        raise ValueError(f"{caller}: {argument}: expected finite entries, got NaN or infinity")
    return found


def _exact_numbers(entries: np.ndarray) -> np.ndarray:
    """Numbers that are Python objects as floats; the entries themselves if one is no number."""
    numeric = all(hasattr(x, "__float__") or hasattr(x, "__complex__") for x in entries.flat)
    if not numeric:
        return entries
    for dtype in (np.float64, np.complex128):
        try:
            return entries.astype(dtype)
        except (TypeError, ValueError):
            continue
    return entries


def generator_list(
    value: object, caller: str, argument: str, takes: str, minimum: int = 1
) -> list[Any]:
    """Generators, one by one: the entries of a list, an array, or of several rotations of SciPy.

    Raises:
        TypeError: If it is no such thing.
        ValueError: If there are fewer than ``minimum``.
    """
    unpacked = _unpacked(value)
    if isinstance(unpacked, np.ndarray) and unpacked.ndim == 3:
        value = unpacked
    return several(value, caller, argument, takes, minimum)


def generator_matrix(value: object, caller: str, argument: str) -> np.ndarray:
    """A square matrix from a matrix, a permutation, or a pair (permutation, signs).

    What has a matrix (a rotation of SciPy, a sparse matrix) or an array form (a permutation of
    sympy) is taken by it.

    A tuple or list of a permutation and of signs is that pair at every size, since files know
    lists only. A list of two rows of two that is both is read as the pair, with a warning.

    Raises:
        TypeError: If it holds no numbers.
        ValueError: If it is none of the three.
    """
    takes = "a square matrix, a permutation, or a pair (permutation, signs)"
    value = _unpacked(value)
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(map(is_several, value)):
        try:
            permutation, signs = map(np.asarray, value)
        except ValueError:
            refuse(ValueError, caller, argument, takes, value)
        rows = permutation.ndim == 1 and signs.ndim == 1
        if rows and (isinstance(value, tuple) or len(permutation) > 2 or _is_pair(*value)):
            if isinstance(value, list) and len(permutation) == 2:
                _warn_ambiguous(caller, argument, value)
            return _signed(permutation, signs, caller, argument, value)
    array = real_array(value, caller, argument, takes)
    if array.ndim == 1 and array.size:
        return _signed(array, np.ones(len(array)), caller, argument, value)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise ValueError(f"{caller}: {argument}: expected a square matrix, got shape {array.shape}")
    return array


def _unpacked(value: object) -> object:
    for method in ("as_matrix", "toarray"):
        if callable(getattr(value, method, None)):
            return getattr(value, method)()
    return getattr(value, "array_form", value)


def _is_permutation(entries: np.ndarray) -> bool:
    numbers = entries.dtype.kind in _KINDS and entries.size > 0
    return numbers and np.array_equal(np.sort(entries), np.arange(len(entries)))


def _is_pair(permutation: Any, signs: Any) -> bool:
    return _is_permutation(np.asarray(permutation)) and bool(np.isin(signs, (1, -1)).all())


def _signed(
    permutation: np.ndarray, signs: np.ndarray, caller: str, argument: str, value: object
) -> np.ndarray:
    count = len(permutation)
    if not _is_permutation(permutation):
        refuse(
            ValueError, caller, argument, f"a square matrix or a permutation of 0..{count - 1}",
            permutation.tolist(),
        )  # fmt: skip
    if signs.shape != permutation.shape or not np.isin(signs, (1, -1)).all():
        refuse(
            ValueError, caller, argument, f"signs 1 or -1, one sign for each of {count}",
            signs.tolist(),
        )  # fmt: skip
    matrix = np.zeros((count, count))
    matrix[permutation.astype(int), np.arange(count)] = signs
    return matrix


def _warn_ambiguous(caller: str, argument: str, value: object) -> None:
    warnings.warn(
        f"{caller}: {argument}: {value} is read as a permutation and signs; write the matrix as "
        "np.array(...), or the pair as a tuple",
        UserWarning,
        stacklevel=5,
    )

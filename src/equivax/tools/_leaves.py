"""The leaves of a tree that a file stores: arrays, numbers and PRNG keys, in NumPy's format.

What kind of leaf comes back is decided by the model that is built for it; the file knows names,
dtypes and shapes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import IO, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import PyTree

from ..hom import is_concrete
from ._fingerprint import nodes
from ._views import as_told

NUMBERS = (bool, int, float, complex)

KEY = "key"
"""Before the name of the generator, in the place of a dtype: ``key threefry2x32``."""


class StoredArray(NamedTuple):
    """An array, number or key in a file.

    Attributes:
        name: Where it stands in the model, ``layers[0].bias``, or in the state, ``state[0]``.
        dtype: Name of its dtype; ``"key threefry2x32"`` for PRNG keys of that generator.
        shape: Its shape.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def text(self) -> str:
        """Dtype and shape, ``float32[2, 3]``."""
        return f"{self.dtype}{list(self.shape)}"

    @property
    def is_key(self) -> bool:
        """Whether it holds PRNG keys."""
        return self.dtype.startswith(KEY)

    @property
    def nbytes(self) -> int | None:
        """Bytes of the numbers; None for keys, whose size the generator decides."""
        if self.is_key:
            return None
        return math.prod(self.shape) * jnp.dtype(self.dtype).itemsize


def named_leaves(model: PyTree, state: PyTree) -> list[tuple[str, Any]]:
    """Arrays that are stored, of the model and then of the state, with their names.

    Coefficients are stored as `as_told` has them.
    """
    listed = nodes(as_told(model))
    found = [(name, leaf) for name, leaf in listed if not isinstance(leaf, eqx.Module)]
    found += [(f"state[{i}]", leaf) for i, leaf in enumerate(jax.tree.leaves(state))]
    return [(name, leaf) for name, leaf in found if is_stored(leaf)]


def is_stored(leaf: PyTree) -> bool:
    """Whether a leaf goes into the file; functions and strings come with the code."""
    kinds = (jax.Array, jax.ShapeDtypeStruct, np.ndarray, np.generic, *NUMBERS)
    return isinstance(leaf, kinds) or hasattr(leaf, "__jax_array__")


def as_stored(name: str, leaf: PyTree) -> StoredArray:
    """A leaf of the built model as a file would tell of it."""
    if is_key(leaf):
        return StoredArray(name, KEY, tuple(leaf.shape))
    array = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    return StoredArray(name, array.dtype.name, tuple(array.shape))


def is_key(leaf: PyTree) -> bool:
    """Whether a leaf holds typed PRNG keys."""
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


# ---- writing -----------------------------------------------------------------------------------


def checked_leaf(name: str, leaf: PyTree) -> StoredArray:
    """What the file will say of a leaf.

    Raises:
        ValueError: If it has no numbers now, or none that NumPy's format holds.
    """
    if not is_concrete(leaf):
        problem = "a traced array, which has no numbers yet; save outside of jit, grad and vmap"
    elif isinstance(leaf, jax.ShapeDtypeStruct):
        problem = "a shape without numbers"
    elif isinstance(leaf, jax.Array) and leaf.is_deleted():
        problem = "a deleted array; save before its buffers are donated to a jitted function"
    elif isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        problem = "an array of which other processes hold parts; gather it first"
    else:
        value = leaf if is_key(leaf) else np.asarray(leaf)
        if is_key(leaf) or _is_numeric(value.dtype):
            dtype = f"{KEY} {jax.random.key_impl(leaf)}" if is_key(leaf) else value.dtype.name
            return StoredArray(name, dtype, tuple(value.shape))
        problem = f"{type(leaf).__name__} of dtype {value.dtype}, which is no fixed size of number"
    raise ValueError(f"save: model: expected numbers at {name or 'the top'}, got {problem}")


def _is_numeric(dtype: np.dtype[Any]) -> bool:
    """Whether it is a dtype of NumPy's or JAX's numbers (bfloat16 and the like are of kind V)."""
    return dtype.kind in "biufc" or (dtype.kind == "V" and dtype.type is not np.void)


def write_leaf(file: Any, leaf: PyTree) -> None:
    """Writes a leaf that was checked."""
    array = np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
    np.lib.format.write_array(file, np.asarray(array, order="C"), allow_pickle=False)


# ---- reading -----------------------------------------------------------------------------------


def as_leaf(array: np.ndarray, stored: StoredArray, like: PyTree) -> Any:
    """An array that was read, as a leaf of the kind of ``like``: an array, a number, or keys.

    Raises:
        ValueError: If it cannot be one.
    """
    if is_key(like):
        keys = jax.random.wrap_key_data(jnp.asarray(array), impl=stored.dtype.split()[1])
        if keys.shape != like.shape or keys.dtype != like.dtype:
            raise ValueError(f"expected {like.dtype}{list(like.shape)} at {stored.name}")
        return keys
    if isinstance(like, np.ndarray):
        return array.astype(array.dtype.newbyteorder(like.dtype.byteorder))  # one's own, to write
    if isinstance(like, np.generic):
        return array[()]
    return type(like)(array.item()) if isinstance(like, NUMBERS) else jnp.asarray(array)


def cast(array: np.ndarray, dtype: DTypeLike, name: str) -> np.ndarray:
    """The same numbers in another dtype; floats are rounded.

    Raises:
        ValueError: If integers do not fit.
    """
    with np.errstate(over="ignore"):
        found = array.astype(dtype)
    if array.dtype.kind in "iu" and not np.array_equal(found, array):
        raise ValueError(f"load: dtype: the integers at {name} do not fit into {jnp.dtype(dtype)}")
    return found


NPY = re.compile(
    r"\{'descr': '([<>|][biufcV]\d{1,2})', 'fortran_order': (False|True), "
    r"'shape': \(((?:\d{1,20}, ?)*(?:\d{1,20})?)\), \} *\n",
    re.ASCII,
)
"""How NumPy writes a header; it reads it by evaluating it, which is more than a file needs."""


WORDS = 64
"""Of a PRNG key at most: JAX's generators have 2 or 4."""


def read_array(file: IO[bytes], stored: StoredArray) -> np.ndarray:
    """Reads the next array, if it is what the file says of it.

    Raises:
        ValueError: If something else stands there.
    """
    start = file.read(10)
    text = file.read(int.from_bytes(start[8:], "little")).decode("latin-1")
    found = NPY.fullmatch(text)
    if start[:8] != b"\x93NUMPY\x01\x00" or found is None:
        raise ValueError(f"no array begins where {stored.name} should")
    dtype, shape = np.dtype(found[1]), tuple(int(n) for n in found[3].split(",") if n.strip())
    expected = np.dtype(np.uint32) if stored.is_key else jnp.dtype(stored.dtype)
    fits = shape == stored.shape
    if stored.is_key:  # each is a few words, as its generator decides
        fits = len(shape) > 0 and shape[:-1] == stored.shape and shape[-1] <= WORDS
    if not fits or (dtype.kind, dtype.itemsize) != (expected.kind, expected.itemsize):
        raise ValueError(f"expected {stored.text} at {stored.name}, got {found[1]}{list(shape)}")
    count = math.prod(shape)
    data = file.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise ValueError(f"{stored.name} is cut short")
    array = np.frombuffer(data, dtype) if count else np.zeros(0, dtype)
    array = array.view(expected) if dtype.kind == "V" else array.astype(expected, copy=False)
    return array.reshape(shape[::-1]).T if found[2] == "True" else array.reshape(shape)


def total_bytes(stored: Iterable[StoredArray]) -> int:
    """Bytes that a file with these arrays has at least behind its header."""
    return sum(array.nbytes or 0 for array in stored)

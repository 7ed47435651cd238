"""One check for each kind of argument: what passes, and the sentence for what does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import _arguments as check
from equivax._arguments import arrays

KEYS = jax.random.split(jax.random.key(0), 3)

#: A check, a value that it takes, what it returns.
TAKEN: list[tuple[Callable[..., Any], object, object]] = [
    (check.flag, np.bool_(True), True),
    (check.integer, np.int64(3), 3),
    (check.integer, np.array(3), 3),
    (check.integers, 2, (2,)),
    (check.integers, np.array([1, 2]), (1, 2)),
    (check.number, np.float32(0.5), 0.5),
    (check.number, 2, 2.0),
    (check.number, np.array(0.5), 0.5),
    (check.number, jnp.float32(0.5), 0.5),
    (arrays.dtype, "bfloat16", jnp.dtype(jnp.bfloat16)),
    (arrays.dtype, np.float32, jnp.dtype(jnp.float32)),
]

#: A check, a value that it refuses, the error, how its sentence goes on.
REFUSED: list[tuple[Callable[..., Any], object, type[Exception], str]] = [
    (check.flag, "False", TypeError, "expected True or False, got 'False'"),
    (check.flag, 1, TypeError, "expected True or False, got 1"),
    (check.integer, True, TypeError, "expected an integer, got True"),
    (check.integer, 2.0, TypeError, "expected an integer, got 2.0"),
    (check.integer, np.arange(2), TypeError, "expected an integer, got array([0, 1])"),
    (check.integers, "12", TypeError, "expected an integer, or several of them, got '12'"),
    (check.integers, [], ValueError, "expected an integer, or several of them, got []"),
    (check.number, None, TypeError, "expected a finite number, got None"),
    (check.number, np.nan, ValueError, "expected a finite number, got nan"),
    (check.number, 1j, TypeError, "expected a finite number, got 1j"),
    (check.number, np.zeros((9, 9)), TypeError, "got an array of shape (9, 9) and type float64"),
    (check.text, "", ValueError, "expected a string that is not empty, got ''"),
    (check.function, jnp.float32, TypeError, "expected a callable such as jax.nn.relu, got"),
    (check.function, dict, TypeError, "expected a callable such as jax.nn.relu, got"),
    (arrays.key, 0, TypeError, "expected a key such as jax.random.key(0), got 0"),
    (arrays.key, jnp.zeros(2), TypeError, "expected a key such as jax.random.key(0), got"),
    (arrays.key, KEYS, ValueError, "expected one key, not 3; use jax.vmap, got"),
    (arrays.dtype, int, ValueError, "expected a floating type such as jnp.float32, got"),
    (arrays.dtype, "none", TypeError, "expected a floating type such as jnp.float32, got 'none'"),
    (arrays.array, None, TypeError, "expected an array of numbers, got None"),
    (arrays.array, "ab", TypeError, "expected an array of numbers, got 'ab'"),
    (arrays.array, [[1], [1, 2]], ValueError, "of one length along each axis, got [[1], [1, 2]]"),
    (arrays.array, KEYS, TypeError, "expected an array of numbers, got"),
]


@pytest.mark.parametrize("reads, value, wanted", TAKEN)
def test_what_is_meant_is_taken(reads: Callable[..., Any], value: object, wanted: object):
    found = reads(value, "Layer", "x")
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize("reads, value, error, says", REFUSED)
def test_the_rest_is_refused_in_one_sentence(
    reads: Callable[..., Any], value: object, error: type[Exception], says: str
):
    with pytest.raises(error, match=re.escape(says)) as raised:
        reads(value, "Layer", "x")
    assert str(raised.value).startswith("Layer: x: ")
    assert len(str(raised.value)) < 200
    assert "\n" not in str(raised.value)


def test_ranges_are_named():
    assert check.number(0.5, "Layer", "p", 0, below=1) == 0.5
    with pytest.raises(ValueError, match=r"a finite number in \[0, 1\), got 1"):
        check.number(1, "Layer", "p", 0, below=1)
    with pytest.raises(ValueError, match=r"a finite number in \(0, 1\], got 0"):
        check.number(0, "Layer", "momentum", maximum=1, above=0)
    with pytest.raises(ValueError, match=r"a finite number above 0, got 0"):
        check.number(0, "Layer", "eps", above=0)
    with pytest.raises(ValueError, match=r"an integer in 1\.\.4, got 5"):
        check.integer(5, "Layer", "d", 1, 4)
    with pytest.raises(ValueError, match=r"an integer >= 1, or 2 of them, got \(1, 0\)"):
        check.integers((1, 0), "Layer", "sizes", 1, count=2)
    with pytest.raises(ValueError, match=r"expected 'a', 'b' or 'c', got 'd'"):
        check.choice("d", "Layer", "mode", "abc")


def test_keys_of_both_kinds_pass_also_under_vmap_and_jit():
    read = jax.jit(jax.vmap(lambda key: jax.random.normal(arrays.key(key, "Layer"))))
    assert read(KEYS).shape == (3,)
    assert arrays.key(jax.random.PRNGKey(0), "Layer").shape == (2,)


def test_a_traced_number_is_named():
    with pytest.raises(TypeError, match=r"expected an integer, got a traced value.*outside of jit"):
        jax.jit(lambda n: check.integer(n, "Layer", "n"))(3)

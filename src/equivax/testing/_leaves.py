"""Leaves are parameters, gradients are finite, equal modules share a compilation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from .._arguments import function as read_function
from .._arguments import integer


def assert_only_parameters(module: PyTree, expected: int | None = None) -> None:
    """Raises if a module has array leaves that are not trainable parameters.

    NumPy arrays and integer arrays among the leaves are refused: an optimiser would touch or
    count them.

    Args:
        module: An Equinox module.
        expected: Number of parameters, if known.

    Raises:
        AssertionError: Naming the leaf.
    """
    if expected is not None:
        expected = integer(expected, "assert_only_parameters", "expected", 0)
    total = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(module):
        name = jax.tree_util.keystr(path)
        if isinstance(leaf, (np.ndarray, np.generic)):
            raise AssertionError(
                f"leaf {name} is a NumPy array: host data belongs in static fields"
            )
        if eqx.is_array(leaf):
            if not eqx.is_inexact_array(leaf):
                raise AssertionError(f"leaf {name} has dtype {leaf.dtype}: not a parameter")
            total += leaf.size
    if expected is not None and total != expected:
        raise AssertionError(f"expected {expected} parameters, found {total}")


def assert_finite_gradients(function: Callable[..., Any], *arguments: PyTree) -> None:
    """Raises if the gradient of ``sum(f(...)^2)`` in any argument is not finite.

    Args:
        function: A module or function.
        *arguments: Arrays or pytrees; modules among them are differentiated too.

    Raises:
        AssertionError: Naming the leaf.
    """
    read_function(function, "assert_finite_gradients", "function", "a layer")

    def loss(inputs: PyTree) -> Any:
        call, rest = inputs
        return sum(
            (leaf**2).sum() for leaf in jax.tree.leaves(call(*rest)) if eqx.is_inexact_array(leaf)
        )

    gradients = eqx.filter_grad(loss)((function, arguments))
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        if eqx.is_inexact_array(leaf) and not bool(np.isfinite(np.asarray(leaf)).all()):
            raise AssertionError(f"the gradient at {jax.tree_util.keystr(path)} is not finite")


class TraceCount:
    """How often a function was traced; filled in by `count_traces`."""

    def __init__(self) -> None:
        """Starts at zero."""
        self.count = 0


@contextlib.contextmanager
def count_traces(function: Callable[..., Any]) -> Iterator[tuple[Callable[..., Any], TraceCount]]:
    """Gives a jitted function and a counter of its traces.

    Args:
        function: What to compile; modules among its arguments are handled by `eqx.filter_jit`.

    Yields:
        ``(jitted, counter)``; ``counter.count`` is the number of traces so far.
    """
    counter = TraceCount()

    @eqx.filter_jit
    def jitted(*arguments: PyTree) -> Any:
        counter.count += 1
        return function(*arguments)

    yield jitted, counter

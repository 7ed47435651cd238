"""Does a module commute with its group? Numbers per element, and an assert for pytest.

Parameters are drawn at random (biases that start at zero would hide errors), the group acts in
NumPy float64, and the module runs at the highest matmul precision, so that what is measured is
the module and not TF32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import PRNGKeyArray, PyTree

from .._arguments import (
    arrays,
    flag,
    integer,
    integers,
    is_traced,
    number,
    refuse,
    several,
    type_of,
)
from .._arguments import function as read_function
from ..fields import Type
from ..groups import GroupElement
from ..nn import Layer
from ..nn.authoring import channel_axis
from ..representations import Representation, as_representation
from ._action import act, default_elements, embedding_of

#: Relative error allowed per dtype, for one layer: rounding of the longest sums in it.
RELATIVE_TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 5e-2, "float16": 5e-3}

SIDE = 33
"""Default length of spatial axes: odd through five halvings, so strided layers can be exact."""


MOST_NUMBERS = 10**8
"""Most numbers in the inputs of one check."""


class EquivarianceError(NamedTuple):
    """One row of the table: how far ``f(rho_in(g) x)`` is from ``rho_out(g) f(x)``.

    Attributes:
        element: The group element ``g``, of the group of the output.
        absolute: Largest absolute difference over the batch.
        relative: The same divided by the largest entry of the output.
    """

    element: GroupElement
    absolute: float
    relative: float


def randomize_parameters(module: PyTree, key: PRNGKeyArray) -> Any:
    """A copy of a module with every floating leaf drawn from a standard normal distribution.

    Args:
        module: PyTree pytree.
        key: A JAX key.
    """
    key = arrays.key(key, "randomize_parameters")
    leaves, structure = jax.tree.flatten(module)
    keys = jax.random.split(key, max(1, len(leaves)))
    drawn = [
        jax.random.normal(k, leaf.shape, leaf.dtype) if eqx.is_inexact_array(leaf) else leaf
        for k, leaf in zip(keys, leaves, strict=False)
    ]
    return jax.tree.unflatten(structure, drawn)


def equivariance_error(
    function: Layer | Callable[..., Any],
    in_type: Type | None = None,
    out_type: Type | None = None,
    *,
    key: PRNGKeyArray,
    elements: Sequence[GroupElement] | None = None,
    batch: int = 3,
    dtype: DTypeLike | None = None,
    randomize: bool = True,
    call_options: dict[str, Any] | None = None,
    spatial: Sequence[int] | None = None,
    state: eqx.nn.State | None = None,
) -> list[EquivarianceError]:
    """Measures ``|f(rho_in(g) x) - rho_out(g) f(x)|`` on normally distributed ``x``.

    Fields on a line or plane are moved with their points, by the elements that map the grid to
    itself. Behind a `Restriction`, also in a `Sequential`, ``g`` runs over the subgroup.

    Args:
        function: An equivariant layer, or any function of a batch ``(batch, n_in, *spatial)``.
        in_type: Type of the input; that of the layer if None.
        out_type: Type of the output; that of the layer if None.
        key: A JAX key for inputs and parameters.
        elements: Elements of the group of ``out_type``; default its ``testing_elements``, of which
            fields on a line or plane keep those that map the grid to itself.
        batch: Number of inputs.
        dtype: Of the inputs; JAX's default float if None.
        randomize: Whether to draw a layer's parameters at random first.
        call_options: Further keyword arguments of the call, such as ``key=`` for dropout.
        spatial: Shape of the grid of the input, 33 cells along every axis if None.
        state: For a function ``(x, state) -> (y, state)``: the state of every call.

    Returns:
        One row per element. Nothing is printed.

    Raises:
        ValueError: If types are missing, their groups differ and no layer says how, an element does
            not map the grid to itself, or nothing would be measured.
    """
    return _measured(
        function,
        in_type,
        out_type,
        key=key,
        elements=elements,
        batch=batch,
        dtype=dtype,
        randomize=randomize,
        call_options=call_options,
        spatial=spatial,
        state=state,
    )[0]


def _measured(
    function: Layer | Callable[..., Any],
    in_type: Type | None,
    out_type: Type | None,
    *,
    key: PRNGKeyArray,
    elements: Sequence[GroupElement] | None = None,
    batch: int = 3,
    dtype: DTypeLike | None = None,
    randomize: bool = True,
    call_options: dict[str, Any] | None = None,
    spatial: Sequence[int] | None = None,
    state: eqx.nn.State | None = None,
) -> tuple[list[EquivarianceError], float]:
    """The rows of `equivariance_error`, and the size of the largest output."""
    caller = "equivariance_error"
    read_function(function, caller, "function", "a layer")
    in_type = getattr(function, "in_type", None) if in_type is None else in_type
    out_type = getattr(function, "out_type", None) if out_type is None else out_type
    if in_type is None or out_type is None:
        raise ValueError(
            "equivariance_error: in_type and out_type: needed for a function without types"
        )
    source = as_representation(in_type, "in_type")
    target = as_representation(out_type, "out_type")
    embedding = embedding_of(function)
    if source.group is not embedding(target.group.identity).group:
        raise ValueError(
            f"equivariance_error: in_type is acted on by {source.group.name}, out_type by "
            f"{target.group.name}; only a Restriction, or a Sequential with one, may do that"
        )
    elements = default_elements(in_type, out_type, embedding) if elements is None else elements
    takes = f"elements of {target.group.name}, at least one"
    elements = several(elements, caller, "elements", takes)
    for element in elements:
        type_of(element, caller, "elements", GroupElement, takes)
    if is_traced(key):
        refuse(TypeError, caller, "key", "a key outside of jit, since numbers are compared", key)
    key = arrays.key(key, caller)
    batch = integer(batch, caller, "batch", 1)
    randomize = flag(randomize, caller, "randomize")
    dim = -1 - channel_axis(in_type)
    shape = (SIDE,) * dim if spatial is None else integers(spatial, caller, "spatial", 1)
    if math.prod((batch, source.size, *shape)) > MOST_NUMBERS:
        raise ValueError(
            f"{caller}: batch and spatial: expected at most {MOST_NUMBERS} numbers in all, got a "
            f"batch of {batch} on {shape}"
        )
    if len(shape) != dim:
        raise ValueError(
            f"equivariance_error: spatial: expected {dim} numbers for {in_type!r}, got {shape}"
        )
    if call_options is not None:
        type_of(call_options, caller, "call_options", dict, "a dict of keyword arguments")
    if state is not None:
        type_of(state, caller, "state", eqx.nn.State)
    options = call_options or {}
    dtype = arrays.dtype(jnp.result_type(float) if dtype is None else dtype, caller)
    input_key, parameter_key = jax.random.split(key)
    if randomize and isinstance(function, eqx.Module):
        function = randomize_parameters(function, parameter_key)
    drawn = jax.random.normal(input_key, (batch, source.size, *shape), jnp.float32)
    x = _round_to(np.asarray(drawn, np.float64), dtype)

    def output(v: np.ndarray) -> np.ndarray:
        array = jnp.asarray(v, dtype)
        if state is None:
            return np.asarray(function(array, **options), np.float64)
        # Equinox refuses a state that was updated before; a copy is a new one.
        y, _ = function(array, jax.tree.map(lambda leaf: leaf, state), **options)
        return np.asarray(y, np.float64)

    with jax.default_matmul_precision("highest"):
        y = output(x)
        moved = [output(act(in_type, x, embedding(g))) for g in elements]
    size = max(float(np.abs(v).max(initial=0.0)) for v in (y, *moved))
    scale = max(size, float(np.finfo(np.float64).tiny))
    rows = []
    for g, left in zip(elements, moved, strict=True):
        absolute = float(np.abs(left - act(out_type, y, g)).max())
        rows.append(EquivarianceError(g, absolute, absolute / scale))
    return rows, size


def assert_equivariant(
    function: Layer | Callable[..., Any],
    in_type: Type | None = None,
    out_type: Type | None = None,
    *,
    key: PRNGKeyArray,
    rtol: float | None = None,
    **options: Any,
) -> None:
    """Raises if a module or function does not commute with its group.

    Args:
        function: As in `equivariance_error`.
        in_type: As in `equivariance_error`.
        out_type: As in `equivariance_error`.
        key: A JAX key.
        rtol: Largest relative error; by default 1e-12 in float64 and 1e-5 in float32, times the
            number of layers.
        **options: As in `equivariance_error`.

    Raises:
        AssertionError: Naming the worst element and its error.
    """
    if rtol is not None:
        number(rtol, "assert_equivariant", "rtol", 0)
    rows, size = _measured(function, in_type, out_type, key=key, **options)
    if size == 0:
        raise AssertionError(
            f"{getattr(function, '__name__', type(function).__name__)} is zero on every input, "
            "which shows nothing; equivariance_error gives the numbers all the same"
        )
    dtype = options.get("dtype")
    dtype = jnp.dtype(jnp.result_type(float) if dtype is None else dtype)
    bound = RELATIVE_TOLERANCE[dtype.name] * _depth(function) if rtol is None else rtol
    worst = max(rows, key=lambda row: row.relative if not math.isnan(row.relative) else math.inf)
    if not worst.relative <= bound:
        name = getattr(function, "__name__", type(function).__name__)
        raise AssertionError(
            f"{name} is not equivariant: at {worst.element!r} the output differs by "
            f"{worst.relative:.3g} of its size (absolute {worst.absolute:.3g}), above {bound:.3g}"
        )


def _depth(function: object) -> int:
    """Number of equivariant layers inside: rounding errors add up over them."""
    nodes = jax.tree.leaves(
        function, is_leaf=lambda node: isinstance(node, Layer) and node is not function
    )
    inner = [node for node in nodes if isinstance(node, Layer)]
    return max(1, sum(_depth(node) for node in inner))


def _round_to(x: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    """Values that the dtype holds exactly, so that rounding of the input is not measured."""
    return np.asarray(x.astype(dtype), np.float64)


def assert_homomorphism(rep: Representation, *, atol: float = 1e-10) -> None:
    """Raises if ``rho(g) rho(h) = rho(g h)`` fails on generators and testing elements.

    Args:
        rep: A representation.
        atol: Largest absolute error.

    Raises:
        AssertionError: Naming the pair.
    """
    type_of(rep, "assert_homomorphism", "rep", Representation)
    atol = number(atol, "assert_homomorphism", "atol", 0)
    group = rep.group
    first = group.generators if group.order is not None else group.testing_elements
    for g in first:
        for h in group.testing_elements:
            error = np.abs(rep(g) @ rep(h) - rep(g @ h)).max()
            if error > atol:
                raise AssertionError(
                    f"{rep!r} is no representation: rho(a) rho(b) differs from rho(a b) by "
                    f"{error:.3g} at a = {g!r}, b = {h!r}"
                )

"""What functions that users hand to layers do to a few numbers, seen while a layer is built."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, MutableMapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._arguments import function as checked_function
from ..._arguments import shown
from ._activations import activation_name

#: Points at which a function that claims to be odd is compared with its mirror image.
ODD_SAMPLES = np.linspace(0.05, 4.0, 32, dtype=np.float32)

_SHAPE = (2, 3, 4)
_TOLERANCE = 1e-4

#: What JAX does number by number, if the operands have one shape or none.
_ELEMENTWISE = (
    *("abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh"),
    *("broadcast_in_dim", "cbrt", "ceil", "clamp", "convert_element_type", "copy", "cos", "cosh"),
    *("digamma", "div", "eq", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge"),
    *("gt", "integer_pow", "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt", "max"),
    *("min", "mul", "ne", "neg", "nextafter", "not", "or", "pow", "reduce_precision", "rem"),
    *("round", "rsqrt", "select_n", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient"),
    *("sub", "tan", "tanh", "xor"),
)

_known: MutableMapping[Callable[..., object], str | None] = weakref.WeakKeyDictionary()
"""What was found of functions that are still in use; a layer is often built many times."""


def check_elementwise(
    caller: str, function: object, argument: str = "function", example: str = "jax.nn.relu"
) -> None:
    """Refuses what does not act on every number by itself, so that it would mix places.

    Functions that JAX names are known to; others are called on a few numbers.

    Args:
        caller: The layer, for messages.
        function: What the user gave.
        argument: Its argument, for messages.
        example: A function that is taken.

    Raises:
        TypeError: If it is no function, or cannot be called on an array.
        ValueError: If it gives another shape or no floating numbers, or looks at other entries.
    """
    found = checked_function(function, caller, argument, example)
    if activation_name(found) is not None:
        return
    takes = f"{caller}: {argument}: expected an elementwise function such as {example}"
    try:
        fault = _fault(found)
    except Exception as error:  # the user's function raised it; under jit it would raise it too
        text = str(error).strip().partition("\n")[0]
        raise TypeError(
            f"{takes}, got {shown(function)}, which fails on an array: {type(error).__name__}"
            f"{text and ': '}{text}"
        ) from error
    if fault is not None:
        raise ValueError(f"{takes}, got {shown(function)}, which {fault}")


def _fault(function: Callable[..., object]) -> str | None:
    """What is wrong with a function, in words, or None."""
    try:
        if function in _known:
            return _known[function]
    except TypeError:  # not hashable
        return _probed(function)
    fault = _probed(function)
    with contextlib.suppress(TypeError):  # no weak references
        _known[function] = fault
    return fault


def _probed(function: Callable[..., object]) -> str | None:
    like = jax.ShapeDtypeStruct(_SHAPE, jnp.float32)
    with jax.numpy_rank_promotion("allow"):
        program, found = jax.make_jaxpr(lambda x: function(x), return_shape=True)(like)
    if not isinstance(found, jax.ShapeDtypeStruct):
        return f"gives a {type(found).__name__}"
    if found.shape != _SHAPE:
        return f"gives shape {found.shape} for {_SHAPE}"
    if not jnp.issubdtype(found.dtype, jnp.floating):
        return f"gives {found.dtype} for float32"
    if _is_elementwise(program.jaxpr):
        return None
    # The same numbers at other places, among others that are smaller and larger.
    generator = np.random.default_rng(0)
    order, first = generator.permutation(24), generator.normal(size=24)
    second = first[order]
    second[::2] *= generator.uniform(-4.0, 4.0, size=12)
    try:
        one, other = (_values(function, numbers) for numbers in (first, second))
    except jax.errors.JAXTypeError:  # its parameters are traced: nothing is known of numbers
        return None
    if np.allclose(one[order][1::2], other[1::2], _TOLERANCE, _TOLERANCE, equal_nan=True):
        return None
    return "gives a number that depends on other entries, or on its place"


def _is_elementwise(program: Any) -> bool:
    """Whether a program shows that it is: then nothing need be compiled."""
    for step in program.eqns:
        shapes = {variable.aval.shape for variable in (*step.invars, *step.outvars)}
        inner = [step.params[name] for name in ("jaxpr", "call_jaxpr") if name in step.params]
        known = step.primitive.name in _ELEMENTWISE
        if not shapes <= {(), _SHAPE} or not (known or inner):
            return False
        if not all(_is_elementwise(getattr(part, "jaxpr", part)) for part in inner):
            return False
    return True


def _values(function: Callable[..., object], numbers: np.ndarray) -> np.ndarray:
    # Layers are also built under `jit` and `filter_eval_shape`, and with NaN forbidden.
    with (
        jax.ensure_compile_time_eval(),
        jax.numpy_rank_promotion("allow"),
        jax.debug_nans(False),
    ):
        x = jnp.asarray(numbers.reshape(_SHAPE), jnp.float32)
        return np.asarray(jax.jit(lambda x: function(x))(x)).ravel().astype(np.float64)


def check_odd(function: Callable[[Array], Array]) -> None:
    """Refuses a function with ``f(-x) != -f(x)`` at sampled points.

    Raises:
        ValueError: With the size of the difference.
    """
    with jax.ensure_compile_time_eval():  # layers are also built under `filter_eval_shape`
        points = jnp.asarray(ODD_SAMPLES)
        difference = np.abs(np.asarray(function(points) + function(-points)))
        at_zero = abs(float(function(jnp.zeros((), points.dtype))))
    if not (difference.max() < 1e-5 and at_zero < 1e-6):
        raise ValueError(
            f"PointwiseNonlinearity: function: odd=True needs f(-x) = -f(x), but "
            f"f(x) + f(-x) reaches {difference.max():.3g}; use an odd function such as jnp.tanh, "
            "NormNonlinearity or GatedNonlinearity"
        )


def check_symmetric(caller: str, reduce: object) -> None:
    """Refuses a reduction that depends on the order, or does not reduce.

    Raises:
        TypeError: If it is no function of an array and ``axis=``.
        ValueError: If it is no symmetric reduction.
    """
    function = checked_function(reduce, caller, "reduce", "jnp.max")
    takes = (
        f"{caller}: reduce: expected a function that reduces one axis whatever the order along "
        f"it, such as jnp.max, got {shown(reduce)}"
    )
    sample = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    orders = ([0, 1, 2, 3, 4], [1, 2, 3, 4, 0], [1, 0, 2, 3, 4])
    try:
        with jax.ensure_compile_time_eval():  # layers are also built under `filter_eval_shape`
            plain, *others = (
                np.asarray(function(jnp.asarray(sample[:, order]), axis=-1)) for order in orders
            )
    except Exception as error:  # the user's function raised it
        text = str(error).strip().partition("\n")[0]
        raise TypeError(f"{takes}: {type(error).__name__}: {text}") from error
    floating = plain.dtype.kind == "f"
    if plain.shape != (3,) or not floating or any(np.abs(plain - y).max() > 1e-5 for y in others):
        raise ValueError(takes)

"""Functions that outlive the library: one formula for a layer and for what `export` returns.

A layer's formula is a function of a file that takes arrays and plain values. The layer calls it;
where Equinox has no layer of the same function, its export is that very formula, taken out of this
package: rebuilt with only the names that its code uses, and so with the functions behind them. It
runs where equivax is not installed, and picklers that store functions by value (cloudpickle) store
its code and not a reference to a module of equivax.
"""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any, overload

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...fields import Type
from ._channels import on_last_axis
from ._module import channel_axis

#: `pickle` stores functions by the name of their module. This one says what to do instead.
MODULE = "an_export_of_equivax__store_it_with_cloudpickle"

VALUES = (bool, int, float, complex, str, bytes, type(None), np.ndarray, np.generic)
"""What is plain by itself."""

TRANSPARENT = (type(functools.cache(len)), type(jax.jit(lambda: None)))
"""Wrappers without which a function has the same values."""


# ---- functions -----------------------------------------------------------------------------------


def detached(function: Callable[..., Any]) -> types.FunctionType:
    """A copy of a function that knows other libraries, but no module of equivax.

    Args:
        function: Of a file of this package, without closure. Its code, and that of the functions
            of this package that it calls, uses arguments, plain constants and other libraries.

    Raises:
        TypeError: If its code uses anything else of this package, such as a class.
    """
    return _detached(_original(function))


@functools.cache
def _detached(function: object) -> types.FunctionType:
    return _copied(function, {})


def _copied(function: Any, known: dict[Any, types.FunctionType]) -> types.FunctionType:
    """The copy; ``known`` are those that are being made, as functions may call each other."""
    if function in known:
        return known[function]
    where = f"{function.__module__}.{function.__qualname__}"
    if not isinstance(function, types.FunctionType) or function.__closure__:
        raise TypeError(
            f"export: {where}: expected a function of a file, without closure, got {function!r}; "
            "pass what it needs as an argument"
        )
    names: dict[str, Any] = {"__builtins__": __builtins__}
    copy = types.FunctionType(function.__code__, names, function.__name__)
    known[function] = copy

    def kept(value: object, name: str) -> Any:
        return _kept(value, f"{where}: {name}", known)

    if function.__defaults__:
        copy.__defaults__ = tuple(kept(v, "a default") for v in function.__defaults__)
    if function.__kwdefaults__:
        copy.__kwdefaults__ = {n: kept(v, n) for n, v in function.__kwdefaults__.items()}
    copy.__module__ = MODULE
    copy.__doc__ = function.__doc__
    for name in _names(function.__code__):
        if name in function.__globals__:
            names[name] = kept(function.__globals__[name], name)
    return copy


def _names(code: types.CodeType) -> Iterator[str]:
    """Every global name of a function's code, and of the functions inside it."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _kept(value: object, where: str, known: dict[Any, types.FunctionType]) -> Any:
    """What a detached function sees in the place of a value of its file."""
    if isinstance(value, VALUES):
        return value
    if isinstance(value, (tuple, list)):
        return tuple(_kept(entry, where, known) for entry in value)
    if isinstance(value, dict):
        return {name: _kept(entry, where, known) for name, entry in value.items()}
    if isinstance(value, functools.partial):
        kept = [_kept(entry, where, known) for entry in (value.func, *value.args)]
        return functools.partial(*kept, **_kept(value.keywords, where, known))
    if not _is_ours(value):
        return value
    original = _original(value)
    if not isinstance(original, types.FunctionType):
        raise TypeError(
            f"export: {where}: expected a function, a number or something of another library, got "
            f"{value!r}, which is not there where equivax is not; pass what it holds as an argument"
        )
    return _copied(original, known)


def _is_ours(value: object) -> bool:
    """Whether something is a module, a function or a class of equivax, or an instance of one."""
    name = value.__name__ if isinstance(value, types.ModuleType) else value.__module__
    return (name or "").split(".")[0] == "equivax"


def _original(function: Any) -> Any:
    """The function behind caches, `jax.jit` and type checkers.

    Not behind `jax.vmap` and the like, which say with ``__wrapped__`` what they change.
    """
    while hasattr(function, "__wrapped__"):
        plain = isinstance(function, types.FunctionType)
        library = function.__globals__["__name__"] if plain else "jax"
        if library.split(".")[0] in ("jax", "equinox") and not isinstance(function, TRANSPARENT):
            break
        function = function.__wrapped__  # pyright: ignore[reportAttributeAccessIssue]
    return function


# ---- and their constants -------------------------------------------------------------------------


def plain_callable(function: Callable[..., Any]) -> Callable[..., Any]:
    """A user's function as it is; one of this library, such as `squash`, detached."""
    return detached(function) if _is_ours(function) else function


def plain_value(value: object) -> Any:
    """A value as an exported function holds it.

    Numbers and strings stay, arrays become leaves, named tuples plain ones, functions static.

    Raises:
        TypeError: If it, or something in it, is an instance of a class of equivax.
    """
    if isinstance(value, (np.ndarray, jax.Array)):
        return jnp.asarray(value)
    if isinstance(value, VALUES):
        return value
    if isinstance(value, (tuple, list)):
        return tuple(plain_value(entry) for entry in value)
    if isinstance(value, dict):
        return {name: plain_value(entry) for name, entry in value.items()}
    if isinstance(value, functools.partial):
        arguments, keywords = plain_value(value.args), plain_value(value.keywords)
        return jax.tree_util.Partial(plain_callable(value.func), *arguments, **keywords)
    if callable(value) and jax.tree_util.all_leaves([value]):
        return jax.tree_util.Partial(plain_callable(value))
    for node in jax.tree.leaves(value, is_leaf=_is_instance):
        if _is_instance(node):
            raise TypeError(
                f"export: expected numbers, arrays and modules of other libraries as constants, "
                f"got {node!r}; export it, or pass what it holds"
            )
    return value


def _is_instance(node: object) -> bool:
    return type(node).__module__.split(".")[0] == "equivax"


def plain_function(
    function: Callable[..., Any], *constants: object, **options: Any
) -> jax.tree_util.Partial:
    """A detached function with its first arguments and some options bound, see `plain_value`."""
    return jax.tree_util.Partial(
        detached(function), *plain_value(constants), **plain_value(options)
    )


def plain_layer(function: Callable[..., Any], *constants: object, **options: Any) -> eqx.nn.Lambda:
    """`plain_function` as an Equinox layer, callable as ``layer(x, key=None)``."""
    return eqx.nn.Lambda(plain_function(function, *constants, **options))


def plain_layer_of_several(
    function: Callable[..., Any], *constants: object
) -> jax.tree_util.Partial:
    """`plain_layer` of several arrays, callable as ``layer(x, y, key=None)``."""
    return plain_function(_without_key, plain_function(function, *constants))


def plain_steps(function: Callable[..., Any], *constants: object) -> jax.tree_util.Partial:
    """A formula ``(..., x, state, key) -> (y, state)`` without a state: ``layer(x, key=None)``.

    The layers among its constants are exported ones, which have none.
    """
    return plain_function(_without_state, plain_function(function, *constants))


def _without_state(function, x, key=None):
    return function(x, None, key)[0]


def _without_key(function, *inputs, key=None):
    return function(*inputs)


# ---- Equinox layers with given parameters --------------------------------------------------------


@overload
def plain_linear(weight: Array, bias: Array | None) -> eqx.nn.Linear: ...


@overload
def plain_linear(weight: Array, bias: Array | None, type_: Type) -> eqx.nn.Linear | eqx.nn.Conv: ...


def plain_linear(
    weight: Array, bias: Array | None, type_: Type | None = None
) -> eqx.nn.Linear | eqx.nn.Conv:
    """An Equinox layer that holds a given matrix ``(out, in)`` and bias ``(out,)``.

    Args:
        weight: The matrix.
        bias: The bias, or None.
        type_: Of the input: `equinox.nn.Linear` for vectors, for fields a convolution with one tap.
    """
    dim = -1 - channel_axis(type_)
    if dim:
        return plain_conv(weight.reshape(*weight.shape, *[1] * dim), bias)
    layer = eqx.filter_eval_shape(
        eqx.nn.Linear,
        weight.shape[1],
        weight.shape[0],
        use_bias=bias is not None,
        dtype=weight.dtype,
        key=jax.random.key(0),
    )
    return eqx.tree_at(
        lambda tree: (tree.weight, tree.bias),
        layer,
        (weight, bias),
        is_leaf=lambda leaf: leaf is None,
    )


def plain_on_channels(function: Callable[..., Any], type_: Type) -> Callable[..., Any]:
    """A plain function of the last axis as one of the channels of an example of a type.

    Args:
        function: Made by `plain_function`: takes ``(..., n)``, and maybe more.
        type_: A type of vectors, for which the function is returned as it is, or of fields.
    """
    axis = channel_axis(type_)
    return function if axis == -1 else plain_function(on_last_axis, function, axis)


def plain_conv(weight: Array, bias: Array | None, **options: Any) -> eqx.nn.Conv:
    """An `equinox.nn.Conv1d`, `Conv2d`, `Conv3d` or `Conv` that holds a given kernel and bias.

    Args:
        weight: ``(out, in / groups, *kernel)``.
        bias: ``(out,)`` or None.
        **options: ``stride``, ``padding``, ``dilation``, ``groups``, ``padding_mode``.
    """
    named = {1: eqx.nn.Conv1d, 2: eqx.nn.Conv2d, 3: eqx.nn.Conv3d}
    dim, in_channels = weight.ndim - 2, weight.shape[1] * options.get("groups", 1)
    layer = named.get(dim, functools.partial(eqx.nn.Conv, dim))
    return _filled(layer, in_channels, weight, bias, options)


def plain_conv_transpose(weight: Array, bias: Array | None, **options: Any) -> eqx.nn.ConvTranspose:
    """An `equinox.nn.ConvTranspose1d`, ... that holds a given kernel and bias.

    Args:
        weight: ``(out, in / groups, *kernel)``, in the order in which Equinox correlates.
        bias: ``(out,)`` or None.
        **options: ``stride``, ``padding``, ``output_padding``, ``dilation``, ``groups``.
    """
    named = {1: eqx.nn.ConvTranspose1d, 2: eqx.nn.ConvTranspose2d, 3: eqx.nn.ConvTranspose3d}
    dim, in_channels = weight.ndim - 2, weight.shape[1] * options.get("groups", 1)
    layer = named.get(dim, functools.partial(eqx.nn.ConvTranspose, dim))
    return _filled(layer, in_channels, weight, bias, options)


def _filled(
    layer: Callable[..., Any],
    in_channels: int,
    weight: Array,
    bias: Array | None,
    options: dict[str, object],
) -> Any:
    """An Equinox convolution without the work of drawing weights that are replaced."""
    empty = eqx.filter_eval_shape(
        lambda key: layer(
            in_channels,
            weight.shape[0],
            weight.shape[2:],
            use_bias=bias is not None,
            dtype=weight.dtype,
            key=key,
            **options,
        ),
        jax.random.key(0),
    )
    shaped = None if bias is None else bias.reshape(-1, *[1] * (weight.ndim - 2))
    return eqx.tree_at(
        lambda tree: (tree.weight, tree.bias),
        empty,
        (weight, shaped),
        is_leaf=lambda leaf: leaf is None,
    )

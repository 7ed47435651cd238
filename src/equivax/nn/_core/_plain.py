"""Functions that outlive the library: one formula for a layer and for what `export` returns.

A layer's formula is a function of a file that takes arrays and plain values. The layer calls it;
where Equinox has no layer of the same function, its export is that very formula, taken out of this
package: rebuilt with only the names that its code uses, and so with the functions behind them. It
runs where equivax is not installed, and picklers that store functions by value (cloudpickle) store
its code and not a reference to a module of equivax.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ...fields import Type
from ._module import channel_axis

VALUES = (bool, int, float, complex, str, bytes, type(None), np.ndarray, np.generic)


def detached(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of a function that knows other libraries, but no module of equivax.

    Args:
        function: Of a file of this package, without closure. Its code, and that of the functions
            of this package that it calls, uses arguments, plain constants and other libraries.

    Raises:
        TypeError: If its code uses anything else of this package, such as a class.
    """
    return _detached(inspect.unwrap(function))  # a type checker may stand in front of it


@functools.cache
def _detached(function: types.FunctionType) -> Callable[..., Any]:
    if function.__closure__:
        raise TypeError(f"{function.__qualname__}: has a closure, so that it cannot be exported")
    names: dict[str, Any] = {"__builtins__": __builtins__}
    copy = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__ = "plain"
    for name in _names(function.__code__):
        if name == function.__name__:
            names[name] = copy
        elif name in function.__globals__:
            names[name] = _kept(function.__globals__[name], f"{function.__qualname__}: {name}")
    return copy


def _names(code: types.CodeType) -> Iterator[str]:
    """Every global name of a function's code, and of the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _kept(value: Any, where: str) -> Any:
    """What a detached function sees in the place of a global of its file."""
    if isinstance(value, types.ModuleType):
        owner = value.__name__
    elif isinstance(value, VALUES):
        return value
    elif isinstance(value, tuple):
        return tuple(_kept(entry, where) for entry in value)
    elif isinstance(value, functools.partial):
        kept = [_kept(entry, where) for entry in (value.func, *value.args)]
        return functools.partial(*kept, **value.keywords)
    else:
        owner = getattr(value, "__module__", None) or ""
    if owner.split(".")[0] != "equivax":
        return value
    plain = inspect.unwrap(value) if callable(value) else value  # caches and `jit` go
    if not isinstance(plain, types.FunctionType):
        raise TypeError(f"{where} is of equivax, so that the function cannot be exported")
    return _detached(plain)


def plain_callable(function: Callable[..., Any]) -> Callable[..., Any]:
    """A user's function as it is; one of this library, such as `squash`, detached."""
    return detached(function) if function.__module__.split(".")[0] == "equivax" else function


def plain_function(function: Callable[..., Any], *constants: Any) -> jax.tree_util.Partial:
    """A detached function with its first arguments bound."""
    return jax.tree_util.Partial(detached(function), *constants)


def plain_layer(function: Callable[..., Any], *constants: Any) -> eqx.nn.Lambda:
    """`plain_function` as an Equinox layer, callable as ``layer(x, key=None)``."""
    return eqx.nn.Lambda(plain_function(function, *constants))


def plain_linear(weight: Any, bias: Any | None, type_: Type | None = None) -> Any:
    """An Equinox layer that holds a given matrix ``(out, in)`` and bias ``(out,)``.

    Args:
        weight: The matrix.
        bias: The bias, or None.
        type_: Of the input: `equinox.nn.Linear` for vectors, for fields a convolution with one tap.
    """
    weight = jnp.asarray(weight)
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


def plain_on_channels(function: Any, type_: Type) -> Any:
    """A plain function of the last axis as one of the channels of an example of a type.

    Args:
        function: Made by `plain_function`: takes ``(..., n)``, and maybe more.
        type_: A type of vectors, for which the function is returned as it is, or of fields.
    """
    return function if channel_axis(type_) == -1 else plain_function(_on_channels, function)


def _on_channels(function, x, *rest):
    return jnp.moveaxis(function(jnp.moveaxis(x, 0, -1), *rest), -1, 0)


def plain_conv(weight: Any, bias: Any | None, **options: Any) -> eqx.nn.Conv:
    """An `equinox.nn.Conv1d`, `Conv2d` or `Conv3d` that holds a given kernel and bias.

    Args:
        weight: ``(out, in / groups, *kernel)``.
        bias: ``(out,)`` or None.
        **options: ``stride``, ``padding``, ``dilation``, ``groups``, ``padding_mode``.
    """
    layers = {3: eqx.nn.Conv1d, 4: eqx.nn.Conv2d, 5: eqx.nn.Conv3d}
    in_channels = weight.shape[1] * options.get("groups", 1)
    return _filled(layers[weight.ndim], in_channels, weight, bias, options)


def plain_conv_transpose(weight: Any, bias: Any | None, **options: Any) -> eqx.nn.ConvTranspose:
    """An `equinox.nn.ConvTranspose1d`, ... that holds a given kernel and bias.

    Args:
        weight: ``(out, in / groups, *kernel)``, in the order in which Equinox correlates.
        bias: ``(out,)`` or None.
        **options: ``stride``, ``padding``, ``output_padding``, ``dilation``, ``groups``.
    """
    layers = {3: eqx.nn.ConvTranspose1d, 4: eqx.nn.ConvTranspose2d, 5: eqx.nn.ConvTranspose3d}
    in_channels = weight.shape[1] * options.get("groups", 1)
    return _filled(layers[weight.ndim], in_channels, weight, bias, options)


def _filled(
    layer: Callable[..., Any], in_channels: int, weight: Any, bias: Any | None, options: dict
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

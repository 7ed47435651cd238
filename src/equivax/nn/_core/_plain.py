"""Functions that outlive the library: what `export` returns where Equinox has no layer.

An exported function must run where equivax is not installed. Its code may use ``jax`` and
``jnp`` only, and it is detached from this package, so that picklers which store functions by
value (cloudpickle) store its code and not a reference to an equivax module.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ._module import channel_axis


def detached(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of a function that knows ``jax`` and ``jnp`` but not the module it stands in.

    Args:
        function: Without closure; its body uses its arguments, builtins, ``jax`` and ``jnp``.
    """
    names = {"jax": jax, "jnp": jnp, "__builtins__": __builtins__}
    function = inspect.unwrap(function)  # a type checker may stand in front of it
    code = function.__code__
    copy = types.FunctionType(code, names, code.co_name, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__ = "plain"
    return copy


def plain_callable(function: Callable[..., Any]) -> Callable[..., Any]:
    """A user's function as it is; one of this library, such as `squash`, detached."""
    return detached(function) if function.__module__.split(".")[0] == "equivax" else function


def plain_function(function: Callable[..., Any], *constants: Any) -> jax.tree_util.Partial:
    """A detached function with its first arguments bound."""
    return jax.tree_util.Partial(detached(function), *constants)


def plain_layer(function: Callable[..., Any], *constants: Any) -> eqx.nn.Lambda:
    """`plain_function` as an Equinox layer, callable as ``layer(x, key=None)``."""
    return eqx.nn.Lambda(plain_function(function, *constants))


def plain_linear(weight: Any, bias: Any | None, type_: Any = None) -> Any:
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


def plain_on_channels(function: Any, type_: Any) -> Any:
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

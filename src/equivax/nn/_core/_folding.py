"""Consecutive layers as plain Equinox, with affine maps folded into the linear layer before them.

A layer that is affine on channels at inference says so by ``inference_map(state)``, which returns
``(scale, shift)``: ``y = scale x + shift`` with ``scale`` of shape ``(C,)``, or ``y = M x + shift``
with a matrix ``(C, C)``. Behind a linear layer ``W x + b`` that is ``(M W) x + (M b + shift)``.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._module import Layer
from ._stateful import exported

Plain = eqx.nn.Linear | eqx.nn.Conv | eqx.nn.ConvTranspose


def exported_chain(layers: Sequence[Layer], state: eqx.nn.State | None) -> list[Any]:
    """The exports of layers that follow each other; folded ones vanish.

    Args:
        layers: In order.
        state: The state of the model, if a layer has running statistics.

    Raises:
        ValueError: If a layer has running statistics and there is no state.
    """
    plain: list[Any] = []
    for index, layer in enumerate(layers):
        inference_map = getattr(layer, "inference_map", None)
        if plain and state is not None and inference_map is not None:
            folded = _folded(plain[-1], *inference_map(state))
            if folded is not None:
                plain[-1] = folded
                continue
        plain.append(exported(layer, state, f"layers[{index}]"))
    return plain


def _folded(layer: object, scale: Array, shift: Array) -> Plain | None:
    """A linear Equinox layer followed by the affine map, or None if it is no such layer."""
    if not isinstance(layer, Plain):
        return None
    if scale.ndim == 2 and getattr(layer, "groups", 1) != 1:
        return None  # the matrix may mix the groups
    weight = layer.weight
    scale, shift = jnp.asarray(scale, weight.dtype), jnp.asarray(shift, weight.dtype)

    def along(v: Array) -> Array:  # the map on axis 0
        if scale.ndim == 1:
            return v * scale.reshape(-1, *[1] * (v.ndim - 1))
        return jnp.tensordot(scale, v, axes=1, precision=jax.lax.Precision.HIGHEST)

    taps = [1] * (weight.ndim - 2)  # the bias of a convolution is (C, 1, ..., 1)
    bias = shift.reshape(-1, *taps)
    if layer.bias is not None:
        bias = bias + along(layer.bias)
    return _replaced(layer, along(weight), bias)


def _replaced(layer: Plain, weight: Array, bias: Array) -> Plain:
    """The same layer with another weight and a bias, which it may have had none of."""
    known = inspect.signature(type(layer)).parameters
    options = {f.name: getattr(layer, f.name) for f in dataclasses.fields(layer)}
    options = {name: value for name, value in options.items() if name in known}
    options |= {"use_bias": True, "dtype": weight.dtype, "key": jax.random.key(0)}
    blank = eqx.filter_eval_shape(type(layer), **options)
    return eqx.tree_at(lambda tree: (tree.weight, tree.bias), blank, (weight, bias))

"""`impose`: the equivariant model nearest to a plain one, and what it costs, layer by layer."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from .._arguments import refuse
from ..fields import Type
from ..nn import Conv, Linear
from ..nn.relaxed import typed_layers


class Imposed(NamedTuple):
    """A model with symmetry, and what was lost for it.

    Attributes:
        model: The plain model with equivariant layers in the place of its linear ones.
        lost: For every layer, by its place in the tree, the share of ``|W|^2`` that does not
            commute: 0 if the layer had the symmetry, and of random weights one less the dimension
            that commutes, divided by that of all.
    """

    model: Any
    lost: dict[str, float]


def impose(model: PyTree, *types: object) -> Imposed:
    """Replaces the linear layers of a plain Equinox model by the nearest equivariant ones.

    `equinox.nn.Linear` becomes `nn.Linear`, `Conv1d`, `Conv2d` and `Conv3d` become `nn.Conv`, with
    weight and bias projected; both train on inside of the symmetry. All else stays as it is, so
    that activations must commute with the types between the layers: functions of single entries do
    on regular fields. `testing.assert_equivariant(model, in_type, out_type, key=key)` shows it.

    Args:
        model: Any pytree of plain layers, such as an `equinox.nn.MLP`.
        *types: The types between the layers, one more than there are layers, in the order of the
            tree; or for each layer a pair ``(in_type, out_type)``, or None to leave it as it is.
            One list of these will do.

    Returns:
        The model, and the share of the squared norm that each layer lost: weight and bias.

    Raises:
        ValueError: If there is no plain layer, numbers of types or sizes do not fit, only the zero
            map commutes, or `nn.Conv` has no such layer (transposed convolutions).
        TypeError: If something is no type.

    Examples:
        >>> import equinox as eqx, equivax as evx, jax
        >>> G = evx.groups.cyclic(4)
        >>> plain = eqx.nn.MLP(4, 4, 8, 1, key=jax.random.key(0))
        >>> model, lost = evx.interop.impose(plain, G.regular, 2 * G.regular, G.regular)
        >>> evx.testing.assert_equivariant(model, G.regular, G.regular, key=jax.random.key(1))
        >>> list(lost)
        ['layers[0]', 'layers[1]']
    """
    found = typed_layers("impose", model, types)
    made = [None if pair is None else _made(layer, *pair) for _, layer, pair in found]
    places = iter(made)
    new = jax.tree.map(
        lambda node: _or(next(places), node) if _is_plain(node) else node, model, is_leaf=_is_plain
    )
    lost = {
        path: _lost(layer, layer_made)
        for (path, layer, _), layer_made in zip(found, made, strict=True)
        if layer_made is not None
    }
    return Imposed(new, lost)


def _is_plain(node: object) -> bool:
    return isinstance(node, (eqx.nn.Linear, eqx.nn.Conv))


def _or(made: object, node: object) -> object:
    return node if made is None else made


def _made(layer: eqx.nn.Linear | eqx.nn.Conv, in_type: Type, out_type: Type) -> Linear | Conv:
    """The layer of the same arguments, with the projections of weight and bias."""
    common: dict[str, Any] = {
        "use_bias": layer.bias is not None,
        "init": "zeros",
        "warn_unused": False,  # `lost` tells
        "dtype": layer.weight.dtype,
        "key": jax.random.key(0),
    }
    if isinstance(layer, eqx.nn.Linear):
        made = Linear(in_type, out_type, **common).with_weight(layer.weight)
    else:
        made = _convolution(layer, in_type, out_type, common).with_kernel(layer.weight)
    if layer.bias is None or made.bias_coeffs is None:
        return made
    return made.with_bias(layer.bias.reshape(-1))


def _convolution(layer: eqx.nn.Conv, in_type: Type, out_type: Type, common: dict[str, Any]) -> Conv:
    if layer.padding_mode.lower() not in ("zeros", "reflect", "replicate", "circular"):
        refuse(ValueError, "impose", "model", "a padding mode of nn.Conv", layer.padding_mode)
    kind = "grid" if in_type.space.preserves_grid else "harmonic"  # pyright: ignore
    return Conv(
        in_type,  # pyright: ignore[reportArgumentType]
        out_type,  # pyright: ignore[reportArgumentType]
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding.lower() if isinstance(layer.padding, str) else layer.padding,
        dilation=layer.dilation,
        padding_mode=layer.padding_mode.lower(),
        groups=layer.groups,
        basis=kind,
        **common,
    )


def _lost(layer: eqx.nn.Linear | eqx.nn.Conv, made: Linear | Conv) -> float:
    """``1 - |P W|^2 / |W|^2``, which is ``|W - P W|^2 / |W|^2``, over weight and bias."""
    weight = made.weight if isinstance(made, Linear) else made.kernel
    outside = _square(np.subtract(layer.weight, weight))
    whole = _square(layer.weight)
    if layer.bias is not None:
        bias = 0.0 if made.bias is None else made.bias
        outside += _square(np.subtract(layer.bias.reshape(-1), bias))
        whole += _square(layer.bias)
    return outside / whole if whole else 0.0


def _square(array: object) -> float:
    return float((np.asarray(array, np.float64) ** 2).sum())

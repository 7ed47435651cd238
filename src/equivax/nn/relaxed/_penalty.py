"""`symmetry_penalty`: how much of a model breaks its symmetry, as a term of a loss."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..._arguments import arrays, is_several, is_traced, number, refuse
from ._plain_types import nearest, typed_layers
from ._relaxed import Relaxed
from ._rest import square_outside


def symmetry_penalty(model: PyTree, *types: object, weights: object = 1.0) -> Float[Array, ""]:
    """``sum_l w_l |rest_l|^2``: the square of what every layer has outside of its symmetry.

    For a `Relaxed` layer the rest is what it adds, dense array and bias. For the plain linear
    layers of a model (`equinox.nn.Linear`, `Conv`), whose types are given, it is ``W - P(W)``, the
    distance from the nearest equivariant weight.

    Args:
        model: A pytree with relaxed layers in it, or with plain layers if types are given.
        *types: The types between the plain layers, one more than there are layers, in the order
            of the tree; or for each layer a pair ``(in_type, out_type)``, or None to leave it out.
            One list of these will do.
        weights: One number for all layers, or one for each in the order of the tree.

    Returns:
        A scalar, at least in float32; zero exactly if every layer commutes.

    Raises:
        ValueError: If there is no such layer, or numbers of types or weights do not fit.
        TypeError: If something is no type.

    Examples:
        >>> import equinox as eqx, equivax as evx, jax
        >>> G = evx.groups.cyclic(4)
        >>> plain = eqx.nn.MLP(4, 4, 8, 1, key=jax.random.key(0))
        >>> price = evx.nn.symmetry_penalty(plain, G.regular, 2 * G.regular, G.regular)
        >>> bool(price > 0)
        True
    """
    squares = []
    if types:
        for _, layer, pair in typed_layers("symmetry_penalty", model, types):
            if pair is not None:
                dense, bias = nearest(layer, pair)
                squares.append(square_outside(layer.weight, dense))
                if layer.bias is not None and bias is not None:
                    squares[-1] += square_outside(layer.bias.reshape(-1), bias)
    else:
        for node in jax.tree.leaves(model, is_leaf=_is_relaxed):
            if _is_relaxed(node):
                squares.append(node.rest.square)
    if not squares:
        takes = "a pytree with relaxed layers in it, or types of its plain layers"
        refuse(ValueError, "symmetry_penalty", "model", takes, model)
    return jnp.sum(jnp.stack(squares) * _factors(weights, len(squares), squares[0].dtype))


def _is_relaxed(node: object) -> bool:
    return isinstance(node, Relaxed)


def _factors(weights: object, count: int, dtype: jnp.dtype) -> Array:
    caller, argument = "symmetry_penalty", "weights"
    if not is_several(weights) and not jnp.ndim(weights):  # pyright: ignore[reportArgumentType]
        if not isinstance(weights, jax.Array):
            weights = number(weights, caller, argument, 0)
        return jnp.asarray(weights, dtype)
    found = arrays.array(weights, caller, argument).astype(dtype)
    if found.shape != (count,):
        refuse(ValueError, caller, argument, f"a number or {count}, one per layer", weights)
    if not is_traced(found) and not bool(((found >= 0) & jnp.isfinite(found)).all()):
        refuse(ValueError, caller, argument, "finite numbers >= 0", weights)
    return found

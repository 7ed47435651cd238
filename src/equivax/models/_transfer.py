"""`transfer_weights`: a network trained in one dimension as the start of one in another."""

from __future__ import annotations

import math
import warnings
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._arguments import choice
from ..hom import HIGHEST, at_least_float32, in_few_leaves
from ..images import InexactTransferWarning, transfer_kernel
from ..nn import ConvContract

Model = TypeVar("Model")

RULES = ("min_norm", "nearest")


def transfer_weights(source: object, target: Model, rule: str = "min_norm") -> Model:
    """``target`` with the weights of ``source``, a model of the same structure in fewer dimensions.

    Convolutions get kernels that restrict to the old ones (`images.transfer_kernel`); scales,
    biases and weights of vector neurons are copied. On a torus, on data that are constant along the
    new axes and have no component along them, a network of scalars and vectors then does what the
    old one did, but for transposed convolutions to vectors, which see half a stencil along the new
    axes and give a component of mean zero along them. Pseudotensor filters have no counterpart in
    more dimensions, where the reflection of a new axis changes their sign: such weights stay as
    they are in ``target``.

    Args:
        source: A model, or a single layer.
        target: The same with a larger ``D``, built by the same code.
        rule: ``"min_norm"``, or ``"nearest"`` for the solution nearest to the weights of target.

    Raises:
        ValueError: If the structures differ, a group is not that of all signed permutations, or
            the rule is unknown.
    """
    choice(rule, "transfer_weights", "rule", RULES)

    def is_layer(node: object) -> bool:
        return isinstance(node, ConvContract)

    old, _ = jax.tree.flatten(source, is_leaf=is_layer)
    new, structure = jax.tree.flatten(target, is_leaf=is_layer)
    if len(old) != len(new):
        raise ValueError(
            f"transfer_weights: target: expected {len(old)} convolutions and arrays as in source, "
            f"got {len(new)}"
        )
    pairs = zip(old, new, strict=True)
    return jax.tree.unflatten(structure, [_carried(one, other, rule) for one, other in pairs])


def _carried(old: Any, new: Any, rule: str) -> Any:
    if isinstance(old, ConvContract) and isinstance(new, ConvContract):
        return _convolution(old, new, rule)
    if isinstance(old, ConvContract) or isinstance(new, ConvContract):
        raise ValueError(
            f"transfer_weights: target: expected {type(old).__name__} as in source, got "
            f"{type(new).__name__}"
        )
    if not eqx.is_array(old) or not eqx.is_array(new):
        return new
    if old.shape != new.shape:
        raise ValueError(
            f"transfer_weights: target: expected an array of shape {old.shape}, got {new.shape}"
        )
    return old.astype(new.dtype)


def _convolution(old: ConvContract, new: ConvContract, rule: str) -> ConvContract:
    D, E = old.space.dim, new.space.dim
    for argument in ("in_signature", "out_signature", "bias_mode"):
        one, other = getattr(old, argument), getattr(new, argument)
        if one != other:
            raise ValueError(
                f"transfer_weights: target: ConvContract: {argument}: expected {one!r}, got "
                f"{other!r}"
            )
    sizes = {*old.basis.kernel, *new.basis.kernel}
    full = all(
        layer.space.group.order == 2**d * math.factorial(d) for layer, d in ((old, D), (new, E))
    )
    if len(sizes) > 1 or not full:
        raise ValueError(
            "transfer_weights: target: ConvContract: expected kernels of one size and all signed "
            f"permutations of the axes, got {old!r} and {new!r}"
        )
    # A window on the dilated input sees one tap in l along a new axis.
    steps = new.windows.input_dilation[-1]
    factor = float(steps) ** (E - D)
    before = {pair.key: pair for pair in old.basis.pairs}
    weights = dict(new.weights)
    for pair in new.basis.pairs:
        parity = (pair.source[1] + pair.target[1]) % 2
        if pair.key not in before or (parity and E > D):
            continue
        k = len(pair.source[0]) + len(pair.target[0])
        own = weights[pair.key]
        wide = at_least_float32(own.dtype)
        tables = [
            layer.basis.pair_filters(p) for layer, p in ((old, before[pair.key]), (new, pair))
        ]
        kernel, start = (
            jnp.tensordot(w.astype(wide), jnp.asarray(table, wide), axes=1, precision=HIGHEST)
            for w, table in zip((old.weights[pair.key], own), tables, strict=True)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InexactTransferWarning)
            moved = transfer_kernel(
                factor * kernel, D, E, "min_norm" if rule == "min_norm" else start, order=k,
                parity=parity,
            )  # fmt: skip
        inverse = np.linalg.pinv(tables[1].reshape(len(tables[1]), -1))
        flat = moved.reshape(*moved.shape[:2], -1)
        found = jnp.matmul(flat, jnp.asarray(inverse, wide), precision=HIGHEST)
        weights[pair.key] = found.astype(own.dtype)
    return eqx.tree_at(
        lambda tree: (tree.weights, tree.bias),
        new,
        (in_few_leaves(weights), in_few_leaves({n: old.bias[n] for n in new.bias})),
    )

"""Arrays of escnn modules into layers of equivax: kernels, biases, gates, running statistics."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .. import nn
from ..fields import FieldType
from ..nn.authoring import representation_of

Arrays = Mapping[str, np.ndarray]
Statistics = tuple[np.ndarray, np.ndarray, np.ndarray]
Layer = TypeVar("Layer")
Dense = nn.Linear | nn.Conv | nn.ConvTranspose
OwnBias = nn.GatedNonlinearity | nn.InducedGatedNonlinearity
Gates = OwnBias | nn.NormNonlinearity | nn.InducedNormNonlinearity

CARRIED = 1e-4
"""A kernel that lies further than this share from all kernels of a layer is not carried by it."""
DENSE = (nn.Linear, nn.Conv, nn.ConvTranspose)
BY_REPRESENTATION = (nn.InducedNormBatchNorm, nn.IIDBatchNorm, nn.GNormBatchNorm)
NORMS = (nn.InnerBatchNorm, nn.NormBatchNorm, *BY_REPRESENTATION)
GATES = (
    *(nn.GatedNonlinearity, nn.InducedGatedNonlinearity),
    *(nn.NormNonlinearity, nn.InducedNormNonlinearity),
)
FILLED = (*DENSE, *NORMS, *GATES, eqx.nn.Linear)
"""Layers with parameters or statistics; a plain one is a readout of invariants."""
_INSIDE = re.compile(r"_basisexpansion|batch_norm_\[")
_TELLING = ("filter", "matrix", "weights", "weight", "running_var", "log_bias", "bias")


def lost(wanted: np.ndarray, found: object) -> float:
    """The share of an array that a layer cannot represent."""
    size = float(np.linalg.norm(wanted))
    return float(np.linalg.norm(np.asarray(found, np.float64) - wanted)) / size if size else 0.0


def parametrised(model: object) -> list[tuple[Any, np.ndarray | None]]:
    """The layers of a model that arrays fill, in order, and how channels before them were moved.

    Fields that fall apart in a restriction are moved here, and stay where they are there: such a
    layer comes with the channel there for every channel here, others with None.
    """
    found, moved, order = [], None, None
    for layer in jax.tree.leaves(model, is_leaf=lambda x: isinstance(x, (*FILLED, nn.Disentangle))):
        if isinstance(layer, nn.Disentangle):
            moved, order = layer.out_type, _order(layer)
        elif isinstance(layer, FILLED):
            follows = getattr(layer, "in_type", None) == moved
            found.append((layer, order if follows else None))
    return found


def _order(layer: nn.Disentangle) -> np.ndarray:
    dim = layer.in_type.space.dim if isinstance(layer.in_type, FieldType) else 0
    channels = np.arange(layer.in_type.size, dtype=np.float32).reshape(-1, *(1,) * dim)
    return np.rint(np.asarray(layer(jnp.asarray(channels)))).astype(int).reshape(-1)


def filled(
    layer: Layer, arrays: Arrays, name: str, order: np.ndarray | None = None
) -> tuple[Layer, Statistics | None]:
    """The layer with the arrays of a module, and its running statistics, if it has any.

    Args:
        layer: One of `FILLED`.
        arrays: By their names in the module.
        name: Of the module, for messages.
        order: The channel there for every input channel here, if they may differ.

    Raises:
        ValueError: If an array is missing, has another shape, or is not equivariant in the layer's
            types.
    """
    if isinstance(layer, DENSE):
        return _dense(layer, arrays, name, order), None  # pyright: ignore[reportReturnType]
    if isinstance(layer, eqx.nn.Linear):
        return _plain(layer, arrays, name), None  # pyright: ignore[reportReturnType]
    if isinstance(layer, NORMS):
        return _norm(layer, arrays, name)  # pyright: ignore[reportReturnType]
    if isinstance(layer, GATES):
        return _gates(layer, arrays, name), None  # pyright: ignore[reportReturnType]
    raise AssertionError(f"{type(layer).__name__} has nothing to fill")


def _plain(layer: eqx.nn.Linear, arrays: Arrays, name: str) -> eqx.nn.Linear:
    if (layer.bias is None) != ("bias" not in arrays):
        has = "no bias" if layer.bias is None else "a bias"
        raise ValueError(f"{name}: expected {has}, as its layer, got {sorted(arrays)}")
    for part in ("weight", "bias"):
        old = getattr(layer, part)
        if old is not None:
            new = _like(old, _taken(arrays, part, name), name)
            layer = eqx.tree_at(lambda l, part=part: getattr(l, part), layer, new)
    return layer


def _dense(layer: Dense, arrays: Arrays, name: str, order: np.ndarray | None) -> Dense:
    if "filter" not in arrays and "matrix" not in arrays:
        raise ValueError(
            f"{name}: expected an expanded filter, got {sorted(arrays)}; call module.eval() before "
            "module.state_dict()"
        )
    if isinstance(layer, nn.Linear):
        wanted = _taken(arrays, "matrix", name)
        make, dense = layer.with_weight, lambda made: made.weight
    else:
        wanted = _taken(arrays, "filter", name)
        if isinstance(layer, nn.ConvTranspose):
            wanted = in_our_order(wanted, layer.groups)
        make, dense = layer.with_kernel, lambda made: made.kernel
    made = make(wanted)
    missed = lost(wanted, dense(made))
    if missed > CARRIED and order is not None and wanted.shape[1] == len(order):
        moved = wanted[:, order]
        made = make(moved)
        missed = lost(moved, dense(made))
    if missed > CARRIED:
        raise ValueError(
            f"{name}: expected a kernel of {layer.in_type} to {layer.out_type} in the basis of "
            f"{type(layer).__name__}, but {missed:.2g} of it lies outside; give the layer the "
            "options of the module: rings, sigma and frequency_cutoff, or basis='grid'"
        )
    bias = arrays.get("expanded_bias")
    if layer.bias_coeffs is not None and layer.bias_coeffs.size:
        zero = np.zeros((made.out_type.size,))
        made = made.with_bias(zero if bias is None else np.asarray(bias))
    elif bias is not None and np.abs(bias).max(initial=0.0) > 0:
        raise ValueError(f"{name}: expected no bias, since the layer has use_bias=False, got one")
    return made


def in_our_order(kernel: np.ndarray, groups: int) -> np.ndarray:
    """From ``(in, out / groups, ...)``, as torch transposes, to ``(out, in / groups, ...)``."""
    parts = kernel.reshape(groups, -1, *kernel.shape[1:])
    return np.swapaxes(parts, 1, 2).reshape(-1, parts.shape[1], *kernel.shape[2:])


def _norm(
    layer: nn.AbstractBatchNorm, arrays: Arrays, name: str
) -> tuple[nn.AbstractBatchNorm, Statistics | None]:
    if isinstance(layer, nn.InnerBatchNorm):
        taken = _by_size(layer, arrays, name, "batch_norm_[{}].{}")
        mean = taken("running_mean") if layer.running is not None else None
    elif isinstance(layer, nn.NormBatchNorm):
        taken = _by_size(layer, arrays, name, "{}_{}")
        mean = np.zeros(0)
    else:
        raise ValueError(
            f"{name}: expected another norm, since the arrays do not say to which fields those of "
            f"{type(layer).__name__} belong; interop.escnn.load carries it where escnn is installed"
        )
    if layer.weight is not None:
        layer = eqx.tree_at(lambda l: l.weight, layer, _like(layer.weight, taken("weight"), name))
    if layer.bias is not None:
        layer = eqx.tree_at(lambda l: l.bias, layer, _like(layer.bias, taken("bias"), name))
    if layer.running is None or mean is None:
        return layer, None
    counts = [a for key, a in arrays.items() if key.endswith("num_batches_tracked")]
    return layer, (mean, taken("running_var"), np.asarray(max(counts, default=0), np.int32))


def _by_size(
    layer: nn.AbstractBatchNorm, arrays: Arrays, name: str, pattern: str
) -> Callable[[str], np.ndarray]:
    """Numbers per field, which they keep by the size of the fields, in the order of the fields."""
    rep = representation_of(layer.in_type, name, "in_type")
    sizes = np.array([field.size for field, count in rep.runs for _ in range(count)])

    def taken(what: str) -> np.ndarray:
        whole = _of_whole_fields(sizes, arrays, pattern, what)
        if whole is not None:
            return whole
        found = np.zeros(len(sizes))
        for size in np.unique(sizes):
            values = _taken(arrays, pattern.format(size, what), name).reshape(-1)
            fields = np.flatnonzero(sizes == size)
            if len(values) != len(fields):
                raise ValueError(
                    f"{name}: {what}: expected {len(fields)} numbers for fields of size {size}, "
                    f"got {len(values)}"
                )
            found[fields] = values
        return found

    return taken


def _of_whole_fields(
    sizes: np.ndarray, arrays: Arrays, pattern: str, what: str
) -> np.ndarray | None:
    """Numbers of fields that fell apart in a restriction here and are still one each there.

    Where all of theirs have one size, every part gets the number of the field that it is of.
    """
    start, _, end = pattern.partition("{}")
    keys = [key for key in arrays if key.startswith(start) and key.endswith(end.format(what))]
    names = [key[len(start) : len(key) - len(end.format(what))] for key in keys]
    if len(keys) != 1 or not names[0].isdigit():
        return None
    size, values = int(names[0]), arrays[keys[0]].reshape(-1)
    starts = np.cumsum(sizes) - sizes
    within = (starts // size == (starts + sizes - 1) // size).all()
    if size <= sizes.max() or not within or len(values) * size != sizes.sum():
        return None
    return np.asarray(values, np.float64)[starts // size]


def _gates(layer: Gates, arrays: Arrays, name: str) -> Gates:
    if isinstance(layer, OwnBias):
        if layer.bias is None:
            return layer
        found = _like(layer.bias, _taken(arrays, "bias", name).reshape(-1), name)
        return eqx.tree_at(lambda l: l.bias, layer, found)
    if layer.log_bias is None:
        return layer
    values = _taken(arrays, "log_bias", name).reshape(-1)
    rep = representation_of(layer.in_type, name, "in_type")
    sizes = [field.size for field, count in rep.runs for _ in range(count)]
    inner = layer.subfield_sizes if isinstance(layer, nn.InducedNormNonlinearity) else sizes
    in_order = np.empty_like(values)
    in_order[np.lexsort((inner, sizes))] = values  # they count fields by size
    return eqx.tree_at(lambda l: l.log_bias, layer, _like(layer.log_bias, in_order, name))


def _like(old: Array, new: np.ndarray, name: str) -> Array:
    if old.shape != new.shape:
        raise ValueError(f"{name}: expected parameters of shape {old.shape}, got {new.shape}")
    return jnp.asarray(new, old.dtype)


def _taken(arrays: Arrays, key: str, name: str) -> np.ndarray:
    if key not in arrays:
        raise ValueError(f"{name}: expected an array {key!r}, got {sorted(arrays)}")
    return np.asarray(arrays[key], np.float64)


def by_module(arrays: Arrays) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of a state_dict, module by module; those without parameters are left out."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        inside = _INSIDE.search(key)
        end = inside.start() if inside else key.rfind(".") + 1
        module = key[:end].rstrip(".")
        found.setdefault(module, {})[key[end:]] = np.asarray(array)
    return {
        module: own
        for module, own in found.items()
        if any(key.endswith(word) for key in own for word in _TELLING) and not _is_blur(own)
    }


def _is_blur(arrays: Arrays) -> bool:
    """Whether a filter is that of an antialiased pool: one and the same for all channels."""
    found = arrays.get("filter")
    if found is None or found.ndim < 2 or "weights" in arrays:
        return False
    return found.shape[1] == 1 and bool((found == found[:1]).all())

"""From ginjax: signatures, and trained layers and networks with their weights.

ginjax is not imported: its layers say by their attributes what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .. import nn
from .._arguments import refuse, several
from ..hom import Coefficients, in_few_leaves
from ..images import FilterBasis, Signature
from ..models import ConvBlock, DilResNet, TensorResNet, TensorUNet
from ._escnn_arrays import CARRIED, lost
from ._needed import Foreign

_CALLER = "interop.ginjax.load"
_ACTIVATIONS = {"relu": jax.nn.relu, "gelu": jax.nn.gelu, "tanh": jax.nn.tanh}
"""Functions that ginjax knows by name."""


def signature(theirs: Iterable[Any]) -> Signature:
    """The signature of equivax with the types and channels of one of ginjax, in its order.

    Args:
        theirs: A `ginjax.geometric.Signature`, or the tuple that it is.

    Raises:
        TypeError: If it is no sequence of pairs.
    """
    takes = "pairs (type, channels) of ginjax"
    return Signature(several(theirs, "interop.ginjax.signature", "theirs", takes, 0))


def load(model: object, own_signature: Iterable[Any] | None = None) -> Any:
    """A trained layer or network of ginjax as one of equivax that computes the same.

    Kernels are carried as dense arrays and projected, so the order of the filters does not matter.
    Vector neurons get ``convention="magnitude"``, which is ginjax's. Where two vectors of a window
    are equally long, `nn.NormMaxPool` takes their mean, ginjax the first.

    Args:
        model: An equivariant `ConvContract`, `GroupNorm`, `LayerNorm`, `VectorNeuronNonlinear`,
            `ConvBlock`, `UNet`, `ResNet` or `DilResNet`.
        own_signature: Of a norm or a neuron by itself, which do not know theirs.

    Returns:
        The layer: `nn.ConvContract`, `nn.GroupNorm`, `nn.LayerNorm`, `nn.VectorNeuron`,
        `models.ConvBlock`, `models.TensorUNet`, `models.TensorResNet` or `models.DilResNet`.

    Raises:
        TypeError: If there is no counterpart of the model; its class is named.
        ValueError: If an option has no counterpart, the filters are not those of all signed
            permutations, or a bias of pseudoscalars breaks mirrors there.
    """
    for cls in type(model).__mro__:
        if cls.__name__ in _CONVERTERS:
            return _CONVERTERS[cls.__name__](model, own_signature)
    refuse(TypeError, _CALLER, "model", f"one of {', '.join(_CONVERTERS)}", model)


def _label(type_: tuple[tuple[bool, ...], int]) -> str:
    """A type of ginjax, as equivax names it."""
    return f"k{len(type_[0])}p{type_[1]}"


def _kind(type_: tuple[tuple[bool, ...], int]) -> str:
    """The same among fields, where scalars are trivial."""
    return "trivial" if _label(type_) == "k0p0" else _label(type_)


def _like(old: Array, new: Foreign, what: str) -> Array:
    if old.shape != new.shape:
        raise ValueError(f"{_CALLER}: {what}: expected shape {old.shape}, got {new.shape}")
    return jnp.asarray(new, old.dtype)


def _replaced(old: Mapping[str, Any], new: Mapping[str, Foreign], what: str) -> Mapping[str, Array]:
    if set(old) != set(new):
        raise ValueError(f"{_CALLER}: {what}: expected {sorted(old)}, got {sorted(new)}")
    found = {name: _like(value, new[name], what) for name, value in old.items()}
    return in_few_leaves(found) if isinstance(old, Coefficients) else found


# ---- filling our layers --------------------------------------------------------------------------


def _with_conv(ours: nn.ConvContract, theirs: Foreign) -> nn.ConvContract:
    given = {
        (len(t), p): np.asarray(a, np.float64) for (t, p), a in theirs.invariant_filters.items()
    }
    basis = FilterBasis(ours.in_signature, ours.out_signature, ours.basis.kernel, ours.space, given)
    weights = {
        f"{_label(source)}>{_label(target)}": array
        for source, targets in theirs.weights.items()
        for target, array in targets.items()
    }
    kernel = np.asarray(basis.expand(weights))
    made = ours.with_kernel(kernel)
    missed = lost(kernel, made.kernel)
    if missed > CARRIED:
        raise ValueError(
            f"{_CALLER}: ConvContract: invariant_filters: expected those of {ours.space.group}, "
            f"but {missed:.2g} of the kernel lies outside"
        )
    if not ours.bias:
        return made
    bias = {_label(type_): array for type_, array in theirs.bias.items()}
    return eqx.tree_at(lambda c: c.bias, made, _replaced(ours.bias, bias, "ConvContract: bias"))


def _with_norm(ours: nn.GroupNorm, theirs: Foreign) -> nn.GroupNorm:
    scale = {_kind(t): a for t, a in theirs.scale.items()}
    bias = {_kind(t): a for t, a in theirs.bias.items()}
    for type_, plain in theirs.vanilla_norm.items():
        scale[_kind(type_)], bias[_kind(type_)] = plain.weight, plain.bias
        if _kind(type_) != "trivial" and np.abs(np.asarray(plain.bias)).max() > 0:
            raise ValueError(
                f"{_CALLER}: {type(theirs).__name__}: bias: expected zero for pseudoscalars, since "
                "a bias that is added to them does not commute with mirrors, got another"
            )
    return eqx.tree_at(
        lambda n: (n.scale, n.bias),
        ours,
        (_replaced(ours.scale, scale, "scale"), _replaced(ours.bias, bias, "bias")),
    )


def _with_layer_norm(ours: nn.LayerNorm, theirs: Foreign) -> nn.LayerNorm:
    return eqx.tree_at(lambda n: n.whitening, ours, _with_norm(_whitening(ours), theirs))


def _whitening(norm: nn.LayerNorm) -> nn.GroupNorm:
    if norm.whitening is None:
        raise AssertionError("the layer norm of fields on a grid whitens")
    return norm.whitening


def _with_neuron(ours: nn.VectorNeuron, theirs: Foreign) -> nn.VectorNeuron:
    weights = {_kind(type_): array for type_, array in theirs.weights.items()}
    return eqx.tree_at(lambda n: n.weight, ours, _replaced(ours.weight, weights, "weights"))


def _with_block(ours: ConvBlock, conv: Foreign, norm: Foreign, neuron: Foreign) -> ConvBlock:
    """The block with the parameters of up to three layers."""

    def with_own(layer: object) -> object:
        if isinstance(layer, nn.ConvContract):
            return _with_conv(layer, conv)
        if isinstance(layer, nn.LayerNorm):
            return _with_layer_norm(layer, norm)
        return _with_neuron(layer, neuron) if isinstance(layer, nn.VectorNeuron) else layer

    return eqx.tree_at(lambda b: b.layers, ours, tuple(map(with_own, ours.layers)))


def _with_block_of(ours: ConvBlock, theirs: Foreign) -> ConvBlock:
    return _with_block(ours, theirs.conv, theirs.group_norm, theirs.nonlinearity)


# ---- what they are -------------------------------------------------------------------------------


def _sides(conv: Foreign) -> tuple[int, ...]:
    block = next(iter(conv.invariant_filters.values()))
    return tuple(block.shape[1 : 1 + conv.D])


def _settings(conv: Foreign) -> dict[str, Any]:
    """Options of a convolution, as ours has them."""
    found: dict[str, Any] = {
        "use_bias": conv.use_bias, "stride": conv.stride, "input_dilation": conv.lhs_dilation or 1,
        "dilation": conv.rhs_dilation, "D": conv.D,
    }  # fmt: skip
    if isinstance(conv.padding, str):
        found["padding_mode"] = {"TORUS": "torus", "SAME": "zeros", "VALID": "zeros"}[conv.padding]
        found["padding"] = "valid" if conv.padding == "VALID" else "same"
    elif conv.padding is not None:
        found["padding"], found["padding_mode"] = conv.padding, "zeros"
    return found


def _conv(theirs: Foreign, own: Iterable[Any] | None = None) -> nn.ConvContract:
    layer = nn.ConvContract(
        signature(theirs.input_keys), signature(theirs.target_keys), _sides(theirs),
        grid_check="off", key=jax.random.key(0), **_settings(theirs),
    )  # fmt: skip
    return _with_conv(layer, theirs)


def _type_of(theirs: Foreign, own: Iterable[Any] | None) -> Any:
    name = type(theirs).__name__
    if own is None:
        takes = f"the signature of what comes in, since {name} does not know it"
        refuse(ValueError, _CALLER, "own_signature", takes, own)
    return signature(own).field_type(theirs.D)


def _group_norm(theirs: Foreign, own: Iterable[Any] | None) -> nn.GroupNorm:
    norm = nn.GroupNorm(_type_of(theirs, own), theirs.groups, eps=float(theirs.eps))
    return _with_norm(norm, theirs)


def _layer_norm(theirs: Foreign, own: Iterable[Any] | None) -> nn.LayerNorm:
    return _with_layer_norm(nn.LayerNorm(_type_of(theirs, own), eps=float(theirs.eps)), theirs)


def _neuron(theirs: Foreign, own: Iterable[Any] | None) -> nn.VectorNeuron:
    layer = nn.VectorNeuron(
        _type_of(theirs, own), activation=theirs.scalar_activation, eps=float(theirs.eps),
        convention="magnitude", key=jax.random.key(0),
    )  # fmt: skip
    return _with_neuron(layer, theirs)


def _activation(given: Foreign) -> Callable[..., Any]:
    if given is None:
        refuse(ValueError, _CALLER, "UNet: activation_f", "a function", given)
    return _ACTIVATIONS[given] if isinstance(given, str) else given


def _check_equivariant(theirs: Foreign) -> None:
    if not theirs.equivariant:
        raise ValueError(
            f"{_CALLER}: {type(theirs).__name__}: equivariant: expected True, got False; a plain "
            "network needs no conversion, it is one of Equinox"
        )


def _block(theirs: Foreign, own: Iterable[Any] | None = None) -> ConvBlock:
    _check_equivariant(theirs)
    neuron = theirs.nonlinearity
    block = ConvBlock(
        signature(theirs.conv.input_keys), signature(theirs.conv.target_keys), _sides(theirs.conv),
        norm="layer" if theirs.use_group_norm else None,
        activation=getattr(neuron, "scalar_activation", None),
        preactivation=theirs.preactivation_order, convention="magnitude", key=jax.random.key(0),
        **_settings(theirs.conv),
    )  # fmt: skip
    return _with_block_of(block, theirs)


def _unet(theirs: Foreign, own: Iterable[Any] | None = None) -> TensorUNet:
    _check_equivariant(theirs)
    first = theirs.embedding[0].conv
    (side,) = set(_sides(first))
    ours = TensorUNet(
        signature(theirs.input_keys), signature(theirs.output_keys), D=theirs.D,
        mid_signature=signature(theirs.mid_keys), kernel_size=side,
        num_conv=len(theirs.embedding), num_downsamples=len(theirs.downsample_blocks),
        norm="layer" if theirs.use_group_norm else None,
        activation=_activation(theirs.activation_f), convention="magnitude",
        use_bias=theirs.use_bias, key=jax.random.key(0),
    )  # fmt: skip
    down = [theirs.embedding, *(blocks for _, blocks in theirs.downsample_blocks)]
    # Theirs go up from the smallest grid, ours are listed from the largest.
    up = theirs.upsample_blocks[::-1]

    def filled(blocks: tuple[ConvBlock, ...], own: Foreign) -> tuple[ConvBlock, ...]:
        return tuple(_with_block_of(a, b) for a, b in zip(blocks, own, strict=True))

    parts = (
        tuple(filled(blocks, own) for blocks, own in zip(ours.down, down, strict=True)),
        tuple(
            _with_block(block, conv, None, None)
            for block, (conv, _) in zip(ours.ups, up, strict=True)
        ),
        tuple(filled(blocks, own) for blocks, (_, own) in zip(ours.merges, up, strict=True)),
        _with_block(ours.head, theirs.decode, None, None),
    )
    return eqx.tree_at(lambda m: (m.down, m.ups, m.merges, m.head), ours, parts)


def _residual(make: type[TensorResNet] | type[DilResNet]) -> Callable[..., Any]:
    def convert(theirs: Foreign, own: Iterable[Any] | None = None) -> TensorResNet | DilResNet:
        _check_equivariant(theirs)
        # Its blocks are not used: theirs have no norm at the ends, and may have other kernels.
        ours = make(
            signature(theirs.input_keys), signature(theirs.output_keys), D=theirs.D,
            mid_signature=signature(theirs.mid_keys), num_blocks=1, key=jax.random.key(0),
        )  # fmt: skip
        chains = tuple(tuple(map(_block, chain)) for chain in theirs.blocks)
        parts = (tuple(map(_block, theirs.encoder)), chains, tuple(map(_block, theirs.decoder)))
        return eqx.tree_at(lambda m: (m.encoder, m.chains, m.decoder), ours, parts)

    return convert


_CONVERTERS: dict[str, Callable[[Foreign, Iterable[Any] | None], Any]] = {
    "ConvContract": _conv,
    "LayerNorm": _layer_norm,
    "GroupNorm": _group_norm,
    "VectorNeuronNonlinear": _neuron,
    "ConvBlock": _block,
    "UNet": _unet,
    "ResNet": _residual(TensorResNet),
    "DilResNet": _residual(DilResNet),
}
"""By the name of a class of ginjax."""

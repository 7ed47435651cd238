"""From symm-learning: trained layers and networks on vectors, with their weights.

Representations are those of escnn: `equivax.interop.escnn.representation` converts them. Neither
torch nor symm-learning is imported: modules are known by the names of their classes.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from scipy.sparse.csgraph import connected_components

from .. import nn
from .._arguments import refuse
from ..fields import FieldType
from ..groups import FiniteGroup
from ..models import TransformerEncoderLayer
from ..nn.authoring import is_stateful
from ..representations import Representation, as_representation, direct_sum
from ..spaces import on_r1
from ._escnn_arrays import CARRIED, in_our_order, lost
from ._escnn_norms import coordinates, with_statistics
from ._escnn_types import Types
from ._needed import Foreign

_ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "ReLU": jax.nn.relu,
    "ELU": jax.nn.elu,
    "SELU": jax.nn.selu,
    "CELU": jax.nn.celu,
    "SiLU": jax.nn.silu,
    "Mish": jax.nn.mish,
    "Tanh": jax.numpy.tanh,
    "Sigmoid": jax.nn.sigmoid,
    "Softplus": jax.nn.softplus,
    "GELU": functools.partial(jax.nn.gelu, approximate=False),
}
"""Functions of torch with their default options, and ours."""


def load(module: object) -> Any:
    """A trained module of symm-learning as a layer of equivax that computes the same.

    Weights are carried as the dense matrices that the module synthesises, and projected. `eMLP` and
    `iMLP` become an `nn.Sequential`. What the peer scales copy by copy in its own basis of irreps
    (`eAffine`, the affine parts of norms) becomes an `nn.Linear`, which is the same map.

    Args:
        module: `eLinear`, `eAffine`, `InvariantBias`, `eRMSNorm`, `eLayerNorm`, `eMLP`, `iMLP`,
            `eBatchNorm1d`, `IrrepSubspaceNormPooling`, `eConv1d`, `eConvTranspose1d`,
            `eMultiheadAttention`, `eTransformerEncoderLayer`, or a `torch.nn.Sequential` of those
            with activations and dropout between them.

    Returns:
        The layer, or ``(layer, state)`` if it has running statistics; at inference if the module is
        in evaluation mode. Convolutions have types on `spaces.on_r1`.

    Raises:
        TypeError: If there is no counterpart of a module; its class is named.
        ValueError: If an option has no counterpart.
    """
    if not hasattr(module, "state_dict"):
        refuse(TypeError, _CALLER, "module", "a module of symm-learning", module)
    layer = _Loader().layer(module, None)
    layer = eqx.nn.inference_mode(layer, value=not getattr(module, "training", True))
    return eqx.nn.make_with_state(lambda: layer)() if is_stateful(layer) else layer


_CALLER = "interop.symm_learning.load"
Known = Representation | None


class _Loader:
    def __init__(self) -> None:
        self.types = Types()

    def layer(self, module: Foreign, known: Known) -> Any:
        for cls in type(module).__mro__:
            if cls.__name__ in _CONVERTERS:
                return _CONVERTERS[cls.__name__](self, module, known)
            if cls.__name__ in _ACTIVATIONS:
                return _activation(cls.__name__, module, known)
        names = ", ".join(sorted([*_CONVERTERS, *_ACTIVATIONS]))
        raise TypeError(
            f"{_CALLER}: module: expected one of {names}, got {type(module).__name__}; load the "
            "modules that it is made of one by one, and write its forward() anew"
        )

    def rep(self, theirs: Foreign, known: Known = None) -> Representation:
        """Our representation; the known one, if it acts alike, so that neighbours are equal."""
        found = self.types.representation(theirs)
        if known is None or known.group is not found.group or known.size != found.size:
            return found
        elements = found.group.generators or found.group.testing_elements
        alike = all(np.abs(known(g) - found(g)).max() < 1e-9 for g in elements)
        return known if alike else found

    def irreps(self, theirs: Foreign) -> Representation:
        """The sum of their irreps, in the order of their change of basis."""
        return direct_sum(
            [self.types.representation(theirs.group.irrep(*id)) for id in theirs.irreps]
        )


def _array(tensor: Foreign) -> np.ndarray:
    return np.asarray(tensor.detach().cpu().numpy(), np.float64)


def _linear_map(
    in_rep: Representation,
    out_rep: Representation,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
) -> nn.Linear:
    """The layer with a weight that is known to be equivariant."""
    layer = nn.Linear(
        in_rep, out_rep, use_bias=bias is not None, init="zeros", warn_unused=False,
        key=jax.random.key(0),
    )  # fmt: skip
    layer = layer.with_weight(weight)
    missed = lost(weight, layer.weight)
    if missed > CARRIED:
        raise ValueError(
            f"{_CALLER}: module: expected an equivariant weight, but {missed:.2g} of that from "
            f"{in_rep} to {out_rep} is not"
        )
    return layer if bias is None else layer.with_bias(bias)


def _linear(loader: _Loader, m: Foreign, known: Known) -> Any:
    bias = m.bias_module if m.bias_module is not None and m.bias_module.has_bias else None
    return _linear_map(
        loader.rep(m.in_rep, known), loader.rep(m.out_rep), _array(m.expand_weight()),
        None if bias is None else _array(bias.bias),
    )  # fmt: skip


def _plain_linear(loader: _Loader, m: Foreign, known: Known) -> Any:
    """A dense head behind invariant features."""
    if known is None or not known.is_trivial:
        raise TypeError(
            f"{_CALLER}: module: expected a torch.nn.Linear only behind invariant features, got "
            f"one behind {known}"
        )
    bias = None if m.bias is None else _array(m.bias)
    weight = _array(m.weight)
    return _linear_map(known, len(weight) * known.group.trivial, weight, bias)


def _invariant_bias(loader: _Loader, m: Foreign, known: Known) -> Any:
    rep = loader.rep(m.in_rep, known)
    if not m.has_bias:
        return nn.Identity(rep)
    return _linear_map(rep, rep, np.eye(rep.size), _array(m.bias))


def _scales(m: Foreign) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """``Q``, the scale of each spectral coordinate, and the bias, of an `eAffine`."""
    if not m.learnable:
        raise ValueError(
            f"{_CALLER}: eAffine: learnable: expected True, got False; use nn.Affine(type, "
            "learnable=False), which is called with scale= and bias="
        )
    bias = m.bias_module if m.has_bias else None
    scale = _array(m.scale_dof)[np.asarray(m.irrep_indices.cpu())]
    return _array(m.Q), scale, None if bias is None or not bias.has_bias else _array(bias.bias)


def _affine(loader: _Loader, m: Foreign, known: Known) -> Any:
    rep, (basis, scale, bias) = loader.rep(m.in_rep, known), _scales(m)
    return _linear_map(rep, rep, (basis * scale) @ basis.T, bias)


def _rms_norm(loader: _Loader, m: Foreign, known: Known) -> Any:
    rep = loader.rep(m.in_rep, known)
    norm = nn.RMSNorm(rep, eps=float(m.eps), affine=False)
    return nn.Sequential(norm, _affine(loader, m.affine, rep)) if hasattr(m, "affine") else norm


def _layer_norm(loader: _Loader, m: Foreign, known: Known) -> Any:
    rep, irreps = loader.rep(m.in_rep, known), loader.irreps(m.in_rep)
    basis = np.asarray(m.in_rep.change_of_basis)
    scale, bias = np.ones(rep.size), None
    if m.equiv_affine:
        _, scale, bias = _scales(m.affine)
    norm = nn.LayerNorm(irreps, eps=float(m.eps), pool="copy", center=False, affine=False)
    return nn.Sequential(
        _linear_map(rep, irreps, basis.T), norm, _linear_map(irreps, rep, basis * scale, bias)
    )


def _batch_norm(loader: _Loader, m: Foreign, known: Known) -> Any:
    """They scale channel by channel, which commutes if the channels of a field are alike."""
    rep, tracked = loader.rep(m.in_rep, known), bool(m.track_running_stats)
    fields = _apart(rep)
    norm: nn.AbstractBatchNorm = nn.IIDBatchNorm(
        fields, variance="about_invariant_mean", eps=float(m.eps), momentum=m.momentum,
        affine=False, track_running_stats=tracked, mode="ema" if tracked else "batch",
    )  # fmt: skip
    if tracked:
        sizes = [field.size for field, count in fields.runs for _ in range(count)]
        variances = np.split(_array(m.running_var), np.cumsum(sizes)[:-1])
        if any(np.ptp(v) > CARRIED * v.max() for v in variances):
            raise ValueError(
                f"{_CALLER}: eBatchNorm1d: in_rep: expected one variance for all channels that "
                f"the group mixes, got several in {rep}: it does not commute with the group"
            )
        mean = coordinates(fields, _array(m.running_mean))
        count = np.asarray(int(m.num_batches_tracked), np.int32)
        norm = with_statistics(norm, (mean, np.array([v.mean() for v in variances]), count))
    basis, scale, bias = np.eye(rep.size), np.ones(rep.size), None
    if m.affine:
        basis, scale, bias = _scales(m.affine_transform)
    last = _linear_map(fields, rep, (basis * scale) @ basis.T, bias)
    first = [] if fields == rep else [_linear_map(rep, fields, np.eye(rep.size))]
    return nn.Sequential(*first, norm, last)


def _apart(rep: Representation) -> Representation:
    """The sum of parts whose channels the group mixes, if those stand side by side."""
    group = rep.group
    elements = group.generators or group.testing_elements
    mixed = sum((np.abs(rep(g)) > CARRIED for g in elements), np.eye(rep.size, dtype=bool))
    labels = connected_components(mixed, directed=False)[1]
    starts = [0, *(np.flatnonzero(np.diff(labels)) + 1), rep.size]
    if len(starts) != len(set(labels)) + 1 or not isinstance(group, FiniteGroup):
        return rep
    matrices = np.stack([rep(g) for g in group.elements])
    parts = [matrices[:, a:b, a:b] for a, b in itertools.pairwise(starts)]
    return direct_sum([Representation.from_matrices(group, part) for part in parts])


def _attention(loader: _Loader, m: Foreign, known: Known) -> nn.MultiheadAttention:
    rep = loader.rep(m.in_rep, known)
    regular = loader.types.representation(m.in_rep.group.regular_representation)
    copies = m.in_rep.size // regular.size // m.num_heads
    return _with_attention(
        nn.MultiheadAttention(
            rep, int(m.num_heads), head_type=copies * regular, dropout=float(m.dropout),
            use_bias=m.in_proj_bias is not None, key=jax.random.key(0),
        ),
        m,
    )  # fmt: skip


def _with_attention(ours: nn.MultiheadAttention, m: Foreign) -> nn.MultiheadAttention:
    weights = np.split(_array(m.in_proj_weight), 3)
    biases = [None] * 3 if m.in_proj_bias is None else np.split(_array(m.in_proj_bias), 3)
    old = (ours.query_proj, ours.key_proj, ours.value_proj)
    new = [
        _linear_map(*_reps(layer), weight, bias)
        for layer, weight, bias in zip(old, weights, biases, strict=True)
    ]
    out = m.out_proj
    bias = out.bias_module if out.bias_module is not None and out.bias_module.has_bias else None
    last = _linear_map(
        *_reps(ours.output_proj), _array(out.expand_weight()),
        None if bias is None else _array(bias.bias),
    )  # fmt: skip
    return eqx.tree_at(
        lambda a: (a.query_proj, a.key_proj, a.value_proj, a.output_proj), ours, (*new, last)
    )


def _reps(layer: nn.Linear) -> tuple[Representation, Representation]:
    return (
        as_representation(layer.in_type, "in_type"),
        as_representation(layer.out_type, "out_type"),
    )


def _encoder_layer(loader: _Loader, m: Foreign, known: Known) -> TransformerEncoderLayer:
    rep = loader.rep(m.in_rep, known)
    # Torch derives a class of its own for modules with constrained parameters.
    if not any(cls.__name__ == "eMultiheadAttention" for cls in type(m.self_attn).__mro__):
        raise TypeError(
            f"{_CALLER}: eTransformerEncoderLayer: self_attn: expected an eMultiheadAttention, got "
            f"{type(m.self_attn).__name__}"
        )
    first = _linear(loader, m.linear1, rep)
    hidden = as_representation(first.out_type, "linear1")
    activation = _activation(type(m.activation).__name__, m.activation, hidden)
    attention = _attention(loader, m.self_attn, rep)
    ours = TransformerEncoderLayer(
        rep, attention.num_heads, head_type=attention.head_type, feedforward=hidden,
        activation=activation.function, dropout=float(m.dropout.p), norm_first=bool(m.norm_first),
        key=jax.random.key(0),
    )  # fmt: skip
    linears = (first, _linear(loader, m.linear2, hidden))
    return eqx.tree_at(
        lambda t: (
            t.attention_norm, t.attention, t.feedforward_norm,
            *(layer for layer in t.feedforward.layers if isinstance(layer, nn.Linear)),
        ),
        ours,
        (loader.layer(m.norm1, rep), attention, loader.layer(m.norm2, rep), *linears),
    )  # fmt: skip


def _norm_pooling(loader: _Loader, m: Foreign, known: Known) -> Any:
    rep, irreps = loader.rep(m.in_rep, known), loader.irreps(m.in_rep)
    basis = np.asarray(m.in_rep.change_of_basis)
    return nn.Sequential(_linear_map(rep, irreps, basis.T), nn.IrrepNormPool(irreps))


def _conv(make: Callable[..., Any]) -> Callable[..., Any]:
    def convert(loader: _Loader, m: Foreign, known: Known) -> Any:
        group = loader.types.group(m.in_rep.group)
        in_type, out_type = (
            FieldType(on_r1(group), loader.rep(r)) for r in (m.in_rep, m.out_rep)
        )  # fmt: skip
        options: dict[str, Any] = {"stride": m.stride, "dilation": m.dilation}
        options["padding"] = m.padding if isinstance(m.padding, str) else tuple(m.padding)
        weight = _array(m.weight)
        if make is nn.ConvTranspose:
            options["output_padding"] = m.output_padding
            weight = in_our_order(weight, 1)
        else:
            options["padding_mode"] = m.padding_mode
        layer = make(
            in_type, out_type, m.kernel_size, use_bias=bool(m.has_bias), init="zeros",
            warn_unused=False, grid_check="off", key=jax.random.key(0), **options,
        ).with_kernel(weight)  # fmt: skip
        missed = lost(weight, layer.kernel)
        if missed > CARRIED:
            raise ValueError(
                f"{_CALLER}: {type(m).__name__}: expected a kernel that {type(layer).__name__} "
                f"spans, but {missed:.2g} of it lies outside"
            )
        return layer.with_bias(_array(m.bias)) if m.has_bias else layer

    return convert


def _activation(name: str, m: Foreign, known: Known) -> Any:
    if known is None:
        raise TypeError(f"{_CALLER}: module: expected a layer with a type before {name}, got none")
    if name in ("ELU", "CELU") and m.alpha != 1:
        return nn.PointwiseNonlinearity(
            known, functools.partial(_ACTIVATIONS[name], alpha=float(m.alpha))
        )
    if name == "GELU" and m.approximate != "none":
        return nn.PointwiseNonlinearity(known, jax.nn.gelu)
    if name == "Softplus" and m.beta != 1:
        raise ValueError(f"{_CALLER}: Softplus: beta: expected 1, got {m.beta}")
    return nn.PointwiseNonlinearity(known, _ACTIVATIONS[name])


def _identity(loader: _Loader, m: Foreign, known: Known) -> Any:
    if known is None:
        raise TypeError(f"{_CALLER}: module: expected a layer with a type before Identity")
    return nn.Identity(known)


def _dropout(loader: _Loader, m: Foreign, known: Known) -> Any:
    if known is None:
        raise TypeError(f"{_CALLER}: module: expected a layer with a type before Dropout")
    return nn.PointwiseDropout(known, float(m.p))


def _network(loader: _Loader, m: Foreign, known: Known) -> Any:
    return _sequential(loader, m.net, known)


def _sequential(loader: _Loader, m: Foreign, known: Known) -> Any:
    layers: list[Any] = []
    for module in m._modules.values():
        made = loader.layer(module, known)
        layers += made.layers if isinstance(made, nn.Sequential) else [made]
        known = as_representation(made.out_type, "layer")
    return nn.Sequential(*layers)


_CONVERTERS: dict[str, Callable[[_Loader, Foreign, Known], Any]] = {
    "eLinear": _linear,
    "Linear": _plain_linear,
    "eAffine": _affine,
    "InvariantBias": _invariant_bias,
    "eRMSNorm": _rms_norm,
    "eLayerNorm": _layer_norm,
    "eBatchNorm1d": _batch_norm,
    "eMultiheadAttention": _attention,
    "eTransformerEncoderLayer": _encoder_layer,
    "eMLP": _network,
    "iMLP": _network,
    "IrrepSubspaceNormPooling": _norm_pooling,
    "eConv1d": _conv(nn.Conv),
    "eConvTranspose1d": _conv(nn.ConvTranspose),
    "Dropout": _dropout,
    "Identity": _identity,
    "Sequential": _sequential,
}
"""By the name of a class of symm-learning or torch."""

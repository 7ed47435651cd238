"""Modules of escnn as layers of equivax: what each kind of module becomes.

Modules are known by the names of their classes and asked by their attributes; neither torch nor
escnn is imported.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import jax
import numpy as np

from .. import nn
from ..fields import FieldType
from ._escnn_arrays import CARRIED, filled, in_our_order, lost
from ._escnn_fourier import SAME_SAMPLES, grid_of, in_their_coordinates
from ._escnn_norms import with_numbers, with_statistics
from ._escnn_types import Types
from ._needed import Foreign

_POINTWISE = {
    "relu": jax.nn.relu,
    "elu": jax.nn.elu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jax.numpy.tanh,
    "softplus": jax.nn.softplus,
}


class Loader:
    """Turns modules into layers, one after the other, and remembers the types."""

    def __init__(self) -> None:
        self.types = Types()

    def layer(self, module: Foreign, in_type: FieldType | None = None) -> Any:
        """The layer of a module, with its parameters; running statistics are in its state index.

        Args:
            module: The module.
            in_type: The type of what comes in, if a layer before said so.

        Raises:
            TypeError: If there is no such layer.
            ValueError: If an option of the module has no counterpart.
        """
        names = [cls.__name__ for cls in type(module).__mro__]
        for name in names:
            if name in _CONVERTERS:
                return _CONVERTERS[name](self, module, in_type)
        raise TypeError(
            f"interop.escnn.load: module: expected a module of escnn with a counterpart "
            f"({', '.join(sorted(_CONVERTERS))}), got {names[0]}; load the modules that it is made "
            "of one by one, and write its forward() anew"
        )

    def prepare(self, module: Foreign) -> None:
        """Chooses copies of irreps as the Fourier nonlinearities in a module take them."""
        modules = module.modules() if hasattr(module, "modules") else ()
        for m in modules:
            if "FourierPointwise" not in [cls.__name__ for cls in type(m).__mro__]:
                continue
            rep, samples = self.types.representation(m.rho), _unit_rows(m)
            if grid_of(rep, samples) is None:
                found = in_their_coordinates(rep, samples)
                if found is None:
                    takes = "functions on SO(2), O(2), SO(3) or O(3), with frequency 1"
                    _refuse(m, "irreps", takes, rep)
                self.types.replace(m.rho, found)

    def type_of(self, theirs: Foreign, known: FieldType | None) -> FieldType:
        """Our type; the known one, if it acts alike, so that neighbours have equal types."""
        found = self.types.field_type(theirs)
        if known is None or known.space != found.space or known.size != found.size:
            return found
        sizes = ([r.size for r in t.representation] for t in (known, found))
        group, (one, other) = found.group, (known.representation, found.representation)
        elements = group.generators or group.testing_elements
        alike = all(np.abs(one(g) - other(g)).max() < 1e-9 for g in elements)
        return known if alike and [*next(sizes)] == [*next(sizes)] else found

    def with_arrays(self, layer: object, module: Foreign) -> Any:
        """The layer with the parameters and statistics of its module."""
        arrays = {key: _array(value) for key, value in module.state_dict().items()}
        if hasattr(module, "expand_parameters"):
            kernel, bias = module.expand_parameters()
            arrays["matrix" if isinstance(layer, nn.Linear) else "filter"] = _array(kernel)
            arrays.pop("expanded_bias", None)
            if bias is not None:
                arrays["expanded_bias"] = _array(bias)
        made, statistics = filled(layer, arrays, type(module).__name__)
        if statistics is None or not isinstance(made, nn.AbstractBatchNorm):
            return made
        return with_statistics(made, statistics)


def _array(tensor: Foreign) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _refuse(module: Foreign, argument: str, takes: str, got: object) -> NoReturn:
    raise ValueError(
        f"interop.escnn.load: {type(module).__name__}: {argument}: expected {takes}, got {got!r}"
    )


# ---- layers that learn ---------------------------------------------------------------------------


def _linear(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    layer = nn.Linear(
        loader.type_of(m.in_type, known), loader.types.field_type(m.out_type), init="zeros",
        use_bias=m.bias is not None, warn_unused=False, key=jax.random.key(0),
    )  # fmt: skip
    return loader.with_arrays(layer, m)


def _conv(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    in_type, out_type = loader.type_of(m.in_type, known), loader.types.field_type(m.out_type)
    transposed = hasattr(m, "output_padding")
    wanted = _array(m.expand_parameters()[0])
    common: dict[str, Any] = {
        "stride": m.stride, "padding": m.padding, "dilation": m.dilation, "groups": m.groups,
        "use_bias": m.bias is not None, "init": "zeros", "warn_unused": False, "grid_check": "off",
        "key": jax.random.key(0),
    }  # fmt: skip
    if transposed:
        wanted = in_our_order(wanted, m.groups)
        common["output_padding"] = m.output_padding
    else:
        common["padding_mode"] = m.padding_mode
    make = nn.ConvTranspose if transposed else nn.Conv
    best = 1.0
    for options in _bases(m):
        try:
            layer = make(in_type, out_type, m.kernel_size, **options, **common)
        except ValueError:  # no such basis for these types
            continue
        best = min(best, lost(wanted, layer.with_kernel(wanted).kernel))
        if best <= CARRIED:
            return loader.with_arrays(layer, m)
    raise ValueError(
        f"interop.escnn.load: {type(m).__name__}: expected a kernel that some basis of nn.Conv "
        f"spans, but {best:.2g} of it lies outside of all; its rings, sigma or basis_filter have "
        "no counterpart"
    )


def _bases(m: Foreign) -> Iterator[dict[str, Any]]:
    """Options of kernels to try: ours, which are theirs by default; those of the module; all."""
    yield {}
    if hasattr(m, "_rings"):
        step, sigma = float(m.dilation), m._sigma
        widths = [sigma] * len(m._rings) if isinstance(sigma, float) else list(sigma)
        highest: dict[float, int] = {}
        for element in m.basisexpansion.get_basis_info():
            radius = round(float(element["radius"]) / step, 4)
            highest[radius] = max(highest.get(radius, 0), abs(int(element["irrep:frequency"])))
        # Frequencies that the taps of a ring cannot tell from lower ones add nothing.
        for cap in range(max(highest.values()), 0, -1):
            yield {
                "rings": [float(r) / step for r in m._rings],
                "sigma": [float(s) / step for s in widths],
                "frequency_cutoff": functools.partial(_cutoff, highest, cap),
            }
    yield {"basis": "grid"}


def _cutoff(highest: dict[float, int], cap: int, radius: float) -> int:
    return min(highest.get(round(float(radius), 4), 0), cap)


# ---- normalisation -------------------------------------------------------------------------------


def _batch_norm(make: Callable[..., Any]) -> Callable[..., Any]:
    def convert(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
        options = {
            "eps": float(m.eps), "momentum": m.momentum, "affine": bool(m.affine),
            "track_running_stats": bool(getattr(m, "track_running_stats", True)),
        }  # fmt: skip
        if make is not nn.InnerBatchNorm:
            options["mode"] = "ema"  # they divide by the running variance in training too
        return loader.with_arrays(make(loader.type_of(m.in_type, known), **options), m)

    return convert


def _norm_by_representation(make: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    def convert(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
        tracked = bool(getattr(m, "track_running_stats", True))
        layer = make(
            loader.type_of(m.in_type, known), eps=float(m.eps), momentum=m.momentum,
            affine=bool(m.affine), track_running_stats=tracked, **options,
        )  # fmt: skip
        return with_statistics(*with_numbers(layer, m))

    return convert


# ---- nonlinearities ------------------------------------------------------------------------------


def _function(m: Foreign) -> Callable[..., Any]:
    name = getattr(m._function, "__name__", "")
    if name == "<lambda>":
        return nn.squash
    if name not in _POINTWISE:
        _refuse(m, "function", " or ".join(_POINTWISE), name)
    return _POINTWISE[name]


def _pointwise(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    return nn.PointwiseNonlinearity(loader.type_of(m.in_type, known), _function(m))


def _relu(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    return nn.ReLU(loader.type_of(m.in_type, known))


def _elu(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    return nn.ELU(loader.type_of(m.in_type, known), float(m.alpha))


def _leaky_relu(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    slope = getattr(m, "negative_slope", getattr(m, "_negative_slope", 0.01))
    return nn.LeakyReLU(loader.type_of(m.in_type, known), float(slope))


def _norm_nonlinearity(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    layer = nn.NormNonlinearity(
        loader.type_of(m.in_type, known), _function(m), use_bias=m.log_bias is not None
    )
    return loader.with_arrays(layer, m)


def _induced_norm(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    layer = nn.InducedNormNonlinearity(
        loader.type_of(m.in_type, known), _function(m), use_bias=m.log_bias is not None
    )
    return loader.with_arrays(layer, m)


def _unit_rows(m: Foreign) -> np.ndarray:
    samples = _array(m.A)
    return samples / np.linalg.norm(samples, axis=1, keepdims=True)


def _fourier(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    in_type = loader.type_of(m.in_type, known)
    rep, samples = loader.types.representation(m.rho), _unit_rows(m)
    name = m._function.__name__.rstrip("_")
    if name not in _POINTWISE:
        _refuse(m, "function", " or ".join(_POINTWISE), name)
    if name != "relu" and np.abs(samples - _array(m.A)).max() > SAME_SAMPLES:
        _refuse(m, "normalize", "True, or a ReLU, for which it makes no difference", False)
    wanted = loader.types.representation(m.rho_out)
    layer = nn.FourierNonlinearity(
        in_type, _POINTWISE[name], grid=grid_of(rep, samples),
        out_irreps=None if m.rho_out is m.rho else wanted.irreps,
    )  # fmt: skip
    out_type = layer.out_type
    known = out_type if isinstance(out_type, FieldType) else None
    if loader.type_of(m.out_type, known) is not out_type:
        _refuse(m, "out_irreps", "irreps of frequency 0, or those of the input", wanted)
    return layer


def _gated(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    gates = _array(m.gates_indices)
    channels = range(gates[0], gates[1]) if m._contiguous["gate"] else gates
    chosen, start, marks, sizes = {int(c) for c in channels}, 0, [], []
    for rep in m.in_type.representations:
        marks.append(start in chosen)
        if not marks[-1]:
            sizes.append(rep.size)
        start += rep.size
    if sizes != sorted(sizes):
        _refuse(m, "in_type", "gated fields in the order of their sizes, as the gates are", sizes)
    layer = nn.GatedNonlinearity(
        loader.type_of(m.in_type, known), marks, drop_gates=bool(m.drop_gates)
    )
    return loader.with_arrays(layer, m)


def _gated_pair(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    sizes = [rep.size for rep in m.in_type[1].representations]
    rank = np.argsort(np.argsort(sizes, kind="stable"))  # their gates follow the sizes
    types = (loader.types.field_type(m.in_type[0]), loader.types.field_type(m.in_type[1]))
    layer = nn.GatedNonlinearity(types, [int(number) for number in rank])
    return loader.with_arrays(layer, m)


def _induced_gated(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    gates = _array(m.gates_indices)
    channels = set(range(*map(int, gates)) if m._contiguous["gate"] else map(int, gates))
    reps = m.in_type.representations
    starts = np.cumsum([0, *(rep.size for rep in reps)])[:-1]
    gated = [i for i, start in enumerate(starts) if int(start) not in channels]
    kinds = [(reps[i].size, reps[i].size // m.quotient_size) for i in gated]
    # Their gates follow the kinds of fields: large ones last.
    marks: list[str | int] = ["gate"] * len(reps)
    for number, place in enumerate(sorted(range(len(gated)), key=kinds.__getitem__)):
        marks[gated[place]] = number
    layer = nn.InducedGatedNonlinearity(
        loader.type_of(m.in_type, known), marks, drop_gates=bool(m.drop_gates)
    )
    return loader.with_arrays(layer, m)


# ---- pools ---------------------------------------------------------------------------------------


def _group_pooling(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    return nn.GroupPooling(loader.type_of(m.in_type, known))


def _norm_pool(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    return nn.NormPool(loader.type_of(m.in_type, known))


def _window_pool(make: Callable[..., Any], *options: str) -> Callable[..., Any]:
    def convert(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
        given = {name: getattr(m, name) for name in options}
        return make(loader.type_of(m.in_type, known), **given, grid_check="off")

    return convert


def _blurred_sigma(m: Foreign) -> float:
    """The standard deviation of the Gaussian blur that a module keeps."""
    weights = _array(m.filter).reshape(-1, *m.filter.shape[2:])[0]
    line = weights[(weights.shape[0] - 1) // 2] if weights.ndim == 2 else weights[
        (weights.shape[0] - 1) // 2, (weights.shape[1] - 1) // 2]  # fmt: skip
    middle = (len(line) - 1) // 2
    if middle == 0:
        return 0.1
    return math.sqrt(0.5 / math.log(float(line[middle]) / float(line[middle + 1])))


def _adaptive(make: Callable[..., Any]) -> Callable[..., Any]:
    def convert(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
        return make(loader.type_of(m.in_type, known), m.output_size, grid_check="off")

    return convert


def _avg_antialiased(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    return nn.PointwiseAvgPoolAntialiased(
        loader.type_of(m.in_type, known), _blurred_sigma(m), m.stride, m.padding, grid_check="off"
    )


def _max_antialiased(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    if any(np.ravel(m.padding)):
        _refuse(m, "padding", "0, since theirs is added twice", m.padding)
    return nn.PointwiseMaxPoolAntialiased(
        loader.type_of(m.in_type, known), m.kernel_size, m.stride, 0, sigma=_blurred_sigma(m),
        grid_check="off",
    )  # fmt: skip


# ---- what learns nothing -------------------------------------------------------------------------


def _dropout(make: Callable[..., Any]) -> Callable[..., Any]:
    def convert(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
        return make(loader.type_of(m.in_type, known), float(m.p))

    return convert


def _mask(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    mask = _array(m.mask)[0, 0]
    centre = (m.S - 1) / 2
    corner, farthest = float(mask.reshape(-1)[0]), mask.ndim * centre**2
    inside = (centre - m.margin / 100 * centre) ** 2
    sigma = math.sqrt((inside - farthest) / math.log(corner)) if 0 < corner < 1 else 2.0
    return nn.Mask(loader.type_of(m.in_type, known), m.S, float(m.margin), sigma)


def _restriction(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    return nn.Restriction(loader.type_of(m.in_type, known), m._id)


def _disentangle(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    return nn.Disentangle(loader.type_of(m.in_type, known))


def _identity(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    return nn.Identity(loader.type_of(m.in_type, known))


def _reshuffle(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    starts = np.cumsum([0, *(rep.size for rep in m.in_type.representations)])
    field_at = {int(start): field for field, start in enumerate(starts[:-1])}
    order = [field_at[int(c)] for c in _array(m.indices) if int(c) in field_at]
    return nn.Reshuffle(loader.type_of(m.in_type, known), order)


def _upsampling(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    given = {"size": m._size} if m._size is not None else {"scale_factor": m._scale_factor}
    mode = "nearest" if m._mode == "nearest" else "bilinear"  # ours is so along any axes
    return nn.Upsampling(
        loader.type_of(m.in_type, known), mode=mode, align_corners=bool(m._align_corners),
        grid_check="off", **given,
    )  # fmt: skip


def _multiple(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    layers: list[Any] = []
    current, apart = known, m.branching
    theirs = m.in_type
    if apart.reshuffle_layer is not None:
        layers.append(_reshuffle(loader, apart.reshuffle_layer, current))
        current, theirs = layers[-1].out_type, apart.reshuffle_layer.out_type
    type_ = loader.type_of(theirs, current)
    starts = np.cumsum([0, *(rep.size for rep in theirs.representations)])[:-1]
    label_at = {}
    for label, contiguous in apart._contiguous.items():
        channels = _array(getattr(apart, f"indices_{label}"))
        label_at |= dict.fromkeys(range(*channels) if contiguous else map(int, channels), label)
    pairs = []
    for index, labels in enumerate(m.merging._labels):
        module = getattr(m.merging, f"submodule_{index}")
        pairs.append((loader.layer(module), labels[0] if len(labels) == 1 else tuple(labels)))
    layers.append(nn.Multiple(type_, [label_at[int(start)] for start in starts], pairs))
    return nn.Sequential(*layers) if len(layers) > 1 else layers[0]


def _sequential(loader: Loader, m: Foreign, known: FieldType | None) -> Any:
    layers, current = [], known
    for module in m._modules.values():
        layers.append(loader.layer(module, current))
        current = layers[-1].out_type
    return nn.Sequential(*layers)


_MAX_POOL = _window_pool(
    nn.PointwiseMaxPool, "kernel_size", "stride", "padding", "dilation", "ceil_mode"
)
_AVG_POOL = _window_pool(nn.PointwiseAvgPool, "kernel_size", "stride", "padding", "ceil_mode")
_CONVERTERS: dict[str, Callable[[Loader, Foreign, FieldType | None], Any]] = {
    "Linear": _linear,
    "_RdConv": _conv,
    "_RdConvTransposed": _conv,
    "InnerBatchNorm": _batch_norm(nn.InnerBatchNorm),
    "NormBatchNorm": _batch_norm(nn.NormBatchNorm),
    # It divides by the running variance in training too, the others by that of the batch.
    "InducedNormBatchNorm": _norm_by_representation(nn.InducedNormBatchNorm, mode="ema"),
    "_IIDBatchNorm": _norm_by_representation(nn.IIDBatchNorm),
    "GNormBatchNorm": _norm_by_representation(nn.GNormBatchNorm, correction=1),
    "PointwiseNonLinearity": _pointwise,
    "ReLU": _relu,
    "ELU": _elu,
    "LeakyReLU": _leaky_relu,
    "NormNonLinearity": _norm_nonlinearity,
    "InducedNormNonLinearity": _induced_norm,
    "FourierPointwise": _fourier,
    "GatedNonLinearity1": _gated,
    "GatedNonLinearity2": _gated_pair,
    "InducedGatedNonLinearity1": _induced_gated,
    "GroupPooling": _group_pooling,
    "NormPool": _norm_pool,
    "PointwiseMaxPool2D": _MAX_POOL,
    "PointwiseMaxPool3D": _MAX_POOL,
    "PointwiseAvgPool2D": _AVG_POOL,
    "PointwiseAvgPool3D": _AVG_POOL,
    "NormMaxPool": _window_pool(
        nn.NormMaxPool, "kernel_size", "stride", "padding", "dilation", "ceil_mode"
    ),
    "_PointwiseMaxPoolAntialiasedND": _max_antialiased,
    "PointwiseAvgPoolAntialiased2D": _avg_antialiased,
    "PointwiseAvgPoolAntialiased3D": _avg_antialiased,
    "_PointwiseAdaptiveAvgPoolND": _adaptive(nn.PointwiseAdaptiveAvgPool),
    "_PointwiseAdaptiveMaxPoolND": _adaptive(nn.PointwiseAdaptiveMaxPool),
    "FieldDropout": _dropout(nn.FieldDropout),
    "PointwiseDropout": _dropout(nn.PointwiseDropout),
    "MaskModule": _mask,
    "RestrictionModule": _restriction,
    "DisentangleModule": _disentangle,
    "IdentityModule": _identity,
    "ReshuffleModule": _reshuffle,
    "_RdUpsampling": _upsampling,
    "MultipleModule": _multiple,
    "SequentialModule": _sequential,
    "Sequential": _sequential,
}
"""By the name of a class of escnn, or of one that it derives from."""

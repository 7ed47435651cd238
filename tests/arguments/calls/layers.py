"""Calls of `nn` and `models`.

``CALLS`` holds one valid call of every public function, constructor and method with arguments,
with a kind (see `kinds`) for each argument that has one; what is given as it is, is not varied.
``LEFT_OUT`` says, by a regular expression of names as `cases.public` gives them, which are not
called, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from cases import Call
from equivax import FieldType, groups, images, models, nn, spaces
from kinds import (
    EITHER,
    TAKEN,
    Argument,
    anything,
    array,
    choice,
    dtype,
    element,
    field_type,
    flag,
    function,
    group,
    image,
    integer,
    integers,
    key,
    kind,
    number,
    representation,
    several,
    signature,
    subgroup,
    text,
)

C4, D4 = groups.cyclic(4), groups.dihedral(4)
R4, V = C4.regular, C4.irrep(1)
ROT = spaces.rot_on_r2(4)
T = FieldType(ROT, 2 * ROT.regular)
VECTORS = FieldType(ROT, 2 * ROT.irrep(1))
SCALARS = FieldType(ROT, 2 * ROT.trivial)
MIXED = FieldType(ROT, 2 * ROT.trivial + 2 * ROT.irrep(1))
WITHIN = FieldType(ROT, (2 * C4.trivial + C4.irrep(1) + C4.irrep(2)).fused())
S = images.Signature({(0, 0): 2, (1, 0): 1})
X = images.MultiImage({(0, 0): np.ones((2, 8, 8), "f"), (1, 0): np.ones((1, 8, 8, 2), "f")}, 2)
KEY = key().good
POINT = "a vector layer takes field types of a point too"
MODES = "one mode for each axis, or one for all"
ENDS = np.array([0, 1, -1])
RNG = np.random.default_rng(0)
#: Without and with a restriction: the latter hands elements on.
WIDE = [
    models.WideResNet(T, 2, depth=10, widen=1, channels=(4, 4, 4), restrict=restrict, key=KEY)
    for restrict in (None, (2, None, None))
]


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def or_none(found: Argument) -> Argument:
    """What may be None too, where no signature says so."""
    return Argument(found.kind, found.good, {**found.odd, "None": (None, EITHER)})


def type_(good: Any = T) -> Argument:
    """The type of a layer, of vectors or of fields; other groups have such types too."""
    found = field_type(good) if isinstance(good, FieldType) else representation(good)
    return Argument(found.kind, good, {**found.odd, "representation": found.odd["group"]})


def vectors(good: Any = R4) -> Argument:
    """The type of a layer of vectors."""
    return representation(good)


def elementwise(good: Any = jax.nn.relu) -> Argument:
    """A function that acts on every number by itself."""
    mixing = {
        "sum": jnp.sum,
        "reversed": lambda a: a[..., ::-1],
        "sorted": lambda a: jnp.sort(a, 0),
        "softmax": jax.nn.softmax,
        "centred": lambda a: a - a.mean(),
        "of places": lambda a: a * jnp.arange(a.size).reshape(a.shape),
        "positive": lambda a: a > 0,
        "no argument": lambda: 1,
        "NumPy's": np.tanh,
    }
    return kind(
        "elementwise function", good, either="function", refuse={"name": "relu", **mixing},
        take={"lambda": lambda a: jnp.maximum(a, 0.0) * jnp.where(a > 1, 1.0, 0.5)},
    )  # fmt: skip


def data(good: np.ndarray) -> Argument:
    """The input of a layer: floating arrays, NumPy's and JAX's; no lists."""
    found = array(good, lists=False)
    longer = EITHER if good.ndim > 2 else "refused"  # more cells, or more channels
    refuse = {"ints", "bools", "lists", "3", "True", "2.5", "nan", "inf", "[]", "a shape", "tracer"}
    wrong = SCALARS(jnp.ones((2, 8, 8)))
    odd = {n: (v, "refused" if n in refuse else verdict) for n, (v, verdict) in found.odd.items()}
    odd["longer"] = odd["longer"][0], longer
    return Argument("data", good, {**odd, "other fields": (wrong, "refused")})


def call_key(good: Any = KEY) -> Argument:
    """A key of a call, None where nothing is drawn."""
    found = key(good)
    return Argument("key", good, {**found.odd, "None": (None, EITHER)})


def torus() -> Argument:
    """Which axes are periodic: one flag, or one for each."""
    found = flag(True)
    several = {"flags": (np.array([True, False]), EITHER)}
    return Argument("flag", True, {**found.odd, **several})


def scheme(good: Any) -> Argument:
    """How coefficients are drawn: a word or a function."""
    return choice(good, of_types="function")


def precision() -> Argument:
    """Of products: what `jax.lax.dot` takes."""
    return kind("precision", "highest", refuse={"word": "sharp", "0": 0}, take={
        "enum": jax.lax.Precision.HIGH, "pair": ("high", "high")})  # fmt: skip


def windows(good: Any) -> Argument:
    """Padding: integers, pairs or a word."""
    return anything(good, "padding")


def either(found: Argument, *values: str) -> Argument:
    """An argument that means more than its kind: these values too."""
    odd = {n: (v, EITHER if n in values else verdict) for n, (v, verdict) in found.odd.items()}
    return Argument(found.kind, found.good, odd)


def mask() -> Argument:
    """What tokens see: a word, booleans, numbers that are added, a tuple of these."""
    return kind(
        "mask",
        SEEN,
        either="None",
        refuse={"word": "sharp", "longer": np.ones((3, 4), bool), "ints": np.ones((3, 3), int)},
        take={"causal": "causal", "floats": np.zeros((3, 3), np.float32), "tuple": (SEEN, SEEN)},
    )


def positions() -> Argument:
    """Numbers for tokens, or a pair of such arrays."""
    found = array(np.arange(3, dtype=np.float32))
    odd = {**found.odd, "pair": ((PLACES, PLACES), EITHER), "None": (None, EITHER)}
    return Argument("positions", found.good, odd)


def axis_name(good: Any = "batch") -> Argument:
    """A named axis, or several."""
    return kind(
        "axis name",
        good,
        either="1j text bytes function class object group representation",
        refuse={"[2.5]": [2.5], "[[]]": [[]]},
        take={"list": ["batch"]},
    )


def labels(good: Any) -> Argument:
    """Any hashable value for each field."""
    return anything(good, "labels")


def state_of(layer: Callable[..., Any], *args: Any) -> tuple[Any, Any]:
    """A layer at inference, where its state may be used again and again, and the state."""
    made, state = eqx.nn.make_with_state(layer)(*args)
    return eqx.nn.inference_mode(made), state


def state(good: Any) -> Argument:
    """The state of a model."""
    return kind("state", good, refuse={"the type": eqx.nn.State, "a layer": LINEAR})


def places() -> Argument:
    """Positions of five points."""
    return data(normal(5, 2))


def ends() -> Argument:
    """Numbers of points, one for each edge."""
    return array(ENDS, lists=False)


def make(kind_: Any, channels: int, key: Any) -> Any:
    return jnp.tanh if not kind_[0] else (lambda a: 2.0 * a)


def double(x: Any, key: Any = None) -> Any:
    return 2.0 * x


double.in_type = double.out_type = R4


DOUBLE = nn.TypedFunction(double)
LINEAR = nn.Linear(R4, R4, key=KEY)
CONV = nn.Conv(T, T, 3, padding=1, key=KEY)
CONTRACT = nn.ConvContract(S, S, key=KEY)
BIAS = nn.InvariantBias(R4)
PRODUCT = nn.TensorProduct(R4, key=KEY)
PAIR = nn.TensorProduct((R4, R4), R4, key=KEY)
FILM = nn.Affine(R4, learnable=False)
NORM, NORM_STATE = state_of(nn.InnerBatchNorm, T)
MOMENTS, MOMENTS_STATE = state_of(nn.RunningMoments, R4)
NORMAL = nn.EquivariantMultivariateNormal(R4)
GAUSSIAN = NORMAL(jnp.zeros(NORMAL.in_type.size))
SEQUENCE = nn.Sequential(LINEAR, nn.ReLU(R4))
NAMED = nn.Sequential({"linear": LINEAR, "act": nn.ReLU(R4)})
DEEP, DEEP_STATE = state_of(lambda: nn.Sequential(CONV, nn.InnerBatchNorm(T)))
LISTED = nn.ModuleList([LINEAR])
MULTIPLE = nn.Multiple(2 * R4, [0, 1], {0: LINEAR, 1: nn.ReLU(R4)})
FOURIER_GRID = nn.FourierGrid.uniform(C4)
SO2 = groups.so2()
BLOCK = models.ConvBlock(S, S, key=KEY)
SMALL = {"channels": (4, 8), "key": KEY}
RESNET, RESNET_STATE = state_of(
    lambda: models.FieldResNet(T, 2, blocks=(1,), channels=(4,), stem="small", key=KEY)
)
TENSOR_RESNET = models.TensorResNet(S, S, width=2, num_blocks=1, num_conv=1, key=KEY)
UNET, UNET_STATE = state_of(lambda: models.FieldUNet(T, SCALARS, **SMALL))
BASIC, BASIC_STATE = state_of(lambda: models.BasicBlock(T, T, key=KEY))
RESIDUAL, RESIDUAL_STATE = state_of(lambda: models.ResidualBlock(T, T, key=KEY))
TENSOR_UNET = models.TensorUNet(S, S, num_downsamples=1, width=2, num_conv=1, key=KEY)
ON_GRID = normal(8, 8, 8)
POINT_CONV = nn.PointConv(SCALARS, MIXED, width=1.0, rings=2, key=KEY)
HARMONICS = nn.SphericalHarmonics(VECTORS)
EMBED = nn.PatchEmbed(T, T, 2, key=KEY)
UNEMBED = nn.PatchUnembed(R4, T, 2, key=KEY)
ON_CELLS = {
    "space": anything(ROT, "space"),
    "grid": integers((3, 3)),
    "extra": integer(1),
}
PATCHES = {
    "patch": integers(2),
    "use_bias": flag(True),
    "init": scheme("xavier_normal"),
    "mode": choice("auto"),
    "dtype": dtype(),
    "key": key(),
}
ATTENTION = nn.MultiheadAttention(R4, 1, positions=nn.RotaryPositions(R4), key=KEY)
ENCODER = models.TransformerEncoder(R4, 1, 1, positions=nn.RelativePositions(1, 2), key=KEY)
DECODER = models.TransformerDecoder(R4, 1, 1, key=KEY)
POLICY = models.ConditionalTransformer(
    R4, R4, hidden=4, num_heads=1, depth=1, feedforward=4, step_size=4, key=KEY
)
UNET_1D = models.ConditionalUNet1D(R4, R4, 3, channels=(4,), features=4, step_size=4, key=KEY)
SERIES = models.TimeSeriesEncoder(R4, R4, 3, channels=(4,), hidden=(4,), key=KEY)
IN_TIME = {
    "in_type": vectors(),
    "out_type": or_none(vectors()),
    "channels": integers((4,)),
    "unit": or_none(representation(R4)),
    "kernel_size": integer(3),
    "activation": elementwise(),
    "downsample": choice("max"),
    "use_bias": flag(True),
    "dtype": or_none(dtype()),
    "key": key(),
}
TOKENS = normal(3, 4)
SEEN = np.tri(3, dtype=bool)
PLACES = np.arange(3, dtype=np.float32)
THERE = np.array([True, True, False])
ON_POINTS = {
    "width": number(1.0),
    "rings": integer(2),
    "aggregate": choice("mean"),
    "frequency_cutoff": number(1.0),
    "cutoff": or_none(number(2.0)),
    "activation": elementwise(),
    "dtype": dtype(),
    "key": key(),
}
WINDOW = {
    "kernel_size": integers(3),
    "stride": integers(1),
    "padding": windows(1),
    "ceil_mode": flag(False),
    "grid_check": choice("off"),
}
CONVOLUTION = {
    "in_type": type_(),
    "out_type": type_(),
    "kernel_size": integers(3),
    "stride": integers(1),
    "padding": windows(1),
    "dilation": integers(1),
    "groups": integer(1),
    "use_bias": flag(True),
    "basis": choice("harmonic"),
    "precision": precision(),
    "init": scheme("generalized_he"),
    "warn_unused": flag(False),
    "grid_check": choice("off"),
    "dtype": dtype(),
    "key": key(),
    "rings": or_none(several((0.0, 1.0))),
    "sigma": either(or_none(number(0.5)), "array"),
    "frequency_cutoff": either(or_none(integer(2)), "2.5", "function", "float"),
    "spacing": or_none(several((1.0, 1.0))),
    "basis_filter": or_none(function(lambda attributes: True)),
}
TRANSFORMER = {
    "in_type": vectors(),
    "num_heads": integer(1),
    "head_type": or_none(vectors()),
    "feedforward": either(or_none(integer(8)), "representation"),
    "activation": elementwise(),
    "dropout": number(0.5),
    "norm_first": flag(True),
    "norm": function(nn.RMSNorm, classes=True),
    "positions": or_none(anything(None, "positions")),
    "use_bias": flag(True),
    "mode": choice("auto"),
    "implementation": or_none(choice("xla")),
    "dtype": or_none(dtype()),
    "key": key(),
}
BATCH_NORM = {
    "eps": number(1e-5),
    "momentum": or_none(number(0.1)),
    "affine": flag(True),
    "axis_name": or_none(axis_name()),
    "mode": choice("batch"),
    "track_running_stats": flag(True),
    "inference": flag(False),
    "dtype": or_none(dtype()),
}
NORMALIZATION = {"eps": number(1e-5), "affine": flag(True), "dtype": dtype()}
NETWORK = {
    "in_signature": signature(S),
    "out_signature": signature(S),
    "D": integer(2),
    "group": anything(None, "group of axes"),
    "width": integer(2),
    "mid_signature": signature(S),
    "kernel_size": integers(3),
    "norm": choice("layer"),
    "activation": or_none(elementwise(jax.nn.gelu)),
    "equivariant": flag(True),
    "key": key(),
}
MLP = {
    "in_type": vectors(),
    "hidden": several([8]),
    "activation": elementwise(),
    "dropout": number(0.5),
    "use_bias": flag(True),
    "hidden_rep": vectors(),
    "init": scheme("he_normal"),
    "mode": choice("auto"),
    "dtype": dtype(),
    "key": key(),
}
VIT = models.VisionTransformer(T, 2, patch=2, size=4, width=8, depth=1, heads=1, key=KEY)
VISION = {
    "num_heads": integer(2),
    "feedforward": or_none(integer(8)),
    "activation": elementwise(jax.nn.gelu),
    "norm": function(nn.RMSNorm, classes=True),
    "dropout": number(0.0),
    "drop_path": number(0.1),
    "positions": anything(None, "positions"),
    "mode": choice("auto"),
    "implementation": or_none(choice("xla")),
    "inference": flag(False),
    "dtype": dtype(),
    "key": key(),
}
ON_PLANE = {
    "unit": representation(R4),
    "activation": function(models._residual.default_activation, classes=True),
    "basis": choice("grid"),
    "dropout": number(0.1),
    "grid_check": choice("off"),
    "key": key(),
}


def field_network(call: Call) -> Call:
    return call.but("unit", "field type", EITHER, "refused, or read as its fields").slow(20.0)


def without(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


RELAXED_CONV = nn.Relaxed(nn.ConvContract(S, S, key=KEY))

CALLS = [
    # Containers.
    Call(nn.ModuleList, layers=several([LINEAR], empty=True)).but(
        "layers", "{}; set", EITHER, "empty, or said"
    ),
    Call(LISTED.__getitem__, _0=integer(0)),
    Call(LISTED.append, layer=anything(LINEAR, "layer")),
    Call(LISTED.extend, layers=several([LINEAR], empty=True)).but("layers", "{}", EITHER, "empty"),
    Call(LISTED.insert, index=integer(0), layer=anything(LINEAR, "layer")),
    Call(LISTED.export, state=anything(None, "state")),
    Call(
        nn.Multiple,
        in_type=type_(2 * T),
        labels=labels([0, 0, 1, 1]),
        modules={0: nn.ReLU(T), 1: nn.ReLU(T)},
        reshuffle=integer(1),
    ),
    Call(
        nn.Multiple,
        in_type=2 * R4,
        labels=[0, 1],
        modules=anything({0: LINEAR, 1: LINEAR}, "modules"),
    ),
    Call(MULTIPLE, _0=data(normal(3, 8)), key=call_key()),
    Call(MULTIPLE.evaluate_output_shape, shape=several((8,))),
    Call(MULTIPLE.export, state=anything(None, "state")),
    Call(
        nn.PerType,
        make=function(make),
        signature=signature(S),
        D=integer(2),
        group=anything(None, "group of axes"),
        share=flag(False),
        check=flag(True),
        key=key(),
    ).but("share", "True", EITHER, "for equal channels"),
    Call(nn.PerType(make, S, key=KEY).export, state=anything(None, "state")),
    Call(nn.Sequential, _0=anything(LINEAR, "layer"), _1=nn.ReLU(R4)),
    Call(SEQUENCE, _0=data(normal(3, 4)), key=call_key()),
    Call(DEEP, _0=data(normal(2, 8, 8, 8)), state=state(DEEP_STATE), key=call_key()).slow(20.0),
    Call(SEQUENCE.__getitem__, _0=integer(0)).but("_0", "str", EITHER, "a name, which is missing"),
    Call(NAMED.append, layer=anything(nn.ReLU(R4), "layer"), name=text("new")),
    Call(SEQUENCE.evaluate_output_shape, shape=several((4,))),
    Call(DEEP.export, state=state(DEEP_STATE)),
    Call(nn.TypedFunction, function=anything(double, "typed function")),
    Call(DOUBLE, _0=data(normal(3, 4)), key=call_key()),
    Call(DOUBLE.export, state=anything(None, "state")),
    Call(nn.export, model=anything(SEQUENCE, "model"), state=anything(None, "state")),
    # Convolutions.
    Call(nn.Conv, padding_mode=choice("zeros"), **CONVOLUTION),
    Call(nn.ConvTranspose, output_padding=integers(0), padding_mode=choice("zeros"), **CONVOLUTION),
    Call(
        nn.Diffop,
        padding_mode=choice("zeros"),
        maximum_order=or_none(integer(2)),
        smoothing=or_none(number(0.7)),
        method=or_none(choice("gaussian")),
        **without(CONVOLUTION, "basis", "rings", "sigma", "frequency_cutoff", "basis_filter"),
    ),
    Call(
        nn.ConvContract,
        kernel_size=integers(3),
        use_bias=or_none(choice("auto", of_types="True")),
        stride=integers(1),
        padding=windows("same"),
        padding_mode=choice("torus"),
        dilation=integers(1),
        input_dilation=integers(1),
        init=choice("he"),
        gain=number(1.0),
        precision=precision(),
        grid_check=choice("off"),
        allow_unreachable=flag(False),
        dtype=dtype(),
        filters=anything(None, "filters"),
        **{n: NETWORK[n] for n in ("in_signature", "out_signature", "D", "group", "key")},
    ),
    Call(CONV, _0=data(ON_GRID), key=call_key()),
    Call(CONTRACT, _0=data(normal(4, 8, 8)), key=call_key()),
    Call(CONTRACT, _0=image(X)),
    Call(CONTRACT.coefficients, kernel=array(normal(4, 4, 3, 3))),
    Call(CONTRACT.with_kernel, kernel=array(normal(4, 4, 3, 3))),
    Call(CONTRACT.export, is_torus=torus()),
    Call(CONV.with_kernel, kernel=array(normal(8, 8, 3, 3))),
    Call(CONV.with_bias, vector=array(normal(8))),
    # Points.
    Call(
        nn.PointConv,
        in_type=field_type(SCALARS),
        out_type=field_type(MIXED),
        width=number(1.0),
        rings=integer(2),
        aggregate=choice("mean"),
        frequency_cutoff=number(1.0),
        cutoff=or_none(number(2.0)),
        use_bias=flag(True),
        init=scheme("generalized_he"),
        precision=precision(),
        warn_unused=flag(False),
        dtype=dtype(),
        key=key(),
    ),
    Call(POINT_CONV, _0=data(normal(5, 2)), positions=places(), senders=ends(), receivers=ends()),
    Call(
        POINT_CONV,
        _0=normal(5, 2),
        positions=normal(5, 2),
        senders=ENDS,
        receivers=ENDS,
        key=call_key(),
    ),
    Call(POINT_CONV.evaluate_output_shape, shape=several((5, 2))),
    Call(POINT_CONV.with_bias, vector=array(normal(6))),
    Call(POINT_CONV.kernel_at, offsets=array(normal(3, 2))),
    Call(
        models.PointBlock,
        in_type=field_type(SCALARS),
        out_type=field_type(MIXED),
        **ON_POINTS,
    ).slow(20.0),
    Call(
        models.PointNetwork,
        in_type=field_type(SCALARS),
        out_type=field_type(SCALARS),
        hidden=field_type(SCALARS),
        depth=integer(1),
        pool=choice("mean"),
        **ON_POINTS,
    ).slow(20.0),
    Call(nn.SphericalHarmonics, out_type=field_type(VECTORS), normalize=flag(True)),
    Call(HARMONICS, _0=data(normal(3, 2)), key=call_key()),
    Call(
        nn.radius_edges,
        positions=places(),
        radius=number(1.0),
        max_edges=integer(4),
        loops=flag(False),
        mask=or_none(array(np.ones(5, bool))),
    ).but("positions", "longer", EITHER, "more points"),
    # Linear maps.
    Call(
        nn.Linear,
        in_type=vectors(),
        out_type=vectors(),
        use_bias=flag(True),
        init=scheme("xavier_normal"),
        bias_init=choice("zeros"),
        mode=choice("auto"),
        precision=precision(),
        warn_unused=flag(False),
        dtype=dtype(),
        key=key(),
    ).but("in_type", "field type", EITHER, POINT),
    Call(LINEAR, _0=data(normal(2, 4)), key=call_key()),
    Call(LINEAR.evaluate_output_shape, shape=several((3, 4))),
    Call(LINEAR.with_bias, vector=array(normal(4))),
    Call(LINEAR.with_weight, matrix=array(normal(4, 4))),
    Call(
        nn.Affine,
        in_type=type_(),
        use_bias=flag(True),
        learnable=flag(True),
        residual=flag(False),
        per=choice("irrep"),
        dtype=dtype(),
    ),
    Call(FILM, _0=data(normal(2, 4)), scale=array(normal(3)), bias=or_none(array(normal(1)))),
    Call(nn.CommutingConstraint, in_rep=vectors(), out_rep=vectors()),
    Call(nn.CommutingConstraint(R4, R4), _0=array(normal(4, 4))),
    Call(nn.InvariantBias, in_type=type_(), bias_init=choice("equinox"), dtype=dtype(), key=key()),
    Call(BIAS, _0=data(normal(2, 4)), key=call_key()),
    Call(BIAS.with_bias, vector=array(normal(4))),
    Call(nn.InvariantConstraint, rep=type_(R4)),
    Call(nn.InvariantConstraint(R4), _0=array(normal(4))),
    Call(
        nn.TensorProduct,
        in_type=type_(),
        out_type=type_(),
        symmetric=flag(True),
        init=scheme("lecun_normal"),
        dtype=dtype(),
        key=key(),
    ),
    Call(PRODUCT, _0=data(normal(2, 4)), key=call_key()),
    Call(PAIR, _0=data(normal(2, 4)), _1=data(normal(2, 4)), key=call_key()),
    Call(PRODUCT.matrix, kind=anything(PRODUCT.kinds[0], "kind of fields")),
    Call(
        nn.impose_equivariance,
        linear=anything(eqx.nn.Linear(4, 4, key=KEY), "linear"),
        in_rep=vectors(),
        out_rep=vectors(),
        preserve_scale=flag(False),
    ),
    # Nonlinearities.
    Call(nn.ELU, in_type=type_(), alpha=number(1.0)),
    Call(nn.LeakyReLU, in_type=type_(), negative_slope=number(0.01)),
    Call(nn.ReLU, in_type=type_()),
    Call(nn.PointwiseNonlinearity, in_type=type_(), function=elementwise(), odd=flag(False)).but(
        "odd", "True", "refused", "ReLU is not odd"
    ),
    Call(
        nn.PointwiseNonlinearity, in_type=type_(), function=elementwise(jnp.tanh), odd=flag(True)
    ).but("function", "lambda", "refused", "not odd"),
    Call(nn.ReLU(T), _0=data(ON_GRID), key=call_key()),
    Call(
        nn.ConcatenatedNonlinearity,
        in_type=type_(),
        function=elementwise(),
        interleaved=flag(False),
    ),
    Call(
        nn.FourierGrid.of,
        group=group(C4),
        elements=several([C4.identity]),
        weights=anything([1.0], "weights"),
    ),
    Call(nn.FourierGrid.uniform, group=group(SO2), points=integer(8)),
    Call(
        nn.FourierGrid.near_uniform,
        group=group(groups.so3()),
        points=integer(24),
        subgroup=subgroup("so2"),
    ),
    Call(
        nn.FourierNonlinearity,
        in_type=type_(),
        function=elementwise(jax.nn.elu),
        grid=anything(FOURIER_GRID, "grid"),
        out_irreps=anything([0, 1], "band"),
        subgroup=subgroup(1),
    ).slow(10.0),
    Call(
        nn.FourierNonlinearity, in_type=SO2.irrep(0) + SO2.irrep(1), oversampling=number(2.0)
    ).slow(10.0),
    Call(
        nn.GatedNonlinearity,
        in_type=type_(MIXED),
        gates=anything(None, "gates"),
        drop_gates=flag(True),
        function=elementwise(jax.nn.sigmoid),
        use_bias=flag(True),
        dtype=dtype(),
    ),
    Call(nn.GatedNonlinearity.for_fields, fields=type_(VECTORS), drop_gates=flag(True)),
    Call(
        nn.GatedNonlinearity.within_fields,
        in_type=type_(WITHIN),
        use_bias=flag(True),
    ),
    Call(nn.GatedNonlinearity(MIXED), _0=data(normal(6, 8, 8))),
    Call(
        nn.InducedGatedNonlinearity,
        in_type=type_(),
        gates=anything(None, "gates"),
        drop_gates=flag(True),
        function=elementwise(jax.nn.sigmoid),
        use_bias=flag(True),
        dtype=dtype(),
    ),
    Call(
        nn.InducedNormNonlinearity,
        in_type=type_(),
        function=elementwise(),
        use_bias=flag(True),
        initial_bias=number(1.0),
        dtype=dtype(),
    ),
    Call(
        nn.NormNonlinearity,
        in_type=type_(),
        function=elementwise(),
        use_bias=flag(True),
        initial_bias=number(1.0),
        dtype=dtype(),
    ),
    Call(nn.VectorFieldNonlinearity, in_type=type_(), soft=flag(False), temperature=number(1.0)),
    Call(
        nn.VectorNeuron,
        in_type=type_(),
        activation=elementwise(),
        eps=number(1e-5),
        convention=choice("signed"),
        mix=choice("fields"),
        dtype=dtype(),
        key=key(),
    ),
    # Norms.
    Call(nn.FieldNorm, in_type=type_(), **NORMALIZATION),
    Call(nn.InstanceNorm, in_type=type_(), **NORMALIZATION),
    Call(nn.RMSNorm, in_type=type_(), **NORMALIZATION),
    Call(
        nn.GroupNorm,
        in_type=type_(),
        groups=integer(1),
        whiten=choice("full"),
        bias=choice("auto", of_types="True"),
        **NORMALIZATION,
    ),
    Call(
        nn.LayerNorm,
        in_type=type_(R4),
        pool=choice("all"),
        center=flag(True),
        use_bias=flag(True),
        whiten=choice("auto"),
        **NORMALIZATION,
    ),
    Call(nn.LayerNorm, in_type=T, bias=choice("auto", of_types="True"), whiten=choice("full")),
    Call(nn.GroupNorm(T), _0=data(ON_GRID)).slow(20.0),
    Call(
        nn.GNormBatchNorm, in_type=type_(), per=choice("copy"), correction=integer(0), **BATCH_NORM
    ),
    Call(nn.IIDBatchNorm, in_type=type_(), variance=choice("about_channel_means"), **BATCH_NORM),
    Call(
        nn.InducedNormBatchNorm,
        in_type=type_(FieldType(ROT, ROT.induced(2, groups.cyclic(2).irrep(1)))),
        **BATCH_NORM,
    ),
    Call(nn.InnerBatchNorm, in_type=type_(), per_orbit=flag(False), **BATCH_NORM),
    Call(nn.NormBatchNorm, in_type=type_(VECTORS), **BATCH_NORM),
    Call(NORM, _0=data(normal(2, 8, 8, 8)), state=state(NORM_STATE), key=call_key()),
    Call(NORM.evaluate_output_shape, shape=several((3, 8, 8, 8))),
    Call(NORM.inference_map, state=state(NORM_STATE)),
    Call(NORM.export, state=state(NORM_STATE)),
    Call(
        nn.RunningMoments,
        in_type=vectors(),
        out_type=vectors(),
        momentum=number(0.1),
        axis_name=axis_name(),
        inference=flag(False),
        dtype=dtype(),
    ),
    Call(
        MOMENTS,
        _0=data(normal(3, 4)),
        state=state(MOMENTS_STATE),
        y=or_none(array(normal(3, 4))),
        key=call_key(),
    ).slow(20.0),
    # Images as tokens.
    Call(
        nn.AbsoluteGridPositions, in_type=vectors(), dtype=or_none(dtype()), key=key(), **ON_CELLS
    ).but("in_type", "field type", EITHER, POINT),
    Call(nn.AbsoluteGridPositions(R4, ROT, 3, key=KEY), _0=array(normal(9, 4), lists=False)),
    Call(nn.RelativeGridPositions, num_heads=integer(2), dtype=or_none(dtype()), **ON_CELLS),
    Call(
        nn.window_mask,
        **ON_CELLS | {"grid": integers((4, 4))},
        window=integers(2),
        shift=integers(1),
        torus=flag(True),
    ),
    Call(
        nn.window_cells,
        **{name: rule for name, rule in ON_CELLS.items() if name != "extra"},
        window=integers(1),
        shift=integers(0),
        torus=flag(True),
    ),
    Call(nn.RotaryGridPositions, head_type=vectors(2 * R4), base=number(10.0), **ON_CELLS).but(
        "head_type", "field type", EITHER, POINT
    ),
    Call(nn.PatchEmbed, in_type=field_type(T), out_type=type_(), **PATCHES),
    Call(EMBED, _0=data(ON_GRID), key=call_key()),
    Call(EMBED.with_kernel, kernel=array(normal(8, 8, 2, 2))),
    Call(nn.PatchUnembed, in_type=type_(), out_type=field_type(T), **PATCHES),
    Call(UNEMBED, _0=data(normal(3, 6, 4)), grid=integers((2, 3))),
    # Pools.
    Call(nn.GroupPooling, in_type=type_(), reduce=function(jnp.max)),
    Call(nn.SubgroupPooling, in_type=type_(), subgroup=subgroup(2), reduce=function(jnp.max)),
    Call(nn.InducedNormPool, in_type=type_()),
    Call(nn.InvariantPool, in_type=type_()),
    Call(nn.NormPool, in_type=type_()),
    Call(nn.QuadraticPool, in_type=type_()),
    Call(nn.IrrepNormPool, in_type=type_(), trivial=choice("norm"), eps=number(0.1)),
    Call(
        nn.NormMaxPool,
        in_type=type_(),
        dilation=integers(1),
        by=choice("norm"),
        ties=choice("mean"),
        beta=number(1.0),
        **WINDOW,
    ),
    Call(
        nn.PointwiseAdaptiveAvgPool,
        in_type=type_(),
        output_size=integers(2),
        grid_check=choice("off"),
    ),
    Call(
        nn.PointwiseAdaptiveMaxPool,
        in_type=type_(),
        output_size=integers(2),
        grid_check=choice("off"),
    ),
    Call(nn.PointwiseAvgPool, in_type=type_(), **WINDOW),
    Call(nn.PointwiseMaxPool, in_type=type_(), dilation=integers(1), **WINDOW),
    Call(
        nn.PointwiseMaxPoolAntialiased,
        in_type=type_(),
        dilation=integers(1),
        sigma=number(0.6),
        blur_padding=choice("zero"),
        **WINDOW,
    ),
    Call(
        nn.PointwiseAvgPoolAntialiased,
        in_type=type_(),
        sigma=number(0.6),
        **without(WINDOW, "kernel_size", "ceil_mode"),
    ),
    Call(nn.PointwiseMaxPool(T, 2), _0=data(ON_GRID)),
    # Probability.
    Call(
        nn.EquivariantMultivariateNormal,
        out_type=type_(R4),
        covariance=choice("diagonal"),
        min_var=number(0.1),
    ),
    Call(NORMAL, _0=data(normal(3, NORMAL.in_type.size)), key=call_key()),
    Call(NORMAL.evaluate_output_shape, shape=several((3, NORMAL.in_type.size))),
    Call(NORMAL.dof_from_covariance, covariance=array(np.eye(4, dtype="f"), traced=False)),
    Call(NORMAL.fit, y=array(normal(20, 4))),
    Call(GAUSSIAN.kl, other=anything(GAUSSIAN, "distribution")).slow(20.0),
    Call(GAUSSIAN.log_prob, y=array(normal(3, 4))),
    Call(GAUSSIAN.mahalanobis, y=array(normal(3, 4))),
    Call(GAUSSIAN.sample, key=key(), shape=anything((2,), "shape")),
    Call(
        nn.FieldDropout,
        in_type=type_(),
        p=number(0.5),
        broadcast_spatial=flag(False),
        inference=flag(False),
    ),
    Call(nn.PointwiseDropout, in_type=type_(), p=number(0.5), inference=flag(False)),
    Call(nn.FieldDropout(T), _0=data(ON_GRID), key=key()),
    # Rearranging.
    Call(nn.Disentangle, in_type=type_(), by=choice("irreps"), inverse=flag(False)),
    Call(nn.Identity, in_type=type_()),
    Call(
        nn.Mask,
        in_type=type_(),
        S=integer(5),
        margin=number(1.0),
        sigma=number(2.0),
        profile=choice("radial"),
    ),
    Call(
        nn.Relaxed,
        layer=anything(nn.Linear(R4, R4, key=KEY)),
        to=subgroup(2),
        scale=number(0.5),
        use_bias=flag(True),
        key=key(),
    ).but("to", "None", TAKEN, "nothing is kept"),
    Call(RELAXED_CONV.export, is_torus=torus()).but("is_torus", "None", TAKEN, "that of the layer"),
    Call(
        nn.relax,
        model=anything(nn.Linear(R4, R4, key=KEY)),
        to=subgroup(2),
        scale=number(0.5),
        use_bias=flag(True),
        key=key(),
    ).but("to", "None", TAKEN, "nothing is kept"),
    Call(
        nn.symmetry_penalty,
        _0=anything(eqx.nn.Linear(4, 4, key=KEY)),
        _1=representation(R4),
        _2=representation(R4),
        weights=number(2.0),
    ).but("weights", "0-d; [x]; tracer", EITHER, "one number per layer"),
    Call(nn.Reshuffle, in_type=type_(), permutation=several([1, 0])),
    Call(nn.Restriction, in_type=type_(), subgroup=subgroup(2)),
    Call(nn.Restriction(R4, 2).embedding, element=element(groups.cyclic(2).elements[1])).but(
        "element", "3", EITHER, "its number"
    ),
    Call(
        nn.Upsampling,
        in_type=type_(),
        scale_factor=number(2.0),
        mode=choice("bilinear"),
        align_corners=flag(False),
        grid_check=choice("off"),
    ).but("scale_factor", "[x]; array", EITHER, "one for each axis"),
    Call(nn.Upsampling, in_type=T, size=integers(8)),
    # Models.
    Call(
        models.ConvBlock, preactivation=flag(False), **without(NETWORK, "width", "mid_signature")
    ).slow(10.0),
    Call(
        models.ConvBlock,
        preactivation=flag(False),
        equivariant=False,
        use_bias=or_none(flag(True)),
        **without(NETWORK, "width", "mid_signature", "group", "equivariant"),
    ).slow(10.0),
    Call(BLOCK, _0=image(X), key=call_key()).slow(20.0),
    Call(BLOCK, _0=data(normal(4, 8, 8)), is_torus=torus()).slow(20.0),
    Call(BLOCK.export, is_torus=torus()),
    Call(
        models.VisionBlock,
        in_type=type_(2 * R4),
        layer_scale=or_none(number(0.1)),
        **VISION,
    )
    .but("in_type", "field type", EITHER, POINT)
    .slow(10.0),
    Call(models.VisionBlock(R4, 1, key=KEY), _0=data(normal(5, 4)), key=call_key()).slow(10.0),
    Call(
        models.VisionTransformer,
        in_type=field_type(T),
        classes=integer(3),
        patch=integers(2),
        size=integers(4),
        width=integer(8),
        depth=integer(2),
        heads=integer(2),
        unit=representation(R4),
        break_after=or_none(integer(1)),
        pool=choice("cls"),
        positions=or_none(choice("absolute")),
        registers=integer(1),
        layer_scale=or_none(number(0.1)),
        **without(VISION, "num_heads", "positions", "inference"),
    )
    .but("unit", "field type", EITHER, "refused, or read as its fields")
    .slow(20.0),
    Call(
        models.VisionTransformer,
        in_type=T,
        out_type=field_type(T),
        patch=2,
        size=4,
        width=8,
        depth=1,
        heads=1,
        key=KEY,
    ).slow(20.0),
    Call(VIT, _0=data(normal(8, 4, 4)), key=call_key()).slow(20.0),
    Call(VIT.features, x=data(normal(8, 4, 4)), key=call_key()).slow(20.0),
    Call(models.vision_size, name=choice("S")),
    Call(models.MLP, out_type=vectors(V), **MLP).but("hidden", "with number", EITHER, "").slow(5.0)
    if False
    else Call(models.MLP, out_type=vectors(V), **MLP).slow(5.0),
    Call(models.InvariantMLP, out_size=integer(2), pool=choice("norm"), **MLP).slow(5.0),
    Call(models.MLP(R4, V, [8], key=KEY), _0=data(normal(3, 4)), key=call_key()),
    Call(
        models.GroupAverage,
        model=anything(BLOCK, "model"),
        group=anything(None, "group of axes"),
        always=flag(False),
    ),
    Call(
        models.LastStep,
        in_signature=signature(S),
        out_signature=signature(S),
        constants=anything(None, "signature"),
        D=integer(2),
        group=anything(None, "group of axes"),
    ),
    Call(
        models.ModelWrapper,
        model=function(lambda x: x),
        in_signature=signature(S),
        out_signature=signature(S),
        D=integer(2),
    ),
    Call(
        models.rollout,
        model=function(BLOCK),
        x=image(X),
        steps=integer(2),
        constants=anything(None, "signature"),
        future=integer(1),
        loop=choice("python"),
    ).slow(20.0),
    Call(
        models.transfer_weights,
        source=anything(models.ConvBlock(S, S, D=1, key=KEY), "model"),
        target=anything(BLOCK, "model"),
        rule=choice("nearest"),
    ).slow(20.0),
    Call(models.UNet, in_type=anything(T, "type"), out_type=SCALARS, **SMALL).slow(20.0),
    Call(
        models.ResNet,
        in_type=anything(T, "type"),
        classes=integer(2),
        blocks=(1,),
        channels=(4,),
        key=KEY,
    ).slow(20.0),
    field_network(
        Call(
            models.FieldUNet,
            in_type=type_(),
            out_type=type_(SCALARS),
            channels=integers((4, 8)),
            kernel_size=integers(3),
            **ON_PLANE,
        )
    ),
    field_network(
        Call(
            models.FieldResNet,
            in_type=type_(),
            classes=integer(2),
            blocks=integers((1,)),
            channels=integers((4,)),
            stem=choice("small"),
            **ON_PLANE,
        )
    ),
    field_network(
        Call(
            models.WideResNet,
            in_type=type_(),
            classes=integer(2),
            depth=integer(10),
            widen=integer(1),
            channels=integers((4, 4, 4)),
            kernel_size=integers(3),
            strides=integers((1, 2, 2)),
            restrict=several((2, None, None)),
            invariant=choice("scalars"),
            **ON_PLANE,
        )
    ),
    *(
        Call(wide.embedding, element=element(wide.out_type.space.group.elements[1])).but(
            "element", "3", EITHER, "its number"
        )
        for wide in WIDE
    ),
    Call(
        models.BasicBlock,
        in_fields=type_(),
        out_fields=type_(),
        kernel_size=integers(3),
        stride=integer(1),
        **without(ON_PLANE, "unit"),
    ).slow(10.0),
    Call(
        models.ResidualBlock,
        in_fields=type_(),
        out_fields=type_(),
        kernel_size=integers(3),
        stride=integer(1),
        inner_fields=type_(),
        **without(ON_PLANE, "unit"),
    ).slow(10.0),
    Call(UNET, _0=data(normal(2, 8, 9, 9)), state=state(UNET_STATE), key=call_key()).slow(30.0),
    Call(UNET.evaluate_output_shape, shape=several((8, 9, 9))).slow(20.0),
    Call(UNET.export, state=state(UNET_STATE)).slow(20.0),
    Call(RESNET.evaluate_output_shape, shape=several((8, 8, 8))).slow(20.0),
    Call(RESNET.export, state=state(RESNET_STATE)).slow(20.0),
    Call(TENSOR_RESNET.export, is_torus=torus()).slow(20.0),
    Call(DOUBLE.evaluate_output_shape, shape=several((3, 4))),
    Call(BASIC.evaluate_output_shape, shape=several((8, 8, 8))),
    Call(BASIC.export, state=state(BASIC_STATE)),
    Call(RESIDUAL.evaluate_output_shape, shape=several((8, 8, 8))),
    Call(RESIDUAL.export, state=state(RESIDUAL_STATE)),
    Call(models.Series, depth=integer(2), **NETWORK).slow(10.0),
    Call(models.TensorResNet, num_blocks=integer(1), num_conv=integer(1), **NETWORK).slow(10.0),
    Call(models.DilResNet, num_blocks=integer(1), dilations=integers((1, 2)), **NETWORK).slow(10.0),
    Call(models.TensorUNet, num_conv=integer(1), num_downsamples=integer(1), **NETWORK).slow(10.0),
    Call(
        nn.MultiheadAttention,
        in_type=vectors(),
        num_heads=integer(1),
        head_type=or_none(vectors()),
        kv_type=or_none(vectors()),
        dropout=number(0.5),
        use_bias=flag(True),
        positions=or_none(anything(None, "positions")),
        init=scheme("he_normal"),
        output_init=or_none(scheme("he_normal")),
        mode=choice("auto"),
        implementation=or_none(choice("xla")),
        inference=flag(False),
        dtype=or_none(dtype()),
        key=key(),
    ),
    Call(
        ATTENTION,
        _0=data(TOKENS),
        _1=or_none(data(TOKENS)),
        _2=or_none(data(TOKENS)),
        mask=mask(),
        key=call_key(),
    ),
    Call(ATTENTION, _0=TOKENS, positions=positions()),
    Call(ATTENTION.weights, q=data(TOKENS), k=or_none(data(TOKENS)), mask=mask()),
    Call(ATTENTION.weights, q=TOKENS, positions=positions()),
    Call(nn.RotaryPositions, head_type=type_(R4), base=number(100.0)),
    Call(nn.RotaryPositions(R4), _0=data(TOKENS), positions=positions()),
    Call(
        nn.AbsolutePositions,
        in_type=type_(R4),
        max_length=integer(5),
        dtype=or_none(dtype()),
        key=key(),
    ),
    Call(nn.RelativePositions, num_heads=integer(1), max_offset=integer(2), dtype=or_none(dtype())),
    Call(models.TransformerEncoderLayer, **TRANSFORMER).slow(10.0),
    Call(
        models.TransformerDecoderLayer,
        memory_type=or_none(vectors()),
        cross_positions=or_none(anything(None, "positions")),
        **TRANSFORMER,
    ).slow(10.0),
    Call(models.TransformerEncoder, depth=integer(1), **TRANSFORMER).slow(10.0),
    Call(
        models.TransformerDecoder,
        depth=integer(1),
        memory_type=or_none(vectors()),
        cross_positions=or_none(anything(None, "positions")),
        **TRANSFORMER,
    ).slow(10.0),
    Call(ENCODER, _0=data(TOKENS), mask=mask(), positions=positions(), key=call_key()).slow(10.0),
    Call(
        DECODER,
        _0=data(TOKENS),
        _1=data(TOKENS),
        mask=mask(),
        memory_mask=mask(),
        key=call_key(),
    ).slow(10.0),
    Call(
        models.ConditionalTransformer,
        condition_type=vectors(),
        hidden=either(integer(8), "representation"),
        depth=integer(1),
        condition_depth=integer(1),
        out_type=or_none(vectors()),
        causal=flag(True),
        step_size=integer(4),
        **TRANSFORMER | {"positions": anything("relative", "positions")},
    ).slow(20.0),
    Call(
        POLICY,
        _0=data(TOKENS),
        _1=data(TOKENS),
        step=array(np.float32(3), sized=False),
        mask=array(THERE),
        condition_mask=array(THERE),
        positions=positions(),
        condition_positions=positions(),
        key=call_key(),
    ).slow(20.0),
    Call(
        models.ConditionalUNet1D,
        condition_type=vectors(),
        condition_length=integer(2),
        features=integer(4),
        pool=choice("norm"),
        step_size=integer(4),
        **IN_TIME,
    ).slow(20.0),
    Call(
        UNET_1D,
        _0=data(TOKENS),
        _1=data(TOKENS),
        step=array(np.float32(3), sized=False),
        key=call_key(),
    ).slow(20.0),
    Call(
        models.TimeSeriesEncoder,
        length=integer(3),
        hidden=several((4,)),
        norm=flag(True),
        append_last=flag(True),
        **IN_TIME | {"out_type": vectors()},
    ).slow(20.0),
    Call(SERIES, _0=data(TOKENS), key=call_key()).slow(20.0),
    Call(TENSOR_UNET.export, is_torus=torus()).slow(20.0),
]

LEFT_OUT: dict[str, str] = {
    r".*\.costs_of_ways": "chains ask it of their layers",
    r"nn\..*Positions\.(bias|check_\w+|on_heads|on_inputs|plain)": "attention asks its positions",
    r"nn\.authoring\.in_turn": "calls what it is given",
    r"nn\.squash": "a formula that exports take along, without checks",
    r".*\.Abstract.*": "interfaces are not made",
    r"nn\.(FourierGrid|Moments|MultivariateNormal)": "records that functions of the library make",
    r"nn\.Rest": "made by `Relaxed`",
    r"nn\.RunningMoments\.(evaluate_output_shape|export)": "refuse always",
}

"""Residual blocks and the wide residual network (Zagoruyko and Komodakis 2016), steerable.

Blocks work on the type that a nonlinearity takes: where the group permutes channels that is
the type of the hidden fields, elsewhere it has a gate in front for every field.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, cast

import equinox as eqx
import jax
from jaxtyping import Array, PRNGKeyArray

from .._arguments import arrays, choice, integer, integers, is_integer, refuse, several, shown
from ..fields import FieldType
from ..groups import GroupElement
from ..nn import (
    AbstractContainer,
    Conv,
    Disentangle,
    GatedNonlinearity,
    GNormBatchNorm,
    GroupPooling,
    InnerBatchNorm,
    Layer,
    NormPool,
    ReLU,
    Restriction,
    Sequential,
)
from ..nn.authoring import plain_steps, split_keys, step
from ..representations import Representation
from ..spaces import no_base_space
from ._choices import (
    MOST,
    MOST_CLASSES,
    Basis,
    checked_basis,
    checked_fields,
    checked_odd,
    checked_unit,
    dropped,
)
from ._classifier import AbstractClassifier

Activation = Callable[[FieldType], Layer]
AxisName = Hashable | Sequence[Hashable] | None


def default_activation(fields: FieldType) -> Layer:
    """ReLU where the group permutes channels; else gates, one scalar in front for every field.

    Args:
        fields: What should come out.

    Returns:
        A layer whose ``out_type`` is ``fields``; its ``in_type`` may have gates in front.
    """
    if fields.representation.is_permutation:
        return ReLU(fields)
    gates = FieldType(fields.space, len(fields) * fields.space.trivial)
    return GatedNonlinearity(gates + fields)


def activated(caller: str, activation: object, fields: FieldType) -> Layer:
    """The layer that an activation of a network is on a type.

    Raises:
        TypeError: If the activation is no function of types, or gives no layer.
        ValueError: If the layer gives other fields.
    """
    takes = "a function from a type to a layer that gives fields of that type, such as nn.ReLU"
    if not callable(activation):
        refuse(TypeError, caller, "activation", takes, activation)
    try:
        layer = activation(fields)
    except Exception as error:  # of the user's function
        text = str(error).strip().partition("\n")[0]
        raise TypeError(
            f"{caller}: activation: expected {takes}, got {shown(activation)}, which fails: "
            f"{type(error).__name__}: {text}"
        ) from error
    if not isinstance(layer, Layer):
        refuse(TypeError, caller, "activation", f"{takes}, which gave", layer)
    if layer.out_type != fields:
        raise ValueError(
            f"{caller}: activation: expected a layer that gives {fields!r}, got "
            f"{type(layer).__name__}, which gives {layer.out_type!r}"
        )
    return layer


def batch_norm(fields: FieldType, axis_name: AxisName) -> Layer:
    """`InnerBatchNorm` where the group permutes channels, else `GNormBatchNorm`."""
    if fields.representation.is_permutation:
        return InnerBatchNorm(fields, axis_name=axis_name)
    return GNormBatchNorm(fields, axis_name=axis_name)


def invariant_map(fields: FieldType) -> Layer:
    """One invariant number per field: the maximum of permuted channels, else the norm."""
    if fields.representation.is_permutation:
        return GroupPooling(fields)
    return NormPool(fields)


class ResidualBlock(AbstractContainer):
    """``y = s(a(x)) + f(a(x))``: norm and nonlinearity ``a``, two convolutions ``f``.

    ``f`` is convolution, norm, nonlinearity, convolution; the shortcut ``s`` is a 1 x 1
    convolution where the type or the grid changes, else ``y = x + f(a(x))`` (He et al. 2016,
    pre-activation).

    Law: ``f(g x) = g f(x)``, as its convolutions.

    Shapes: ``(..., c_in, *sides) -> (..., c_out, *sides')``.
    """

    before: Sequential
    body: Sequential
    shortcut: Conv | None
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)

    def __init__(
        self,
        in_fields: FieldType,
        out_fields: FieldType,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        inner_fields: FieldType | None = None,
        activation: Activation = default_activation,
        basis: Basis = "harmonic",
        dropout: float | int = 0.0,
        grid_check: str = "warn",
        axis_name: AxisName = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the convolutions.

        Args:
            in_fields: Fields behind the first nonlinearity.
            out_fields: Fields that the next block has behind its first nonlinearity.
            kernel_size: Of both convolutions, odd.
            stride: Of the first convolution and of the shortcut.
            inner_fields: Fields behind the second nonlinearity; ``out_fields`` if None.
            activation: From a type to a layer with that ``out_type``.
            basis: Of the kernels, as in `Conv`: its name, or a record such as
                ``kernels.Harmonic(frequency_cutoff=3)``.
            dropout: Probability to drop a field at a point, between the two convolutions.
            grid_check: As in `Conv`.
            axis_name: Of the batch norms: the named axes of ``vmap`` or ``shard_map``.
            key: A JAX key.

        Raises:
            ValueError: If the types do not fit together.
        """
        name = "ResidualBlock"
        checked_fields(name, "in_fields", in_fields)
        checked_fields(name, "out_fields", out_fields)
        inner_fields = out_fields if inner_fields is None else inner_fields
        checked_fields(name, "inner_fields", inner_fields)
        kernel_size, stride = checked_odd(name, kernel_size), integer(stride, name, "stride", 1)
        first, second, third = jax.random.split(arrays.key(key, name), 3)
        start, middle, end = (
            activated(name, activation, f) for f in (in_fields, inner_fields, out_fields)
        )
        options: dict[str, Any] = {
            "padding": kernel_size // 2,
            "use_bias": False,
            "basis": checked_basis(name, basis),
            "grid_check": grid_check,
        }
        self.before = Sequential(batch_norm(start.in_type, axis_name), start)
        self.body = Sequential(
            Conv(start.out_type, middle.in_type, kernel_size, stride=stride, key=first, **options),
            batch_norm(middle.in_type, axis_name),
            middle,
            *dropped(name, middle.out_type, dropout),
            Conv(middle.out_type, end.in_type, kernel_size, key=second, **options),
        )
        self.shortcut = None
        if stride != 1 or start.in_type != end.in_type:
            options["padding"] = 0
            self.shortcut = Conv(
                start.out_type, end.in_type, 1, stride=stride, key=third, **options
            )
        self.in_type = start.in_type
        self.out_type = end.in_type

    def is_stateful(self) -> bool:
        """The batch norms are."""
        return True

    def _forward(
        self, x: Array, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[Array, eqx.nn.State | None]:
        return pre_activation(self.before, self.body, self.shortcut, x, state, key)

    def evaluate_output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the output: that of the two convolutions."""
        return self.body.evaluate_output_shape(self.before.evaluate_output_shape(shape))

    def export(self, state: eqx.nn.State | None = None) -> eqx.nn.Lambda:
        """A layer without state that holds the exported parts; it takes one example."""
        shortcut = None if self.shortcut is None else self.shortcut.export()
        parts = self.before.export(state), self.body.export(state), shortcut
        return eqx.nn.Lambda(plain_steps(pre_activation, *parts))


def pre_activation(
    before: Callable[..., Any],
    body: Callable[..., Any],
    shortcut: Callable[..., Any] | None,
    x: Array,
    state: eqx.nn.State | None,
    key: PRNGKeyArray | None,
) -> tuple[Array, eqx.nn.State | None]:
    """``s(a(x)) + f(a(x))``, where ``s(a(x))`` is ``x`` without a shortcut."""
    keys = split_keys(key, 2)
    active, state = step(before, (x,), state, keys[0])
    y, state = step(body, (active,), state, keys[1])
    return y + (x if shortcut is None else shortcut(active)), state


class WideResNet(AbstractClassifier):
    """A steerable wide residual network, ``depth = 6 n + 4`` (e.g. WRN-16-8).

    A first convolution, three stages of ``n`` residual blocks (the last two halve the grid), norm,
    nonlinearity, an invariant map, the mean over the grid, and a linear readout. The networks for
    STL-10 of Weiler and Cesa (2019), with as many coefficients, are ``channels=(64, 512, 720,
    724), widen=1, kernel_size=(5, 5, 3, 5), strides=(1, 2, 2), restrict=(None, (0, 4), (0, 1)),
    invariant="scalars"`` on D8, with ``basis=kernels.Harmonic(frequency_cutoff=3)``.

    Law: the logits do not change under the group, exactly for quarter turns and flips if the
    size is ``4 m + 1``.

    Shapes: ``(..., c_in, *sides) -> (..., classes)``; the call is ``(x, state) -> (y, state)``.
    """

    features: Sequential
    readout: eqx.nn.Linear
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)

    def __init__(
        self,
        in_type: FieldType,
        classes: int,
        *,
        depth: int = 16,
        widen: int = 8,
        unit: Representation | None = None,
        channels: Sequence[int] = (16, 32, 64),
        kernel_size: int | Sequence[int] = 3,
        strides: Sequence[int] = (1, 2, 2),
        restrict: Sequence[Any] | None = None,
        invariant: str = "pool",
        activation: Activation = default_activation,
        basis: Basis = "harmonic",
        dropout: float | int = 0.0,
        grid_check: str = "warn",
        axis_name: AxisName = None,
        key: PRNGKeyArray,
    ) -> None:
        """Builds the stages.

        Args:
            in_type: Type of the images.
            classes: Number of logits.
            depth: Number of convolutions, ``6 n + 4``.
            widen: Factor of the channels of the stages.
            unit: What is copied: the regular representation by default; needed for infinite groups.
            channels: Times ``widen``, of the stages: as many copies of ``unit`` as fit. The first
                convolution has as many as the first stage before ``widen``, or, of four numbers,
                the first.
            kernel_size: Odd, for all convolutions or, of four numbers, for the first convolution
                and per stage.
            strides: Per stage, of its first block.
            restrict: Per stage the subgroup that is left of the group from there on, as
                `Restriction` takes it, or None for all of it: ``(None, (0, 4), (0, 1))`` goes from
                D8 to D4 and to one mirror. The logits are invariant under the last one.
            invariant: How the end becomes so: ``"pool"`` reduces every field to one number,
                ``"scalars"`` lets the last convolution map to as many scalars as there are
                channels.
            activation: From a type to a layer with that ``out_type``.
            basis: Of the kernels, as in `Conv`: its name, or a record such as
                ``kernels.Harmonic(frequency_cutoff=3)``.
            dropout: Probability to drop a field at a point, between the convolutions of a
                block.
            grid_check: As in `Conv`.
            axis_name: Of the batch norms: the named axes of ``vmap`` or ``shard_map``.
            key: A JAX key.

        Raises:
            ValueError: If the depth or another number does not fit, or ``unit`` is missing.
        """
        name = "WideResNet"
        space = checked_fields(name, "in_type", in_type)
        blocks, rest = divmod(integer(depth, name, "depth", maximum=MOST) - 4, 6)
        if rest or blocks < 1:
            raise ValueError(f"WideResNet: depth: expected 10, 16, 22, 28, ..., got {depth}")
        widen = integer(widen, name, "widen", 1, MOST)
        classes = integer(classes, name, "classes", 1, MOST_CLASSES)
        first, *widths = _numbers("channels", channels, (3, 4))
        if len(widths) < 3:
            widths = [first, *widths]
        sizes = [kernel_size] * 4 if is_integer(kernel_size) else kernel_size
        sizes = [checked_odd(name, size) for size in _numbers("kernel_size", sizes, (4,))]
        strides = _numbers("strides", strides, (3,))
        choice(invariant, name, "invariant", ["pool", "scalars"])
        given_unit, unit = unit, checked_unit(name, space, unit)
        basis, key = checked_basis(name, basis), arrays.key(key, name)
        parts = _parts(restrict)
        keys = iter(jax.random.split(key, 3 * blocks + 2))
        fields = FieldType.for_channels(space, unit, first)
        start = activated(name, activation, fields)
        options = {"padding": sizes[0] // 2, "use_bias": False, "basis": basis}
        layers: list[Layer] = [Conv(in_type, start.in_type, sizes[0], key=next(keys), **options)]
        stages = zip(widths, sizes[1:], strides, parts, strict=True)
        for number, (width, size, stride, part) in enumerate(stages):
            if part is not None:
                fewer, fields = _restriction(activation, layers[-1].out_type, fields, part)
                layers += fewer
                space, part = fields.space, unit.group.subgroup(part)
                unit = space.regular if given_unit is None else unit.restrict(part)
            stage = FieldType.for_channels(space, unit, widen * width)
            for position in range(blocks):
                last = (number, position) == (2, blocks - 1)
                ends = stage
                if last and invariant == "scalars":
                    ends = FieldType(space, stage.size * space.trivial)
                layers.append(
                    ResidualBlock(
                        fields,
                        ends,
                        kernel_size=size,
                        stride=1 if position else stride,
                        inner_fields=stage,
                        activation=activation,
                        basis=basis,
                        dropout=dropout,
                        grid_check=grid_check,
                        axis_name=axis_name,
                        key=next(keys),
                    )
                )
                fields = ends
        end = activated(name, activation, fields)
        layers += [batch_norm(end.in_type, axis_name), end]
        if invariant == "pool":
            layers.append(invariant_map(end.out_type))
        self.features = Sequential(*layers)
        self.readout = eqx.nn.Linear(len(fields), classes, key=next(keys))
        self.in_type = in_type
        self.out_type = FieldType(no_base_space(space.group), classes * space.trivial)

    def is_stateful(self) -> bool:
        """The batch norms are."""
        return True

    def embedding(self, element: GroupElement) -> GroupElement:
        """The element of the group of ``in_type`` that one of the last subgroup is."""
        for layer in reversed(self.features.layers):
            if isinstance(layer, Restriction):
                element = layer.embedding(element)
        return self.in_type.space.group.element(element)


def _numbers(argument: str, values: object, counts: tuple[int, ...]) -> list[int]:
    """Positive numbers, as many as one of the counts.

    Raises:
        ValueError: If there are more or fewer.
    """
    found = integers(values, "WideResNet", argument, 1, MOST)
    if len(found) not in counts:
        names = {3: "three", 4: "four"}
        takes = f"{' or '.join(names[count] for count in counts)} numbers"
        refuse(ValueError, "WideResNet", argument, takes, values)
    return list(found)


def _parts(restrict: object) -> list[Any]:
    """One subgroup, or None, for each of the three stages."""
    if restrict is None:
        return 3 * [None]
    takes = "a list of three, per stage a subgroup or None, or None"
    found = several(restrict, "WideResNet", "restrict", takes)
    if len(found) != 3:
        refuse(ValueError, "WideResNet", "restrict", takes, restrict)
    return list(found)


def _restriction(
    activation: Activation, stream: FieldType, fields: FieldType, subgroup: object
) -> tuple[list[Layer], FieldType]:
    """The layers that leave fewer symmetries, and what the next block takes for its fields.

    Args:
        activation: Of the network.
        stream: Type between two blocks: what the nonlinearity takes.
        fields: What it gives.
        subgroup: What is left.
    """
    try:
        fewer = Restriction(stream, subgroup)
    except (TypeError, ValueError) as error:
        text = str(error).removeprefix("Restriction: subgroup: ")
        raise type(error)(f"WideResNet: restrict: {text}") from None
    apart = Disentangle(fewer.out_type)
    summands = cast(FieldType, apart.out_type)  # of fields, as its input
    if activated("WideResNet", activation, summands).in_type == summands:
        return [fewer, apart], summands
    rest = fields.restrict(fewer.subgroup)  # with gates in front, which stay where they are
    if activated("WideResNet", activation, rest).in_type != fewer.out_type:
        refuse(
            ValueError,
            "WideResNet",
            "restrict",
            f"a subgroup under which the nonlinearity takes {fewer.out_type!r}",
            subgroup,
        )
    return [fewer], rest

"""The residual network with post-activation blocks (He et al. 2015), steerable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, PRNGKeyArray

from .._arguments import arrays, choice, integer, integers
from ..fields import FieldType
from ..nn import (
    AbstractContainer,
    Conv,
    Layer,
    PointwiseAvgPoolAntialiased,
    Sequential,
)
from ..nn.authoring import exported, plain_steps, split_keys, step
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
from ._residual import (
    Activation,
    AxisName,
    activated,
    batch_norm,
    default_activation,
    invariant_map,
)


class BasicBlock(AbstractContainer):
    """``y = a(s(x) + f(x))``: two convolutions ``f``, and a nonlinearity ``a`` behind the sum.

    ``f`` is convolution, norm, nonlinearity, convolution, norm; the shortcut ``s`` is a 1 x 1
    convolution and a norm where the type or the grid changes, else ``s(x) = x``. Where the
    nonlinearity needs gates, the sum has them in front.

    Law: ``f(g x) = g f(x)``, as its convolutions.

    Shapes: ``(..., c_in, *sides) -> (..., c_out, *sides')``.
    """

    body: Sequential
    shortcut: Sequential | None
    after: Layer
    in_type: FieldType = eqx.field(static=True)
    out_type: FieldType = eqx.field(static=True)

    def __init__(
        self,
        in_fields: FieldType,
        out_fields: FieldType,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        activation: Activation = default_activation,
        basis: Basis = "harmonic",
        dropout: float | int = 0.0,
        grid_check: str = "warn",
        axis_name: AxisName = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draws the convolutions.

        Args:
            in_fields: Type of the input.
            out_fields: Type of the output.
            kernel_size: Of both convolutions, odd.
            stride: Of the first convolution and of the shortcut.
            activation: From a type to a layer with that ``out_type``.
            basis: Of the kernels, as in `Conv`: its name, or a record such as
                ``kernels.Harmonic(frequency_cutoff=3)``.
            dropout: Probability to drop a field at a point, between the two convolutions.
            grid_check: As in `Conv`.
            axis_name: Of the batch norms: the named axes of ``vmap`` or ``shard_map``.
            key: A JAX key.

        Raises:
            ValueError: If the types do not fit together, or a number does not.
            TypeError: If a type is no `FieldType`.
        """
        checked_fields("BasicBlock", "in_fields", in_fields)
        checked_fields("BasicBlock", "out_fields", out_fields)
        kernel_size = checked_odd("BasicBlock", kernel_size)
        stride, key = integer(stride, "BasicBlock", "stride", 1), arrays.key(key, "BasicBlock")
        first, second, third = jax.random.split(key, 3)
        middle, end = (activated("BasicBlock", activation, out_fields) for _ in range(2))
        options: dict[str, Any] = {
            "padding": kernel_size // 2,
            "use_bias": False,
            "basis": checked_basis("BasicBlock", basis),
            "grid_check": grid_check,
        }
        self.body = Sequential(
            Conv(in_fields, middle.in_type, kernel_size, stride=stride, key=first, **options),
            batch_norm(middle.in_type, axis_name),
            middle,
            *dropped("BasicBlock", middle.out_type, dropout),
            Conv(middle.out_type, end.in_type, kernel_size, key=second, **options),
            batch_norm(end.in_type, axis_name),
        )
        self.shortcut = None
        if stride != 1 or in_fields != end.in_type:
            options["padding"] = 0
            self.shortcut = Sequential(
                Conv(in_fields, end.in_type, 1, stride=stride, key=third, **options),
                batch_norm(end.in_type, axis_name),
            )
        self.after = end
        self.in_type = in_fields
        self.out_type = end.out_type

    def is_stateful(self) -> bool:
        """The batch norms are."""
        return True

    def _forward(
        self, x: Array, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[Array, eqx.nn.State | None]:
        return post_activation(self.body, self.shortcut, self.after, x, state, key)

    def evaluate_output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the output: that of the two convolutions."""
        return self.after.evaluate_output_shape(self.body.evaluate_output_shape(shape))

    def export(self, state: eqx.nn.State | None = None) -> eqx.nn.Lambda:
        """A layer without state that holds the exported parts; it takes one example."""
        shortcut = None if self.shortcut is None else self.shortcut.export(state)
        after = exported(self.after, state, "the activation")
        parts = self.body.export(state), shortcut, after
        return eqx.nn.Lambda(plain_steps(post_activation, *parts))


def post_activation(
    body: Callable[..., Any],
    shortcut: Callable[..., Any] | None,
    after: Callable[..., Any],
    x: Array,
    state: eqx.nn.State | None,
    key: PRNGKeyArray | None,
) -> tuple[Array, eqx.nn.State | None]:
    """``a(s(x) + f(x))``, where ``s(x)`` is ``x`` without a shortcut."""
    keys = split_keys(key, 3)
    y, state = step(body, (x,), state, keys[0])
    if shortcut is not None:
        x, state = step(shortcut, (x,), state, keys[1])
    return step(after, (x + y,), state, keys[2])


class FieldResNet(AbstractClassifier):
    """A steerable residual network for images and volumes; ResNet-18 by default.

    A stem (convolution with stride, norm, nonlinearity, blurred pool), stages of `BasicBlock` of
    which all but the first halve the grid, an invariant map, the mean over the grid and a linear
    readout.

    Law: the logits do not change under the group, exactly for quarter turns and flips if every
    strided layer meets a grid of odd size: sides ``32 m + 1`` for the default stem, ``8 m + 1``
    for ``stem="small"``.

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
        blocks: Sequence[int] = (2, 2, 2, 2),
        channels: Sequence[int] = (64, 128, 256, 512),
        unit: Representation | None = None,
        stem: str = "large",
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
            blocks: Blocks per stage: (2, 2, 2, 2) is ResNet-18, (3, 4, 6, 3) ResNet-34.
            channels: Of the stages: as many copies of ``unit`` as fit, at least one.
            unit: What is copied: the regular representation by default; needed for infinite groups.
            stem: ``"large"``, a 7 x 7 convolution and a pool, both of stride 2, or ``"small"``, a
                3 x 3 convolution of stride 1, for small images.
            activation: From a type to a layer with that ``out_type``.
            basis: Of the kernels, as in `Conv`: its name, or a record such as
                ``kernels.Harmonic(frequency_cutoff=3)``.
            dropout: Probability to drop a field at a point, between the convolutions of a block.
            grid_check: As in `Conv`.
            axis_name: Of the batch norms: the named axes of ``vmap`` or ``shard_map``.
            key: A JAX key.

        Raises:
            ValueError: If a number does not fit, an option is unknown, or ``unit`` is missing.
            TypeError: If the type or a number is of another kind.
        """
        space = checked_fields("ResNet", "in_type", in_type)
        classes = integer(classes, "ResNet", "classes", 1, MOST_CLASSES)
        blocks = integers(blocks, "ResNet", "blocks", 1, MOST)
        channels = integers(channels, "ResNet", "channels", 1, MOST)
        key = arrays.key(key, "ResNet")
        if len(blocks) != len(channels):
            raise ValueError(
                f"ResNet: channels: expected {len(blocks)} numbers, one per stage of blocks, got "
                f"{channels!r}"
            )
        stem = choice(stem, "ResNet", "stem", ("large", "small"))
        unit = checked_unit("ResNet", space, unit)
        keys = iter(jax.random.split(key, sum(blocks) + 2))
        options: dict[str, Any] = {
            "activation": activation,
            "basis": checked_basis("ResNet", basis),
            "dropout": dropout,
            "grid_check": grid_check,
            "axis_name": axis_name,
        }
        fields = FieldType.for_channels(space, unit, channels[0])
        start = activated("ResNet", activation, fields)
        size, stride = (7, 2) if stem == "large" else (3, 1)
        layers: list[Layer] = [
            Conv(
                in_type,
                start.in_type,
                size,
                stride=stride,
                padding=size // 2,
                use_bias=False,
                basis=basis,
                grid_check=grid_check,
                key=next(keys),
            ),
            batch_norm(start.in_type, axis_name),
            start,
        ]
        if stem == "large":
            layers.append(PointwiseAvgPoolAntialiased(fields, 0.66, 2, grid_check=grid_check))
        for number, (count, width) in enumerate(zip(blocks, channels, strict=True)):
            stage = FieldType.for_channels(space, unit, width)
            for position in range(count):
                stride = 2 if number and not position else 1
                layers.append(BasicBlock(fields, stage, stride=stride, key=next(keys), **options))
                fields = stage
        layers.append(invariant_map(fields))
        self.features = Sequential(*layers)
        self.readout = eqx.nn.Linear(len(fields), classes, key=next(keys))
        self.in_type = in_type
        self.out_type = FieldType(no_base_space(space.group), classes * space.trivial)

    def is_stateful(self) -> bool:
        """The batch norms are."""
        return True

"""What networks that classify images share: features, their mean over the grid, a readout."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..fields import FieldType
from ..nn import AbstractContainer, Sequential
from ..nn.authoring import exported_chain, plain_layer, step


class AbstractClassifier(AbstractContainer):
    """Interface of classifiers: invariant features, their mean over the grid, a linear readout.

    Shapes: ``(..., c_in, *spatial) -> (..., classes)``.

    Attributes:
        features: Layers down to invariant fields.
        readout: From the means of the fields to the logits.
        in_type: Type of the images.
        out_type: The logits, as trivial fields on a point.
    """

    features: eqx.AbstractVar[Sequential]
    readout: eqx.AbstractVar[eqx.nn.Linear]
    in_type: eqx.AbstractVar[FieldType]
    out_type: eqx.AbstractVar[FieldType]

    def _forward(
        self, x: Array, state: eqx.nn.State | None, key: PRNGKeyArray | None
    ) -> tuple[Array, eqx.nn.State | None]:
        y, state = step(self.features, (x,), state, key)
        y = mean_over_grid(self.in_type.space.dim, y)
        weight, bias = self.readout.weight, self.readout.bias
        return jnp.matmul(y, weight.T.astype(y.dtype)) + bias.astype(y.dtype), state  # pyright: ignore

    def evaluate_output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the logits for a shape of images."""
        self.features.evaluate_output_shape(shape)
        return (*shape[: len(shape) - 1 - self.in_type.space.dim], self.out_type.size)

    def export(self, state: eqx.nn.State | None = None) -> eqx.nn.Sequential:
        """`equinox.nn.Sequential` of plain layers at inference; it takes one example."""
        layers = exported_chain(self.features.layers, state)
        mean = plain_layer(mean_over_grid, self.in_type.space.dim)
        return eqx.nn.Sequential([*layers, mean, self.readout])


def mean_over_grid(dim: int, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The mean over the last ``dim`` axes."""
    return x.mean(axis=tuple(range(-dim, 0)))

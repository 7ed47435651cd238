"""Networks from tensor images to tensor images: what they share, and the simplest of them."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._arguments import flag, function
from ..images import (
    MultiImage,
    Signature,
    as_dimension,
    axis_space,
    from_orbit,
    moved,
    orbit,
    orbit_tables,
    past_steps,
    pixel_sources,
)
from ..nn import AbstractImageLayer, AbstractModule
from ..nn.authoring import checked_signature, plain_layer, take_channels
from ..spaces import GSpace, axis_matrices, hyperoctahedral_on


class AbstractImageModel(AbstractModule, AbstractImageLayer):
    """Interface of networks from `MultiImage` to `MultiImage`.

    Types are checked by name, and their order does not matter. An array ``(..., C, *spatial)`` is
    taken for the dense array of an image, periodic along all axes unless ``is_torus`` says
    otherwise.

    Attributes:
        in_signature: Types of the input.
        out_signature: Types of the output.
        space: The group, with its action on the grid.
    """

    @abc.abstractmethod
    def _image(self, x: MultiImage, key: PRNGKeyArray | None) -> MultiImage:
        """The network on an image with the types of ``in_signature`` in order."""

    def _image_options(self, x: MultiImage) -> dict[str, Any]:
        return {"image": self._in_order(x)}

    def _forward(
        self,
        x: Float[Array, "..."],
        key: PRNGKeyArray | None = None,
        is_torus: object = True,
        image: MultiImage | None = None,
    ) -> Float[Array, "..."] | MultiImage:
        if image is not None:
            return self._image(image, key).reorder(self.out_signature)
        image = MultiImage.from_array(x, self.in_signature, self.space.dim, is_torus)
        return self._image(image, key).array


class ModelWrapper(AbstractImageModel):
    """A plain network as one on tensor images: dense array in, dense array out.

    It commutes with nothing but the identity; `GroupAverage` makes it commute with a group.

    Shapes: ``(..., C_in, *sides) -> (..., C_out, *sides')``, as the network has it for one example.

    Examples:
        >>> import equivax as evx, equinox as eqx, jax
        >>> plain = eqx.nn.Conv2d(2, 3, 3, padding=1, key=jax.random.key(0))
        >>> vector, scalars = (((1, 0), 1),), (((0, 0), 3),)
        >>> evx.models.ModelWrapper(plain, vector, scalars).out_signature
        Signature(3 k0p0)
    """

    model: PyTree
    in_signature: Signature = eqx.field(static=True)
    out_signature: Signature = eqx.field(static=True)
    space: GSpace = eqx.field(static=True)

    def __init__(
        self, model: Callable[..., Any], in_signature: object, out_signature: object, *, D: int = 2
    ) -> None:
        """Names the channels.

        Args:
            model: A function of one example ``(C_in, *sides)``, such as an Equinox module; a
                ``key`` is passed on if there is one.
            in_signature: Types of the input: a `Signature`, or what it accepts.
            out_signature: Types of the output.
            D: Number of spatial axes.

        Raises:
            TypeError: If ``model`` cannot be called.
        """
        self.model = function(model, "ModelWrapper", "model", "a network on arrays")
        self.in_signature = checked_signature(in_signature, "ModelWrapper", "in_signature")
        self.out_signature = checked_signature(out_signature, "ModelWrapper", "out_signature")
        space = hyperoctahedral_on(as_dimension(D, "ModelWrapper"))
        self.space = space.restrict([space.group.identity])

    def _image(self, x: MultiImage, key: PRNGKeyArray | None) -> MultiImage:
        options = {} if key is None else {"key": key}
        flat = x.array.reshape(math.prod(x.batch), *x.array.shape[len(x.batch) :])
        y = jax.vmap(lambda v: self.model(v, **options))(flat)
        y = y.reshape(*x.batch, *y.shape[1:])
        metric = x.metric if y.shape[y.ndim - x.D :] == x.spatial else None
        return MultiImage.from_array(y, self.out_signature, x.D, x.is_torus, metric)

    def export(self) -> Any:
        """The network inside."""
        return self.model


class LastStep(AbstractImageModel):
    """The last time step of the input as the prediction: the baseline that every model must beat.

    Shapes: channels ``(fields, past)`` and constants after them, to channels ``(fields, 1)``.
    """

    in_signature: Signature = eqx.field(static=True)
    out_signature: Signature = eqx.field(static=True)
    space: GSpace = eqx.field(static=True)
    constants: Signature | None = eqx.field(static=True)

    def __init__(
        self,
        in_signature: object,
        out_signature: object,
        *,
        constants: object = None,
        D: int = 2,
        group: object = None,
    ) -> None:
        """Finds the number of steps.

        Args:
            in_signature: Channels ``(fields, past)`` of every type, and constant ones after them.
            out_signature: Channels ``(fields, 1)``.
            constants: Signature of the constant channels; None if there are none.
            D: Number of spatial axes.
            group: A group of signed permutations of the axes; all of them if None.

        Raises:
            ValueError: If the numbers of channels do not fit together.
        """
        self.in_signature = checked_signature(in_signature, "LastStep", "in_signature")
        self.out_signature = checked_signature(out_signature, "LastStep", "out_signature")
        self.constants = None if constants is None else Signature(constants)
        self.space = axis_space(group, D, "LastStep")
        past_steps(self.in_signature, self.out_signature, self.constants, 1)

    def _image(self, x: MultiImage, key: PRNGKeyArray | None) -> MultiImage:
        found = chosen(self._channels(), -1 - x.D, x.array)
        return MultiImage.from_array(found, self.out_signature, x.D, x.is_torus, x.metric)

    def _channels(self) -> np.ndarray:
        """Which dense channels hold the last step."""
        D, found = self.space.dim, []
        past = past_steps(self.in_signature, self.out_signature, self.constants, 1)
        places = self.in_signature.slices(D)
        for type_, channels in self.out_signature:
            size = D ** len(type_[0])
            fields = past * np.arange(channels) + past - 1
            found.append((places[type_].start + size * fields[:, None] + np.arange(size)).ravel())
        return np.concatenate(found).astype(np.int32)

    def export(self) -> eqx.nn.Lambda:
        """A plain selection of channels."""
        return plain_layer(chosen, self._channels(), -1 - self.space.dim)


def chosen(channels: np.ndarray | Array, axis: int, x: Array) -> Array:
    """`take_channels` with the array last."""
    return take_channels(x, channels, axis)


class GroupAverage(AbstractImageModel):
    """``x -> mean over g of g^-1 f(g x)``: any network, made to commute with a group.

    The images ``g x`` stand on a batch axis, so the network is called once. Its output commutes
    with the group to rounding, at the cost of ``|G|`` evaluations.

    Law: ``F(g x) = g F(x)``.

    Shapes: as the network. Sides and torus flags that the group exchanges must be equal.
    """

    model: PyTree
    inference: bool
    in_signature: Signature = eqx.field(static=True)
    out_signature: Signature = eqx.field(static=True)
    space: GSpace = eqx.field(static=True)
    always: bool = eqx.field(static=True)

    def __init__(
        self, model: Callable[..., Any], group: object = None, *, always: bool = False
    ) -> None:
        """Takes the group.

        Args:
            model: A network from `MultiImage` to `MultiImage`; `ModelWrapper` makes one of any
                function of arrays.
            group: A group of signed permutations of the axes; all of them if None.
            always: Whether to average in training too, not only in inference mode
                (`equinox.nn.inference_mode`).

        Raises:
            TypeError: If the model does not say its types.
            ValueError: If the group does not act on images of the model's dimension.
        """
        for name in ("in_signature", "out_signature", "space"):
            if not hasattr(model, name):
                raise TypeError(
                    f"GroupAverage: model: expected a network on tensor images, got "
                    f"{type(model).__name__} without {name}; ModelWrapper names its channels"
                )
        self.model = model
        self.in_signature, self.out_signature = model.in_signature, model.out_signature
        self.space = axis_space(group, model.space.dim, "GroupAverage")
        self.always = flag(always, "GroupAverage", "always")
        self.inference = False

    def _image(self, x: MultiImage, key: PRNGKeyArray | None) -> MultiImage:
        options = {} if key is None else {"key": key}
        if not (self.always or self.inference):
            return self.model(x, **options)
        y = self.model(orbit(x, self.space, "GroupAverage"), **options)
        metric = x.metric if y.spatial == x.spatial else None
        array = from_orbit(y, self.space)
        return MultiImage.from_array(array, y.signature, x.D, x.is_torus, metric)

    def export(self) -> eqx.nn.Lambda:
        """The average of the exported network, over one example on any grid the group preserves."""
        D, tables = self.space.dim, []
        for signature, inverse in ((self.in_signature, False), (self.out_signature, True)):
            _, sources, signs = orbit_tables(signature, (1,) * D, self.space, inverse)
            tables += [sources.astype(np.int32), signs.astype(np.int32)]
        matrices = axis_matrices(self.space).astype(np.int32)
        return plain_layer(_averaged, self.model.export(), matrices, *tables)


def _averaged(model, matrices, source, sign, back_source, back_sign, x):
    images = jax.vmap(_moved, (None, 0, 0, 0))(jnp.asarray(x), matrices, source, sign)
    inverses = jnp.swapaxes(matrices, 1, 2)
    return jax.vmap(_moved)(jax.vmap(model)(images), inverses, back_source, back_sign).mean(0)


def _moved(x, matrix, source, sign):
    pixels = pixel_sources(matrix, x.shape[1:])
    return moved(x.reshape(len(x), -1), pixels, source, sign).reshape(x.shape)

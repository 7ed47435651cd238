"""Series of tensor images: windows to learn from, and the input of the next step.

A network sees ``m`` past steps as channels, ``(fields, m)`` with time fastest, and after them the
channels that do not change with time. So one step of a rollout is a cut along the time axis.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from .._arguments import integer, refuse, type_of
from ._arguments import MOST_CELLS, type_name
from ._multi_image import MultiImage
from ._signature import Signature

MOST_HALVINGS = 30


def window_indices(
    length: int, past: int, future: int = 1, *, step: int = 1
) -> tuple[Int[np.ndarray, "starts past"], Int[np.ndarray, "starts future"]]:
    """Which steps of a series are the input and the output of each example.

    Starts are ``s = 0 .. T - (m - 1 + n) dt - 1``; the input is ``s + dt {0 .. m - 1}``, the output
    ``s + dt {m .. m + n - 1}``.

    Args:
        length: T, steps of the series.
        past: m, steps of the input.
        future: n, steps of the output.
        step: dt, from a step of a window to its next.

    Raises:
        ValueError: If a number is not positive, or the series is too short for one window.
    """
    given = dict(length=length, past=past, future=future, step=step)
    length, past, future, step = (
        integer(value, "window_indices", name, 1) for name, value in given.items()
    )
    count = length - (past - 1 + future) * step
    if count < 1:
        raise ValueError(
            f"window_indices: length: expected at least {length - count + 1} steps for {past} past "
            f"and {future} future ones at a distance of {step}, got {length}"
        )
    if count * (past + future) > MOST_CELLS:
        refuse(ValueError, "window_indices", "length", f"at most {MOST_CELLS} indices", length)
    starts = np.arange(count)[:, None]
    return starts + step * np.arange(past), starts + step * (past + np.arange(future))


def window_series(
    dynamic: MultiImage,
    steps: int,
    past: int,
    future: int = 1,
    *,
    constant: MultiImage | None = None,
    skip: int = 0,
    step: int = 1,
    downsample: int = 0,
) -> tuple[MultiImage, MultiImage]:
    """Cuts trajectories into examples.

    Args:
        dynamic: Trajectories ``(trajectories, channels, *spatial)``, channels ``(fields, T)`` with
            time fastest.
        steps: T.
        past: Steps of the input.
        future: Steps of the output.
        constant: Images that belong to the trajectories and do not change; their channels follow
            those of the input.
        skip: Steps left out at the beginning.
        step: From a step of a window to its next.
        downsample: How often neighbouring pixels are averaged, two along every axis.

    Returns:
        Inputs with channels ``(fields, past)`` and the constants after them, and outputs with
        channels ``(fields, future)``; examples ordered by trajectory, then start.

    Raises:
        ValueError: If no window fits, T does not divide the channels, or sides are not even.
    """
    name = "window_series"
    dynamic = type_of(dynamic, name, "dynamic", MultiImage)
    constant = None if constant is None else type_of(constant, name, "constant", MultiImage)
    steps, skip = integer(steps, name, "steps", 1), integer(skip, name, "skip", 0)
    downsample = integer(downsample, name, "downsample", 0, MOST_HALVINGS)
    if len(dynamic.batch) != 1:
        raise ValueError(
            f"window_series: dynamic: expected one batch axis of trajectories, got {dynamic!r}"
        )
    if constant is not None and constant.batch != dynamic.batch:
        raise ValueError(
            f"window_series: constant: expected one image for each of the {dynamic.batch[0]} "
            f"trajectories, got {constant!r}"
        )
    series = _halved(dynamic, downsample).unfold_time(steps)
    inputs, outputs = window_indices(steps - skip, past, future, step=step)
    x, y = (
        series.at_batch((slice(None), skip + index)).fold_time().merge((0, 1))
        for index in (inputs, outputs)
    )
    if constant is not None:
        trajectory = np.repeat(np.arange(dynamic.batch[0]), len(inputs))
        x = x.concat(_halved(constant, downsample).at_batch(trajectory))
    return x, y


def _halved(image: MultiImage, times: int) -> MultiImage:
    """Means of two by two (by two) pixels, so many times."""
    if not times:
        return image
    if image.metric is not None:
        raise ValueError("window_series: downsample: expected 0 for images with a metric")
    size = 2**times
    if any(side % size for side in image.spatial):
        raise ValueError(
            f"window_series: downsample: expected sides that {size} divides, got {image.spatial}"
        )
    split = [n for side in image.spatial for n in (side // size, size)]
    first = len(image.batch) + 1
    cut = image.array.reshape(*image.array.shape[:first], *split)
    mean = cut.mean(axis=tuple(range(first + 1, cut.ndim, 2)))
    return MultiImage.from_array(mean, image.signature, image.D, image.is_torus)


def autoregressive_step(
    x: MultiImage, prediction: MultiImage, constants: object = None, *, future: int = 1
) -> MultiImage:
    """The next input of a network: the oldest steps go, the prediction comes, constants stay.

    Args:
        x: Input, channels ``(fields, past)`` of every type and then those that are constant.
        prediction: Output, channels ``(fields, future)``.
        constants: Signature of the constant channels; None if there are none.
        future: Steps that the network predicts.

    Returns:
        An image of the signature of ``x``.

    Raises:
        ValueError: If the channels do not fit together.
    """
    x = type_of(x, "autoregressive_step", "x", MultiImage)
    prediction = type_of(prediction, "autoregressive_step", "prediction", MultiImage)
    past = past_steps(x.signature, prediction.signature, constants, future)
    kept = Signature(constants) if constants is not None and len(Signature(constants)) else None
    moving, fixed = x.split(kept) if kept is not None else (x, None)
    old = moving.unfold_time(past)
    new = prediction.reorder(old.signature.scale(future)).unfold_time(future)
    both = old.concat(new, axis=-1).at_batch((..., slice(-past, None))).fold_time()
    return (both if fixed is None else both.concat(fixed)).reorder(x.signature)


def past_steps(given: Signature, predicted: Signature, constants: object, future: int) -> int:
    """How many steps an input holds, from its channels and those of the output.

    Raises:
        ValueError: If there is no such number, the same for all types.
    """
    fixed = Signature(constants) if constants is not None else Signature(())
    future = integer(future, "autoregressive_step", "future", 1)
    for type_, channels in predicted:
        if channels % future:
            raise ValueError(
                f"autoregressive_step: future: expected a divisor of the {channels} predicted "
                f"channels of {type_name(type_)}, got {future}"
            )
    for type_ in (*given.types, *fixed.types):
        have = given.channels(type_) if type_ in given else 0
        rest = have - (fixed.channels(type_) if type_ in fixed else 0)
        if rest < 0 or (rest and type_ not in predicted):
            raise ValueError(
                f"autoregressive_step: constants: {have} channels of {type_name(type_)} in "
                f"{given!r} do not consist of constants {fixed!r} and steps of {predicted!r}; "
                "constants= takes the signature of channels that are no steps of a prediction"
            )
    steps = set()
    for type_, channels in predicted:
        have = given.channels(type_) if type_ in given else 0
        rest = have - (fixed.channels(type_) if type_ in fixed else 0)
        if channels:
            steps.add(rest * future / channels)
    past = steps.pop() if len(steps) == 1 else 0
    if past < 1 or past != int(past):
        raise ValueError(
            f"autoregressive_step: prediction: expected the same number of past steps for every "
            f"type of {given!r} without constants {fixed!r}, got {predicted!r}"
        )
    return int(past)

"""Taps, accuracy and order of finite differences: two of them give the third."""

from __future__ import annotations

from typing import NamedTuple

from ._arguments import as_integer


class StencilSizes(NamedTuple):
    """Taps per axis, guaranteed accuracy, highest order of derivatives."""

    kernel_size: int
    accuracy: int
    maximum_order: int


def stencil_sizes(
    kernel_size: int | None = None,
    accuracy: int | None = None,
    maximum_order: int | None = None,
    caller: str = "stencil_sizes",
) -> StencilSizes:
    """Taps, accuracy and order of finite differences from at most two of them.

    k symmetric taps carry derivatives of order ``o <= k - 1``, of order o with an error of
    ``h^a``, where a is ``k - o`` rounded up to even: so ``k = o + a - [a even]``. From one number
    alone all orders follow, ``k = o + 1``.

    Args:
        kernel_size: Taps per axis, ``k``.
        accuracy: Order of the error for derivatives of the highest order, ``a``.
        maximum_order: Highest order of derivatives, ``o``.
        caller: Who asks, for messages.

    Returns:
        All three; the accuracy is the one that is reached, always even.

    Raises:
        ValueError: If all three or neither size nor order are given, one is too small, or the taps
            carry no derivative of that order.

    Examples:
        >>> import equivax as evx
        >>> evx.kernels.stencil_sizes(maximum_order=2, accuracy=4)
        StencilSizes(kernel_size=5, accuracy=4, maximum_order=2)
    """
    k, a, o = kernel_size, accuracy, maximum_order
    check_sizes(caller, k, a, o)
    gap = 1 if a is None else a - (a % 2 == 0)
    if k is not None and o is not None:
        if a is not None:
            raise ValueError(
                f"{caller}: accuracy: expected at most two of kernel_size, accuracy and "
                f"maximum_order, since two give the third, got {k}, {a}, {o}"
            )
    elif k is not None:
        o = k - gap
        if o < 0:
            raise ValueError(
                f"{caller}: accuracy: expected at most {k + k % 2} for {k} taps, got {a}"
            )
    elif o is not None:
        k = o + gap
    else:
        raise ValueError(
            f"{caller}: kernel_size: expected kernel_size or maximum_order, got neither"
        )
    if o > k - 1:
        raise ValueError(
            f"{caller}: maximum_order: expected at most {k - 1}, since {k} taps carry no higher "
            f"derivative, got {o}"
        )
    rest = k - o
    return StencilSizes(int(k), int(rest + rest % 2), int(o))


def check_sizes(caller: str, kernel_size: object, accuracy: object, maximum_order: object) -> None:
    """Refuses numbers that are given and are no integers of a possible size, each on its own."""
    least = {"kernel_size": 1, "accuracy": 1, "maximum_order": 0}
    for name, value in zip(least, (kernel_size, accuracy, maximum_order), strict=True):
        found = as_integer(value)
        if value is not None and (found is None or found < least[name]):
            raise ValueError(
                f"{caller}: {name}: expected an integer >= {least[name]}, got {value!r}"
            )

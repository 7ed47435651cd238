"""The grid rule: who is checked, what the message says, and how arguments are read."""

import math
import warnings

import numpy as np
import pytest

from equivax import groups, nn, spaces
from equivax.nn._core._windows import (
    as_grid_check,
    as_tuple,
    check_exchanged,
    check_grid,
    moved_axes,
    output_length,
    output_lengths,
)

C4 = spaces.rot_on_r2(4)
plain = pytest.mark.usefixtures("unchecked_annotations")


@pytest.mark.parametrize(
    "space, mirrored, exchanged",
    [
        (spaces.trivial_on_r2(), (), ()),
        (spaces.flip_on_r2(), (1,), ()),  # left and right: columns only
        (spaces.flip_on_r2(0.0), (0,), ()),
        (spaces.flip_on_r2(math.pi / 4), (0, 1), ((0, 1),)),
        (spaces.flip_on_r2(-math.pi / 4), (), ((0, 1),)),  # a transpose reverses nothing
        (spaces.flip_on_r2(0.3), (0, 1), ((0, 1),)),
        (spaces.rot_on_r2(2), (0, 1), ()),
        (spaces.rot_on_r2(3), (0, 1), ((0, 1),)),
        (C4, (0, 1), ((0, 1),)),
        (spaces.rot_on_r2(-1), (0, 1), ((0, 1),)),
        (spaces.flip_on_r1(), (0,), ()),
        (spaces.on_r1(groups.cyclic(3)), (), ()),
        (spaces.no_base_space(groups.cyclic(3)), (), ()),
        # Turns about z: y and x are the last two axes.
        (spaces.GSpace(C4.group, C4.vector + C4.trivial), (1, 2), ((1, 2),)),
    ],
    ids=repr,
)
def test_which_axes_a_group_moves(space, mirrored, exchanged):
    assert moved_axes(space) == (mirrored, exchanged)


def symmetric(length, k, s, before, after, d):
    """Whether the set of windows is its own mirror image, by listing the cells."""
    count = (length + before + after - d * (k - 1) - 1) // s + 1
    windows = {tuple(i * s - before + d * q for q in range(k)) for i in range(count)}
    return windows == {tuple(length - 1 - t for t in reversed(taps)) for taps in windows}


def test_the_rule_is_the_symmetry_of_the_windows():
    line, seen = spaces.flip_on_r1(), set()
    for length in range(3, 9):
        for k, s, d in ((1, 1, 1), (2, 1, 1), (2, 2, 1), (3, 2, 1), (2, 3, 2), (3, 1, 2)):
            for before, after in ((0, 0), (1, 1), (0, 1), (1, 0), (2, 1)):
                padding = ((before, after),)
                if output_length(length, k, s, (before, after), d) < 1:
                    continue
                try:
                    check_grid("Conv", line, (length,), (k,), (s,), padding, (d,), "raise")
                    told = True
                except ValueError:
                    told = False
                assert told == symmetric(length, k, s, before, after, d)
                seen.add(told)
    assert seen == {True, False}


@pytest.mark.parametrize(
    "length, k, s, p, limit, advice",
    [
        (8, 3, 2, 1, None, "use a length of 7 or 9 "),
        (8, 3, 3, 1, None, "use a length of 7 or 10, or a padding of 2 on both sides"),
        (8, 3, 3, 0, 1, "use a length of 6 or 9 "),
        (4, 3, 2, 0, 1, "use a length of 3 or 5 "),
        (3, 2, 2, 0, 1, "use a length of 2 or 4 "),
    ],
)
def test_the_advice_mends_it(length, k, s, p, limit, advice):
    limits = None if limit is None else (limit,) * 2
    arguments = ("Conv", C4, (length, length), (k, k), (s, s), ((p, p),) * 2, (1, 1))
    with pytest.warns(nn.GridWarning, match="spatial axis 0") as record:
        check_grid(*arguments, "warn", largest_padding=limits)
    assert advice in str(record[0].message)
    with pytest.raises(ValueError, match="Conv: cannot commute with C4 on R2"):
        check_grid(*arguments, "raise", largest_padding=limits)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_grid(*arguments, "off")


def test_padding_on_one_side_and_unequal_axes():
    with pytest.raises(ValueError, match="1 cells of padding before and 2 after; use a padding of"):
        check_grid("Conv", C4, (9, 9), (4, 4), (1, 1), ((1, 2),) * 2, (1, 1), "raise")
    with pytest.raises(ValueError, match=r"exchanges spatial axes 0 and 1.*must agree"):
        check_grid("Conv", C4, (9, 9), (3, 1), (1, 1), ((1, 1), (0, 0)), (1, 1), "raise")
    mirror = spaces.flip_on_r2()
    check_grid("Conv", mirror, (8, 9), (3, 1), (2, 1), ((1, 1), (0, 0)), (1, 1), "raise")
    with pytest.raises(ValueError, match="output_size must agree on them, got 2 and 3"):
        check_exchanged("Pool", C4, "output_size", (2, 3), "raise")
    check_exchanged("Pool", C4, "output_size", (2, 3), "off")


def test_lengths():
    assert output_length(7, 2, 2, (0, 0), 1) == 3
    assert output_length(7, 2, 2, (0, 0), 1, ceil_mode=True) == 4
    assert output_length(3, 2, 2, (1, 1), 1, ceil_mode=True) == 2  # the third starts in the padding
    assert output_lengths("Pool", (7, 9), (2, 3), (2, 2), ((0, 0), (1, 1)), (1, 2)) == (3, 4)
    with pytest.raises(ValueError, match=r"at least 4 cells along spatial axis 1.*adds 1, got 2"):
        output_lengths("Conv", (9, 2), (3, 3), (1, 1), ((0, 0), (0, 1)), (1, 2))


@plain
def test_integers_are_read():
    assert as_tuple(3, 2, "Conv", "stride", 1) == (3, 3)
    assert as_tuple(np.int64(3), 1, "Conv", "stride", 1) == (3,)
    assert as_tuple([1, 2, 3], 3, "Conv", "stride", 1) == (1, 2, 3)
    assert as_tuple(np.array([1, 2]), 2, "Conv", "stride", 1) == (1, 2)
    for value, error in (
        (0, ValueError), ((1, 0), ValueError), ((1, 2, 3), ValueError), (1.5, TypeError),
        ("ab", TypeError), (True, TypeError), (None, TypeError), ((1, 2.0), TypeError),
    ):  # fmt: skip
        with pytest.raises(error, match="Conv: stride: expected an integer >= 1, or 2 of them"):
            as_tuple(value, 2, "Conv", "stride", 1)
    assert as_grid_check("off", "Conv") == "off"
    with pytest.raises(ValueError, match="Conv: grid_check: expected one of raise, warn, off"):
        as_grid_check("never", "Conv")

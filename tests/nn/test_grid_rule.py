"""The grid rule: who is checked, what the message says, advice that works, arguments."""

import itertools
import math
import re
import warnings

import numpy as np
import pytest

from equivax import groups, nn, spaces
from equivax._windows import as_tuple, make_windows, window_count
from equivax.nn._core._grid_rule import as_grid_check, check_exchanged, checked_windows, moved_axes

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


def cells(length, k, s, pair, d, spread, mode, count):
    """The cells that every window sees; None for what is no cell of the input."""
    period = spread * length

    def cell(at):
        if mode == "circular":
            at %= period
        inside = 0 <= at <= spread * (length - 1) and at % spread == 0
        return at // spread if inside else None

    return [[cell(i * s - pair[0] + d * q) for q in range(k)] for i in range(count)]


def is_exact(length, seen):
    """Whether reversing the input reverses the output of every kernel that is its own mirror."""
    turned = [
        [None if c is None else length - 1 - c for c in reversed(taps)] for taps in reversed(seen)
    ]
    return turned == seen


@pytest.mark.parametrize("mode", ["zeros", "circular"])
@pytest.mark.parametrize("spread", [1, 2, 3])
def test_the_rule_is_the_symmetry_of_the_windows(mode, spread):
    line, told = spaces.flip_on_r1(), set()
    settings = itertools.product(
        range(3, 8),
        ((1, 1, 1), (2, 1, 1), (2, 2, 1), (3, 2, 1), (2, 3, 2), (3, 1, 2), (4, 1, 1)),
        ((0, 0), (1, 1), (0, 1), (1, 0), (2, 1), (2, 2)),
    )
    for length, (k, s, d), pair in settings:
        count = window_count(length, k, s, pair, d, spread)
        if count < 1:
            continue
        windows = make_windows(
            "Conv", 1, k, stride=s, padding=(pair,), dilation=d, input_dilation=spread,
            padding_mode=mode,
        )  # fmt: skip
        try:
            checked_windows("Conv", line, windows, (length,), "raise")
            found = True
        except ValueError:
            found = False
        seen = cells(length, k, s, pair, d, spread, mode, count)
        if found:
            assert is_exact(length, seen)
        elif max(sum(c is not None for c in taps) for taps in seen) > 1:
            assert not is_exact(length, seen)  # else some windows see one cell, and may be exact
        told.add(found)
    assert told == {True, False}


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
    windows = make_windows("Conv", 2, k, stride=s, padding=p)
    arguments = ("Conv", C4, windows, (length, length))
    options = {"largest_padding": None if limit is None else (limit,) * 2}
    with pytest.warns(nn.GridWarning, match="spatial axis 0") as record:
        checked_windows(*arguments, "warn", **options)
    assert advice in str(record[0].message)
    with pytest.raises(ValueError, match="Conv: cannot commute with C4 on R2"):
        checked_windows(*arguments, "raise", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checked_windows(*arguments, "off", **options)


def followed(message, axis, lengths, options):
    """Every change that a message offers for an axis, made."""
    found = re.search(rf"spatial axis {axis}\b.*?; use ([^;]*)", message)
    text = found[1] if found else ""
    for size in re.findall(r"a length of ([\d or]+)", text):
        for number in re.findall(r"\d+", size):
            yield [int(number) if n == lengths[axis] else n for n in lengths], options
    for number in re.findall(r"a padding of (\d+) on both sides", text):
        yield lengths, {**options, "padding": int(number)}
    for k, p in re.findall(r"kernel_size=(\d+), padding=(\d+)", text):
        yield lengths, {**options, "kernel_size": int(k), "padding": int(p)}


@pytest.mark.parametrize("torus", [None, (False, False), (True, True), (True, False)])
def test_all_advice_is_accepted_when_followed(torus):
    space, advised = spaces.flip_rot_on_r2(4), 0
    settings = itertools.product(
        [(8, 8), (6, 9)], (2, 3, 4), (1, 2, 3), ("same", 0, 1, ((0, 1), (0, 1))), (1, 2),
        (1, 2),
    )  # fmt: skip
    for lengths, k, s, p, d, spread in settings:
        images = torus is not None
        options = {"kernel_size": k, "stride": s, "padding": p, "dilation": d}
        options |= {"input_dilation": spread, "images": images}

        def complaint(lengths, options, torus=torus, images=images):
            try:
                windows = make_windows("Layer", 2, **options)
                checked_windows(
                    "Layer", space, windows, lengths, "raise", is_torus=torus, kernels=images
                )
            except ValueError as error:
                return str(error)
            return ""

        message = complaint(lengths, options)
        for axis in range(2):
            for sides, other in followed(message, axis, list(lengths), options):
                advised += 1
                again = complaint(tuple(sides), other)
                # The other axis may have a problem of its own.
                assert f"spatial axis {axis}" not in again, (message, again)
                assert not again or "spatial axis" in again, (message, again)
    assert advised > 50


def test_padding_on_one_side_and_unequal_axes():
    def check(space, lengths, k, s, padding):
        windows = make_windows("Conv", 2, k, stride=s, padding=padding)
        checked_windows("Conv", space, windows, lengths, "raise")

    with pytest.raises(ValueError, match="1 cells of padding before and 2 after; use a padding of"):
        check(C4, (9, 9), 4, 1, ((1, 2),) * 2)
    with pytest.raises(ValueError, match=r"exchanges spatial axes 0 and 1.*must agree"):
        check(C4, (9, 9), (3, 1), 1, ((1, 1), (0, 0)))
    check(spaces.flip_on_r2(), (8, 9), (3, 1), (2, 1), ((1, 1), (0, 0)))
    with pytest.raises(ValueError, match="output_size must agree on them, got 2 and 3"):
        check_exchanged("Pool", C4, "output_size", (2, 3), "raise")
    check_exchanged("Pool", C4, "output_size", (2, 3), "off")


def test_lengths():
    assert window_count(7, 2, 2, (0, 0)) == 3
    assert window_count(7, 2, 2, (0, 0), ceil_mode=True) == 4
    assert window_count(3, 2, 2, (1, 1), ceil_mode=True) == 2  # the third starts in the padding
    windows = make_windows("Pool", 2, (2, 3), stride=2, padding=(0, 1), dilation=(1, 2))
    assert windows.on("Pool", (7, 9)).counts((7, 9)) == (3, 4)
    short = make_windows("Conv", 2, 3, padding=((0, 0), (0, 1)), dilation=(1, 2))
    with pytest.raises(ValueError, match=r"at least 4 cells along spatial axis 1.*adds 1, got 2"):
        short.on("Conv", (9, 2))


@plain
def test_integers_are_read():
    assert as_tuple(3, 2, "Conv", "stride", 1) == (3, 3)
    assert as_tuple(np.int64(3), 1, "Conv", "stride", 1) == (3,)
    assert as_tuple([1, 2, 3], 3, "Conv", "stride", 1) == (1, 2, 3)
    assert as_tuple(np.array([1, 2]), 2, "Conv", "stride", 1) == (1, 2)
    assert as_tuple(np.array(3), 2, "Conv", "stride", 1) == (3, 3)
    assert as_tuple(1, 0, "Conv", "stride", 1) == as_tuple((), 0, "Conv", "stride", 1) == ()
    with pytest.raises(ValueError, match="stride: expected at most 100000000, got 1000000000"):
        as_tuple(10**9, 2, "Conv", "stride", 1)
    with pytest.raises(ValueError, match="padding: expected at most 10000000000 cells with those"):
        make_windows("Conv", 2, 3, padding=10**8).on("Conv", (4, 4))
    for value, error in (
        (0, ValueError), ((1, 0), ValueError), ((1, 2, 3), ValueError), (1.5, TypeError),
        ("ab", TypeError), (np.array(3.0), TypeError), (True, TypeError), (None, TypeError),
        ((1, 2.0), TypeError),
    ):  # fmt: skip
        with pytest.raises(error, match="Conv: stride: expected an integer >= 1, or 2 of them"):
            as_tuple(value, 2, "Conv", "stride", 1)
    assert as_grid_check("off", "Conv") == "off"
    with pytest.raises(ValueError, match="Conv: grid_check: expected one of raise, warn, off"):
        as_grid_check("never", "Conv")


@plain
def test_paddings_are_read():
    def pairs(padding, dim=2):
        return make_windows("Conv", dim, 3, padding=padding, dilation=2).padding

    for one in (1, np.int64(1), [1, 1], (np.int32(1), 1), np.ones((2, 2), int), [[1, 1], (1, 1)]):
        assert pairs(one) == ((1, 1), (1, 1))
    assert pairs(((1, 2), 3)) == ((1, 2), (3, 3))
    assert pairs("same") == ((2, 2), (2, 2))
    assert pairs("valid") == ((0, 0), (0, 0))
    assert pairs("causal", 1) == ((4, 0),)
    for value, error in (
        (-1, ValueError), ((1, 2, 3), ValueError), ("all", ValueError), (True, TypeError),
        (1.5, TypeError), (None, TypeError), (((1, 2, 3), 1), ValueError), ([1, False], TypeError),
    ):  # fmt: skip
        with pytest.raises(error, match="Conv: padding: expected an integer >= 0, 2 of them"):
            pairs(value)
    modes = make_windows("Conv", 2, 3, padding_mode=["circular", "zeros"]).padding_mode
    assert modes == ("circular", "zeros")
    for value in ("torus", "wrap", ("zeros",), 3, None):
        with pytest.raises(ValueError, match="Conv: padding_mode: expected one of zeros, reflect"):
            make_windows("Conv", 2, 3, padding_mode=value)

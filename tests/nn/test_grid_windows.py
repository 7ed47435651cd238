"""Windows of tokens: who sees whom, that the group keeps them, and what is refused."""

import jax
import numpy as np
import pytest

from equivax import nn, spaces
from equivax.nn._core._cells import moved_cells
from laws import drawn, normal, relative

D4, C1 = spaces.flip_rot_on_r2(4), spaces.trivial_on_r2()
MIRROR, CUBE = spaces.flip_on_r2(), spaces.octahedral_on_r3()


def by_hand(grid, window, shift, torus):
    """Pair by pair."""
    cells = list(np.ndindex(*grid))

    def window_of(cell):
        found = []
        for i, n, w, s in zip(cell, grid, window, shift, strict=True):
            place = i + s
            found.append((place % n if torus else place) // w)
        return found

    return np.array([[window_of(a) == window_of(b) for b in cells] for a in cells])


@pytest.mark.parametrize("space, grid, window, shift, torus", [
    (D4, (4, 4), (2, 2), (0, 0), False),
    (D4, (4, 4), (2, 2), (1, 1), False),
    (D4, (4, 4), (2, 2), (1, 1), True),
    (D4, (6, 6), (3, 3), (0, 0), True),
    (MIRROR, (4, 6), (4, 2), (0, 1), False),
    (C1, (5, 4), (3, 2), (1, 1), False),
    (C1, (6, 4), (3, 2), (2, 1), True),
    (CUBE, (4, 4, 4), (2, 2, 2), (1, 1, 1), False),
])  # fmt: skip
def test_windows_are_those_found_by_hand_and_are_kept(space, grid, window, shift, torus):
    mask = nn.window_mask(space, grid, window, shift=shift, torus=torus)
    assert np.array_equal(mask, by_hand(grid, window, shift, torus))
    for cells in moved_cells(space, grid):
        assert np.array_equal(mask[np.ix_(cells, cells)], mask)
    more = nn.window_mask(space, grid, window, shift=shift, torus=torus, extra=2)
    assert np.array_equal(more[2:, 2:], mask)
    assert more[:2].all()
    assert more[:, :2].all()


@pytest.mark.parametrize("space, grid, window, options, message", [
    (D4, 6, 3, {"shift": 1}, "shift: expected windows that .* maps to windows"),
    (D4, 6, 3, {"shift": 1, "torus": True}, "shift them by half their size"),
    (D4, 6, 4, {}, "take windows that divide the sides"),
    (D4, 8, 4, {"shift": (2, 0)}, "maps to windows"),
    (D4, (4, 6), 2, {}, "grid: expected equal numbers for axes 0 and 1"),
    (D4, 8, (2, 4), {}, "window: expected equal numbers for axes 0 and 1"),
    (C1, 6, 4, {"torus": True}, "window: expected divisors of the sides"),
    (C1, 200, 2, {}, "grid: expected at most .* pairs"),
    (spaces.rot_on_r2(8), 4, 2, {}, "space: expected a finite group that turns"),
])  # fmt: skip
def test_windows_that_do_not_fit_are_refused(space, grid, window, options, message):
    with pytest.raises(ValueError, match=f"window_mask: .*{message}"):
        nn.window_mask(space, grid, window, **options)
    if "pairs" not in message:
        with pytest.raises(ValueError, match=f"window_cells: .*{message}"):
            nn.window_cells(space, grid, window, **options)


def test_windows_of_several_sizes_are_no_batch():
    with pytest.raises(ValueError, match=r"window_cells: window: .*, got 1 to 4 cells; .* torus"):
        nn.window_cells(D4, 4, 2, shift=1)


@pytest.mark.usefixtures("x64")
def test_windows_as_a_batch_are_windows_by_a_mask(key):
    positions = nn.RelativeGridPositions(2, D4, (4, 4))
    layer = drawn(nn.MultiheadAttention(2 * D4.regular, 2, positions=positions, key=key), 0.5)
    x = normal(3, 16, layer.in_type.size)
    windows = {"window": 2, "shift": 1, "torus": True}
    cells = nn.window_cells(D4, 4, **windows)
    assert cells.shape == (4, 4)
    y = layer(x[..., cells, :], positions=cells).reshape(x.shape)
    expected = layer(x, mask=nn.window_mask(D4, 4, **windows))
    assert relative(y[..., np.argsort(cells.ravel()), :], expected) <= 1e-10


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_attention_within_windows_moves_with_its_tokens(key):
    rep, extra = 2 * D4.regular, 1
    positions = nn.RelativeGridPositions(2, D4, (4, 4), extra=extra)
    layer = drawn(nn.MultiheadAttention(rep, 2, positions=positions, key=key), 0.5)
    mask = nn.window_mask(D4, 4, 2, shift=1, extra=extra)
    call = jax.jit(lambda x: layer(x, mask=mask))
    x = normal(extra + 16, rep.size)
    y = call(x)
    for g, cells in zip(D4.group.elements, moved_cells(D4, (4, 4)), strict=True):
        places = np.concatenate([np.arange(extra), extra + cells])
        moved = np.empty_like(x), np.empty_like(y)
        for new, old in zip(moved, (x, y), strict=True):
            new[places] = np.asarray(old) @ rep(g).T
        assert relative(call(moved[0]), moved[1]) <= 1e-10

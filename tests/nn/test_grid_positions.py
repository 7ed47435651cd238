"""Positions on grids of tokens move along with the tokens, for every element of the group."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equivax as evx
from equivax import nn, spaces
from equivax.testing._action import act

KEY = jax.random.key(0)
D4 = spaces.flip_rot_on_r2(4)
OCTAHEDRAL = spaces.signed_permutations_on(evx.groups.octahedral())

PLACES = {
    "C1": (spaces.trivial_on_r2(), (3, 4)),
    "mirror": (spaces.flip_on_r2(), (3, 4)),
    "half turn": (spaces.rot_on_r2(2), (3, 4)),
    "C4, even": (spaces.rot_on_r2(4), (4, 4)),
    "D4, odd": (D4, (3, 3)),
    "D4, even": (D4, (4, 4)),
    "octahedral": (OCTAHEDRAL, (3, 3, 3)),
}
QUICK = {"mirror", "D4, even"}


def moved(space, rep, grid, x, g):
    """Tokens ``(..., extra + cells, n)`` under an element; those in front stay where they are."""
    extra = x.shape[-2] - int(np.prod(grid))
    x = np.asarray(x)
    front = rep.transform(x[..., :extra, :], g)
    image = np.moveaxis(x[..., extra:, :], -1, -2).reshape(*x.shape[:-2], rep.size, *grid)
    image = act(evx.FieldType(space, rep), image, g)
    cells = np.moveaxis(image.reshape(*x.shape[:-2], rep.size, -1), -1, -2)
    return np.concatenate([front, cells], axis=-2)


def kinds(space, rep, head, grid, extra):
    return {
        "absolute": nn.AbsoluteGridPositions(rep, space, grid, extra=extra, key=KEY),
        "relative": nn.RelativeGridPositions(2, space, grid, extra=extra),
        "rotary": nn.RotaryGridPositions(head, space, grid, extra=extra),
    }


@pytest.mark.parametrize("kind", ["absolute", "relative", "rotary"])
@pytest.mark.parametrize(
    "place", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in PLACES]
)
def test_attention_moves_with_its_tokens(place, kind, x64):
    space, grid = PLACES[place]
    rep, unit, extra = 2 * space.regular, space.regular, 1
    head = 2 * unit + space.trivial + (2 * space.trivial if place == "C1" else unit)
    positions = kinds(space, rep, head, grid, extra)[kind]
    layer = nn.MultiheadAttention(rep, 2, head_type=head, positions=positions, key=KEY)
    layer = evx.testing.randomize_parameters(layer, KEY)
    x = jax.random.normal(KEY, (2, extra + int(np.prod(grid)), rep.size))
    call = jax.jit(lambda x: layer(x))
    y = call(x)
    for g in space.group.elements:
        np.testing.assert_allclose(
            call(moved(space, rep, grid, x, g)), moved(space, rep, grid, y, g), atol=1e-10
        )
    sets = eqx.tree_at(lambda tree: tree.positions, layer, None)
    assert not np.allclose(y, jax.jit(lambda x: sets(x))(x), atol=1e-2)
    by_irreps = jax.jit(lambda x: layer(evx.IrrepTensor.of(rep, x)).array)
    np.testing.assert_allclose(by_irreps(x), y, atol=1e-10)
    plain = jax.jit(lambda x: layer.export()(x))
    np.testing.assert_allclose(plain(x[0]), y[0], atol=1e-10)


def test_rotary_positions_of_a_group_of_more_elements_than_are_tested(x64):
    """The 384 signed permutations of four axes, on fields of their eight half axes."""
    space = spaces.grid(4)
    fixed = [g for g in space.group.elements if np.allclose(space.matrix(g)[:, 0], np.eye(4)[0])]
    half_axes = space.group.quotient(fixed)
    assert half_axes.size == 8
    where = nn.RotaryGridPositions(2 * half_axes, space, 2)
    x = jax.random.normal(KEY, (16, 16))
    at = jnp.arange(16.0)
    turn = jax.jit(lambda x: where.on_heads(x[:, None], at, irrep_wise=False)[:, 0])
    rep, grid, y = 2 * half_axes, (2,) * 4, turn(x)
    assert np.abs(y - x).max() > 0.1
    for g in space.group.elements[1::37]:
        np.testing.assert_allclose(
            turn(moved(space, rep, grid, x, g)), moved(space, rep, grid, y, g), atol=1e-12
        )


def test_rotary_logits_see_offsets_only(x64):
    head = 4 * D4.regular
    where = nn.RotaryGridPositions(head, D4, 5)
    q, k = jax.random.normal(KEY, (2, 1, head.size))

    def logit(a, b):
        turned = [
            where.on_heads(v[:, None], jnp.array([5.0 * row + column]), irrep_wise=False)
            for v, (row, column) in ((q, a), (k, b))
        ]
        return float(jnp.vdot(*turned))

    assert logit((0, 1), (2, 3)) == pytest.approx(logit((2, 2), (4, 4)), abs=1e-12)
    assert abs(logit((0, 1), (2, 3)) - logit((0, 1), (2, 4))) > 1e-3


def test_rotary_on_a_grid_is_axial_for_the_trivial_group(x64):
    """Half of the pairs turn with the row, the others with the column."""
    space = spaces.trivial_on_r2()
    where = nn.RotaryGridPositions(4 * space.trivial, space, (3, 5), base=50.0)
    rows = jax.random.normal(KEY, (15, 1, 4))
    y = where.on_heads(rows, jnp.arange(15.0), irrep_wise=False)
    place = np.indices((3, 5)).reshape(2, -1)
    for pair, at in enumerate((place[0] - 1, place[1] - 2)):
        z, w = (
            np.asarray(v)[:, 0, 2 * pair] + 1j * np.asarray(v)[:, 0, 2 * pair + 1]
            for v in (rows, y)
        )
        np.testing.assert_allclose(w, z * np.exp(1j * at), atol=1e-12)


@pytest.mark.parametrize("side", [3, 4])
def test_tables_have_as_many_numbers_as_there_are_invariants(side):
    """By averages over the group: of offsets, and of vectors at cells."""
    rep = D4.regular + D4.irrep(1, 1)
    where = nn.AbsoluteGridPositions(rep, D4, side, key=KEY)
    fields = evx.FieldType(D4, rep)
    table = np.moveaxis(np.asarray(where.table), 1, 0).reshape(rep.size, side, side)
    for g in D4.group.elements:
        np.testing.assert_allclose(act(fields, table, g), table, atol=1e-6)
    fixed = [rep.character(g) * np.trace(_permutation(g, side)) for g in D4.group.elements]
    assert where.coeffs.size == round(np.mean(fixed))
    heads = nn.RelativeGridPositions(2, D4, side).table.shape
    fixed = [np.trace(_permutation(g, 2 * side - 1)) for g in D4.group.elements]
    assert heads == (2, round(np.mean(fixed)))


def _permutation(g, side):
    eye = np.eye(side * side).reshape(side * side, 1, side, side)
    return act(evx.FieldType(D4, D4.trivial), eye, g).reshape(side * side, -1)


def test_positions_are_added_to_tokens():
    rep = D4.regular
    where = nn.AbsoluteGridPositions(rep, D4, 3, extra=2, key=KEY)
    x = jnp.ones((2, 11, 8))
    y = where(x)
    np.testing.assert_array_equal(y[:, :2], x[:, :2])
    np.testing.assert_allclose(y[0, 2:], 1 + where.table, atol=1e-6)
    np.testing.assert_allclose(where.export()(x[0]), y[0], atol=1e-6)
    np.testing.assert_allclose(where(evx.IrrepTensor.of(rep, x)).array, y, atol=1e-5)


REP, ROUND = 2 * D4.regular, spaces.rot_on_r2(8)
ATTENTION = {
    "absolute": lambda: nn.AbsoluteGridPositions(D4.regular, D4, 3, key=KEY),
    "relative": lambda: nn.RelativeGridPositions(3, D4, 3),
    "rotary": lambda: nn.RotaryGridPositions(4 * D4.regular, D4, 3),
}


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: nn.AbsoluteGridPositions(REP, D4, (3, 4), key=KEY), "axes 0 and 1"),
        (lambda: nn.AbsoluteGridPositions(ROUND.regular, ROUND, 3, key=KEY), "restrict it"),
        (lambda: nn.AbsoluteGridPositions(D4.irrep(1, 0), D4, 1, key=KEY), "invariant vectors"),
        (lambda: nn.AbsoluteGridPositions(REP, D4, 3, key=KEY)(jnp.ones((8, 16))), "expected .*9"),
        (lambda: nn.RelativeGridPositions(2, D4, (3, 4)), "axes 0 and 1"),
        (lambda: nn.RotaryGridPositions(D4.regular, D4, 3), "two equal fields"),
        (lambda: nn.RotaryGridPositions(2 * D4.trivial, D4, 3), "two equal fields"),
        (lambda: nn.RotaryGridPositions(2 * ROUND.regular, D4, 3), "C8"),
        *(
            (lambda made=made: nn.MultiheadAttention(REP, 2, positions=made(), key=KEY), name)
            for name, made in ATTENTION.items()
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, says):
    with pytest.raises(ValueError, match=f"(?i){says}"):
        make()


@pytest.mark.parametrize("kind", ["absolute", "relative", "rotary"])
def test_tokens_that_are_not_those_of_the_grid_are_refused(kind):
    """They were taken for the first cells, or for none, so that nothing commuted."""
    makers = {
        "absolute": lambda: nn.AbsoluteGridPositions(REP, D4, 2, extra=1, key=KEY),
        "relative": lambda: nn.RelativeGridPositions(1, D4, 2, extra=1),
        "rotary": lambda: nn.RotaryGridPositions(2 * D4.regular, D4, 2, extra=1),
    }
    layer = nn.MultiheadAttention(REP, 1, positions=makers[kind](), key=KEY)
    for count in (4, 9):
        with pytest.raises(ValueError, match=f"q: expected 5 tokens, 1 .* got {count}; make the"):
            layer(jnp.ones((count, REP.size)))
    with pytest.raises(ValueError, match="MultiheadAttention: k: expected 5 tokens"):
        layer(jnp.ones((5, REP.size)), jnp.ones((4, REP.size)))
    x = jnp.ones((4, REP.size))
    assert layer(x, positions=jnp.arange(1, 5)).shape == x.shape

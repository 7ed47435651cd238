"""`MultiheadAttention`: against Equinox, masks, positions, dropout and what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import IrrepTensor, groups, nn
from equivax.nn.attention._formula import attended
from laws import cast, drawn, normal, relative
from vector_orbits import orbit

C1, C2, D3, D4 = groups.cyclic(1), groups.cyclic(2), groups.dihedral(3), groups.dihedral(4)
SO2 = groups.so2()
REP = 2 * D4.regular + D4.irrep(1, 1)


def attention(rep=REP, heads=2, *, key, **options):
    return drawn(nn.MultiheadAttention(rep, heads, key=key, **options))


@pytest.mark.usefixtures("x64")
def test_for_the_trivial_group_it_is_that_of_equinox(key):
    plain = drawn(
        eqx.nn.MultiheadAttention(
            3,
            12,
            use_query_bias=True,
            use_key_bias=True,
            use_value_bias=True,
            use_output_bias=True,
            key=key,
        )
    )
    layer = nn.MultiheadAttention(12 * C1.trivial, 3, key=key)
    for name in ("query_proj", "key_proj", "value_proj", "output_proj"):
        old = getattr(plain, name)
        new = getattr(layer, name).with_weight(old.weight).with_bias(old.bias)
        layer = eqx.tree_at(lambda tree, name=name: getattr(tree, name), layer, new)
    q, k = normal(5, 12), normal(7, 12, seed=2)
    mask = jnp.asarray(np.random.default_rng(0).random((3, 5, 7)) < 0.5)
    assert relative(layer(q, k, mask=mask), plain(q, k, k, mask=mask)) <= 1e-13
    assert relative(layer(q), plain(q, q, q)) <= 1e-13
    back = layer.export()
    assert type(back) is eqx.nn.MultiheadAttention
    assert relative(back(q, k, k, mask=mask), plain(q, k, k, mask=mask)) <= 1e-13


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "rep",
    [
        C2.irrep(0) + C2.irrep(1) + C2.irrep(0) + C2.irrep(1),
        2 * D3.irrep(1, 1) + D3.irrep(0, 0) + D3.irrep(1, 0),
    ],
    ids=lambda rep: rep.name,
)
def test_the_output_map_starts_at_the_heads_and_not_at_the_type(rep, key):
    # A map from the type, which has another basis than the heads, was off by 1.8 (outputs of 1).
    layer = attention(rep, 1, key=key)
    assert layer.output_proj.in_type == layer.head_type
    x = normal(4, rep.size)
    turned = jnp.asarray(orbit(rep, x))
    y = layer(turned)
    assert relative(y, orbit(rep, y[0])) <= 1e-13
    weights = layer.weights(turned)
    assert weights.shape == (1 + len(rep.group.testing_elements), 1, 4, 4)
    assert relative(weights, np.broadcast_to(weights[0], weights.shape)) <= 1e-13
    assert relative(weights.sum(-1), np.ones(weights.shape[:-1])) <= 1e-13


def test_heads_keep_the_width_or_are_one_regular_copy(key):
    sizes = {
        heads: nn.MultiheadAttention(6 * D4.regular, heads, key=key).head_type.size
        for heads in (1, 2, 4, 6, 9)
    }
    assert sizes == {1: 48, 2: 24, 4: 8, 6: 8, 9: 8}
    with pytest.raises(ValueError, match="head_type: SO\\(2\\) is infinite and has no regular"):
        nn.MultiheadAttention(SO2.irrep(1), 1, key=key)
    with pytest.raises(ValueError, match="MultiheadAttention: only the zero map commutes"):
        nn.MultiheadAttention(SO2.irrep(1), 1, head_type=SO2.irrep(2), key=key)


# ---- masks -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
def test_masks_of_all_kinds(key):
    layer = attention(key=key)
    x = normal(3, 6, REP.size)
    causal = jnp.tri(6, dtype=bool)
    padding = jnp.arange(6) < jnp.array([6, 4, 1])[:, None]

    @eqx.filter_jit
    def run(layer, x):
        per_head = jnp.stack([causal, causal.T])
        added = jnp.where(causal, 0.0, -jnp.inf)
        return {
            "word": layer(x, mask="causal"),
            "booleans": layer(x, mask=causal),
            "added": layer(x, mask=added),
            "both": layer(x, mask=("causal", padding[:, None, None])),
            "one": layer(x, mask=causal & padding[:, None, None]),
            "short": layer(x[1, :4], mask="causal"),
            "heads": layer.weights(x, mask=per_head),
            "first": layer.weights(x, mask="causal"),
            "last": layer.weights(x, mask=causal.T),
            "none": layer(x, mask=jnp.zeros((6, 6), bool)),
            "none added": layer(x, mask=jnp.full((6, 6), -jnp.inf)),
            "shifted": layer(x, mask=jnp.full((3, 1, 6, 1), 2.5)),
            "plain": layer(x),
        }

    y = run(layer, x)
    assert relative(y["booleans"], y["word"]) <= 1e-13
    assert relative(y["added"], y["word"]) <= 1e-13
    assert relative(y["one"], y["both"]) <= 1e-13
    assert relative(y["both"][1, :4], y["short"]) <= 1e-13
    assert relative(y["heads"][:, 0], y["first"][:, 0]) <= 1e-13
    assert relative(y["heads"][:, 1], y["last"][:, 1]) <= 1e-13
    assert relative(y["shifted"], y["plain"]) <= 1e-13
    assert np.isfinite(y["none"]).all()
    assert relative(y["none added"], y["none"]) <= 1e-13
    # What comes later is not seen.
    later = layer(x.at[:, 4:].add(1.0), mask="causal")
    assert relative(later[:, :4], y["word"][:, :4]) <= 1e-13


def test_masks_that_do_not_fit_are_refused(key):
    layer = attention(key=key)
    x = normal(3, 6, REP.size)
    for shape in ((3, 6, 6), (6, 5), (4, 3, 2, 6, 6)):
        with pytest.raises(ValueError, match="MultiheadAttention: mask: expected a shape that br"):
            layer(x, mask=jnp.ones(shape, bool))
    with pytest.raises(ValueError, match="mask: expected 'causal'"):
        layer(x, mask="casual")
    for wrong in (True, 1.0, jnp.ones((6, 6), int), ("causal", 3), ["causal", jnp.ones(6, bool)]):
        with pytest.raises(TypeError, match="MultiheadAttention: mask: expected 'causal'"):
            layer(x, mask=wrong)


# ---- positions ---------------------------------------------------------------------------------

HEADS = {
    "pairs": 4 * D4.regular,
    "one left": 3 * D4.regular,
    "within a copy": groups.cyclic(8).regular,
    "quaternions": groups.quaternion().regular,
    "kinds": D4.trivial + 2 * D4.regular + 3 * D4.irrep(1, 1),
    "circle": SO2.irrep(1) + SO2.irrep(2),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_rotary_positions_depend_on_the_offset_only(head):
    layer = nn.RotaryPositions(head, base=100)
    q, k = normal(4, head.size), normal(4, head.size, seed=2)
    at = jnp.array([0.0, 1.5, 7.0, -3.0])

    def logits(shift):
        return layer(q, positions=at + shift) @ layer(k, positions=at + shift).T

    assert relative(logits(12.25), logits(0.0)) <= 1e-12
    assert relative(layer(q, positions=at - at), q) <= 1e-14
    turned = layer(q, positions=at)
    assert relative((turned**2).sum(-1), (q**2).sum(-1)) <= 1e-14
    assert relative(turned, q) > 0.1
    default = layer(q)
    assert relative(default, layer(q, positions=np.arange(4))) <= 1e-14
    by_irreps = layer(IrrepTensor.of(head, q), positions=at)
    assert relative(by_irreps.array, turned) <= 1e-13
    # Steps add up.
    assert relative(layer(turned, positions=at), layer(q, positions=2 * at)) <= 1e-13


@pytest.mark.usefixtures("x64")
def test_rotary_positions_of_numbers_are_those_of_equinox():
    # Equinox pairs the channels of two halves, this library neighbours.
    x = normal(6, 8)
    order = np.arange(8).reshape(2, 4).T.reshape(-1)
    plain = eqx.nn.RotaryPositionalEmbedding(8, theta=10000.0, dtype=jnp.float64)
    y = nn.RotaryPositions(8 * C1.trivial)(x[:, order])
    assert relative(y[:, np.argsort(order)], plain(x)) <= 1e-6  # its angles are of float32


@pytest.mark.usefixtures("x64")
def test_relative_positions_are_numbers_of_clipped_offsets(key):
    layer = attention(positions=nn.RelativePositions(2, 2), key=key)
    table = np.asarray(layer.positions.table)
    assert table.shape == (2, 5)
    plain = eqx.tree_at(lambda m: m.positions, layer, None, is_leaf=lambda m: m is None)
    x = normal(6, REP.size)
    offsets = np.clip(np.arange(6)[None] - np.arange(6)[:, None], -2, 2) + 2
    assert relative(layer(x), plain(x, mask=jnp.asarray(table[:, offsets]))) <= 1e-13
    assert relative(layer(x, positions=np.arange(6) + 40), layer(x)) <= 1e-13
    # A token without a position is seen as without positions.
    at = jnp.arange(6.0).at[3].set(jnp.nan)
    expected = table[:, offsets].copy()
    expected[:, 3], expected[:, :, 3] = 0, 0
    assert relative(layer(x, positions=at), plain(x, mask=jnp.asarray(expected))) <= 1e-13
    with pytest.raises(ValueError, match="RelativePositions of 2 heads, got those of 3"):
        attention(positions=nn.RelativePositions(3, 2), key=key)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", ["rotary", "absolute"])
def test_tokens_without_a_position_stay_as_they_are(kind, key):
    layer = (
        nn.RotaryPositions(REP)
        if kind == "rotary"
        else drawn(nn.AbsolutePositions(REP, 9, key=key))
    )
    x = normal(2, 4, REP.size)
    at = jnp.array([[0.0, 1.0, 2.0, 3.0], [jnp.nan, jnp.nan, 5.0, 6.0]])
    y = layer(x, positions=at)
    assert np.array_equal(y[1, :2], x[1, :2])
    assert relative(y[0], layer(x[0])) <= 1e-14
    assert relative(y[1, 2:], x[1, 2:]) > 1e-2
    assert relative(layer(IrrepTensor.of(REP, x), positions=at).array, y) <= 1e-13


@pytest.mark.usefixtures("x64")
def test_absolute_positions_are_added_to_queries_and_keys_only(key):
    layer = attention(positions=nn.AbsolutePositions(REP, 9, key=key), key=key)
    positions = layer.positions
    plain = eqx.tree_at(lambda m: m.positions, layer, None, is_leaf=lambda m: m is None)
    x = normal(5, REP.size)
    moved = positions(x)
    assert relative(moved - x, positions.table[:5]) <= 1e-13
    assert relative(layer(x), plain(moved, moved, x)) <= 1e-13
    # Beyond the table the last row stands.
    assert (
        relative(positions(x, positions=np.arange(5) + 100) - x, positions.table[np.full(5, 8)])
        <= 1e-13
    )


@pytest.mark.usefixtures("x64")
def test_a_common_shift_changes_nothing_with_rotary_positions(key):
    head = 2 * D4.regular
    layer = attention(head_type=head, positions=nn.RotaryPositions(head), key=key)
    x, memory = normal(2, 5, REP.size), normal(2, 7, REP.size, seed=3)
    at, other = np.arange(5.0), np.arange(7.0) - 2

    @eqx.filter_jit
    def run(layer, shift):
        pair = (at + shift, other + shift)
        return layer(x, memory, positions=pair), layer(x, positions=at + shift)

    for one, two in zip(run(layer, jnp.array(0.0)), run(layer, jnp.array(11.0)), strict=True):
        assert relative(two, one) <= 1e-12
    with pytest.raises(ValueError, match="positions: expected a pair, of queries and of keys"):
        layer(x, memory, positions=at)
    with pytest.raises(ValueError, match=r"positions: expected numbers \(P,\) or \(B, P\)"):
        layer(x, positions=np.arange(6))
    with pytest.raises(ValueError, match="positions: expected None, since the layer has no"):
        attention(key=key)(x, positions=at)
    with pytest.raises(ValueError, match="expected RotaryPositions of head_type D4: 2 x regular"):
        attention(head_type=head, positions=nn.RotaryPositions(4 * D4.regular), key=key)


def test_positions_that_nothing_can_turn_or_add_are_refused(key):
    with pytest.raises(ValueError, match="RotaryPositions: head_type: expected two equal fields"):
        nn.RotaryPositions(D4.irrep(1, 1))
    with pytest.raises(ValueError, match="AbsolutePositions: in_type: expected a type with trivi"):
        nn.AbsolutePositions(D4.irrep(1, 1), 5, key=key)


# ---- the rest ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
def test_other_tokens_of_another_type(key):
    other = D4.regular + D4.trivial
    layer = attention(kv_type=other, key=key)
    q, k, v = normal(3, 4, REP.size), normal(6, other.size), normal(6, other.size, seed=5)
    y = layer(q, k, v)
    assert y.shape == q.shape
    g = D4.elements[5]
    a, b = (jnp.asarray(rep(g)) for rep in (REP, other))
    assert relative(layer(q @ a.T, k @ b.T, v @ b.T), y @ a.T) <= 1e-13
    by_irreps = layer(IrrepTensor.of(REP, q), k, IrrepTensor.of(other, v))
    assert relative(by_irreps.array, y) <= 1e-13
    with pytest.raises(ValueError, match="k: expected tokens of kv_type"):
        layer(q)
    with pytest.raises(ValueError, match="k: expected tokens, since v was given"):
        layer(q, None, v)
    with pytest.raises(ValueError, match="v: expected as many tokens as in k"):
        layer(q, k, v[:5])
    with pytest.raises(ValueError, match=r"q: expected \(\.\.\., tokens, 18\), got \(18,\)"):
        layer(q[0, 0], k, v)
    with pytest.raises(ValueError, match="batch axes that broadcast"):
        layer(q, normal(2, 6, other.size))
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 9\) for kv_type"):
        layer(q, q)


@pytest.mark.usefixtures("x64")
def test_one_array_read_as_two_types_is_two_inputs(key):
    """It was taken for one type in both places."""
    group = groups.cyclic(2)
    rep, other = group.irrep(1) + group.trivial, group.trivial + group.irrep(1)
    layer = nn.MultiheadAttention(rep, 1, kv_type=other, mode="irreps", key=key)
    x = normal(4, rep.size)
    assert relative(layer(x, x), layer(x, x.copy())) <= 1e-13


def test_one_numpy_array_has_one_place_per_token(key):
    layer = attention(positions=nn.RelativePositions(2, 3), key=key)
    x = np.asarray(normal(4, REP.size))
    assert layer(x, x, positions=np.arange(4)).shape == x.shape


def test_dropout_keeps_the_mean_and_wants_a_key(key):
    layer = attention(dropout=0.5, key=key)
    x = normal(5, REP.size)
    with pytest.raises(ValueError, match="MultiheadAttention: key: needed in training"):
        layer(x)
    calm = eqx.nn.inference_mode(layer)(x)
    keys = jax.random.split(key, 3000)
    mean = jax.jit(lambda: jax.vmap(lambda k: layer(x, key=k))(keys).mean(0))()
    assert relative(mean, calm) < 0.1  # 3000 draws
    assert relative(layer(x, key=key), calm) > 0.1


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_implementation_of_jax_gives_the_same_numbers(dtype, key):
    one, two = (attention(implementation=word, key=key) for word in (None, "xla"))
    x, mask = normal(2, 3, 6, REP.size), jnp.asarray(np.random.default_rng(0).random((2, 6, 6)))
    one, two, x = cast((one, two, x), dtype)

    @eqx.filter_jit
    def run(layer, x):
        value = layer(x, mask=("causal", mask))
        return value, eqx.filter_grad(lambda m: (m(x, mask="causal") ** 2).sum())(layer)

    with jax.numpy_dtype_promotion("standard"):  # JAX's own derivative promotes
        (y, slope), (z, other) = run(one, x), run(two, x)
    assert y.dtype == z.dtype == dtype
    allowed = 1e-5 if dtype == jnp.float32 else 0.05  # rounding of 24 and of 8 bits
    assert relative(z, y) <= allowed
    largest = max(float(jnp.abs(leaf).max()) for leaf in array_leaves(slope))
    for a, b in zip(array_leaves(slope), array_leaves(other), strict=True):
        assert float(jnp.abs(a - b).max()) <= allowed * largest


def array_leaves(tree):
    return jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))


def test_logits_of_sixteen_bits_are_summed_in_float32(key):
    layer = attention(key=key)
    x = normal(4, REP.size)
    coarse = cast(layer, jnp.bfloat16)
    weights = coarse.weights(x.astype(jnp.bfloat16))
    assert weights.dtype == jnp.float32
    assert relative(weights.sum(-1), np.ones((2, 4))) <= 1e-6


def test_nothing_is_turned_where_irreps_come_in(key):
    head = 2 * D4.regular
    layer = attention(head_type=head, positions=nn.RotaryPositions(head), key=key)
    x = IrrepTensor.of(REP, normal(4, REP.size))
    program = str(jax.make_jaxpr(lambda x: layer(x, mask="causal"))(x))
    assert "to_irrep_wise" not in program
    assert "from_irrep_wise" not in program
    # One map for queries, keys and values, one for the output, and the two products of attention.
    assert program.count("dot_general") <= 2 * len(x.blocks) + 2


def test_a_mode_by_irreps_gives_arrays_for_arrays(key):
    one, two = (attention(mode=mode, key=key) for mode in ("dense", "irreps"))
    x = normal(2, 4, REP.size)
    y = two(x)
    assert isinstance(y, jax.Array)
    assert relative(y, one(x)) <= 1e-5  # float32


def products(jaxpr):
    """The types of the factors of all products in a program."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield {factor.aval.dtype.name for factor in equation.invars}
        for inner in jax.tree.leaves(equation.params, is_leaf=lambda p: hasattr(p, "jaxpr")):
            if hasattr(inner, "jaxpr"):
                yield from products(inner.jaxpr)


def test_derivatives_of_16_bits_are_products_of_16_bits():
    """JAX would widen the factors: twice the memory, and slower products."""
    q, k, v = (z.astype(jnp.bfloat16) for z in normal(3, 5, 2, 8))

    def slopes(*given):
        return jax.grad(
            lambda *z: (attended(*z).astype(jnp.float32) ** 2).sum(), argnums=(0, 1, 2)
        )(*given)

    found = [*products(jax.make_jaxpr(slopes)(q, k, v).jaxpr)]
    assert len(found) == 6
    assert all(factors == {"bfloat16"} for factors in found)
    exact = slopes(*(z.astype(jnp.float32) for z in (q, k, v)))
    for one, other in zip(slopes(q, k, v), exact, strict=True):
        assert relative(one.astype(jnp.float32), other) < 0.02  # rounding of 8 bits

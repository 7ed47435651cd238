"""Options of networks on fields: fewer symmetries by stage, kernels, dropout, dimension."""

import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, groups, kernels, models, nn, spaces, testing

D4, SO2 = spaces.flip_rot_on_r2(4), spaces.rot_on_r2(-1)
X, ROUND = FieldType(D4, D4.trivial), FieldType(SO2, SO2.trivial)
COUNTS = json.loads((Path(__file__).parent.parent / "golden" / "networks.json").read_text())
CUTOFF = kernels.Harmonic(frequency_cutoff=3)


def abstract(make, *arguments, **options):
    build = eqx.nn.make_with_state(make)
    return eqx.filter_eval_shape(build, *arguments, key=jax.random.key(0), **options)[0]


def wide(type_=X, **options):
    options = {"depth": 10, "widen": 1, "channels": (8, 8, 8)} | options
    return abstract(models.WideResNet, type_, 3, **options)


def stream(model):
    """The groups from layer to layer, each once."""
    return list(dict.fromkeys(layer.out_type.group.name for layer in model.features))


def test_the_group_shrinks_from_stage_to_stage():
    space = spaces.flip_rot_on_r2(8)
    fields = FieldType(space, 3 * space.trivial)
    model = wide(fields, channels=(16, 16, 16), restrict=(None, (0, 4), (0, 1)))
    assert stream(model) == ["D8", "D4", "D1"]
    blocks = [layer for layer in model.features if isinstance(layer, models.ResidualBlock)]
    assert [block.out_type.size for block in blocks] == [16, 16, 16]
    assert model.out_type.group is groups.dihedral(1)
    assert model.embedding(model.out_type.group.elements[1]) == space.group.element((1, 0))
    assert stream(wide(restrict=[(None, 4), None, None])) == ["D4", "C4"]


def test_fields_with_gates_keep_them_behind_a_restriction():
    unit = SO2.trivial + SO2.irrep(1)
    options = {"unit": unit, "channels": (6, 6, 6)}
    assert stream(wide(ROUND, restrict=(None, 8, 4), **options)) == ["SO(2)", "C8", "C4"]
    assert stream(wide(ROUND, restrict=(None, 4, 1), **options)) == ["SO(2)", "C4", "C1"]


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_logits_are_invariant_under_what_is_left(key):
    model, state = eqx.nn.make_with_state(models.WideResNet)(
        X, 3, depth=10, widen=1, channels=(8, 8, 8), restrict=(None, (None, 4), 2), key=key
    )
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 9, 9)))
    testing.assert_equivariant(eqx.nn.inference_mode(model), key=key, state=state, spatial=(9, 9))
    run = eqx.filter_jit(lambda v: eqx.nn.inference_mode(model)(v, state)[0])
    half, quarter = jnp.rot90(x, 2, (1, 2)), jnp.rot90(x, 1, (1, 2))
    np.testing.assert_allclose(run(half), run(x), atol=1e-10)
    assert np.abs(run(quarter) - run(x)).max() > 1e-6


def convolutions(model):
    leaves = jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, nn.Conv))
    return [leaf for leaf in leaves if isinstance(leaf, nn.Conv)]


#: By the groups of the stages: channels of the first convolution and of the stages, sizes of
#: kernels, and which symmetries are left.
PUBLISHED = {
    "d8_d4_d1": ((64, 512, 720, 724), (5, 5, 3, 5), (None, (0, 4), (0, 1))),
    "d8_d4_d4": ((64, 512, 720, 1448), (5, 5, 3, 3), (None, (0, 4), None)),
    "d1_d1_d1": ((22, 180, 362, 724), (5, 5, 5, 5), None),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_have_as_many_parameters(name):
    channels, sizes, restrict = PUBLISHED[name]
    space = spaces.flip_on_r2() if restrict is None else spaces.flip_rot_on_r2(8)
    model = abstract(
        models.WideResNet, FieldType(space, 3 * space.trivial), 10, depth=16, widen=1,
        channels=channels, kernel_size=sizes, strides=(2, 2, 2), restrict=restrict,
        invariant="scalars", basis=CUTOFF, dropout=0.3,
    )  # fmt: skip

    def count(tree):
        return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(tree, is_parameter)))

    def is_parameter(leaf):
        return isinstance(leaf, jax.ShapeDtypeStruct) and jnp.issubdtype(leaf.dtype, jnp.floating)

    theirs = COUNTS["wide_resnet"][name]
    assert sum(map(count, convolutions(model))) == theirs["convolutions"]
    assert count(model.readout) == theirs["readout"]
    split = sum(theirs["fields_after"]) - sum(theirs["fields_before_restriction"])
    assert count(model) == sum(theirs[k] for k in ("convolutions", "norms", "readout")) + 2 * split


def dropouts(model):
    leaves = jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, nn.FieldDropout))
    return [leaf for leaf in leaves if isinstance(leaf, nn.FieldDropout)]


@pytest.mark.parametrize(
    "make, out, options, count",
    [
        (models.WideResNet, 3, {"depth": 10, "widen": 1}, 3),
        (models.FieldResNet, 3, {"blocks": [1, 1], "channels": [8, 8], "stem": "small"}, 2),
        (models.FieldUNet, X, {"channels": [8, 8]}, 7),
    ],
)
def test_kernels_and_dropout_reach_every_convolution(make, out, options, count):
    plain = abstract(make, X, out, **options)
    model = abstract(make, X, out, **options, basis=CUTOFF, dropout=0.25)
    assert dropouts(plain) == []
    assert [layer.p for layer in dropouts(model)] == count * [0.25]
    sizes = {layer.basis.kernel[0] for layer in convolutions(model)}
    assert sizes == {1, 3}
    for layer in convolutions(model):
        cutoffs = layer.basis.recipe.cutoffs
        assert cutoffs == ((0, 3) if layer.basis.kernel[0] == 3 else (0,))
    grid = abstract(make, X, out, **options, basis="grid")
    kinds = {type(layer.basis.recipe).__name__ for layer in convolutions(grid)}
    assert "GridRecipe" in kinds


@pytest.mark.parametrize(
    "space",
    [
        pytest.param(spaces.on_r1(groups.cyclic(2)), marks=pytest.mark.slow),
        spaces.octahedral_on_r3(),
    ],
)
def test_networks_know_no_dimension(space):
    fields, vectors = FieldType(space, space.trivial), FieldType(space, 2 * space.regular)
    side = (9,) * space.dim
    small = {"channels": [24, 24]}
    for make, out, options, shape in (
        (models.FieldResNet, 3, {"blocks": [1, 1], "stem": "small"} | small, (3,)),
        (models.WideResNet, 3, {"depth": 10, "widen": 1, "channels": [24] * 3}, (3,)),
        (models.FieldUNet, vectors, small, (vectors.size, *side)),
    ):
        model = abstract(make, fields, out, **options)
        build = eqx.nn.make_with_state(make)
        model, state = eqx.filter_eval_shape(build, fields, out, key=jax.random.key(0), **options)
        x = jax.ShapeDtypeStruct((2, 1, *side), jnp.float32)
        found, _ = eqx.filter_eval_shape(lambda m, v, s: m(v, s), model, x, state)
        assert found.shape == (2, *shape)


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"channels": (8, 8)}, ValueError, "WideResNet: channels: expected three or four numbers"),
        ({"kernel_size": (3, 5)}, ValueError, "WideResNet: kernel_size: expected four numbers"),
        ({"kernel_size": (3, 5, 4, 3)}, ValueError, "WideResNet: kernel_size: expected an odd"),
        ({"strides": 2}, ValueError, "WideResNet: strides: expected three numbers, got 2"),
        ({"invariant": "mean"}, ValueError, "WideResNet: invariant: expected 'pool' or"),
        ({"restrict": (None, 4)}, ValueError, "WideResNet: restrict: expected a list of three"),
        ({"restrict": 4}, TypeError, "WideResNet: restrict: expected a list of three"),
        ({"restrict": (None, (0, 3), None)}, ValueError, "WideResNet: restrict: expected a subgr"),
        ({"basis": "fourier"}, ValueError, "WideResNet: basis: expected 'harmonic', 'grid' or a"),
        ({"basis": kernels.Differential()}, TypeError, "WideResNet: basis: expected 'harmonic'"),
        ({"dropout": 1.0}, ValueError, "dropout: expected"),
        ({"dropout": "half"}, TypeError, "dropout: expected"),
    ],
)
def test_refusals(options, error, message):
    with pytest.raises(error, match=message):
        wide(**options)

"""Containers and rearranging layers refuse bad input in one sentence that says what they take."""

import equinox as eqx
import jax.numpy as jnp
import pytest

from equivax import FieldType, groups, nn, spaces

pytestmark = pytest.mark.usefixtures("unchecked_annotations")

SPACE = spaces.flip_rot_on_r2(4)
POINT = FieldType(spaces.no_base_space(SPACE.group), SPACE.regular)
TYPE = FieldType(SPACE, [SPACE.regular, SPACE.irrep(1, 1), SPACE.trivial])
C8 = spaces.rot_on_r2(8)
TURNED = FieldType(C8, [C8.trivial, C8.irrep(1)])
X = jnp.ones((TYPE.size, 4, 4))
PARTS = TYPE.group_by_labels("abc")
FINE = {label: nn.Identity(part) for label, part in PARTS.items()}


class Unhashable:
    in_type = out_type = TYPE
    __hash__ = None

    def __call__(self, x):
        return x


class Undeclared:
    in_type = TYPE

    def __call__(self, x):
        return x


CASES = {
    "no layers": (lambda: nn.Sequential(), ValueError, "Sequential: layers: got none"),
    "no named layers": (lambda: nn.Sequential({}), ValueError, "Sequential: layers: got none"),
    "names that are numbers": (
        lambda: nn.Sequential({1: nn.Identity(TYPE)}), TypeError,
        "Sequential: layers: expected names as keys, got 1",
    ),
    "neighbours that do not fit": (
        lambda: nn.Sequential(nn.Identity(TYPE), nn.Identity(POINT)), ValueError,
        r"layers\[1\] \(Identity\) takes D4 on a point: regular, but the layer before it gives D4",
    ),
    "a function without types": (
        lambda: nn.Sequential(jnp.tanh), TypeError,
        r"Sequential: layers\[0\]: expected an equivariant layer, got .*PointwiseNonlinearity",
    ),
    "a function that declares half": (
        lambda: nn.Sequential(Undeclared()), TypeError,
        r"layers\[0\]: .*got Undeclared; .* declare in_type and out_type",
    ),
    "a class in the place of a layer": (
        lambda: nn.Sequential(Unhashable), TypeError, "expected an equivariant layer, got type",
    ),
    "a callable that cannot be static": (
        lambda: nn.Sequential(Unhashable()), TypeError,
        "TypedFunction: function: expected an equinox.Module or something hashable",
    ),
    "an unknown name": (
        lambda: nn.Sequential({"a": nn.Identity(TYPE)})["b"], KeyError, "no layer is named 'b'",
    ),
    "a name among layers without": (
        lambda: nn.Sequential(nn.Identity(TYPE))["b"], KeyError, "no layer is named 'b'",
    ),
    "append without a name": (
        lambda: nn.Sequential({"a": nn.Identity(TYPE)}).append(nn.Identity(TYPE)), ValueError,
        r"Sequential: name: expected one that differs from \('a',\), got None",
    ),
    "append with a name": (
        lambda: nn.Sequential(nn.Identity(TYPE)).append(nn.Identity(TYPE), "b"), ValueError,
        "Sequential: name: the layers have no names",
    ),
    "a slice of nothing": (
        lambda: nn.Sequential({"a": nn.Identity(TYPE)})[1:], ValueError, "layers: got none",
    ),
    "a state that is none": (
        lambda: nn.Sequential(nn.Identity(TYPE))(X, 3), TypeError,
        "Sequential: state: expected an equinox.nn.State or None, got int",
    ),
    "a list of something else": (
        lambda: nn.ModuleList([nn.Identity(TYPE), eqx.nn.Identity()]), TypeError,
        r"ModuleList: layers\[1\]: expected an equivariant layer, got Identity",
    ),
    "a layer in the place of a list": (
        lambda: nn.ModuleList(nn.Sequential(nn.Identity(TYPE))), TypeError,
        "ModuleList: layers: expected a list of equivariant layers, got Sequential",
    ),
    "too few labels": (
        lambda: nn.Multiple(TYPE, ["a"], FINE), ValueError, "Multiple: labels: expected 3.*got 1",
    ),
    "labels as a word": (
        lambda: nn.Multiple(TYPE, "abc", FINE), TypeError, "labels: expected a sequence of 3 lab",
    ),
    "a label that is a list": (
        lambda: nn.Multiple(TYPE, ["a", [], "c"], FINE), TypeError,
        r"Multiple: labels\[1\]: expected something hashable",
    ),
    "a label without a layer": (
        lambda: nn.Multiple(TYPE, list("abd"), FINE), ValueError,
        r"expected a label among 'a', 'b', 'd', got 'c'",
    ),
    "a field without a layer": (
        lambda: nn.Multiple(TYPE, list("abc"), {k: FINE[k] for k in "ab"}), ValueError,
        r"expected a layer for the label 'c' of field 2 \(.+\), got none",
    ),
    "a layer of another type": (
        lambda: nn.Multiple(TYPE, list("acb"), FINE), ValueError,
        r"Multiple: modules: Identity of 'b' takes D4 on R2: irrep\(1,1\), but its fields are",
    ),
    "modules that are none": (
        lambda: nn.Multiple(TYPE, list("abc"), 3), TypeError, "modules: expected a mapping from",
    ),
    "modules that are no pairs": (
        lambda: nn.Multiple(TYPE, list("abc"), list(FINE.values())), TypeError,
        r"Multiple: modules\[0\]: expected a pair \(layer, label\), got Identity",
    ),
    "a function in the place of a module": (
        lambda: nn.Multiple(TYPE, list("abc"), FINE | {"a": jnp.tanh}), TypeError,
        r"Multiple: modules\[0\]: expected an equivariant layer",
    ),
    "an unknown way to reshuffle": (
        lambda: nn.Multiple(TYPE, list("abc"), FINE, 4), ValueError,
        r"Multiple: reshuffle: expected an integer in 0\.\.3, got 4",
    ),
    "outputs on two spaces": (
        lambda: nn.Multiple(
            TYPE, list("abc"), FINE | {"b": nn.Restriction(PARTS["b"], (None, 4))}
        ), ValueError, "Multiple: modules: expected outputs on one space",
    ),
    "no subgroup": (
        lambda: nn.Restriction(TYPE, (None, 3)), ValueError,
        r"Restriction: subgroup: expected a subgroup of D4, got \(None, 3\)",
    ),
    "a subgroup of another group": (
        lambda: nn.Restriction(TYPE, groups.cyclic(8).subgroup(2)), ValueError,
        "Restriction: subgroup: expected a subgroup of D4",
    ),
    "nothing that names a subgroup": (
        lambda: nn.Restriction(TYPE, 1.5), TypeError, "Restriction: subgroup: expected a subgroup",
    ),
    "no type to restrict": (
        lambda: nn.Restriction(3, 2), TypeError, "Restriction: in_type: expected a Rep.*got int",
    ),
    "no permutation": (
        lambda: nn.Reshuffle(TYPE, [0, 1, 1]), ValueError,
        r"Reshuffle: permutation: expected the positions 0 to 2, each once, got \[0, 1, 1\]",
    ),
    "a permutation of too many": (
        lambda: nn.Reshuffle(TYPE, [0, 1, 2, 3]), ValueError, "0 to 2, each once, got",
    ),
    "a permutation of numbers": (
        lambda: nn.Reshuffle(TYPE, [0.0, 1.0, 2.0]), TypeError, "got the entry 0.0",
    ),
    "a permutation as one number": (lambda: nn.Reshuffle(TYPE, 3), TypeError, "each once, got 3"),
    "a mask of vectors": (
        lambda: nn.Mask(POINT, 5), ValueError, "Mask: in_type: expected fields on a line.*no spat",
    ),
    "a mask of a representation": (
        lambda: nn.Mask(SPACE.regular, 5), ValueError, "Mask: in_type: .*no spatial axes",
    ),
    "a mask of size zero": (
        lambda: nn.Mask(TYPE, 0), ValueError,
        r"S: expected an integer in 1\.\.10000, got 0",
    ),
    "a mask of half a pixel": (lambda: nn.Mask(TYPE, 4.5), TypeError, "Mask: S: .*got 4.5"),
    "a margin above all": (
        lambda: nn.Mask(TYPE, 5, 101.0), ValueError, r"Mask: margin: .*\[0, 100\], got 101",
    ),
    "a margin that is no number": (
        lambda: nn.Mask(TYPE, 5, "1"), TypeError,
        "Mask: margin: expected a finite number in .*got '1'",
    ),
    "a sigma of zero": (
        lambda: nn.Mask(TYPE, 5, 0.0, 0.0), ValueError,
        "Mask: sigma: expected a finite number above 0",
    ),
    "an unknown profile": (
        lambda: nn.Mask(TYPE, 5, profile="box"), ValueError, "expected 'squared' or 'radial'",
    ),
    "a mask of another size": (
        lambda: nn.Mask(TYPE, 5)(X), ValueError, r"Mask: x: expected spatial axes \(5, 5\), got",
    ),
    "upsampling of vectors": (
        lambda: nn.Upsampling(POINT, 2), ValueError, "Upsampling: in_type: .*no spatial axes",
    ),
    "neither factor nor size": (
        lambda: nn.Upsampling(TYPE), ValueError, "expected exactly one of them, got None and None",
    ),
    "factor and size": (
        lambda: nn.Upsampling(TYPE, 2, size=3), ValueError, "exactly one of them, got 2 and 3",
    ),
    "a factor of zero": (lambda: nn.Upsampling(TYPE, 0), ValueError, "scale_factor: .*got 0"),
    "a factor for one axis": (
        lambda: nn.Upsampling(TYPE, [2]), ValueError, r"positive number, or 2 of them, got \[2\]",
    ),
    "a factor in words": (lambda: nn.Upsampling(TYPE, "2"), TypeError, "scale_factor: .*got '2'"),
    "a size of half a pixel": (lambda: nn.Upsampling(TYPE, size=2.5), TypeError, "size: .*got 2.5"),
    "a size of zero": (lambda: nn.Upsampling(TYPE, size=(0, 2)), ValueError, "integer >= 1"),
    "an unknown mode": (
        lambda: nn.Upsampling(TYPE, 2, mode="cubic"), ValueError, "'bilinear' or 'nearest', got",
    ),
    "aligned corners of nearest": (
        lambda: nn.Upsampling(TYPE, 2, mode="nearest", align_corners=True), ValueError,
        "align_corners: has a meaning for mode='bilinear' only",
    ),
    "aligned corners that are a number": (
        lambda: nn.Upsampling(TYPE, 2, align_corners=1), TypeError, "align_corners: expected True",
    ),
    "an unknown grid check": (
        lambda: nn.Upsampling(TYPE, 2, grid_check="no"), ValueError, "Upsampling: grid_check: exp",
    ),
    "nothing is left": (
        lambda: nn.Upsampling(TYPE, 0.1)(X), ValueError, "at least one cell, got 4 cells, which b",
    ),
    "an unknown way to split": (
        lambda: nn.Disentangle(TYPE, by="sign"), ValueError,
        "Disentangle: by: expected 'permutation' or 'irreps', got 'sign'",
    ),
    "no type to split": (lambda: nn.Disentangle(3), TypeError, "Disentangle: in_type: .*got int"),
    "dropout of turned channels": (
        lambda: nn.PointwiseDropout(TURNED), ValueError,
        r"PointwiseDropout: in_type: field 1 \(.*the group does not permute.*FieldDropout",
    ),
    "a rate above one": (
        lambda: nn.PointwiseDropout(TYPE, 1.5), ValueError, r"p: .*\[0, 1\], got 1.5",
    ),
    "a rate that is no number": (
        lambda: nn.FieldDropout(TYPE, "half"), TypeError, "FieldDropout: p: .*got 'half'",
    ),
    "a rate that is not a number": (
        lambda: nn.PointwiseDropout(TYPE, float("nan")), ValueError, "got nan",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_in_one_sentence(name):
    call, kind, message = CASES[name]
    with pytest.raises(kind, match=message) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500

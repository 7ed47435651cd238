"""Bad input is refused at once; the message names the argument, what it got and what it takes."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import FieldType, GeometricTensor, Representation, groups, nn, spaces, tensor_directsum

G, D4 = groups.cyclic(4), groups.dihedral(4)
SPACE, OTHER = spaces.rot_on_r2(4), spaces.flip_rot_on_r2(4)
TYPE = FieldType(SPACE, [SPACE.regular, SPACE.irrep(1), SPACE.trivial])  # 4 + 2 + 1 channels
POINT = FieldType(spaces.no_base_space(G), G.regular)
E = G.elements[1]


def x(*shape):
    return TYPE(jnp.ones(shape or (2, 7, 5, 5)))


def sheared():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # not orthogonal, on purpose
        S = np.array([[1.0, 0.5], [0.0, 1.0]])
        return Representation.from_matrices(G, S @ G.irrep(1).matrices @ np.linalg.inv(S))


def mirror(axis):
    space = spaces.flip_on_r2(axis)
    return FieldType(space, space.regular)


#: What is called, what it raises, and what the message says.
CASES = {
    # Spaces.
    "space of no group": (lambda: spaces.GSpace(4), TypeError, "group: expected a group, got int"),
    "space with matrices": (
        lambda: spaces.GSpace(G, np.eye(2)), TypeError, "action: expected a Representation",
    ),
    "action of another group": (
        lambda: spaces.GSpace(G, D4.irrep(1, 1)), ValueError, "representation of C4, got one of D4",
    ),
    "action that is not orthogonal": (
        lambda: spaces.GSpace(G, sheared()), ValueError, "expected orthogonal matrices",
    ),
    "action of a point": (lambda: POINT.space.action, ValueError, "is a point; nothing moves"),
    "vectors on a point": (lambda: POINT.space.vector, ValueError, "is a point; nothing moves"),
    "no rotations": (lambda: spaces.rot_on_r2(0), ValueError, "rot_on_r2: n: .*or -1.*got 0"),
    "a fraction of rotations": (lambda: spaces.rot_on_r2(2.5), ValueError, "rot_on_r2: n: .*2.5"),
    "negative rotations": (lambda: spaces.flip_rot_on_r2(-2), ValueError, "_rot_on_r2: n: .*-2"),
    "rotations by truth": (lambda: spaces.rot_on_r2(True), ValueError, "got True"),
    "an axis at infinity": (
        lambda: spaces.flip_on_r2(float("inf")), ValueError, "flip_on_r2: axis: expected a finite",
    ),
    "an axis by name": (
        lambda: spaces.flip_rot_on_r2(4, "x"), ValueError, "flip_rot_on_r2: axis: .*got 'x'",
    ),
    "a line with no group": (lambda: spaces.on_r1(3), TypeError, "on_r1: group: .*got int"),
    "a point with no group": (lambda: spaces.no_base_space(3), TypeError, "a group, got int"),
    "space changed": (lambda: setattr(SPACE, "group", D4), AttributeError, "immutable"),
    "matrix of another group's element": (
        lambda: SPACE.matrix(D4.elements[1]), ValueError, "D4",
    ),
    "matrix of another group's element on a point": (
        lambda: POINT.space.matrix(D4.elements[1]), ValueError, "element of C4, got one of D4",
    ),
    "restriction to no subgroup": (lambda: SPACE.restrict(3), ValueError, "C4"),
    # Types.
    "type on a group": (
        lambda: FieldType(G, G.regular), TypeError, "space: expected a GSpace, .*rot_on_r2",
    ),
    "type with no field": (lambda: FieldType(SPACE, []), ValueError, "reps: got none"),
    "type with a name": (lambda: FieldType(SPACE, "regular"), TypeError, "reps: .*got str"),
    "type with a number": (lambda: FieldType(SPACE, 3), TypeError, "reps: .*got int"),
    "type with a list of names": (
        lambda: FieldType(SPACE, [G.regular, "trivial"]), TypeError, r"reps\[1\]: .*got str",
    ),
    "type of another group": (
        lambda: FieldType(SPACE, [G.regular, D4.regular]), ValueError,
        r"reps\[1\]: expected a representation of C4, .*got one of D4",
    ),
    "type changed": (lambda: setattr(TYPE, "space", OTHER), AttributeError, "immutable"),
    "no channels": (
        lambda: FieldType.for_channels(SPACE, G.regular, 0), ValueError, "an integer >= 1, got 0",
    ),
    "too few parameters": (
        lambda: FieldType.for_parameters(SPACE, G.regular, 5, lambda t: 16 * len(t)), ValueError,
        "at least 16, which one copy of regular needs, got 5",
    ),
    "sum of types on two spaces": (
        lambda: mirror(0.0) + mirror(1.0), ValueError, "two types on one space, .*axis 0.*axis 1",
    ),
    "sum of a type and a representation": (lambda: TYPE + G.regular, TypeError, "unsupported"),
    "a fraction of a type": (lambda: TYPE * 1.5, TypeError, "unsupported"),
    "no copies of a type": (lambda: 0 * TYPE, ValueError, "0"),
    "field out of range": (
        lambda: TYPE.index_select([0, 3]), IndexError, "positions of 3 fields, -3 to 2, got 3",
    ),
    "no field chosen": (lambda: TYPE.index_select([]), ValueError, "no field is left"),
    "too few labels": (
        lambda: TYPE.group_by_labels(["a", "b"]), ValueError,
        "labels: expected 3, one per field, got 2",
    ),
    "array of other channels": (
        lambda: TYPE(jnp.ones((6, 5, 5))), ValueError, r"expected \(\.\.\., 7, _, _\).*\(6, 5, 5\)",
    ),
    "array without space": (lambda: TYPE(jnp.ones((7,))), ValueError, r"7, _, _\).*got \(7,\)"),
    "transform of other channels": (
        lambda: TYPE.transform(jnp.ones((6, 5, 5)), E), ValueError, "7, _, _",
    ),
    "transform by another group": (
        lambda: TYPE.transform(jnp.ones((7, 5, 5)), D4.elements[1]), ValueError, "D4",
    ),
    "transform of a strange order": (
        lambda: TYPE.transform(jnp.ones((7, 5, 5)), E, 2), ValueError, r"0 \(nearest\).*got 2",
    ),
    # Tensors.
    "tensor of no type": (
        lambda: GeometricTensor(jnp.ones(4), G.regular), TypeError, "type: expected a FieldType",
    ),
    "tensor of a list": (
        lambda: GeometricTensor([1.0] * 4, POINT), TypeError, "array: expected an array, got list",
    ),
    "set in place": (
        lambda: x().__setitem__(0, 1.0), TypeError, r"do not change in place; .*\.at\[",
    ),
    "batch out of range": (lambda: x()[2], IndexError, "2 is out of range for axis 0 of length 2"),
    "batch far below": (lambda: x()[-3], IndexError, "-3 is out of range for axis 0"),
    "field index out of range": (lambda: x()[:, 3], IndexError, "3 is out of range for 3 fields"),
    "listed field out of range": (lambda: x()[:, [0, 5]], IndexError, "5 is out of range"),
    "pixel out of range": (lambda: x()[..., 5], IndexError, "5 is out of range for axis 3"),
    "no field left": (lambda: x()[:, 2:2], ValueError, "leaves no field of 3"),
    "no field listed": (lambda: x()[:, []], ValueError, "leaves no field of 3"),
    "no field true": (lambda: x()[:, [False] * 3], ValueError, "leaves no field of 3"),
    "too few booleans": (lambda: x()[:, [True]], IndexError, "3 booleans, one per field, got 1"),
    "fields by fractions": (lambda: x()[:, [0.5]], TypeError, "list of integers or booleans"),
    "fields by a table": (lambda: x()[:, [[0, 1]]], TypeError, "list of integers or booleans"),
    "a list of batches": (lambda: x()[[0, 1]], TypeError, r"axis 0.*\[0, 1\]; index .array"),
    "an array of batches": (lambda: x()[jnp.arange(2)], TypeError, "expected an integer, a slice"),
    "a new axis": (lambda: x()[None], TypeError, "got None"),
    "a truth as index": (lambda: x()[True], TypeError, "got True"),
    "two ellipses": (lambda: x()[..., 0, ...], TypeError, "at most one Ellipsis"),
    "too many indices": (lambda: x()[0, 0, 0, 0, 0], TypeError, "at most 4 entries, got 5"),
    "split that descends": (lambda: x().split([2, 1]), ValueError, "breaks: expected ascending"),
    "split at the start": (lambda: x().split([0]), ValueError, "within 1 to 2"),
    "split at the end": (lambda: x().split([3]), ValueError, "within 1 to 2"),
    "sum with a number": (lambda: x() + 1.0, TypeError, "does not commute with a group"),
    "sum with an array": (lambda: x() - jnp.ones((2, 7, 5, 5)), TypeError, "another Geometric"),
    "sum of two types": (lambda: x() + x()[:, ::-1], ValueError, "equal types, got"),
    "sum of two shapes": (lambda: x() + x(2, 7, 1, 5), ValueError, "equal spatial shapes"),
    "product of fields": (lambda: x() * x(), TypeError, "nn.TensorProduct multiplies fields"),
    "product with a name": (lambda: x() * "2", TypeError, "a number or an array, got str"),
    "product with a truth": (lambda: x() * True, TypeError, "got bool"),
    "product with channels": (
        lambda: x() * jnp.ones((7, 5, 5)), ValueError, r"length 1 on the channel axis -3",
    ),
    "product with an image": (lambda: x() * jnp.ones((5, 5)), ValueError, "1 on the channel axis"),
    "product with another image": (
        lambda: x() / jnp.ones((1, 4, 5)), ValueError, "that broadcasts against",
    ),
    "direct sum of nothing": (lambda: tensor_directsum([]), ValueError, "tensors: got none"),
    "direct sum of arrays": (
        lambda: tensor_directsum([x(), jnp.ones(3)]), TypeError, r"tensors\[1\]: expected a Geom",
    ),
    "direct sum over spaces": (
        lambda: tensor_directsum([mirror(axis)(jnp.ones((2, 3, 3))) for axis in (0.0, 1.0)]),
        ValueError, r"tensors\[1\]: expected fields on D1",
    ),
    "direct sum of two sizes": (
        lambda: tensor_directsum([x(), x(2, 7, 5, 6)]), ValueError, r"axes \(5, 5\), got \(5, 6\)",
    ),
    # Layers.
    "layer on another type": (
        lambda: nn.Identity(TYPE)(x()[:, ::-1]), ValueError, "fields of type C4 on R2: regular",
    ),
    "layer on other channels": (
        lambda: nn.Identity(TYPE)(jnp.ones((6, 5, 5))), ValueError,
        r"Identity: expected \(\.\.\., 7, _, _\) for in_type C4 on R2.*\(6, 5, 5\)",
    ),
    "layer on integers": (
        lambda: nn.Identity(TYPE)(jnp.ones((7, 5, 5), int)), TypeError, "numbers, got dtype int",
    ),
    "linear map of images": (
        lambda: nn.Linear(TYPE, TYPE, key=jax.random.key(0)), ValueError, "nn.Conv with kernel_",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused(name):
    call, error, message = CASES[name]
    with pytest.raises(error, match=message):
        call()

"""Every kind of value keeps the same promises: equal by content, never changed, pickled bare."""

import copy
import pickle

import jax
import numpy as np
import pytest

import equivax as evx
from equivax._values import AbstractValue

SPACE = evx.spaces.flip_rot_on_r2(4)
O2, C8 = evx.groups.o2(), evx.groups.cyclic(8)
SIGNATURE = evx.images.Signature((((0, 0), 2), ((1, 0), 3)))
GRID = evx.spaces.hyperoctahedral_on(2)


def _type(copies: int) -> evx.FieldType:
    return evx.FieldType(SPACE, copies * SPACE.regular + SPACE.trivial)


def _filters(size: int, order: int) -> dict:
    return {(order, 0): evx.images.invariant_filters(2, size, order, 0, GRID)}


#: How to make a value from an integer: equal integers give equal values, others do not.
MAKERS = {
    "GroupElement": lambda n: SPACE.group.elements[n],
    "Subgroup": lambda n: SPACE.group.subgroup((None, n)),
    "Subgroup, infinite": lambda n: [None, O2.subgroup("so2"), O2.subgroup("all")][n],
    "Summand": lambda n: (SPACE.regular + n * SPACE.trivial).fused().data[0][0],
    "Representation": lambda n: n * SPACE.group.regular,
    "Stacking": lambda n: evx.hom.hom_basis(C8.regular, C8.irrep(n)).layout.stacking,
    "HomBasis": lambda n: evx.hom.HomBasis(SPACE.regular, n * SPACE.trivial),
    "GSpace": lambda n: evx.spaces.flip_on_r2(0.1 * n),
    "FieldType": _type,
    "Signature": lambda n: SIGNATURE.scale(n),
    "FilterBasis": lambda n: evx.images.FilterBasis(SIGNATURE, SIGNATURE.scale(n), 3, GRID),
    "FilterBasis, given": lambda n: evx.images.FilterBasis(
        SIGNATURE, SIGNATURE, 3, GRID, _filters(3, n)
    ),
    "SteerableBasis": lambda n: evx.kernels.steerable_basis(
        SPACE, SPACE.trivial, SPACE.regular, 1 + 2 * n
    ),
    "TypeBasis": lambda n: evx.kernels.TypeBasis(_type(1), _type(n), 3),
}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def test_every_kind_of_value_is_here():
    classes = {cls.__name__ for cls in AbstractValue.__subclasses__()}
    assert classes == {name.split(",")[0] for name in MAKERS}


def test_equal_by_content(make):
    one, same, other = make(1), make(1), make(2)
    assert one == same
    assert hash(one) == hash(same)
    assert same == one  # now by identity of the contents
    assert one != other
    assert other != same
    assert one != "text"
    assert {one: 1, other: 2}[same] == 1


def test_never_changed(make):
    value = make(1)
    name = next(iter(value.__getstate__()))
    for change in (lambda: setattr(value, name, None), lambda: delattr(value, name)):
        with pytest.raises(AttributeError, match=f"{type(value).__name__} is immutable: cannot"):
            change()
    with pytest.raises(AttributeError, match="cannot set extra"):
        value.extra = 1


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_pickled_without_caches(make, protocol):
    value = make(1)
    assert value == make(1)  # fills the caches of equality
    loaded = pickle.loads(pickle.dumps(value, protocol))
    assert set(vars(loaded)) == set(value.__getstate__())
    assert loaded == value
    assert hash(loaded) == hash(value)


def test_copies_are_the_value(make):
    value = make(1)
    assert copy.copy(value) is value
    assert copy.deepcopy([value])[0] is value


def test_static_for_jax(make):
    value = make(1)
    if type(value).__name__ in ("Subgroup", "Summand", "Stacking"):
        return  # never in a pytree by themselves
    assert jax.tree.leaves(value) == []
    count = []
    traced = jax.jit(lambda v, x: (count.append(v), x)[1])
    for same in (value, make(1)):
        traced(same, np.float32(0))
    assert len(count) == 1

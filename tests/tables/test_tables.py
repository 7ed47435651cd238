"""The tables of cases, for vectors and for fields, are complete and say what they claim."""

from pathlib import Path

import numpy as np
import pytest

import cases
import field_types
import point_types
import vector_types
from cases import CASES, FIELD_RECIPES, FIELDS, POINT_RECIPES, POINTS, VECTOR_RECIPES
from equivax import nn
from vector_types import TYPES, types


@pytest.mark.parametrize("cls", sorted(cases.public_modules(), key=lambda c: c.__qualname__))
def test_every_public_module_has_a_case(cls):
    every = [*CASES.values(), *FIELDS.values(), *POINTS.values()]
    assert any(case.recipe.covers is cls for case in every), (
        f"{cls.__module__}.{cls.__qualname__} has no recipe in a file of "
        "tests/tables/recipes: add one, and all laws run over it"
    )


def test_the_walk_finds_modules_in_every_package():
    names = {cls.__name__ for cls in cases.public_modules()}
    assert names >= {"Linear", "ReLU", "IrrepNormPool", "MLP", "InvariantMLP", "Sequential"}
    assert not any(name.startswith("Abstract") for name in names)


def test_recipes_cover_public_modules_only():
    recipes = [*VECTOR_RECIPES.values(), *FIELD_RECIPES.values(), *POINT_RECIPES.values()]
    assert {recipe.covers for recipe in recipes} == cases.public_modules()


@pytest.mark.parametrize("cls", cases.VALUE_CLASSES, ids=lambda cls: cls.__name__)
def test_values_that_modules_return_have_tests_of_their_own(cls):
    source, place = cases.VALUE_CLASSES[cls]
    assert cls in cases.public_classes()
    assert not issubclass(cls, nn.AbstractLayer), "a layer needs a recipe"
    assert any(case.recipe.covers is source for case in CASES.values())
    file, test = place.split("::")
    assert f"\ndef {test}(" in (Path(__file__).parents[1] / file).read_text()


@pytest.mark.parametrize("name", CASES)
def test_cases_fit_and_build_what_they_cover(name, key):
    case = CASES[name]
    assert case.recipe.fits(case.in_type)
    module = case.abstract
    assert type(module) is case.recipe.covers
    assert module.in_type is not None


@pytest.mark.parametrize("name", VECTOR_RECIPES)
def test_no_recipe_is_without_a_type(name):
    recipe = VECTOR_RECIPES[name]
    assert recipe.on
    assert all(type_ in types(group) for group, type_ in recipe.on)
    assert any(recipe.fits(types(group)[type_]) for group, type_ in TYPES)


def test_every_recipe_for_all_types_meets_a_quick_one():
    def missed(recipes, named, types):
        found = {n: r for n, r in recipes.items() if r.everywhere}
        return [n for n, r in found.items() if not any(r.fits(types(g)[t]) for g, t in named)]

    statistics = {n: r for n, r in VECTOR_RECIPES.items() if r.stateful or r.kind == "distribution"}
    vectors = {n: r for n, r in VECTOR_RECIPES.items() if n not in statistics}
    assert missed(vectors, vector_types.QUICK_TYPES, types) == []
    assert missed(statistics, vector_types.QUICK_STATISTICS_TYPES, types) == []
    assert missed(FIELD_RECIPES, field_types.QUICK_TYPES, field_types.types) == []


def test_every_group_and_every_kind_of_type_occurs_in_a_case():
    assert {case.place for case in CASES.values()} == set(vector_types.GROUPS)
    assert {case.type for case in CASES.values()} == {type_ for _, type_ in TYPES}


@pytest.mark.parametrize("name", FIELD_RECIPES)
def test_no_recipe_for_fields_is_without_a_type(name):
    recipe = FIELD_RECIPES[name]
    assert recipe.on
    assert all(recipe.fits(field_types.types(space)[type_]) for space, type_ in recipe.on)


def test_every_space_and_every_kind_of_field_type_occurs_in_a_case():
    cases_of_fields = FIELDS.values()
    assert {case.place for case in cases_of_fields} == set(field_types.SPACES)
    assert {case.type for case in cases_of_fields} == {type_ for _, type_ in field_types.TYPES}


def test_every_space_of_points_occurs_in_a_case():
    assert {case.place for case in POINTS.values()} == set(point_types.SPACES)


def test_all_three_endomorphism_types_occur_in_cases():
    found = {
        case.in_type.group.irrep_data(i).endomorphism_type
        for case in CASES.values()
        for i in case.in_type.irreps
    }
    assert found == {"real", "complex", "quaternionic"}


def _is_diagonal(matrix):
    return np.count_nonzero(matrix - np.diag(np.diag(matrix))) == 0


@pytest.mark.parametrize("group", vector_types.GROUPS)
def test_types_are_what_their_labels_say(group):
    table = types(group)
    trivial = table["interleaved"].group.trivial.irreps[0]
    one = table["one kind"]
    assert len(set(one.irreps)) == 1
    assert not _is_diagonal(one.change_of_basis)
    two = table["two trivial"]
    assert two.irreps == (trivial, trivial)
    assert not _is_diagonal(two.change_of_basis)
    order = [one.group.irrep_sort_key(i) for i in table["interleaved"].irreps]
    if len(set(order)) > 1:
        assert order != sorted(order)
        assert trivial not in table["no trivial"].irreps
        assert not _is_diagonal(table["measured"].change_of_basis)
    # A random basis mixes everything: no entry of the matrices vanishes by structure.
    assert np.count_nonzero(np.abs(table["turned"].change_of_basis) < 1e-6) == 0
    if table["interleaved"].group.order is not None:
        assert table["regular"].is_permutation


def test_the_users_group_is_given_by_matrices_that_are_not_orthogonal():
    group = vector_types.GROUPS["sheared"]()
    given = group.given_matrices
    deviation = np.abs(given @ given.transpose(0, 2, 1) - np.eye(2)).max()
    assert deviation > 0.1
    assert types("sheared")["sheared"].orthogonalizer is not None

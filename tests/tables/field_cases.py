"""Spaces, field types and recipes that the laws of layers on feature fields run over."""

import dataclasses
import functools
import importlib
import pkgutil
import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

import field_recipes
from equivax import FieldType, groups, nn, spaces
from field_recipe import FieldRecipe
from image_cases import image_types

SPACES: dict[str, Callable[[], spaces.GSpace]] = {
    "C1": spaces.trivial_on_r2,
    "C4": lambda: spaces.rot_on_r2(4),
    "C8": lambda: spaces.rot_on_r2(8),
    "D1": spaces.flip_on_r2,
    "D4": lambda: spaces.flip_rot_on_r2(4),
    "D6": lambda: spaces.flip_rot_on_r2(6),
    "SO2": lambda: spaces.rot_on_r2(-1),
    "O2": lambda: spaces.flip_rot_on_r2(-1),
    "B2": lambda: spaces.hyperoctahedral_on(2),
}


def fresh_types(space_name: str) -> dict[str, FieldType]:
    """Types of a space by what is special about them, built anew."""
    if space_name == "B2":
        return image_types()
    space = SPACES[space_name]()
    G = space.group
    irreps = G.irreps(None if G.order is not None else 2)
    trivial, last, middle = irreps[0], irreps[-1], irreps[len(irreps) // 2]
    table = {
        "trivial": FieldType(space, 3 * space.trivial),
        "irreps": FieldType(space, [last, trivial, middle, trivial, last]),
        "vector": FieldType(space, 2 * space.vector),
        "fused": FieldType(space, [(trivial + last + middle).fused(), trivial]),
    }
    if G.order is not None:
        table["regular"] = FieldType(space, 2 * space.regular)
        table["mixture"] = FieldType(space, [last, space.regular, trivial, last, space.regular])
    if space_name in ("D4", "D6"):
        rotations = G.subgroup((None, G.order // 2))
        mirror = G.subgroup((0, 1))
        table["quotient"] = FieldType(
            space, [space.quotient(mirror), space.quotient(rotations), space.quotient(mirror)]
        )
        sigma = rotations.group.irrep(1)
        table["induced"] = FieldType(space, 2 * space.induced(rotations, sigma))
    if space_name in ("C4", "C8"):
        half = G.subgroup(2)
        table["quotient"] = FieldType(space, 2 * space.quotient(half) + space.trivial)
        table["induced"] = FieldType(space, 2 * space.induced(half, half.group.irrep(1)))
    if space_name == "O2":
        circle = G.subgroup((None, -1))
        table["induced"] = FieldType(space, 2 * space.induced(circle, groups.so2().irrep(2)))
        table["quotient"] = FieldType(space, 2 * space.quotient(circle) + space.trivial)
    return table


@functools.cache
def types(space_name: str) -> dict[str, FieldType]:
    """`fresh_types`, once."""
    return fresh_types(space_name)


def partner(table: dict[str, FieldType], type_name: str) -> FieldType:
    """Another type on the same space: the output of layers with two types."""
    names = list(table)
    return table[names[(names.index(type_name) + 1) % len(names)]]


#: Every type of every space, by label.
TYPES = [(space, type_) for space in SPACES for type_ in types(space)]


#: Where every law runs that runs over types, one of each thing that can go wrong: fields of many
#: kinds in turn, several irreps in one field, orbits, induced fields, tensors, groups finite and
#: continuous, with mirrors and without. The others are slow.
QUICK_TYPES = {
    ("C4", "vector"),
    ("D4", "mixture"),
    ("D6", "induced"),
    ("D4", "quotient"),
    ("SO2", "irreps"),
    ("O2", "fused"),
    ("B2", "tensors"),
}


def _found() -> dict[str, FieldRecipe]:
    table: dict[str, FieldRecipe] = {}
    for info in pkgutil.iter_modules(field_recipes.__path__):
        module = importlib.import_module(f"field_recipes.{info.name}")
        assert not table.keys() & module.RECIPES.keys(), f"{info.name} repeats a name"
        table.update(module.RECIPES)
    return table


RECIPES: dict[str, FieldRecipe] = _found()


@dataclasses.dataclass(frozen=True)
class FieldCase:
    """A recipe on one type."""

    recipe: FieldRecipe
    space: str
    type: str

    @property
    def in_type(self) -> FieldType:
        """The type."""
        return types(self.space)[self.type]

    def build(self, key: Any, *, fresh: bool = False) -> Any:
        """The layer, with a new draw of its parameters; ``fresh`` rebuilds the types too."""
        table = fresh_types(self.space) if fresh else types(self.space)
        with warnings.catch_warnings():
            # A table of types against types meets irreps that reach no output.
            warnings.simplefilter("ignore", nn.UnusedIrrepsWarning)
            return self.recipe.build(table[self.type], partner(table, self.type), key)

    @property
    def abstract(self) -> Any:
        """The layer with shapes for arrays."""
        return eqx.filter_eval_shape(self.build, jax.random.key(0))


CASES: dict[str, FieldCase] = {
    f"{name} [{space}: {type_}]": FieldCase(recipe, space, type_)
    for name, recipe in RECIPES.items()
    for space, type_ in recipe.on
}

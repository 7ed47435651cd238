"""The tables that the laws run over: a case is a recipe on one type.

A new module is one new recipe in a file of `recipes`; `test_tables.py` fails until it has one.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import field_types
import point_types
import recipes
import vector_types
from equivax import models, nn
from recipe import Recipe


def _found() -> tuple[dict[str, Recipe], dict[str, Recipe], dict[str, Recipe]]:
    """The recipes for vectors, those for fields on grids and on points, of all files."""
    vectors: dict[str, Recipe] = {}
    fields: dict[str, Recipe] = {}
    points: dict[str, Recipe] = {}
    for info in pkgutil.iter_modules(recipes.__path__):
        found = importlib.import_module(f"recipes.{info.name}").RECIPES
        for name, recipe in found.items():
            table = fields if recipe.sides else points if recipe.kind == "points" else vectors
            assert name not in table, f"{info.name}: {name} has a recipe already"
            table[name] = recipe
    return vectors, fields, points


VECTOR_RECIPES, FIELD_RECIPES, POINT_RECIPES = _found()


@dataclasses.dataclass(frozen=True)
class Case:
    """A recipe on one type of one place: a group, or a space."""

    recipe: Recipe
    place: str
    type: str

    @property
    def _types(self) -> Any:
        if self.recipe.kind == "points":
            return point_types
        return field_types if self.recipe.sides else vector_types

    @property
    def in_type(self) -> Any:
        """The type."""
        return self._types.types(self.place)[self.type]

    @property
    def partner(self) -> Any:
        """The type that modules with two types map to."""
        return self._types.partner(self._types.types(self.place), self.type)

    def build(self, key: Any, *, fresh: bool = False) -> Any:
        """The module, with a new draw of its parameters; ``fresh`` rebuilds the types too."""
        if self.recipe.stateful:
            return self.build_with_state(key, fresh=fresh)[0]
        return self._build(key, fresh)

    def build_with_state(self, key: Any, *, fresh: bool = False, **axes: Any) -> tuple[Any, Any]:
        """A stateful module and its first state; ``axis_name=`` is handed on."""
        return eqx.nn.make_with_state(self._build)(key, fresh, **axes)

    def _build(self, key: Any, fresh: bool, **axes: Any) -> Any:
        table = (self._types.fresh_types if fresh else self._types.types)(self.place)
        other = self._types.partner(table, self.type)
        with warnings.catch_warnings():
            # A table of types against types meets irreps that reach no output.
            warnings.simplefilter("ignore", nn.UnusedIrrepsWarning)
            return self.recipe.build(table[self.type], other, key, **axes)

    @property
    def abstract(self) -> Any:
        """The module with shapes for arrays."""
        return eqx.filter_eval_shape(self.build, jax.random.key(0))

    def options(self, module: Any, key: Any, dtype: Any = None) -> dict[str, Any]:
        """Further arguments of the call: invariant, and the same for every example."""
        options: dict[str, Any] = {}
        if self.recipe.needs_key:
            options["key"] = key
        if self.recipe.stepped:
            options["step"] = 2.5
        if self.recipe.film:
            dtype = jnp.result_type(float) if dtype is None else dtype
            rng = np.random.default_rng(7)
            options["scale"] = jnp.asarray(rng.standard_normal(module.num_scale), dtype)
            if module.num_bias and module.per != "type":
                options["bias"] = jnp.asarray(rng.standard_normal(module.num_bias), dtype)
        return options


def cases_of(recipes: dict[str, Recipe]) -> dict[str, Case]:
    """Every recipe on every type that it names."""
    return {
        f"{name} [{place}: {type_}]": Case(recipe, place, type_)
        for name, recipe in recipes.items()
        for place, type_ in recipe.on
    }


#: Everything on vectors, and everything on fields.
CASES, FIELDS = cases_of(VECTOR_RECIPES), cases_of(FIELD_RECIPES)

#: Everything on points of a plane or of space.
POINTS = cases_of(POINT_RECIPES)

#: The cases that map vectors to vectors, without running statistics and with.
LAYERS = {n: c for n, c in CASES.items() if c.recipe.kind == "layer" and not c.recipe.stateful}
STATEFUL = {name: case for name, case in CASES.items() if case.recipe.stateful}

#: The cases that map tokens to tokens.
SEQUENCES = {name: case for name, case in CASES.items() if case.recipe.kind == "sequence"}

#: The cases that map parameters to distributions, and those that project parameters.
DISTRIBUTIONS = {name: case for name, case in CASES.items() if case.recipe.kind == "distribution"}
PROJECTIONS = {name: case for name, case in CASES.items() if case.recipe.kind == "projection"}

#: The first case of every class of layers.
ONE_PER_CLASS = {
    name: case
    for name, case in LAYERS.items()
    if case is next(c for c in LAYERS.values() if c.recipe.covers is case.recipe.covers)
}

#: Pytrees that modules return. They are no layers (no types at the border, nothing to train), so
#: no recipe builds them; the laws of the class that returns them run through them, and these
#: tests hold their methods.
VALUE_CLASSES: dict[type, tuple[type, str]] = {
    nn.MultivariateNormal: (
        nn.EquivariantMultivariateNormal,
        "nn/test_statistics_layers.py::test_the_density_is_invariant_and_that_of_scipy",
    ),
    nn.RelativePositions: (
        nn.MultiheadAttention,
        "nn/test_attention.py::test_relative_positions_are_numbers_of_clipped_offsets",
    ),
    **{
        positions: (
            nn.MultiheadAttention,
            "nn/test_grid_positions.py::test_attention_moves_with_its_tokens",
        )
        for positions in (
            nn.AbsoluteGridPositions,
            nn.RelativeGridPositions,
            nn.RotaryGridPositions,
        )
    },
    nn.Rest: (
        nn.Relaxed,
        "nn/test_relaxed.py::test_a_relaxed_layer_is_the_strict_one_at_first_and_the_split_is_unique",
    ),
    nn.Moments: (
        nn.RunningMoments,
        "nn/test_statistics_layers.py::test_running_moments_weigh_samples_exactly",
    ),
}


def modules_of(package: Any) -> list[Any]:
    """A package and all modules in it, private ones too."""
    walk = pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    return [package, *(importlib.import_module(info.name) for info in walk)]


def public_modules() -> set[type]:
    """Every class of layers that `equivax.nn` or `equivax.models` defines for users."""
    return {cls for cls in public_classes() if cls not in VALUE_CLASSES}


def public_classes() -> set[type]:
    """Every class of Equinox modules that `equivax.nn` or `equivax.models` defines for users."""
    return {
        value
        for package in (nn, models)
        for module in modules_of(package)
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, eqx.Module)
        and value.__module__.startswith(package.__name__ + ".")
        and not name.startswith(("_", "Abstract"))
        and value is not nn.ModuleList  # a list: no types, no call
    }

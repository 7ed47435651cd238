"""The action on fields by its definition, in NumPy, and layers applied to whole orbits."""

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import laws
from cases import Case
from equivax import FieldType
from equivax.groups import GroupElement

# ---- the action --------------------------------------------------------------------------------


def fibers(type_: FieldType, x: Any, elements: Any) -> np.ndarray:
    """``rho(g) f(x)`` for each element: ``(elements, batch, C, H, W)``."""
    matrices = type_.representation.evaluate(type_.group.coordinates_of(elements))
    return np.einsum("eij,bj...->ebi...", matrices, np.asarray(x, np.float64))


def points(action: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``f(A^-1 x)`` on the last axes, for a matrix that maps the grid to itself.

    Cell by cell: x = column - (W - 1) / 2, y = (H - 1) / 2 - row, z like y before it.
    """
    if action.size == 0:  # the output of a network lives on a point: nothing moves there
        return x
    dim = len(action)
    sides = x.shape[-dim:][::-1]  # from here on by coordinate: x, y, z
    moved = [sides[np.argmax(np.abs(row))] for row in action]
    indices = np.indices(moved[::-1])[::-1]
    signs = [1, -1, -1][:dim]
    target = [s * (i - (n - 1) / 2) for s, i, n in zip(signs, indices, moved, strict=True)]
    source = np.einsum("ji,j...->i...", action, np.stack(target))  # A^-1 = A^T
    cells = [
        np.rint(s * c + (n - 1) / 2).astype(int)
        for s, c, n in zip(signs, source, sides, strict=True)
    ]
    return x[(..., *cells[::-1])]


@dataclasses.dataclass(frozen=True)
class Moves:
    """What a layer commutes with: pairs of elements of the two groups, alone or with points.

    Attributes:
        turns: Elements that turn fibres only.
        exact: Elements that move the points of the grid too.
    """

    turns: tuple[tuple[GroupElement, GroupElement], ...]
    exact: tuple[tuple[GroupElement, GroupElement], ...]

    @classmethod
    def of(cls, case: Case, module: Any) -> "Moves":
        pairs = case.recipe.pairs
        if pairs is None:
            same = [(g, g) for g in module.in_type.testing_elements]
        else:
            same = list(pairs(module))
        exact = set(module.in_type.space.exact_elements)
        return cls(
            () if case.recipe.moves_points else tuple(same),
            tuple(pair for pair in same if pair[0] in exact),
        )

    def orbit(self, type_: FieldType, x: Any, side: int) -> np.ndarray:
        """``x`` and all that it moves to; ``side`` is 0 for inputs and 1 for outputs."""
        x = np.asarray(x, np.float64)
        parts = [x[None]]
        turns, exact = ([pair[side] for pair in pairs] for pairs in (self.turns, self.exact))
        if turns:
            parts.append(fibers(type_, x, turns))
        turned = fibers(type_, x, exact)
        moved = [points(type_.space.matrix(g), y) for g, y in zip(exact, turned, strict=True)]
        return np.concatenate([*parts, np.stack(moved)])


# ---- layers ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer with random parameters, its state or None, and what it takes besides."""

    module: Any
    state: Any
    options: dict[str, Any]

    @property
    def quiet(self) -> Any:
        """The layer at inference."""
        return eqx.nn.inference_mode(self.module)


def made(case: Case, key: Any, *, fresh: bool = False, **axes: Any) -> Layer:
    """The layer of a case; ``axis_name=`` is for statistics."""
    options = {"key": key} if case.recipe.needs_key else {}
    if case.recipe.stateful:
        module, state = case.build_with_state(key, fresh=fresh, **axes)
        return Layer(laws.drawn(module, case.recipe.spread), state, options)
    shapes = eqx.filter_eval_shape(functools.partial(case.build, fresh=fresh), key)
    return Layer(laws.drawn(shapes, case.recipe.spread), None, options)


def call(module: Any, state: Any, x: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """Output and new state, which is None for layers without; the old state may be used again."""
    if state is None:
        return module(x, **options), None
    leaves, structure = jax.tree.flatten(state)
    return module(x, jax.tree.unflatten(structure, leaves), **options)


def over_orbit(module: Any, state: Any, inputs: Any, options: Any) -> tuple[Any, Any]:
    """Outputs and states per element: the whole batch moves, layers with a key draw the same."""
    if state is None and not options:
        return module(inputs), None  # elements are examples; under vmap tracing takes twice as long
    return jax.vmap(lambda v: call(module, state, v, options))(inputs)


jitted = functools.partial(eqx.filter_jit, compiler_options=laws.UNOPTIMISED)
jitted_orbit = jitted(over_orbit)


def example(case: Case, module: Any, *leading: int, seed: int = 1) -> jax.Array:
    """Normally distributed fields of the module's type."""
    return laws.normal(*leading, module.in_type.size, *case.recipe.sides, seed=seed)


def orbit_inputs(case: Case, module: Any, batch: int = 2) -> np.ndarray:
    """A random batch and all that it moves to."""
    x = example(case, module, batch)
    return Moves.of(case, module).orbit(module.in_type, x, 0)


def equivariance_error(case: Case, module: Any, outputs: Any, *, training: bool = True) -> float:
    """How far outputs on an orbit are from the orbit of the first output."""
    outputs = np.asarray(outputs, np.float64)
    assert np.isfinite(outputs).all()
    moves = Moves.of(case, module)
    expected = moves.orbit(module.out_type, outputs[0], 1)
    reach = {"points": None, "fibers": 1 + len(moves.turns), "nothing": 1}
    compared = slice(reach[case.recipe.training_moves] if training else None)
    return laws.relative(outputs[compared], expected[compared])


def spread_of_states(states: Any) -> float:
    """How far the states after moved batches are from the state after the first.

    Statistics are of order one, and a mean may be zero: relative to one at least.
    """
    worst = 0.0
    for leaf in jax.tree.leaves(states):
        values = np.asarray(leaf, np.float64)
        assert np.isfinite(values).all()
        difference = np.abs(values - values[:1]).max(initial=0.0)
        worst = max(worst, float(difference / max(1.0, np.abs(values).max(initial=0.0))))
    return worst


def degenerate_inputs(case: Case, module: Any) -> jax.Array:
    """Batches of fields at which norms, ties and quotients are singular."""
    shape = (module.in_type.size, *case.recipe.sides)
    random = np.random.default_rng(0).standard_normal((2, *shape))
    first, last = np.zeros(shape), np.zeros(shape)
    first[(0, *(side // 2 for side in shape[1:]))] = 1.0
    last[-1, -1, -1] = 1.0
    flat = np.broadcast_to(random[:1, :, :1, :1], random.shape)
    kinds = [
        np.zeros(random.shape),
        np.ones(random.shape),
        flat,  # equal everywhere, but not in all channels
        np.stack([first, last]),
        1e-19 * random,  # squares vanish in float32
        1e6 * random,
    ]
    return jnp.asarray(np.stack(kinds), jnp.float32)

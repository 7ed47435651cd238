"""From escnn and e2cnn: types, and trained networks with their weights and running statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._arguments import refuse
from .._arguments.arrays import host
from ..fields import FieldType
from ..groups import Group
from ..nn.authoring import is_stateful
from ..representations import Representation
from ..spaces import GSpace
from ._escnn_arrays import FILLED, by_module, filled, parametrised
from ._escnn_layers import Loader
from ._escnn_types import Types


def group(theirs: object) -> Group:
    """The group of equivax for one of escnn.

    Args:
        theirs: An `escnn.group.Group`. Cyclic and dihedral groups, SO(2), O(2), SO(3) and O(3) are
            ours of that name; other finite groups are made from their regular representation.
    """
    return Types().group(_asked(theirs, "group", "elements", "an escnn.group.Group"))


def representation(theirs: object) -> Representation:
    """The representation with the matrices of one of escnn.

    Args:
        theirs: An `escnn.group.Representation`. An irrep or a regular representation is ours of
            that name, if the matrices agree; others are decomposed from their matrices.
    """
    takes = "an escnn.group.Representation"
    return Types().representation(_asked(theirs, "representation", "change_of_basis", takes))


def space(theirs: object) -> GSpace:
    """The space of equivax whose points move like those of one of escnn.

    Args:
        theirs: An `escnn.gspaces.GSpace`.
    """
    return Types().space(_asked(theirs, "space", "fibergroup", "an escnn.gspaces.GSpace"))


def field_type(theirs: object) -> FieldType:
    """The type of equivax with the fields of one of escnn, in their order.

    Args:
        theirs: An `escnn.nn.FieldType`.
    """
    return Types().field_type(_asked(theirs, "field_type", "representations", "a FieldType"))


def load(module: object) -> Any:
    """A trained module of escnn as a layer of equivax that computes the same.

    Kernels are carried as dense arrays and projected, so neither the order nor the scale of basis
    elements matters; a kernel that no basis spans is refused. Running statistics come along.

    Args:
        module: A module of escnn, such as a `SequentialModule`, on any device, in training or
            evaluation mode.

    Returns:
        The layer, or ``(layer, state)`` if it has running statistics; at inference if the module is
        in evaluation mode (`equinox.nn.inference_mode` switches).

    Raises:
        TypeError: If there is no counterpart of a module; its class is named.
        ValueError: If an option or a kernel has no counterpart.
    """
    if not hasattr(module, "state_dict"):
        refuse(TypeError, "interop.escnn.load", "module", "a module of escnn", module)
    loader = Loader()
    loader.prepare(module)
    layer = loader.layer(module)
    layer = eqx.nn.inference_mode(layer, value=not getattr(module, "training", True))
    if not is_stateful(layer):
        return layer
    return eqx.nn.make_with_state(lambda: layer)()


def load_arrays(
    model: object, arrays: Mapping[str, np.ndarray], state: eqx.nn.State | None = None
) -> Any:
    """The arrays of an escnn module into a model of the same structure, without torch or escnn.

    Layers with parameters and modules with arrays correspond in their order. In the environment of
    escnn, write the arrays with
    ``numpy.savez(path, **{k: v.numpy() for k, v in module.eval().state_dict().items()})``.

    Args:
        model: A model of equivax.
        arrays: By the names of the module's ``state_dict()`` in evaluation mode, in its order.
        state: The state of the model, if it has running statistics.

    Returns:
        The model, or ``(model, state)`` if a state was given.

    Raises:
        ValueError: If layers and arrays do not correspond, or a kernel is not one of its layer.
    """
    caller = "interop.escnn.load_arrays"
    if not isinstance(arrays, Mapping):
        refuse(TypeError, caller, "arrays", "a mapping from names to arrays", arrays)
    if state is not None and not isinstance(state, eqx.nn.State):
        refuse(TypeError, caller, "state", "the equinox.nn.State of the model, or None", state)
    arrays = {name: _checked_array(name, array, caller) for name, array in arrays.items()}
    layers, modules = parametrised(model), by_module(arrays)
    if len(layers) != len(modules):
        names = [type(layer).__name__ for layer, _ in layers]
        raise ValueError(
            f"{caller}: arrays: expected those of {len(layers)} layers ({', '.join(names)}), got "
            f"those of {len(modules)} modules ({', '.join(modules)})"
        )
    new = []
    for (layer, order), (name, own) in zip(layers, modules.items(), strict=True):
        of = f"{caller}: {name} ({type(layer).__name__})"
        made, statistics = filled(layer, own, of, order)
        new.append(made)
        if statistics is not None:
            if state is None:
                raise ValueError(f"{caller}: state: expected the state of the model, got None")
            old = state.get(made.running)
            values = [jax.numpy.asarray(v, o.dtype) for v, o in zip(statistics, old, strict=True)]
            state = state.set(made.running, tuple(values))
    remaining = iter(new)
    found = jax.tree.map(
        lambda x: next(remaining) if isinstance(x, FILLED) else x,
        model,
        is_leaf=lambda x: isinstance(x, FILLED),
    )
    return found if state is None else (found, state)


def _checked_array(name: object, array: object, caller: str) -> np.ndarray:
    takes = "arrays of numbers by the names of a state_dict"
    if not isinstance(name, str):
        refuse(TypeError, caller, "arrays", takes, name)
    found = host(array, caller, f"arrays[{name!r}]", "an array of numbers")
    if found.dtype.kind not in "biuf":
        refuse(TypeError, caller, f"arrays[{name!r}]", "an array of numbers", array)
    return found


def _asked(theirs: object, caller: str, attribute: str, takes: str) -> Any:
    ours = isinstance(theirs, (type, Group, Representation, GSpace, FieldType))
    if ours or not hasattr(theirs, attribute):
        refuse(TypeError, f"interop.escnn.{caller}", "theirs", takes, theirs)
    return theirs

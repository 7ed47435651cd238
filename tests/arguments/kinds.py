"""Odd values for every kind of argument, and what is right for each: taken, refused, or either.

A kind is made with a good value: ``integer(4)``. What it knows of the others:

- *refused*: the value cannot be meant, and silence is a failure (True for an integer);
- *taken*: another way to write the good value, which must pass (``np.int64(4)``);
- *either*: the caller may take or refuse it, at once, and with a message of its own.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from equivax import FieldType, groups, images, spaces

REFUSED, TAKEN, EITHER = "refused", "taken", "either"


@dataclasses.dataclass(frozen=True)
class Traced:
    """A value that the call gets as a tracer."""

    value: Any


@dataclasses.dataclass(frozen=True)
class Argument:
    """A good value, and odd ones by name: (value, what is right)."""

    kind: str
    good: Any
    odd: Mapping[str, tuple[Any, str]]


def _first(*given: Any) -> Any:
    return given[0] if given else None


@functools.cache
def strange() -> dict[str, Any]:
    """What is hardly ever meant, for whatever argument."""
    return {
        "None": None,
        "True": True,
        "3": 3,
        "2.5": 2.5,
        "nan": float("nan"),
        "inf": float("inf"),
        "1j": 1j,
        "text": "text",
        "bytes": b"bytes",
        "object": object(),
        "[]": [],
        "{}": {},
        "set": {1, 2},
        "[None]": [None],
        "function": _first,
        "class": dict,
        "objects": np.array([None, "a", {}], dtype=object),
        "strings": np.array(["a", "b"]),
        "keys": jax.random.split(jax.random.key(0), 3),
        "tracer": Traced(jnp.int32(1)),
        "group": groups.cyclic(5),
        "representation": groups.cyclic(5).regular,
    }


def kind(
    name: str,
    good: Any,
    either: str = "",
    taken: str = "",
    *,
    refuse: Mapping[str, Any] | None = None,
    take: Mapping[str, Any] | None = None,
    leave: Mapping[str, Any] | None = None,
) -> Argument:
    """Strange values are refused but for those named in ``either`` and ``taken``; then others."""
    odd = {label: (value, REFUSED) for label, value in strange().items()}
    for verdict, labels in ((EITHER, either), (TAKEN, taken)):
        odd.update({label: (odd[label][0], verdict) for label in labels.split()})
    for verdict, values in ((REFUSED, refuse), (TAKEN, take), (EITHER, leave)):
        odd.update({label: (value, verdict) for label, value in (values or {}).items()})
    return Argument(name, good, odd)


HUGE = {"-1": -1, "0": 0, "10**9": 10**9, "-10**9": -(10**9), "10**30": 10**30}


def flag(good: bool) -> Argument:
    """True or False."""
    refuse = {
        "0": 0,
        "1": 1,
        "'False'": "False",
        "[True]": [True],
        "flags": np.array([True, False]),
    }
    return kind("flag", good, taken="True", refuse=refuse, take={"np.bool_": np.bool_(good)})


def integer(good: int) -> Argument:
    """One integer, in the range of the caller."""
    return kind(
        "integer",
        good,
        either="3",
        refuse={"float": float(good), "str": str(good), "[n]": [good], "array": np.array([1, 2])},
        take={"np.int64": np.int64(good), "np.int32": np.int32(good)},
        leave={**HUGE, "0-d": np.array(good), "jnp": jnp.asarray(good)},
    )


def integers(good: Any) -> Argument:
    """One integer, or one per axis."""
    several = isinstance(good, (tuple, list))
    take = (
        {"list": list(good), "tuple": tuple(good), "np.array": np.array(good, int),
         "np.int64s": tuple(map(np.int64, good))}
        if several else {"np.int64": np.int64(good), "np.int32": np.int32(good)}
    )  # fmt: skip
    return kind(
        "integers", good, either="3 []",
        refuse={"[True]": [True], "(2.5,)": (2.5,), "'33'": "33", "[[1]]": [[1]], "nans": [np.nan]},
        take=take, leave={**HUGE, "(10**9,)": (10**9,), "many": (1,) * 7, "0-d": np.array(1)},
    )  # fmt: skip


def number(good: float, *, infinite: bool = False) -> Argument:
    """One real number; infinite ones only where the caller says so."""
    return kind(
        "number",
        good,
        either="3 2.5" + " inf" * infinite,
        refuse={"str": str(good), "[x]": [good], "array": np.array([1.0, 2.0]), "-nan": -np.nan},
        take={"np.float64": np.float64(good), "np.float32": np.float32(good)},
        leave={**HUGE, "1e300": 1e300, "-1e300": -1e300, "0-d": np.array(good)},
    )


def choice(good: str, *, of_types: str = "") -> Argument:
    """One of a few words; ``of_types`` names strange values that mean something too."""
    return kind(
        "choice",
        good,
        either=of_types,
        refuse={"''": "", "long": "x" * 10_000, "[word]": [good], "upper": good.upper() + "!"},
    )


def text(good: str) -> Argument:
    """Any text."""
    return kind("text", good, either="text", leave={"''": "", "long": "x" * 1000, "line": "a\nb"})


def function(good: Any, *, classes: bool = False) -> Argument:
    """Something to call; classes only where what they make is wanted."""
    return kind(
        "function",
        good,
        either="function representation" + " class" * classes,
        refuse={"name": "relu"},
    )


def key(good: Any = None) -> Argument:
    """A key of JAX, of the new or the old kind."""
    good = jax.random.key(0) if good is None else good
    return kind(
        "key", good,
        refuse={"0": 0, "floats": jnp.zeros(2), "ints": jnp.zeros(2, int), "one of one":
                jax.random.split(good, 1), "shape": jnp.zeros(3, jnp.uint32)},
        take={"old": jax.random.PRNGKey(0), "traced": Traced(good)},
    )  # fmt: skip


def dtype(good: Any = jnp.float32) -> Argument:
    """A type of real floating numbers."""
    return kind(
        "dtype", good,
        refuse={"int": int, "int32": jnp.int32, "bool": bool, "complex": jnp.complex64,
                "'float99'": "float99", "array": np.zeros(2), "key": jax.random.key(0).dtype},
        take={"str": "float32", "np.dtype": np.dtype("float32"), "np.float32": np.float32},
        leave={"float": float, "half": jnp.float16, "float64": np.float64},
    )  # fmt: skip


def array(good: Any, *, sized: bool = True, lists: bool = True, traced: bool = True) -> Argument:
    """Numbers of a shape that the caller checks; ``sized`` if it knows the last axis.

    ``traced``: whether it works under jit; ``lists``: whether nested lists are the same.
    """
    good = np.asarray(good)
    longer = np.concatenate([good, good[..., :1]], -1) if good.ndim else np.zeros(3, good.dtype)
    values = {
        "longer": (longer, REFUSED if sized else EITHER),
        "a number": (np.ones((), good.dtype), REFUSED if sized and good.ndim else EITHER),
        "more axes": (good[None, None], EITHER),
        "complex": (good + 1j, REFUSED),
        "ragged": ([[1.0, 2.0], [3.0]], REFUSED),
        "nans": (good * np.float32(np.nan), EITHER),
        "infs": (np.full(good.shape, np.inf, np.float32), EITHER),
        "ints": (np.ones(good.shape, int), EITHER),
        "bools": (np.ones(good.shape, bool), EITHER),
        "half": (good.astype(np.float16), EITHER),
        "float64": (good.astype(np.float64), EITHER),
        "none of them": (good[..., :0] if good.ndim else good, EITHER),
        "numpy": (good, TAKEN),
        "jax": (jnp.asarray(good), TAKEN),
        "lists": (good.tolist(), TAKEN if lists else EITHER),
        "traced": (Traced(jnp.asarray(good)), TAKEN if traced else EITHER),
        "a shape": (jax.ShapeDtypeStruct(good.shape, good.dtype), EITHER),
    }
    found = kind("array", good, either="3 True 2.5 nan inf [] tracer")
    return dataclasses.replace(found, odd={**found.odd, **values})


def representation(good: Any) -> Argument:
    """A representation of the group that the caller works with."""
    return kind(
        "representation", good, either="",
        refuse={"id": good.irreps[0], "[rep]": [good], "matrices": np.eye(3), "its group":
                good.group, "the type": type(good)},
        leave={"field type": FieldType(spaces.no_base_space(good.group), good)},
    )  # fmt: skip


def any_representation(good: Any) -> Argument:
    """A representation of whatever group."""
    found = representation(good)
    return dataclasses.replace(
        found, odd={**found.odd, "representation": (groups.cyclic(5).regular, EITHER)}
    )


def group(good: Any) -> Argument:
    """A group."""
    return kind("group", good, either="group", refuse={"name": good.name, "space":
                spaces.rot_on_r2(4), "element": good.identity, "the type": type(good)})  # fmt: skip


def subgroup(good: Any) -> Argument:
    """What names a subgroup: a number, a name, elements, another group."""
    leave = {"-1": -1, "0": 0, "10**9": 10**9, "(1, 2)": (1, 2), "(None, 1)": (None, 1)}
    return kind("subgroup", good, either="3 group []", leave=leave)


def element(good: Any) -> Argument:
    """An element of the caller's group."""
    refuse = {"another's": groups.cyclic(5).identity, "matrix": np.eye(2), "its group": good.group,
              "coordinates": good.coordinates}  # fmt: skip
    return kind("element", good, refuse=refuse)


def space(good: Any) -> Argument:
    """A space with a group."""
    return kind("space", good, refuse={"dimension": 2, "type": FieldType(good, good.trivial)},
                leave={"a line": spaces.flip_on_r1()})  # fmt: skip


def field_type(good: Any) -> Argument:
    """A type of fields."""
    return kind("type", good, refuse={"[type]": [good], "space": good.space, "size": good.size},
                leave={"its representation": good.representation})  # fmt: skip


def signature(good: Any) -> Argument:
    """A signature of tensor images; what can be read as one is taken."""
    return kind(
        "signature", good, either="[] {}",
        refuse={"negative": {(1, 0): -1}, "twice": [((1, 0), 1), ((1, 0), 2)], "pairs of words":
                [("a", "b")], "fraction": {(1, 0): 1.5}, "True channels": {(1, 0): True}},
        leave={"huge": {(0, 0): 10**9}, "huge order": {(10**9, 0): 1}},
    )  # fmt: skip


def tensor_type(good: Any) -> Argument:
    """A type of tensors: (order, parity), (flags, parity), a name."""
    return kind("tensor type", good, refuse={"(1,)": (1,), "(1, None)": (1, None), "(nan, 0)":
                (np.nan, 0), "k": "k", "(1.5, 0)": (1.5, 0)},
                take={"list": list(good), "np.int64s": tuple(map(np.int64, good))},
                leave={"(10**9, 0)": (10**9, 0), "(-1, 0)": (-1, 0)})  # fmt: skip


def image(good: Any) -> Argument:
    """A `MultiImage` like the caller's."""
    other = images.MultiImage({(1, 1): jnp.ones((5, 4, 4, 2))}, 2)
    return kind("image", good, refuse={"array": jnp.ones((3, 4, 4)), "dict": {(0, 0): [1.0]}},
                leave={"another": other})  # fmt: skip


def path(good: str) -> Argument:
    """A path of a file."""
    return kind("path", good, either="text bytes",
                refuse={"0": 0, "-1": -1, "[path]": [good]}, leave={"''": "", "null": "a\0b",
                "directory": "/", "nowhere": "/nonexistent/deep/x.evx"})  # fmt: skip


def coefficients(good: Mapping[str, Any]) -> Argument:
    """Arrays by name."""
    first = next(iter(good))
    return kind(
        "coefficients", good, either="" if good else "{}",
        refuse={"others": {"x": 1.0}, "fewer": {n: a for n, a in good.items() if n != first},
                "None inside": {**good, first: None}, "text inside": {**good, first: "a"},
                "objects inside": {**good, first: np.array([None])},
                "keys inside": {**good, first: jax.random.key(0)},
                "number": {**good, first: 1.0}, "by number": dict(enumerate(good.values()))},
        take={"traced": Traced(good), "numpy": jax.tree.map(np.asarray, good)},
        leave={"lists": jax.tree.map(lambda a: np.asarray(a).tolist(), good)},
    )  # fmt: skip


def several(good: Any, *, empty: bool = False) -> Argument:
    """A sequence of something; numbers and words are none."""
    return kind("several", good, either="[]" * empty,
                refuse={"one": good[0], "with None": [*good, None], "with text": [*good, "a"],
                        "with number": [*good, 2.5]},
                take={"list": list(good), "tuple": tuple(good)})  # fmt: skip


def anything(good: Any, kind_: str = "anything") -> Argument:
    """Whatever may mean something: only deep failures count."""
    return kind(kind_, good, either=" ".join(strange()))


def model(good: Any) -> Argument:
    """A layer, a network or a function."""
    return kind("model", good, either="function {} [] [None] keys objects strings",
                refuse={"the type": type(good)})  # fmt: skip

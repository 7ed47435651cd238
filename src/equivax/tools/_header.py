"""The header of a file: one line of JSON, checked field by field before anything is done with it.

A file may be damaged or made by somebody else, so a header is read as text from a stranger: no
field is used before it has its type and a sensible size, and the arrays that it lists must fit
into the file.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import importlib.metadata
import json
import platform
import re
from pathlib import Path
from typing import IO, Any

from ._fingerprint import BASIS_VERSION, Part, combined
from ._header_fields import (
    LARGEST_SIZE,
    field,
    is_count,
    is_date,
    is_leaf,
    is_leaves,
    is_parts,
    is_text,
    is_texts,
    is_values,
    optional,
    shown,
)
from ._hyperparameters import DEEPEST, decoded
from ._leaves import StoredArray, total_bytes
from ._views import VERSION

FORMAT = "equivax model"
FORMAT_VERSION = VERSION
"""1: no digest, no list of leaves, fewer versions. 2: kernels named by the fields of their types.
Both are still read."""

LONGEST_HEADER = 1 << 24

LISTED = re.compile(
    r"an array (\w+)\[((?:\d{1,20}(?:, \d{1,20})*)?)\]|a (bool|int|float|complex)", re.ASCII
)
"""How a part of version 1 tells of an array or a number."""

ARRAY = re.compile(r"an array \S|a (bool|int|float|complex)$")
"""How a part begins that is stored."""

OF_NUMBERS = {"bool": "bool", "int": "int64", "float": "float64", "complex": "complex128"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says of itself; fields that version 1 lacks are None there.

    Attributes:
        format_version: Of the file.
        basis_version: Of the bases in which its parameters are coordinates.
        versions: Of equivax and of what it ran on, by name.
        saved: When it was written.
        model: Name of the class of the model.
        make: Name of the function that builds it.
        fingerprint: Of the model.
        hyperparameters: For that function.
        parts: Every module and leaf.
        leaves: What is stored of the model, in the order of the file.
        state: What is stored of the state, behind that; None if there is none.
    """

    format_version: int = FORMAT_VERSION
    basis_version: int = BASIS_VERSION
    versions: dict[str, str]
    saved: datetime.datetime | None
    model: str | None
    make: str | None
    fingerprint: str
    hyperparameters: dict[str, Any]
    parts: tuple[Part, ...]
    leaves: tuple[StoredArray, ...]
    state: tuple[StoredArray, ...] | None

    def line(self) -> bytes:
        """The first line of a file; ``hyperparameters`` are encoded already."""
        fields = dataclasses.asdict(self)
        fields["saved"] = None if self.saved is None else self.saved.isoformat()
        known = fields.pop("versions")
        return json.dumps({"format": FORMAT, **known, **fields}, allow_nan=False).encode() + b"\n"


PACKAGES = ("equivax", "jax", "jaxlib", "equinox", "numpy")
"""Whose versions decide about the numbers; fields of a header, as is ``python``."""


@functools.cache
def versions() -> dict[str, str]:
    """Of the packages and of Python."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {**found, "python": platform.python_version()}


def checked_line(header: Header) -> bytes:
    """The first line of a file that will be read again.

    Raises:
        ValueError: If it would be refused, since something in it is too long.
    """
    try:
        line = header.line()
        if len(line) > LONGEST_HEADER:
            raise ValueError(
                f"has a header of {len(line):,} bytes, and {LONGEST_HEADER:,} are read"
            )
        _parsed(line, LARGEST_SIZE, whole=True)
    except ValueError as error:
        raise ValueError(f"save: the file would be refused, since it {error}") from None
    return line


def read_header(caller: str, file: IO[bytes], where: Path, end: int, whole: bool) -> Header:
    """Reads the first line of a file and checks it.

    Args:
        caller: For messages.
        file: At its start.
        where: Its path.
        end: Where the arrays end.
        whole: Whether a digest said that the file is as it was written.

    Raises:
        ValueError: Naming the field that is wrong.
    """
    line = file.readline(LONGEST_HEADER)
    try:
        return _parsed(line, end - len(line), whole)
    except _ForeignFileError:
        raise ValueError(
            f"{caller}: path: expected a file that equivax.save wrote, got {where}"
        ) from None
    except ValueError as error:
        raise ValueError(f"{caller}: path: {where} {error}") from None


class _ForeignFileError(ValueError):
    """The first line is no header."""


def _parsed(line: bytes, size: int, whole: bool) -> Header:
    try:
        found = json.loads(
            line.decode(), object_pairs_hook=_without_repetition, parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        if line.startswith(b'{"format": "%s"' % FORMAT.encode()):
            raise ValueError(f"is damaged or cut short: its header is no JSON ({error})") from None
        raise _ForeignFileError from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _ForeignFileError
    version = field(found, "format_version", is_count, "a number")
    wrote = found.get("equivax")
    if not 1 <= version <= FORMAT_VERSION:
        raise ValueError(
            f"has version {version} of the format (equivax {shown(wrote)}), this equivax reads "
            f"up to version {FORMAT_VERSION}"
        )
    if version > 1 and not whole:
        raise ValueError(
            "ends early or is damaged, or goes on behind the last array: its last line is no digest"
        )
    basis = field(found, "basis_version", is_count, "a number")
    if basis != BASIS_VERSION:
        raise ValueError(
            f"was written by equivax {shown(wrote)} with version {basis} of the bases; this "
            f"equivax has version {BASIS_VERSION}, where the same parameters mean another model"
        )
    header = _first(found) if version == 1 else _later(found, version)
    listed = [part.path for part in header.parts if ARRAY.match(part.about)]
    if listed != [array.name for array in header.leaves]:
        raise ValueError("is damaged: header: leaves: expected the arrays that are among the parts")
    if combined(list(header.parts)) != header.fingerprint:
        raise ValueError("is damaged: the fingerprint is not that of the listed parts")
    needed = total_bytes((*header.leaves, *(header.state or ())))
    if needed > size:
        raise ValueError(
            f"ends early or is damaged: its arrays have {needed:,} bytes, and {max(size, 0):,} "
            "are there"
        )
    return header


# ---- fields ------------------------------------------------------------------------------------


def _later(found: dict[str, Any], version: int) -> Header:
    saved = field(found, "saved", is_date, "a date in ISO format")
    state = field(found, "state", optional(is_leaves), "null or a list of arrays")
    names = (*PACKAGES, "python")
    return Header(
        format_version=version,
        versions={name: field(found, name, is_text, "a version") for name in names},
        saved=datetime.datetime.fromisoformat(saved),
        model=field(found, "model", is_text, "a name"),
        make=field(found, "make", optional(is_text), "null or a name"),
        leaves=_arrays(field(found, "leaves", is_leaves, "a list of arrays")),
        state=None if state is None else _arrays(state),
        hyperparameters=decoded(_hyperparameters(found)),
        **_common(found),
    )


def _first(found: dict[str, Any]) -> Header:
    written = field(found, "state", optional(is_texts), "null or a list of texts")
    wrote = field(found, "equivax", is_text, "a version")
    common = _common(found)
    leaves = []
    for part in common["parts"]:
        if LISTED.fullmatch(part.about):
            leaves.append(_listed(part.path, part.about))
    state = None
    if written is not None:
        state = tuple(_listed(f"state[{i}]", f"an array {t}") for i, t in enumerate(written))
    return Header(
        format_version=1,
        versions={"equivax": wrote},
        saved=None,
        model=None,
        make=None,
        leaves=tuple(leaves),
        state=state,
        hyperparameters=_hyperparameters(found),
        **common,
    )


def _common(found: dict[str, Any]) -> dict[str, Any]:
    parts = field(found, "parts", is_parts, "a list of [path, about, digest]")
    fingerprint = field(found, "fingerprint", is_text, "a digest")
    return {"parts": tuple(Part(*entry) for entry in parts), "fingerprint": fingerprint}


def _hyperparameters(found: dict[str, Any]) -> dict[str, Any]:
    expected = f"a dict of finite numbers, texts, lists and dicts, at most {DEEPEST} deep"
    return field(found, "hyperparameters", is_values, expected)


def _listed(name: str, about: str) -> StoredArray:
    """An array or number as version 1 tells of it."""
    match = LISTED.fullmatch(about)
    if match is None:
        raise ValueError(f"is damaged: header: state: expected arrays, got {shown(about)}")
    dtype, sizes, number = match.groups()
    if number:
        return StoredArray(name, OF_NUMBERS[number], ())
    shape = [int(size) for size in sizes.split(", ") if size]
    entry = [name, dtype, shape]
    if not is_leaf(entry):
        raise ValueError(f"is damaged: header: parts: expected an array, got {shown(about)}")
    return StoredArray(name, dtype, tuple(shape))


def _arrays(entries: list[Any]) -> tuple[StoredArray, ...]:
    return tuple(StoredArray(name, dtype, tuple(shape)) for name, dtype, shape in entries)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")

"""`describe`: what a saved file holds, for people, without building or loading anything."""

from __future__ import annotations

import dataclasses
import datetime
import os
from typing import Any

from ._files import checked_digest, checked_path, opened
from ._header import read_header
from ._header_fields import clipped, on_one_line
from ._leaves import StoredArray

ROWS = 40
"""Arrays and layers that are printed at most."""

WIDTH = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """What a saved file says of itself; printed, it is a page.

    Attributes:
        path: The file.
        size: Its bytes.
        digest: SHA-256 of all bytes before its last line, which was checked; None in files of
            version 1 of the format, where damage may stay unseen.
        format_version: Of the format.
        basis_version: Of the bases in which the parameters are coordinates.
        versions: Of equivax, jax, jaxlib, equinox, numpy and python, as far as the file has them.
        saved: When it was written, or None.
        model: Name of the class of the model, or None.
        make: Name of the function that builds it, or None if `save` was not given it.
        hyperparameters: What `load` gives to that function.
        fingerprint: As `tools.fingerprint` of the model.
        layers: Where a module stands and what it is, in the order of the model.
        arrays: Arrays, numbers and keys of the model, in the order of the file.
        state: The running statistics, or None.
    """

    path: str
    size: int
    digest: str | None
    format_version: int
    basis_version: int
    versions: dict[str, str]
    saved: datetime.datetime | None
    model: str | None
    make: str | None
    hyperparameters: dict[str, Any]
    fingerprint: str
    layers: tuple[tuple[str, str], ...]
    arrays: tuple[StoredArray, ...]
    state: tuple[StoredArray, ...] | None

    def __str__(self) -> str:
        """The page."""
        where = os.path.basename(self.path)
        checked = "as written" if self.digest else "without a digest"
        date = f"{self.saved:%Y-%m-%d %H:%M %Z}, " if self.saved else ""
        known = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        options = ", ".join(f"{n}={_shown(v)}" for n, v in self.hyperparameters.items())
        lines = [
            f"{where}: {self.model or 'a model'}, {self.size:,} bytes, {checked}",
            f"saved by    {date}{known}",
            f"format      {self.format_version}, bases {self.basis_version}",
            f"make        {self.make or 'not told'}",
            f"with        {options or 'no hyperparameters'}",
            f"fingerprint {self.fingerprint}",
            "layers",
            *_rows(list(self.layers)),
            "arrays",
            *_rows([(array.name, array.text) for array in self.arrays]),
        ]
        if self.state is not None:
            lines += ["state", *_rows([(array.name, array.text) for array in self.state])]
        return "\n".join(clipped(on_one_line(line), WIDTH) for line in lines)


def describe(path: str | os.PathLike[str]) -> Description:
    """What a file that `save` wrote holds, without loading it.

    The digest of the file is checked and its header is read; no code of yours is run.

    Args:
        path: Of the file.

    Returns:
        A record; ``print`` makes a page of it.

    Raises:
        ValueError: If the file is no such file, or damaged.
        TypeError: If the path is no path.
        FileNotFoundError: If there is no file.

    Examples:
        >>> import equivax as evx, jax, os, tempfile
        >>> G = evx.groups.cyclic(4)
        >>> model = evx.nn.Linear(G.regular, 2 * G.regular, key=jax.random.key(0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     evx.save(os.path.join(folder, "linear.evx"), model, hyperparameters={"n": 4})
        ...     found = evx.describe(os.path.join(folder, "linear.evx"))
        >>> found.model, found.hyperparameters
        ('Linear', {'n': 4})
        >>> [array.text for array in found.arrays]
        ['float32[2, 1, 2]', 'float32[2, 1, 1]', 'float32[2, 1, 1]', 'float32[2]']
    """
    where = checked_path("describe", path)
    with opened("describe", where) as file:
        end, digest = checked_digest("describe", file, where)
        header = read_header("describe", file, where, end, digest is not None)
        size = os.fstat(file.fileno()).st_size
    names = {array.name for array in header.leaves}
    return Description(
        path=str(where),
        size=size,
        digest=digest,
        format_version=header.format_version,
        basis_version=header.basis_version,
        versions=header.versions,
        saved=header.saved,
        model=header.model,
        make=header.make,
        hyperparameters=header.hyperparameters,
        fingerprint=header.fingerprint,
        layers=tuple((p.path, p.about) for p in header.parts if p.path not in names or not p.path),
        arrays=header.leaves,
        state=header.state,
    )


def _rows(pairs: list[tuple[str, str]]) -> list[str]:
    shown = pairs[:ROWS]
    width = min(40, max((len(name) for name, _ in shown), default=0))
    rows = [f"  {clipped(name, width):<{width}}  {about}".rstrip() for name, about in shown]
    return [*rows, f"  and {len(pairs) - ROWS} more"] if len(pairs) > ROWS else rows


def _shown(value: object) -> str:
    return getattr(value, "__name__", None) or repr(value)

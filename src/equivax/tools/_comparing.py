"""Whether the model that is built is the one that a file is of."""

from __future__ import annotations

import re
from collections.abc import Iterable

import jax
from jax.typing import DTypeLike
from jaxtyping import PyTree

from ._fingerprint import Part, array_part, described
from ._header import Header
from ._header_fields import clipped, on_one_line
from ._leaves import KEY, StoredArray, as_stored, named_leaves

SWITCH = 'switch them on with jax.config.update("jax_enable_x64", True)'


def has_64_bits() -> bool:
    """Whether JAX has 64-bit types now."""
    return bool(jax.config.jax_enable_x64)  # pyright: ignore[reportAttributeAccessIssue]


def compare(header: Header, model: PyTree, state: PyTree, dtype: DTypeLike | None) -> None:
    """Refuses a model whose parameters would mean something else.

    Args:
        header: Of the file.
        model: As it was built, with shapes for arrays.
        state: Likewise, or None.
        dtype: What floating arrays are cast to, or None: then dtypes must agree.

    Raises:
        ValueError: Naming the first difference.
    """
    saved = [*header.parts, *_state_parts(header.state or ())]
    listed = [
        *described(model, version=header.format_version),
        *_state_parts(as_stored(*item) for item in named_leaves(None, state)),
    ]
    for index in range(max(len(saved), len(listed))):
        before = saved[index] if index < len(saved) else None
        now = listed[index] if index < len(listed) else None
        way_out = ""
        if before is not None and now is not None and before.path == now.path:
            family = _family(before)
            alike = family is not None and family == _family(now)
            if before.digest == now.digest or (alike and dtype is not None):
                continue
            if alike:
                way_out = _way_out(before)
            elif before.about == now.about:
                now = now._replace(about=f"{now.about} in another basis")
        raise ValueError(
            f"load: make: expected {_told(before)}, as in the file, got {_told(now)}{way_out}"
        )


def _state_parts(arrays: Iterable[StoredArray]) -> list[Part]:
    return [array_part(a.name, KEY if a.is_key else a.dtype, a.shape) for a in arrays]


WIDTH = re.compile(r"an array (?:bfloat|(bool|u?int|float|complex))\w*(\[.*\])")


def _family(part: Part) -> str | None:
    """An array as text without its precision, or None for another part."""
    found = WIDTH.fullmatch(part.about)
    return None if found is None else (found[1] or "float") + found[2]


def _way_out(before: Part) -> str:
    wide = re.match(r"an array (u?int64|float64|complex128)", before.about)
    if wide is None or has_64_bits():
        return "; dtype= of load casts"
    return f"; 64-bit types are switched off: pass dtype=jnp.float32, or {SWITCH}"


LONGEST_PART = 400
"""Characters of a layer in a message."""


def _told(part: Part | None) -> str:
    if part is None:
        return "no further layer or array"
    return on_one_line(clipped(f"{part.about} at {part.path or 'the top'}", LONGEST_PART))

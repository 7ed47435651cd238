"""The map of rooms and files in `architecture.md`: `python docs/_map.py` draws it anew.

A file's line is the first sentence of its docstring, so the map is as true as the docstrings are;
a test holds the page against it.
"""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "equivax"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- map: python docs/_map.py -->", "<!-- end of map -->"
WIDTH = 100

#: From the ground up; `tests/habits/test_layering.py` holds the order of imports against its own.
ROOMS = (
    *(
        "_arguments",
        "_numerics",
        "_windows",
        "groups",
        "representations",
        "hom",
        "spaces",
        "kernels",
        "fields",
        "linalg",
    ),
    *("images", "stats", "nn", "models", "testing", "tools", "viz", "interop"),
)


def drawn() -> str:
    """The map as Markdown: a heading per room, a line per wing and file."""
    lines = ["### Loose files", "", *_files(SOURCE)]
    for room in ROOMS:
        lines += ["", f"### `{room}`", "", f"{_idea(SOURCE / room / '__init__.py')}", ""]
        lines += _files(SOURCE / room)
        for wing in sorted(p.parent for p in (SOURCE / room).glob("*/__init__.py")):
            idea = _idea(wing / "__init__.py")
            lines += ["", *_wrapped(f"**`{room}/{wing.name}`**: {idea}", ""), "", *_files(wing)]
    return "\n".join(lines)


def page() -> str:
    """The whole page with the map of today in it."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{drawn()}\n\n{END}{rest.split(END)[1]}"


def _files(folder: Path) -> list[str]:
    found: list[str] = []
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py":
            found += _wrapped(f"`{path.stem}`: {_idea(path)}", "- ")
    return found


def _wrapped(text: str, bullet: str) -> list[str]:
    indent = " " * len(bullet)
    return textwrap.wrap(
        text, WIDTH, initial_indent=bullet, subsequent_indent=indent, break_on_hyphens=False
    )


def _idea(path: Path) -> str:
    """The first line of a file's docstring, which says its idea, without the full stop."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.split("\n\n")[0].replace("\n", " ").rstrip(".")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

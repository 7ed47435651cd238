"""Numbers that say how readable the library is: each may fall, none may rise.

A bound is what was counted when it was last tightened. Code lines are those without docstrings,
comments and blank lines.
"""

from __future__ import annotations

import ast
import collections
import functools
import io
import json
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "equivax"
PROSE = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]

#: How many equal code lines in a row are a copy.
COPY = 8

# ---- bounds ------------------------------------------------------------------------------------

PRIVATE_FILES_IN_THE_ROOT_OF_NN = 0
ANY_PER_THOUSAND_LINES = 3
TYPES_OF_ANY_KIND = 0
PRIVATE_NAMES_ACROSS_ROOMS = 8
CLASSES_WITH_IDENTITY_BY_HAND = 4
OVERRIDES_OF_OTHER_SIGNATURE = 0
LONG_LINES_OF_PROSE = 0
REPEATED_LINES = 2.5  # per cent
FILES_THAT_RUN = {"construction": 44, "first call": 33, "later calls": 14}

# ---- the code ----------------------------------------------------------------------------------


@functools.cache
def texts() -> dict[Path, str]:
    return {path: path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py"))}


def without_prose(text: str) -> list[str]:
    """The code lines of a file."""
    prose = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                prose.update(range(node.lineno, node.end_lineno + 1))
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = dict(token.start for token in tokens if token.type == tokenize.COMMENT)
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        code = line[: comments.get(number)].strip()
        if code and number not in prose:
            found.append(code)
    return found


@functools.cache
def code() -> dict[Path, list[str]]:
    return {path: without_prose(text) for path, text in texts().items()}


def occurrences(pattern: str) -> int:
    """Lines of the library in which a pattern occurs."""
    wanted = re.compile(pattern)
    return sum(bool(wanted.search(line)) for text in texts().values() for line in text.split("\n"))


def test_no_private_file_stands_in_the_root_of_the_layers():
    files = [path.name for path in (SOURCE / "nn").glob("_*.py") if path.name != "__init__.py"]
    assert len(files) <= PRIVATE_FILES_IN_THE_ROOT_OF_NN, files


def test_annotations_say_more_than_any():
    # What comes from libraries that need not be installed has no type that could be named.
    ours = [lines for path, lines in code().items() if "interop" not in path.parts]
    lines = [line for file in ours for line in file]
    anything = sum(bool(re.search(r": Any\b", line)) for line in lines)
    assert 1000 * anything / len(lines) <= ANY_PER_THOUSAND_LINES
    assert occurrences(r"\bin_type: Any\b") <= TYPES_OF_ANY_KIND


def test_rooms_import_what_other_rooms_offer():
    private = r"from \.\.+[a-z]+(\.[a-z]+)*\._[a-z]"
    assert occurrences(private) <= PRIVATE_NAMES_ACROSS_ROOMS


def test_values_do_not_write_their_identity_by_hand():
    by_hand = {"__slots__", "__setattr__", "__reduce__"}
    classes = [
        node.name
        for text in texts().values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and by_hand & set(_names_in(node))
    ]
    assert len(classes) <= CLASSES_WITH_IDENTITY_BY_HAND, classes


def _names_in(node: ast.ClassDef) -> Iterator[str]:
    for entry in node.body:
        if isinstance(entry, ast.FunctionDef):
            yield entry.name
        elif isinstance(entry, ast.Assign):
            yield from (t.id for t in entry.targets if isinstance(t, ast.Name))


def test_methods_keep_the_signature_of_their_base_class():
    assert occurrences("reportIncompatibleMethodOverride") <= OVERRIDES_OF_OTHER_SIGNATURE


def test_code_is_written_once():
    places = collections.defaultdict(list)
    for path, lines in code().items():
        for start in range(len(lines) - COPY + 1):
            places[tuple(lines[start : start + COPY])].append((path, start))
    repeated = {
        (path, start + offset)
        for found in places.values()
        if len(found) > 1
        for path, start in found
        for offset in range(COPY)
    }
    assert 100 * len(repeated) / sum(map(len, code().values())) <= REPEATED_LINES


# ---- prose -------------------------------------------------------------------------------------


def long_lines(text: str) -> Iterator[str]:
    """Lines over 100 columns; rows of tables cannot be broken."""
    for line in text.splitlines():
        if len(line) > 100 and not line.lstrip().startswith("|"):
            yield line


def test_prose_fits_a_screen():
    pages = [*PROSE, *(page for room in ("docs", "tests") for page in (ROOT / room).rglob("*.md"))]
    found = {
        str(page.relative_to(ROOT)): len(list(long_lines(page.read_text(encoding="utf-8"))))
        for page in pages
    }
    assert sum(found.values()) <= LONG_LINES_OF_PROSE, {p: n for p, n in found.items() if n}


# ---- what runs ---------------------------------------------------------------------------------

RUN = """
import json, sys
from pathlib import Path

import jax, numpy as np
import equivax
from equivax import FieldType, nn, spaces

space = spaces.rot_on_r2(4)
type_ = FieldType(space, 2 * space.regular + 2 * space.trivial)
x, key = np.ones((1, type_.size, 9, 9), np.float32), jax.random.key(0)
root = str(Path(equivax.__file__).parent)

def files(call):
    seen = set()
    sys.setprofile(lambda frame, event, _: seen.add(frame.f_code.co_filename))
    try:
        result = call()
    finally:
        sys.setprofile(None)
    return sorted(f[len(root) + 1:] for f in seen if f.startswith(root)), result

construction, layer = files(lambda: nn.Conv(type_, type_, 3, padding=1, key=key))
first, _ = files(lambda: layer(x))
later, _ = files(lambda: layer(x))
print(json.dumps({"construction": construction, "first call": first, "later calls": later}))
"""


@pytest.fixture(scope="module")
def files_that_run() -> dict[str, list[str]]:
    """The library's files that one convolution runs, in a process without caches."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(ran.stdout)


@pytest.mark.parametrize("when", FILES_THAT_RUN)
def test_few_files_run_for_one_convolution(when, files_that_run):
    files = files_that_run[when]
    assert 0 < len(files) <= FILES_THAT_RUN[when], files

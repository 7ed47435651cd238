"""Habits that hold everywhere: abstract or final, no checks by assert, one idea a file."""

from __future__ import annotations

import ast
import inspect
import itertools
import pkgutil
import re
import subprocess
from pathlib import Path

import equinox as eqx
import pytest

import equivax

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "equivax"
FILES = sorted(SOURCE.rglob("*.py"))

#: Where an assertion guards what cannot happen (a bug), not what a user passes.
INTERNAL_ASSERTIONS = {
    "groups/_subgroup.py",
    "groups/_finite.py",
    "groups/_product.py",
    "hom/_layout.py",
    "nn/linear/_affine.py",
}

#: Sections that Google style knows, and `References`, which the API pages set as a note.
SECTIONS = {"Args", "Attributes", "Examples", "Raises", "References", "Returns", "Warns", "Yields"}
#: A line that griffe takes for the heading of a section, if an indented one follows.
HEADING = re.compile(r"^(\w[\w -]*):(?: \S.*)?$")


def _module_classes() -> list[type]:
    found = set()
    for info in pkgutil.walk_packages([str(SOURCE)], "equivax."):
        module = __import__(info.name, fromlist=["_"])
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, eqx.Module) and value.__module__.startswith("equivax"):
                found.add(value)
    return sorted(found, key=lambda cls: (cls.__module__, cls.__name__))


@pytest.mark.parametrize("cls", _module_classes(), ids=lambda cls: cls.__name__)
def test_modules_are_abstract_or_final(cls: type):
    parents = [p for p in cls.__mro__[1:] if p.__module__.startswith("equivax")]
    for parent in parents:
        assert inspect.isabstract(parent), f"{cls.__name__} subclasses the concrete {parent}"
    if not cls.__name__.startswith("Abstract"):
        assert not inspect.isabstract(cls)


def test_users_are_not_checked_by_assert():
    for path in FILES:
        asserts = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Assert)]
        assert not asserts or path.relative_to(SOURCE).as_posix() in INTERNAL_ASSERTIONS, path


def test_every_file_states_its_one_idea():
    """In the first sentence; a file is as long as the idea."""
    for path in FILES:
        stated = ast.get_docstring(ast.parse(path.read_text()))
        assert stated, f"{path}: a module docstring states the idea"
        first = stated.split("\n\n")[0]
        assert first.endswith((".", ":", "?")), f"{path}: one sentence states the idea: {first}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_docstrings_have_sections_of_google_style(path: Path):
    """Anything else (`Example:`, `Return:`) becomes a note of quoted text on the API pages."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, documented) or not (text := ast.get_docstring(node)):
            continue
        lines = text.splitlines()
        for line, below in itertools.pairwise(lines):
            if (match := HEADING.match(line)) and below.startswith(" "):
                assert match[1] in SECTIONS, f"{getattr(node, 'name', path.name)}: {line}"


def test_nothing_is_printed():
    for path in FILES:
        calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        assert not any(isinstance(f, ast.Name) and f.id == "print" for f in calls), path


def test_no_path_of_a_machine():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    home = re.compile(r"(?<![\w.])/(home|root|work|Users)/\w")
    for name in listed:
        path = ROOT / name
        if path.suffix in {".npz", ".png", ".gz"} or not path.is_file():
            continue
        assert not home.search(path.read_text(errors="ignore")), name


def test_version_is_that_of_the_package():
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", equivax.__version__)

"""Every public name of every room is shown on a page of the API reference."""

import ast
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import equivax

ROOT = Path(__file__).parents[2]
ROOMS = sorted(
    info.name for info in pkgutil.iter_modules(equivax.__path__) if not info.name.startswith("_")
)
MODULES = [*(f"equivax.{room}" for room in ROOMS), "equivax.nn.init"]

# What the reference shows of a module, with the extension that makes re-exports public.
LISTED = """
import sys
import griffe

extensions = griffe.load_extensions("docs/_reexports.py")
package = griffe.load("equivax", search_paths=["src"], extensions=extensions)
for name in sys.argv[1:]:
    module = package[name.removeprefix("equivax.")]
    for member in module.members.values():
        if member.is_public and not member.is_module:
            print(f"{name}.{member.name}", member.has_docstring)
"""


def exported(module: str) -> list[str]:
    """Public names: of a package what its ``__init__`` re-exports, of a file what it defines."""
    value = sys.modules[module]
    path = Path(str(value.__file__))
    body = ast.parse(path.read_text(encoding="utf-8")).body
    if path.name != "__init__.py":
        defined = [n.name for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
        return [name for name in defined if not name.startswith("_")]
    names = [name.name for n in body if isinstance(n, ast.ImportFrom) for name in n.names]
    return [name for name in names if not inspect.ismodule(getattr(value, name))]


@pytest.mark.parametrize("module", MODULES)
def test_module_has_a_page(module: str):
    room = module.split(".")[1]
    page = ROOT / "docs" / "api" / f"{room}.md"
    assert re.search(rf"^::: {re.escape(module)}$", page.read_text("utf-8"), re.MULTILINE)
    assert f"api/{room}.md" in (ROOT / "mkdocs.yml").read_text("utf-8")


@pytest.mark.parametrize("module", MODULES)
def test_public_names_are_imported_as_such(module: str):
    """`from ._file import name` without `as name` would be missing from the page."""
    path = Path(str(sys.modules[module].__file__))
    if path.name != "__init__.py":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            assert all(name.asname == name.name for name in node.names), ast.unparse(node)


def test_every_name_is_rendered_with_its_docstring():
    pytest.importorskip("griffe")
    command = [sys.executable, "-c", LISTED, *MODULES]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    shown = dict(line.split() for line in listing.splitlines())
    wanted = [f"{module}.{name}" for module in MODULES for name in exported(module)]
    assert len(wanted) > 200
    assert [name for name in wanted if shown.get(name) != "True"] == []

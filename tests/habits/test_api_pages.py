"""Every public name of every room is shown on a page of the API reference."""

import ast
import importlib.util
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import equivax

ROOT = Path(__file__).parents[2]
ROOMS = sorted(
    info.name for info in pkgutil.iter_modules(equivax.__path__) if not info.name.startswith("_")
)
PARTS = (
    *("nn.authoring", "nn.init", "interop.escnn", "interop.mujoco"),
    *("interop.symm_learning", "interop.e3nn"),
)
MODULES = [f"equivax.{room}" for room in (*ROOMS, *PARTS)]

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
    """Public names: what a file re-exports (``from ._file import name as name``) or defines."""
    value = sys.modules[module]
    body = ast.parse(Path(str(value.__file__)).read_text(encoding="utf-8")).body
    imported = [name for n in body if isinstance(n, ast.ImportFrom) for name in n.names]
    names = [name.name for name in imported if name.asname == name.name]
    names += [n.name for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    public = [name for name in names if not name.startswith("_")]
    return [name for name in public if not inspect.ismodule(getattr(value, name))]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The script that draws the pages."""
    spec = importlib.util.spec_from_file_location("api", ROOT / "docs" / "_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_name_has_one_place(reference: ModuleType):
    placed = [name for page in reference.PAGES for name in reference.names(page)]
    wanted = [f"{module}.{name}" for module in MODULES for name in exported(module)]
    assert sorted(placed) == sorted(wanted)


def test_pages_are_as_drawn(reference: ModuleType):
    """First sentences of docstrings stand there too: `python docs/_api.py` draws them anew."""
    nav = (ROOT / "mkdocs.yml").read_text("utf-8")
    for page in reference.PAGES:
        text = (ROOT / "docs" / "api" / f"{page}.md").read_text("utf-8")
        assert text == reference.page_text(page), f"{page}: python docs/_api.py"
        assert f"api/{page}.md" in nav


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

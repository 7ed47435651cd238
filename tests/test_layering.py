"""Imports go one way: each room uses only rooms above it, and the upper rooms know no JAX."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "equivax"

#: Rooms from the first floor down; rooms on one line do not import each other.
FLOORS = (
    ("_numerics",),
    ("groups",),
    ("representations",),
    ("hom", "spaces"),
    ("kernels", "fields", "linalg"),
    ("images", "stats"),
    ("nn",),
    ("models",),
    ("testing", "viz", "interop"),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

#: Sugar such as `G.regular`: methods of a group that build a representation when called.
LATE_IMPORTS = {("groups/_group.py", "representations")}

FILES = sorted(SOURCE.rglob("*.py"))


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Absolute module names that a file imports, and whether late (in a function, for types)."""
    tree = ast.parse(path.read_text())
    inside = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        for child in ast.walk(node)
    }
    package = ("equivax", *path.relative_to(SOURCE).parent.parts)
    for node in ast.walk(tree):
        late = id(node) in inside
        if isinstance(node, ast.Import):
            yield from ((alias.name, late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package[: len(package) - node.level + 1]
                base = ".".join([*parent, *([base] if base else [])])
            if node.level and not node.module:
                yield from ((f"{base}.{alias.name}", late) for alias in node.names)
            else:
                yield base, late


def test_every_room_has_a_floor():
    rooms = {_room(path) for path in FILES} - {"__init__"}
    assert rooms <= set(FLOOR_OF), f"rooms without a floor: {rooms - set(FLOOR_OF)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path):
    room, name = _room(path), path.relative_to(SOURCE).as_posix()
    for module, late in _imports(path):
        parts = module.split(".")
        if parts[0] != "equivax":
            continue
        assert name == "__init__.py" or len(parts) > 1, f"{name} imports the whole library"
        if name == "__init__.py" or parts[1] == room:
            continue
        if late and (name, parts[1]) in LATE_IMPORTS:
            continue
        assert FLOOR_OF[parts[1]] < FLOOR_OF[room], f"{name} imports {module}"


@pytest.mark.parametrize(
    "path", [p for p in FILES if FLOOR_OF.get(_room(p), 99) < FLOOR_OF["hom"]], ids=str
)
def test_upper_rooms_do_not_import_jax(path: Path):
    modules = {module.split(".")[0] for module, _ in _imports(path)}
    assert not modules & {"jax", "jaxlib", "equinox"}


def test_no_cycle_among_files():
    names = {
        ".".join(["equivax", *path.relative_to(SOURCE).with_suffix("").parts]): path
        for path in FILES
    }
    graph = {
        name: {module for module, late in _imports(path) if not late and module in names}
        for name, path in names.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"import cycle: {' -> '.join([*trail, name])}"
        if name not in done:
            for module in graph[name]:
                visit(module, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())
    assert len(done) == len(FILES)

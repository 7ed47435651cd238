"""Rooms import downwards only: read from the source, without running it."""

import ast
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import equivax

SOURCE = Path(equivax.__file__).parent

#: The floors, lowest first; rooms on one floor do not import each other.
FLOORS = [
    {"_numerics", "_arguments"},
    {"_values"},
    {"groups"},
    {"representations"},
    {"hom", "spaces", "_windows"},
    {"kernels", "fields", "linalg"},
    {"images", "stats"},
    {"nn"},
    {"models"},
    {"testing", "viz", "interop", "tools"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

#: NumPy only: no framework below `hom`.
HOST_ROOMS = {"_numerics", "_values", "groups", "representations"}
FRAMEWORKS = {"jax", "jaxlib", "equinox", "optax"}

#: What the library may depend on; everything else is an extra, imported inside `viz` or `interop`.
DEPENDENCIES = {"jax", "equinox", "jaxtyping", "numpy", "scipy"}

#: The one late import upwards, which makes `G.regular` and its like methods of a group.
SUGAR = ("groups._group", "representations")


def module_name(path: Path, root: Path = SOURCE) -> str:
    """``nn._linear`` for ``nn/_linear.py``, ``nn`` for ``nn/__init__.py``, "" for the top."""
    parts = list(path.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def files(root: Path = SOURCE) -> dict[str, Path]:
    return {module_name(path, root): path for path in sorted(root.rglob("*.py"))}


def room_of(module: str) -> str:
    return module.split(".")[0]


class Import(NamedTuple):
    """One imported module."""

    target: str  # of this package: relative to it
    own: bool  # of this package
    typing_only: bool  # under `if TYPE_CHECKING`
    late: bool  # inside a function


def imports(name: str, path: Path, known: set[str]) -> list[Import]:
    """What a module imports; ``from .x import y`` goes to ``x.y`` where that is a module."""
    found: list[Import] = []
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    def visit(node: ast.AST, typing_only: bool, late: bool) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                own = alias.name.split(".")[0] == "equivax"
                target = alias.name.partition(".")[2] if own else alias.name
                found.append(Import(target, own, typing_only, late))
        elif isinstance(node, ast.ImportFrom):
            target = node.module or ""
            own = bool(node.level) or target.split(".")[0] == "equivax"
            if node.level:
                parts = package.split(".") if package else []
                base = parts[: len(parts) - node.level + 1]
                target = ".".join([*base, target]).strip(".")
            elif own:
                target = target.partition(".")[2]
            for alias in node.names:
                inner = f"{target}.{alias.name}".strip(".")
                chosen = inner if own and inner in known else target
                found.append(Import(chosen, own, typing_only, late))
        typing_only |= isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        late |= isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, typing_only, late)

    visit(ast.parse(path.read_text()), False, False)
    return found


def violations(root: Path) -> list[str]:
    """Every broken rule, in words."""
    table = files(root)
    known = set(table)
    problems = []
    for name, path in table.items():
        room = room_of(name)
        if name and room not in FLOOR:
            problems.append(f"{name}: room {room} is on no floor")
            continue
        for target, own, typing_only, _ in imports(name, path, known):
            if not own:
                top = target.split(".")[0]
                if room in HOST_ROOMS and top in FRAMEWORKS:
                    problems.append(f"{name}: imports {top} below hom")
                continue
            if not name:  # the front of the package re-exports everything
                continue
            if target == "":
                problems.append(f"{name}: imports equivax itself")
                continue
            if target not in known:
                problems.append(f"{name}: imports {target}, which does not exist")
                continue
            other = room_of(target)
            if other == room or (name, target) == SUGAR or typing_only:
                continue
            if FLOOR.get(other, 99) > FLOOR[room]:
                problems.append(f"{name}: imports {target} from a floor above")
            elif FLOOR[other] == FLOOR[room]:
                problems.append(f"{name}: imports {target} from the same floor")
    return problems


def test_imports_go_downwards():
    assert violations(SOURCE) == []


def test_every_room_is_known():
    rooms = {p.name for p in SOURCE.iterdir() if (p / "__init__.py").exists()}
    loose = {p.stem for p in SOURCE.glob("*.py")} - {"__init__"}
    assert rooms | loose <= set(FLOOR)
    assert rooms >= {"_numerics", "groups", "representations", "hom", "linalg", "nn", "models"}


def test_late_imports_stay_in_their_room_but_for_the_sugar_of_groups():
    table = files()
    for name, path in table.items():
        for found in imports(name, path, set(table)):
            if found.own and found.late and room_of(found.target) != room_of(name):
                assert (name, found.target) == SUGAR


def test_modules_have_no_cycle():
    """Module by module, not only room by room."""
    table = files()
    graph = {
        name: {
            found.target
            for found in imports(name, path, set(table))
            if found.own and not found.typing_only and not found.late and found.target in table
        }
        for name, path in table.items()
        if name  # the front of the package imports everything
    }
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for target in sorted(graph[name]):
                walk(target, (*path, name))
            done.add(name)

    for name in graph:
        walk(name, ())
    assert len(done) == len(graph) > 40


@pytest.mark.parametrize(
    "room, text, problem",
    [
        ("hom", "from ..nn import Linear", "from a floor above"),
        ("hom", "import equivax", "imports equivax itself"),
        ("hom", "from ..spaces import x", "from the same floor"),
        ("groups", "import jax.numpy as jnp", "imports jax below hom"),
        ("groups", "def f():\n    from ..hom import x", "from a floor above"),
        ("attic", "x = 1", "is on no floor"),
        ("hom", "from ..missing import x", "does not exist"),
        ("hom", "from ..groups import x", None),
    ],
)
def test_the_reader_finds_each_kind_of_violation(tmp_path, room, text, problem):
    for name in ("groups", "hom", "spaces", "nn", room):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / room / "_new.py").write_text(text)
    found = violations(tmp_path)
    assert found == [] if problem is None else any(problem in line for line in found)


def test_only_declared_dependencies_are_imported():
    for name, path in files().items():
        if room_of(name) in ("viz", "interop"):
            continue
        for found in imports(name, path, set(files())):
            top = found.target.split(".")[0]
            allowed = found.own or top in sys.stdlib_module_names or top in DEPENDENCIES
            assert allowed, f"{name} imports {found.target}"

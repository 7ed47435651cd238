"""One valid call of every public callable, one argument at a time replaced by an odd value.

A call is ``Call(function, argument=kind(good value), ...)``; see `kinds`. A name such as ``_0`` is
the first positional argument. A row that knows better than its kind says why:

    Call(Representation.renamed, name=text("V")).but("name", "''", TAKEN, "a name may be empty")
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import inspect
import io
import linecache
import operator
import re
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import equivax
from kinds import EITHER, REFUSED, TAKEN, Argument, Traced

PACKAGE = str(Path(equivax.__file__).parent)
#: Errors that we raise ourselves; those of files are Python's, and name the file.
WORDED = (ValueError, TypeError, KeyError, IndexError, AssertionError)
#: What one call may take of the machine.
SECONDS, MEGABYTES = 2.0, 500


class Call:
    """A callable with good arguments."""

    def __init__(self, function: Callable[..., Any], /, **arguments: Argument | Any):
        self.function = function
        self.arguments = arguments
        self.rules: dict[tuple[str, str], str] = {}
        self.seconds = SECONDS

    def but(self, argument: str, values: str, verdict: str, reason: str) -> Call:
        """Other verdicts than the kind's, for the values named (``a; b``), with the reason."""
        assert reason
        found = self.arguments[argument]
        for value in values.split("; "):
            assert value in found.odd, value
            self.rules[argument, value] = verdict
        return self

    def slow(self, seconds: float) -> Call:
        """Allow more time: networks compile for seconds."""
        self.seconds = seconds
        return self

    @property
    def name(self) -> str:
        function = underlying(self.function)
        return f"{function.__module__.removeprefix('equivax.')}.{function.__qualname__}"

    def run(self, replaced: str = "", value: object = None) -> Any:
        given = {
            name: found.good if isinstance(found, Argument) else found
            for name, found in self.arguments.items()
        }
        if replaced:
            given[replaced] = value
        args = [given.pop(name) for name in list(given) if re.fullmatch(r"_\d+", name)]
        return self.function(*args, **given)

    def takes_none(self, argument: str) -> bool:
        """Whether the signature says so."""
        with contextlib.suppress(TypeError, ValueError):
            found = inspect.signature(self.function).parameters.get(argument)
            # Options that stand in a record ("**options") have None for their default.
            return found is None or found.default is None or "None" in str(found.annotation)
        return False

    def cases(self) -> Iterator[tuple[str, str, Any, str]]:
        """Argument, name of the odd value, the value, verdict."""
        for argument, found in self.arguments.items():
            if not isinstance(found, Argument):
                continue
            for label, (value, verdict) in found.odd.items():
                if label == "None" and verdict == REFUSED and self.takes_none(argument):
                    verdict = EITHER
                yield argument, label, value, self.rules.get((argument, label), verdict)


class Failure(NamedTuple):
    """A case that fails."""

    call: str
    argument: str
    kind: str
    value: str
    how: str  # "deep", "silent", "refused", "slow", "memory" or "invalid call"
    says: str


def underlying(function: Any) -> Any:
    """The function of a method, or of an object that is called, without wrappers."""
    if not (inspect.isclass(function) or hasattr(function, "__qualname__")):
        function = getattr(type(function), "__call__", function)  # noqa: B004
    function = getattr(function, "__func__", function)
    if isinstance(function, (classmethod, staticmethod)):
        function = function.__func__
    return function if inspect.isclass(function) else inspect.unwrap(function)


class _LateError(BaseException):
    """Time is over."""


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise _LateError

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.5)  # again, where somebody swallows it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _memory(reset: bool = False) -> float:
    """The most megabytes that this process held since the last reset."""
    with contextlib.suppress(OSError):
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def attempt(run: Callable[[], Any], seconds: float, verdict: str) -> tuple[str, str]:
    """How a call goes wrong ("" if it does not), and what it says."""
    held = _memory(reset=True)
    try:
        with warnings.catch_warnings(), _deadline(seconds):
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            result = run()
    except _LateError:
        return "slow", f"no answer in {seconds:g} s"
    except MemoryError as error:
        return "memory", str(error)
    except Exception as error:
        return judge(error, verdict)
    grown = _memory() - held
    if grown > MEGABYTES:
        return "memory", f"{grown:.0f} MB"
    if verdict == REFUSED and result is not NotImplemented:
        return "silent", " ".join(str(type(result)).split())[:100]
    return "", ""


def judge(error: Exception, verdict: str) -> tuple[str, str]:
    """Whether an error is one of ours, which the library raised with a sentence."""
    frames = traceback.extract_tb(error.__traceback__)
    says = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    last = frames[-1]
    operator = "unsupported operand" in says or "can't multiply sequence" in says
    ours = last.filename.startswith(PACKAGE)
    raised = linecache.getline(last.filename, last.lineno or 0).strip().startswith("raise")
    theirs = "/calls/" in last.filename  # a function of the table, which users would write
    sentence = ours and raised and isinstance(error, WORDED)
    if theirs or operator or sentence or (ours and isinstance(error, OSError)):
        return ("refused", says) if verdict == TAKEN else ("", says)
    place = last.filename.removeprefix(PACKAGE).split("site-packages/")[-1]
    return "deep", f"{says} ({place}:{last.lineno})"


def run_case(call: Call, argument: str, value: Any, verdict: str) -> tuple[str, str]:
    """One call with one odd value."""
    if not isinstance(value, Traced):
        return attempt(lambda: call.run(argument, value), call.seconds, verdict)

    def traced() -> Any:
        results = []

        def inner(tracer: Any) -> int:
            results.append(call.run(argument, tracer))
            return 0

        jax.eval_shape(inner, value.value)
        return results[0]

    return attempt(traced, call.seconds, verdict)


class Report(NamedTuple):
    """What a run found."""

    cases: dict[str, int]  # per kind
    failures: list[Failure]
    untabled: list[str]  # public callables without a call


#: Files of `calls`, by the rooms that they cover.
TABLES = {
    "groups": ["groups"],
    "representations": ["representations"],
    "vectors": ["hom", "linalg", "stats"],
    "kernels": ["spaces", "kernels"],
    "fields": ["fields"],
    "images": ["images"],
    "tools": ["", "testing", "interop", "tools", "viz"],
    "interop": [
        f"interop.{name}" for name in ("e3nn", "escnn", "ginjax", "mujoco", "symm_learning")
    ],
    "layers": ["nn", "models"],
}


def table(name: str) -> tuple[list[Call], dict[str, str]]:
    """The calls of a table, and the names that it leaves out, with the reason."""
    module = importlib.import_module(f"calls.{name}")
    return module.CALLS, module.LEFT_OUT


#: Where users read of names, and where those stand that are promised to them.
#: The reference is not among them: it lists what rooms offer to each other, too.
PAGES = ("README.md", "CHANGELOG.md", "docs/*.md", "docs/guide/*.md", "examples/*.py",
         "tests/habits/test_public_api.py")  # fmt: skip
#: Pages of those who work on the library.
WORKSHOP = {"architecture.md", "decisions.md", "changelog.md"}


@functools.cache
def between_rooms(room: str) -> frozenset[str]:
    """Helpers that a room offers to others: some room imports them, and no page shows them."""
    imported = {name for own, base, name in _imports() if base == f"equivax.{room}" and own != room}
    return frozenset(name for name in imported if not re.search(rf"[`.]{name}\b", _pages()))


@functools.cache
def _imports() -> set[tuple[str, str, str]]:
    """Every room, and what it imports from where within the library."""
    found = set()
    for path in Path(PACKAGE).rglob("*.py"):
        parts = ("equivax", *path.relative_to(PACKAGE).parts[:-1])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = ".".join((*parts[: len(parts) - node.level + 1], node.module or ""))
                found |= {("".join(parts[1:2]), base, alias.name) for alias in node.names}
    return found


@functools.cache
def _pages() -> str:
    root = Path(__file__).parents[2]
    paths = (path for pattern in PAGES for path in sorted(root.glob(pattern)))
    return "\n".join(p.read_text(encoding="utf-8") for p in paths if p.name not in WORKSHOP)


def public(room: str) -> dict[str, Any]:
    """Public callables with arguments: functions, constructors, methods."""
    module = operator.attrgetter(room)(equivax) if room else equivax
    is_file, found = not hasattr(module, "__path__"), {}
    for name, value in vars(module).items():
        if name.startswith("_") or not callable(value) or inspect.ismodule(value):
            continue
        if name in between_rooms(room):
            continue
        if not getattr(value, "__module__", "").startswith("equivax"):
            continue
        if is_file and value.__module__ != module.__name__:  # what it is made of
            continue
        label = f"{room}.{name}".strip(".")
        if not inspect.isclass(value):
            found[label] = value
            continue
        if not issubclass(value, Warning):
            found[label] = value
        for attribute in dir(value):
            method = inspect.getattr_static(value, attribute)
            called = "__call__ __getitem__ __add__ __sub__ __mul__ __truediv__ __matmul__ __pow__"
            if attribute.startswith("_") and attribute not in called.split():
                continue
            if isinstance(method, (property, type)) or not callable(getattr(value, attribute)):
                continue
            if (getattr(underlying(method), "__module__", None) or "").startswith("equivax"):
                found[f"{label}.{attribute}"] = method
    return {label: value for label, value in found.items() if _arguments(value)}


def _arguments(function: Any) -> list[str]:
    try:
        signature = inspect.signature(underlying(function))
    except (TypeError, ValueError):
        return []
    return [name for name in signature.parameters if name not in ("self", "cls", "__context")]


def run(name: str, every: int = 1, show: Callable[[str], None] | None = None) -> Report:
    """Run a table, or every so-many-th case of it; none for ``every=0``.

    The name of every case goes to the standard error first, where it is the last line if the case
    takes the process down.
    """
    log = sys.stderr if show is None else io.StringIO()
    calls, left_out = table(name)
    cases: dict[str, int] = {}
    failures = []
    number = 0
    for call in calls if every else ():
        chosen = []
        for case in call.cases():
            number += 1
            if number % every == 0:
                chosen.append(case)
        how, says = attempt(call.run, 60.0, TAKEN) if chosen else ("", "")
        if how:
            failures.append(Failure(call.name, "", "", "", "invalid call", f"{how}: {says}"))
            continue
        for argument, label, value, verdict in chosen:
            kind = call.arguments[argument].kind
            log.write(f"{call.name}({argument}={label})\n")
            log.flush()
            cases[kind] = cases.get(kind, 0) + 1
            how, says = run_case(call, argument, value, verdict)
            if how:
                failures.append(Failure(call.name, argument, kind, label, how, says))
                if show:
                    show(f"{how:7} {call.name}({argument}={label}): {says}")
    called = {underlying(call.function) for call in calls}
    known = {label: f for room in TABLES[name] for label, f in public(room).items()}
    untabled = [
        label for label, function in known.items()
        if underlying(function) not in called and not any(
            re.fullmatch(pattern, label) for pattern in left_out
        )
    ]  # fmt: skip
    return Report(cases, failures, untabled)

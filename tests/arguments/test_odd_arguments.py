"""Odd values for every argument of every public callable: refused at once, in our own words.

The cases run in a process of their own, since the suite checks annotations before our checks run.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent / "run_cases.py"
TABLES = [path.stem for path in sorted((SCRIPT.parent / "calls").glob("[a-z]*.py"))]

#: The quick run takes every so-many-th case; it says as well what is not called at all.
SAMPLE = ("--every", "499")


@functools.cache
def reports(*options: str) -> dict[str, Any]:
    """What the cases say, by table."""
    command = [sys.executable, str(SCRIPT), "--json", *options]
    found = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert not found.returncode, found.stderr[-3000:]
    return json.loads(found.stdout)


def said(failures: Sequence[Sequence[str]]) -> str:
    return "\n".join(
        f"{how}: {call}({argument}={value}): {says}"
        for call, argument, _, value, how, says in failures
    )


def test_a_sample_of_odd_arguments_is_refused():
    found = reports(*SAMPLE)
    failures = [failure for report in found.values() for failure in report["failures"]]
    assert not failures, said(failures)


@pytest.mark.parametrize("table", TABLES)
def test_every_public_callable_is_called(table: str):
    assert not reports(*SAMPLE)[table]["untabled"]


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_odd_arguments_are_refused(table: str):
    failures = reports(table)[table]["failures"]
    assert not failures, said(failures)

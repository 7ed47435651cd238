"""Five tasks of a newcomer, written from the pages alone, run as scripts and reach their goal."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

TASKS = sorted((Path(__file__).parents[1] / "newcomer").glob("*.py"))


@pytest.mark.slow  # whole trainings
@pytest.mark.parametrize("script", TASKS, ids=lambda script: script.stem)
def test_task(script: Path, tmp_path: Path) -> None:
    needed = ("optax", "sklearn") if "sklearn" in script.read_text("utf-8") else ("optax",)
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    environment.pop("XLA_FLAGS", None)  # optimised, as a user runs it
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    finished = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_all_five_are_there() -> None:
    assert len(TASKS) == 5

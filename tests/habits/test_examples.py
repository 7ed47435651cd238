"""The examples run, and the main one shows what it claims."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NEEDED = ("exponax", "matplotlib", "optax", "sklearn", "tqdm")

ROW = re.compile(
    r"^(?P<name>[a-z, ]+?) +(?P<parameters>[\d,]+) +\S+s +\S+s +(?P<upright>[\d.]+)% +"
    r"(?P<copies>[\d.]+)% +(?P<error>\S+)$",
    re.MULTILINE,
)


def run_smoke(script: Path, figure: Path) -> str:
    """Runs an example at its smallest size, as a user would, and returns what it prints."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "MPLBACKEND": "agg"}
    # The package under test, also where it is found through the path and not installed.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    finished = subprocess.run(
        [sys.executable, str(script), "--smoke", "--output", str(figure)],
        cwd=figure.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture
def libraries_of_the_examples() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def check_digits(text: str, figure: Path) -> None:
    rows = {row["name"]: row for row in ROW.finditer(text)}
    assert list(rows) == ["invariant", "plain, same width", "plain, same parameters"], text

    invariant = rows["invariant"]
    assert float(invariant["error"]) < 1e-4
    # The copies differ by rounding, which can decide a near tie between two classes.
    assert float(invariant["copies"]) == pytest.approx(float(invariant["upright"]), abs=0.3)
    assert float(rows["plain, same width"]["error"]) > 1e-2
    assert all(float(row["upright"]) > 20 for row in rows.values()), text  # chance is 10 %

    assert figure.stat().st_size > 1000


def check_own_group(text: str, figure: Path) -> None:
    assert "quadruped: order 4" in text, text
    rows = re.findall(r"^ *(\d+) samples, plain and symmetric: (.*)$", text, re.MULTILINE)
    assert [size for size, _ in rows] == ["32", "64"], text
    for _, cells in rows:
        numbers = [float(cell) for cell in cells.split()]
        # Dynamics, covariance, density: the symmetry helps each of them.
        for plain, symmetric in zip(numbers[::2], numbers[1::2], strict=True):
            assert 0 < symmetric < 0.8 * plain, text
    assert figure.stat().st_size > 1000


def check_tensor_images(text: str, figure: Path) -> None:
    rows = dict(re.findall(r"^(equivariant|plain) +[\d,]+ +[\d.]+ +(.*)$", text, re.MULTILINE))
    trained, turned, mirrored = map(float, rows["equivariant"].split())
    assert trained < 0.9, text  # it has learned something
    assert turned == pytest.approx(trained, abs=2e-4)
    assert mirrored == pytest.approx(trained, abs=2e-4)
    trained, turned, _ = map(float, rows["plain"].split())
    assert turned > 1.5 * trained, text
    assert figure.stat().st_size > 1000


def check_flow(text: str, figure: Path) -> None:
    rows = re.findall(r"(upright|turned) ((?: +[\d.]+){5})$", text, re.MULTILINE)
    assert [kind for kind, _ in rows] == ["upright", "turned"] * 3, text
    scores = [[float(cell) for cell in cells.split()] for _, cells in rows]
    equivariant, plain, last = ((scores[i], scores[i + 1]) for i in (0, 2, 4))
    assert equivariant[1] == pytest.approx(equivariant[0], rel=1e-2)
    assert last[1] == pytest.approx(last[0], rel=1e-3)
    assert plain[1] != pytest.approx(plain[0], rel=1e-2)
    assert figure.stat().st_size > 1000


def test_every_example_is_in_the_gallery() -> None:
    """With a picture, its task, a table, the command and the time."""
    text = (ROOT / "docs" / "examples" / "index.md").read_text("utf-8")
    entries = text.split("\n## ")[1:]
    assert len(entries) == len(EXAMPLES)
    for script in EXAMPLES:
        (entry,) = (e for e in entries if f"**Command.** `python examples/{script.name}`" in e)
        picture = re.search(r"!\[[^\]]+\]\(\.\./(images/[^)]+)\)", entry)
        assert picture is not None, script.name
        assert (ROOT / "docs" / picture[1]).is_file()
        for part in ("**Task.**", "\n|---|", "**Time.**"):
            assert part in entry, (script.name, part)


CHECKS = {
    "digits_mlp": check_digits,
    "flow_emulator": check_flow,
    "own_group": check_own_group,
    "tensor_images": check_tensor_images,
}


@pytest.mark.slow  # whole trainings
@pytest.mark.usefixtures("libraries_of_the_examples")
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_example(script: Path, tmp_path: Path) -> None:
    figure = tmp_path / "figure.png"
    text = run_smoke(script, figure)
    if script.stem in CHECKS:
        CHECKS[script.stem](text, figure)

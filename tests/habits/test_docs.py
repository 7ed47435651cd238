"""Every Python block of the documentation runs, page by page, in one namespace per page."""

import re
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def pages() -> list[str]:
    """Pages with at least one block, as paths from the root of the repository."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [str(page.relative_to(ROOT)) for page in found if BLOCK.search(page.read_text("utf-8"))]


def blocks(text: str) -> list[str]:
    """The code of a page, each block behind empty lines so that tracebacks name its lines."""
    return ["\n" * text.count("\n", 0, m.start(1)) + m[1] for m in BLOCK.finditer(text)]


@pytest.fixture
def as_a_user_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unchecked_annotations: None
) -> Iterator[None]:
    """In an empty folder, with JAX's own rules; pages may switch 64-bit types on."""
    monkeypatch.chdir(tmp_path)
    names = ("jax_enable_x64", "jax_numpy_dtype_promotion", "jax_numpy_rank_promotion")
    before = {name: getattr(jax.config, name) for name in names}
    for name, value in zip(names, (False, "standard", "allow"), strict=True):
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


#: The pages of the guide have fences that are checked at once, and run in CI.
QUICK = (
    *("README.md", "docs/index.md", "docs/getting-started.md", "docs/conventions.md"),
    "docs/guide/own-layer.md",
)


@pytest.mark.parametrize(
    "page", [p if p in QUICK else pytest.param(p, marks=pytest.mark.slow) for p in pages()]
)
@pytest.mark.usefixtures("as_a_user_runs_it")
def test_page_runs(page: str) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    for code in blocks((ROOT / page).read_text(encoding="utf-8")):
        exec(compile(code, str(ROOT / page), "exec"), namespace)


@pytest.mark.parametrize(
    "page", ["README.md", *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
)
def test_fences_are_closed(page: str) -> None:
    fences = re.findall(r"^\s*```\S*$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) % 2 == 0
    assert all(fence.strip() == "```" for fence in fences[1::2])

"""What a reader meets outside of the code agrees: versions, dates, addresses, links."""

import re
import tomllib
from pathlib import Path

import equivax

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SOURCE, SITE = PROJECT["urls"]["Homepage"] + "/", PROJECT["urls"]["Documentation"]
README = (ROOT / "README.md").read_text("utf-8")


def test_versions_and_dates_agree():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    (cited,) = re.findall(r"^version: (.+)$", citation, re.MULTILINE)
    (date,) = re.findall(r"^date-released: (.+)$", citation, re.MULTILINE)
    assert cited == PROJECT["version"] == equivax.__version__
    assert f"## [{cited}] - {date}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_readme_has_absolute_links_only():
    """It is shown on a package index too, where relative links lead nowhere."""
    targets = re.findall(r"\]\(([^)\s]+)\)|^\[[\w-]+\]: (\S+)$", README, re.MULTILINE)
    links = [one or other for one, other in targets]
    assert len(links) > 30
    assert [link for link in links if not link.startswith("https://")] == []


def test_links_of_the_readme_lead_to_what_exists():
    pages = re.findall(re.escape(SITE) + r"latest/([\w/-]+)/", README)
    assert len(pages) > 20
    assert [page for page in pages if not (ROOT / "docs" / f"{page}.md").is_file()] == []
    files = re.findall(re.escape(SOURCE) + r"blob/main/([\w./-]+)", README)
    raw = "https://raw.githubusercontent.com/equivax/equivax/main/"
    files += re.findall(re.escape(raw) + r"([\w./-]+)", README)
    assert len(files) >= 3
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_addresses_are_those_of_the_project():
    files = ["README.md", "CITATION.cff", "mkdocs.yml", ".github/ISSUE_TEMPLATE/config.yml"]
    for name in files:
        text = (ROOT / name).read_text("utf-8")
        assert SITE in text, name
        assert SOURCE.rstrip("/") in text, name


def test_example_of_the_readme_follows_one_install_line():
    before, example, *_ = README.split("```python")
    install = re.search(r"^pip install (.+)$", before, re.MULTILINE)
    assert install is not None
    code = example.split("```")[0]
    assert len(code.strip().splitlines()) <= 24
    imported = set(re.findall(r"\b(equinox|jax|optax|equivax|numpy|matplotlib)\b", code))
    assert imported - {"jax", "equinox", "numpy"} <= set(install[1].split())

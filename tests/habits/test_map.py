"""The map of the house on the page about its architecture is the house of today."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _map():
    path = ROOT / "docs" / "_map.py"
    spec = importlib.util.spec_from_file_location("map_of_rooms", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_every_file_with_its_idea():
    drawn = _map()
    assert drawn.PAGE.read_text("utf-8") == drawn.page(), "run `python docs/_map.py`"


def test_every_room_is_on_the_map():
    drawn = _map()
    rooms = {path.parent.name for path in drawn.SOURCE.glob("*/__init__.py")}
    assert rooms == set(drawn.ROOMS)


def test_paths_in_the_prose_exist():
    """`nn/_core/_module.py` in the text is a file, so that a reader finds what is named."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8").split("## The map")[0]
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)+\.py)`", text)
    assert len(named) > 10
    for path in named:
        assert any(
            (ROOT / base / path).exists() for base in ("", "src/equivax", "src/equivax/kernels")
        ), path

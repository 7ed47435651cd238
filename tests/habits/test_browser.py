"""The site in a real browser: no errors, formulas set, search finds, nothing wider than the screen.

Needs `playwright` and a Chromium or Chrome (`nox -s browser`); skipped where either is missing.
Nothing is reached but the pages on this machine.
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
#: With code, formulas, wide tables, pictures, and the longest page of the reference.
PATHS = ("", "glossary/", "guide/sizes/", "guide/which-layer/", "examples/", "api/nn/convolution/")

pytestmark = pytest.mark.slow  # builds the site and starts a browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and tells nobody."""

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The built site at a port of this machine."""
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=True)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_api.sync_playwright() as playwright:
        if path is None and not Path(playwright.chromium.executable_path).is_file():
            pytest.skip(f"no browser: neither {', '.join(BROWSERS)} nor playwright's own")
        # As root, as in containers, Chromium refuses its sandbox; only our own pages are opened.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(params=SIZES)
def page(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page that may reach this machine only, and remembers what it complained about."""
    width, height = SIZES[request.param]
    opened = browser.new_page(viewport={"width": width, "height": height})
    opened.complaints = []

    def only_here(route: Any) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            opened.complaints.append(f"asked for {route.request.url}")
            route.abort()

    opened.route("**/*", only_here)
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.on(
        "console",
        lambda said: said.type in ("error", "warning") and opened.complaints.append(said.text),
    )
    yield opened
    opened.close()


@pytest.mark.parametrize("path", PATHS)
def test_page_loads(page: Any, address: str, path: str):
    assert page.goto(address + path).status == 200
    page.wait_for_load_state("networkidle")
    assert page.complaints == []
    excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert excess <= 0, f"{excess} pixels wider than the screen"
    broken = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    assert page.evaluate(broken) == []


def test_formulas_are_set(page: Any, address: str):
    page.goto(address + "guide/sizes/")
    formulas = page.locator(".arithmatex")
    assert formulas.count() >= 2
    assert page.locator(".arithmatex .katex").count() == formulas.count()
    assert page.locator(".katex-error").count() == 0
    # With its own fonts, which are files of the site.
    loaded = "document.fonts.ready.then(f => [...f].filter(x => x.status == 'loaded').length)"
    assert page.evaluate(loaded) >= 2


def test_search_finds_a_layer(page: Any, address: str):
    page.goto(address)
    page.wait_for_load_state("networkidle")
    button = page.locator("label.md-header__button[for=__search]")
    if button.is_visible():  # on a phone
        button.click()
    page.locator(".md-search__input").click()
    page.locator(".md-search__input").press_sequentially("Conv", delay=50)
    found = page.locator(".md-search-result__link")
    found.first.wait_for()
    links = [found.nth(i).get_attribute("href") or "" for i in range(found.count())]
    assert any("api/nn/convolution" in link for link in links), links
    assert page.complaints == []

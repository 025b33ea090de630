"""Hooks of the MkDocs build: pages that include a file of the project root."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_INCLUDE = re.compile(r"<!-- include (\w+\.md) -->\n")
#: Files of the root that are pages of the site.
_PAGES = ("CHANGELOG", "CONTRIBUTING", "SECURITY")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace `<!-- include NAME.md -->` by that file of the project root, with links as seen from docs/."""
    return _INCLUDE.sub(lambda found: _from_docs((ROOT / found[1]).read_text("utf-8")), markdown)


def _from_docs(text: str) -> str:
    for name in _PAGES:
        text = text.replace(f"]({name}.md", f"]({name.lower()}.md")
    return text.replace("](docs/", "](").replace("](README.md", "](index.md")

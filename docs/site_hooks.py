"""Hooks of the documentation site: its first page is the README, and links that leave docs/ become file names."""

import re
from pathlib import Path
from typing import Any

_README = Path(__file__).resolve().parents[1] / "README.md"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The README in place of docs/index.md; `[text](../file)` as the file's name, which the site does not hold."""
    if page.file.src_uri == "index.md":
        pages = re.sub(r'(\]\(|src=")docs/', r"\1", _README.read_text(encoding="utf-8"))
        return re.sub(r"\[([^]]+)\]\(((?:benchmarks|results)/[\w./-]+)\)", r"\1 (`\2`)", pages)
    outside = r"\[([^]]+)\]\((?:\.\./)+((?!docs/)[\w/-]+/[\w.-]+)\)"
    return markdown if "/" in page.file.src_uri else re.sub(outside, r"\1 (`\2`)", markdown)

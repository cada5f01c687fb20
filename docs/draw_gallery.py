"""Run the code of gallery.md and of the walk's pages, and write their pictures: python docs/draw_gallery.py"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
PAGES = ("gallery", "look", "find", "verify")
BLOCK = re.compile(
    r"^```python\n(.*?)^```(\n\n!\[[^]]*\]\((images/(?:gallery|walk)/[^)]*)\))?", re.MULTILINE | re.DOTALL
)


def figures(page: str) -> Iterator[tuple[str, Any]]:
    """The path of every picture on the page that code draws, with the figure that the block before it has."""
    blocks = [(code, picture) for code, _, picture in BLOCK.findall(page)]
    last = max(number for number, (_, picture) in enumerate(blocks) if picture)
    names: dict[str, Any] = {}
    for code, picture in blocks[: last + 1]:
        exec(code, names)
        if picture:
            yield picture, names["figure"]


if __name__ == "__main__":
    from sycolens.plots import save_figures

    save_figures(
        {DOCS / picture: figure for page in PAGES for picture, figure in figures((DOCS / f"{page}.md").read_text())}
    )

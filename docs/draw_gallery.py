"""Run the code of pages with figures, and write the pictures: python docs/draw_gallery.py [page ...]"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
HOWTO = ("another_behavior", "another_model", "another_task", "own_judge", "print_figures")
PAGES = ("gallery", "look", "find", "verify", "measure", "study", *(f"howto/{name}" for name in HOWTO))
PICTURE = r"(?:\.\./)?images/(?:gallery|walk|howto)/[^)]*"
BLOCK = re.compile(rf"^```python\n(.*?)^```(\n\n!\[[^]]*\]\(({PICTURE})\))?", re.MULTILINE | re.DOTALL)


def figures(page: str) -> Iterator[tuple[str, Any]]:
    """The path of every picture on the page that code draws, with the figure that the block before it has."""
    blocks = [(code, picture) for code, _, picture in BLOCK.findall(page)]
    last = max(number for number, (_, picture) in enumerate(blocks) if picture)
    names: dict[str, Any] = {}
    for code, picture in blocks[: last + 1]:
        if not code.startswith("# Needs"):
            exec(compile(code, "page", "exec", dont_inherit=True), names)
        if picture:
            yield picture, names["figure"]


if __name__ == "__main__":
    from sycolens.plots import save_figures

    drawn = {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # some pages write files
        for name in sys.argv[1:] or PAGES:
            page = DOCS / f"{name}.md"
            drawn |= {(page.parent / picture).resolve(): figure for picture, figure in figures(page.read_text())}
        os.chdir(DOCS)
    save_figures(drawn)

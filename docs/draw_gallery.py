"""Run the code of gallery.md and write its pictures: python docs/draw_gallery.py"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("gallery.md")


def figures(page: str) -> Iterator[tuple[str, Any]]:
    """The path of every picture on the page, with the figure that the code before it draws."""
    names: dict[str, Any] = {}
    for code, _, picture in re.findall(
        r"^```python\n(.*?)^```(\n\n!\[.*?\]\((.*?)\))?", page, re.MULTILINE | re.DOTALL
    ):
        exec(code, names)
        if picture:
            yield picture, names["figure"]


if __name__ == "__main__":
    from sycolens.plots import save_figures

    save_figures({PAGE.parent / picture: figure for picture, figure in figures(PAGE.read_text())})

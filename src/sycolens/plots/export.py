"""From a figure to a file: an HTML page that needs no network, or PDF, SVG and PNG for a paper."""

from __future__ import annotations

import html
import importlib.util
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import plotly.graph_objects as go

from sycolens.choices import FigureFormat
from sycolens.errors import FigureError
from sycolens.memory import ran_out_of_memory
from sycolens.plots.vector import with_cells_as_shapes
from sycolens.storage import write_bytes, write_text

IMAGES = (".pdf", ".svg", ".png")
PNG_SCALE = 600 / 96
"""Print resolution: 600 dots per inch."""
SCREEN_WIDTH = 1000
"""Pixels that a figure is given on an HTML page, at twice its print size at most."""


def save_figure(figure: go.Figure, path: str | Path) -> Path:
    """Write a figure in the format that the ending of ``path`` names, and return the path.

    ``.html`` is one self-contained page, plotly.js included. ``.pdf``, ``.svg`` and ``.png`` are drawn by kaleido (the
    ``figures`` extra) in a Chrome or Chromium browser, at the figure's own print size: no border, nothing scaled.

    Raises:
        FigureError: another ending, or kaleido or a browser is missing or fails.

    >>> import tempfile
    >>> page = save_figure(go.Figure(), Path(tempfile.mkdtemp()) / "heads.html")
    >>> page.name
    'heads.html'
    """
    (written,) = save_figures({path: figure})
    return written


def save_figures(figures: Mapping[str | Path, go.Figure]) -> tuple[Path, ...]:
    """Write figures by their paths as :func:`save_figure` does, all with one start of the browser.

    Nothing is written where one of them cannot be.

    Raises:
        FigureError: another ending, or kaleido or a browser is missing or fails.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> [path.name for path in save_figures({folder / "a.html": go.Figure(), folder / "b.html": go.Figure()})]
    ['a.html', 'b.html']
    """
    paths = {Path(path): figure for path, figure in figures.items()}
    for path in paths:
        if path.suffix.lower() not in (".html", *IMAGES):
            raise FigureError(f"Cannot write {path.name}: choose one of .html, {', '.join(IMAGES)}.")
    images = {path: figure for path, figure in paths.items() if path.suffix.lower() in IMAGES}
    drawn = dict(zip(images, _draw([(each, path.suffix[1:].lower()) for path, each in images.items()]), strict=True))
    for path, figure in paths.items():
        if path in drawn:
            write_bytes(path, drawn[path])
        else:
            write_text(path, _page(figure, path.stem))
    return tuple(paths)


def _page(figure: go.Figure, title: str) -> str:
    drawing = figure.to_html(include_plotlyjs=True, full_html=False, config={"displayModeBar": False}, div_id="figure")
    # Print sizes are small on a screen; a transform enlarges the drawing and the pointer finds its cells all the same.
    width = figure.layout.width or SCREEN_WIDTH
    scale = min(2.0, SCREEN_WIDTH / width)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{html.escape(title)}</title>
<style>
body {{ margin: 24px; background: white }}
main {{ width: {width:.0f}px; transform: scale({scale:.3f}); transform-origin: 0 0 }}
</style>
</head>
<body><main>
{drawing}
</main></body>
</html>
"""


def _draw(figures: Sequence[tuple[go.Figure, str]]) -> list[bytes]:
    """Figures as files of a kind each."""
    if not figures:
        return []
    kinds = "/".join(dict.fromkeys(f".{kind}" for _, kind in figures))
    way_out = "or save it as .html, which needs neither."
    if importlib.util.find_spec("kaleido") is None:
        raise FigureError(
            f"A {kinds} figure needs kaleido, which is not installed: pip install 'sycolens[figures]', {way_out}"
        )
    import kaleido
    from kaleido.errors import ChromeNotFoundError

    try:
        with tempfile.TemporaryDirectory() as folder:
            places = [Path(folder) / f"{number}.{kind}" for number, (_, kind) in enumerate(figures)]
            kaleido.write_fig_from_object_sync(
                [_order(*figure, place) for figure, place in zip(figures, places, strict=True)],
                cancel_on_error=True,
                kopts={"page_generator": _borderless()},
            )
            return [_settled(place.read_bytes()) for place in places]
    except ChromeNotFoundError as error:
        raise FigureError(
            f"A {kinds} figure is drawn by Chrome or Chromium, and kaleido found neither: install one, name its "
            f"program in the environment variable BROWSER_PATH, {way_out}"
        ) from error
    except Exception as error:  # whatever the browser, its driver or their pipes come up with
        if ran_out_of_memory(error):
            raise
        raise FigureError(
            f"kaleido could not draw the {kinds} figure ({type(error).__name__}: {error}); try again, {way_out}"
        ) from error


def _order(figure: go.Figure, kind: str, place: Path) -> dict[str, Any]:
    """What kaleido is told of a figure."""
    size = {"width": figure.layout.width, "height": figure.layout.height, "scale": PNG_SCALE if kind == "png" else 1}
    opts = {"format": kind, **{name: value for name, value in size.items() if value is not None}}
    drawn = with_cells_as_shapes(figure.to_plotly_json())
    # plotly draws names of traces by lot where they have none.
    drawn["data"] = [{"uid": f"{row:06}", **trace} for row, trace in enumerate(drawn["data"])]
    return {"fig": drawn, "path": str(place), "opts": opts}


def _borderless() -> Any:
    """kaleido's page, whose paper has no margins: the printer's own shrink a figure to 94 or 97 % and cut its foot."""
    from kaleido import PageGenerator

    class Borderless(PageGenerator):  # type: ignore[misc]
        header = f"{PageGenerator.header}<style>@page {{ margin: 0 }} img {{ display: block }}</style>\n"

    # mathjax=False: the page would otherwise ask a server for it, and no figure here has formulas.
    return Borderless(mathjax=False)


def _settled(drawn: bytes) -> bytes:
    """The same figure is the same bytes, whenever it is drawn."""
    if named := re.search(rb'id="defs-([0-9a-f]{6})"', drawn):
        # plotly draws a number by lot for the names of an SVG's parts; digits of a coordinate follow no letter.
        return re.sub(rb"(?<=[a-z]|-)" + named[1], b"000000", drawn)
    return re.sub(rb"/(CreationDate|ModDate) ?\(D:\d{14}", rb"/\1 (D:20000101000000", drawn)


def check_formats(formats: Sequence[str] | None) -> None:
    """Refuse formats that cannot be written, before anything is computed; None and no formats ask for nothing.

    Raises:
        FigureError: an unknown format, or kaleido or its browser is missing.
    """
    formats, known = formats or (), get_args(FigureFormat)
    if any(kind not in known for kind in formats):
        raise FigureError(f"formats={','.join(formats)!r}: choose among {', '.join(known)}.")
    images = [kind for kind in formats if kind != "html"]
    if images:
        with tempfile.TemporaryDirectory() as folder:
            save_figure(go.Figure(layout={"width": 20, "height": 20}), Path(folder) / f"trial.{images[0]}")


def default_formats() -> tuple[FigureFormat, ...]:
    """What figures are written as where nobody says: PDF, if there is what draws it."""
    if importlib.util.find_spec("kaleido") is None:
        return ()
    from choreographer.browsers import Chromium

    found = os.environ.get("BROWSER_PATH") or Chromium.find_browser(skip_local=False)
    return ("pdf",) if found else ()

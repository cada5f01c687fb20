"""From a figure to a file: an HTML page that needs no network, or PDF, SVG and PNG for a paper."""

from __future__ import annotations

import html
import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from sycolens.errors import FigureError
from sycolens.memory import ran_out_of_memory
from sycolens.storage import write_bytes, write_text

IMAGES = (".pdf", ".svg", ".png")
PNG_SCALE = 600 / 96
"""Print resolution: 600 dots per inch."""
SCREEN_WIDTH = 1000
"""Pixels that a figure is given on an HTML page, at twice its print size at most."""


def save_figure(figure: go.Figure, path: str | Path) -> Path:
    """Write a figure in the format that the ending of ``path`` names, and return the path.

    ``.html`` is one self-contained page, plotly.js included. ``.pdf``, ``.svg`` and ``.png`` are drawn by kaleido (the
    ``figures`` extra) in a Chrome or Chromium browser, at the figure's own print size.

    Raises:
        FigureError: another ending, or kaleido or a browser is missing or fails.

    >>> import tempfile
    >>> page = save_figure(go.Figure(), Path(tempfile.mkdtemp()) / "heads.html")
    >>> page.name
    'heads.html'
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending == ".html":
        write_text(path, _page(figure, path.stem))
    elif ending in IMAGES:
        write_bytes(path, _draw(figure, ending[1:]))
    else:
        raise FigureError(f"Cannot write {path.name}: choose one of .html, {', '.join(IMAGES)}.")
    return path


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


def _draw(figure: go.Figure, kind: str) -> bytes:
    way_out = "or save it as .html, which needs neither."
    if importlib.util.find_spec("kaleido") is None:
        raise FigureError(
            f"A .{kind} figure needs kaleido, which is not installed: pip install 'sycolens[figures]', {way_out}"
        )
    import kaleido
    from kaleido.errors import ChromeNotFoundError

    size = {"width": figure.layout.width, "height": figure.layout.height, "scale": PNG_SCALE if kind == "png" else 1}
    opts = {"format": kind, **{name: value for name, value in size.items() if value is not None}}
    try:
        # mathjax=False: kaleido's page would otherwise ask a server for it, and no figure here has formulas.
        drawn: bytes = kaleido.calc_fig_sync(figure.to_plotly_json(), opts=opts, kopts={"mathjax": False})
    except ChromeNotFoundError as error:
        raise FigureError(
            f"A .{kind} figure is drawn by Chrome or Chromium, and kaleido found neither: install one, name its "
            f"program in the environment variable BROWSER_PATH, {way_out}"
        ) from error
    except Exception as error:  # whatever the browser, its driver or their pipes come up with
        if ran_out_of_memory(error):
            raise
        raise FigureError(
            f"kaleido could not draw the .{kind} figure ({type(error).__name__}: {error}); try again, {way_out}"
        ) from error
    return drawn


FORMATS = ("html", "pdf", "svg", "png")


def check_formats(formats: Sequence[str]) -> None:
    """Refuse formats that cannot be written, before anything is computed; no formats are no figures.

    Raises:
        FigureError: an unknown format, or kaleido or its browser is missing.
    """
    unknown = [kind for kind in formats if kind not in FORMATS]
    if unknown:
        raise FigureError(f"formats={','.join(formats)!r}: choose among {', '.join(FORMATS)}.")
    images = [kind for kind in formats if kind != "html"]
    if images:
        import plotly.graph_objects as go

        from sycolens.plots import save_figure

        with tempfile.TemporaryDirectory() as folder:
            save_figure(go.Figure(layout={"width": 20, "height": 20}), Path(folder) / f"trial.{images[0]}")

"""Which figure files a run can write: found out before it computes for an hour."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from sycolens.errors import FigureError

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

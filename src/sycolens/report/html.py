"""One page that tells a whole study: text, tables, figures and conversations in a file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from sycolens.errors import FigureError
from sycolens.plots.layout import page_width
from sycolens.report.latex import latex_table
from sycolens.report.parts import HeadPanel, Part, Section, as_cell
from sycolens.shown.words import legible

CLEAR = "rgba(0,0,0,0)"
AROUND_ZERO: Final = (
    (0.0, "rgb(140,28,24)"),
    (0.1, "rgb(188,44,42)"),
    (0.2, "rgb(221,82,78)"),
    (0.3, "rgb(247,140,140)"),
    (0.4, "rgb(253,196,194)"),
    (0.5, "rgb(246,246,246)"),
    (0.6, "rgb(200,221,242)"),
    (0.7, "rgb(123,176,233)"),
    (0.8, "rgb(58,132,207)"),
    (0.9, "rgb(22,92,163)"),
    (1.0, "rgb(3,54,105)"),
)
"""Red to blue as on every map of effects, in reds that stay red on a dark page, where light and dark change places;
plotly's own would turn brown and pink there."""


def report_page(title: str, sections: Sequence[Section], *, subtitle: str = "") -> str:
    """A self-contained HTML page: light and dark, on a screen, a phone and in print, without a network.

    Everything that is not a figure is text and is escaped, so replies of a model may hold anything. Scripts run only
    where their hash is in the page's own security policy. The same parts are the same bytes.

    Raises:
        FigureError: two sections share an id, or there is none.

    >>> page = report_page("Heads", [Section("found", "Found", ("Some <b>heads</b>.",))])
    >>> "Some &lt;b&gt;heads&lt;/b&gt;." in page
    True
    """
    ids = [section.id for section in sections]
    if not ids or len(set(ids)) < len(ids):
        raise FigureError(f"A report needs sections with ids of their own; found {ids}.")
    numbered = _Numbered()
    parts = [part for section in sections for part in section.parts]
    kinds = frozenset(map(_kind, parts))
    rendered = (
        _environment()
        .get_template("report.html")
        .render(
            title=title,
            subtitle=subtitle,
            sections=sections,
            numbered=numbered,
            kind=_kind,
            as_cell=as_cell,
            legible=legible,
            css=asset("report.css"),
            in_json=_in_json,
            base64=lambda content: base64.b64encode(content).decode(),
            latex=lambda table, label: latex_table(table, label=label),
            has_figures="Picture" in kinds or "Gallery" in kinds,
            panels=[part for part in parts if isinstance(part, HeadPanel)],
            scripts=_scripts(kinds),
        )
    )
    # Half a surrogate pair, which a foreign judge or responder may send, has no bytes.
    return rendered.encode(errors="replace").decode() + "\n"


class _Numbered:
    """Counts figures and tables as they come up, and writes figures down for the page's script."""

    def __init__(self) -> None:
        self.figures = self.tables = 0

    def figure(self) -> int:
        self.figures += 1
        return self.figures

    def table(self) -> int:
        self.tables += 1
        return self.tables

    @staticmethod
    def size(figure: go.Figure) -> tuple[float, float]:
        """Width and height in pixels; a figure without a size of its own gets a column's."""
        wide = figure.layout.width or page_width("double")
        return wide, figure.layout.height or round(0.6 * wide)

    @staticmethod
    def drawing(figure: go.Figure) -> Markup:
        """The figure as JSON that cannot end its script element, on no ground of its own."""
        spec: dict[str, Any] = figure.to_plotly_json()
        layout = {**spec["layout"], "paper_bgcolor": CLEAR}
        # Gray grounds mean something: heads that were not measured.
        if layout.get("plot_bgcolor", "white") == "white":
            layout["plot_bgcolor"] = CLEAR
        layout["width"], layout["height"] = _Numbered.size(figure)
        # plotly's own look, of which every figure here sets what it needs, is thousands of characters.
        layout["template"] = {}
        data = [_turnable(trace) for trace in spec["data"]]
        return _safe(to_json_plotly({"data": data, "layout": layout}, engine="json"))


def _turnable(trace: Mapping[str, Any]) -> Mapping[str, Any]:
    """A trace whose colors keep their meaning when light and dark change places."""
    around_zero = trace["type"] == "heatmap" and (trace.get("zmin") or 0) < 0
    return {**trace, "colorscale": AROUND_ZERO} if around_zero else trace


def _kind(part: Part) -> str:
    return "Text" if isinstance(part, str) else type(part).__name__


def _in_json(data: Any) -> Markup:
    """Data for the page's scripts."""
    return _safe(json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def _safe(text: str) -> Markup:
    """JSON that cannot end its script element."""
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("sycolens.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def asset(name: str) -> Markup:
    """A script or a style of the report."""
    return Markup((files("sycolens.report") / "templates" / name).read_text(encoding="utf-8"))


@cache
def _scripts(kinds: frozenset[str]) -> tuple[tuple[Markup, str], ...]:
    """What the parts of a page need, each with the hash by which the page lets it run."""
    sources = [Markup(get_plotlyjs()), asset("report.js")] if kinds & {"Picture", "Gallery"} else []
    needed = {
        "files.js": {"Picture", "Gallery", "Table"},
        "head_panel.js": {"HeadPanel"},
        "heads.js": {"HeadPanel"},
        "dialogues.js": {"Dialogues"},
    }
    sources += [asset(name) for name, by in needed.items() if kinds & by]
    if sources:
        sources.append(asset("page.js"))
    return tuple((source, _hash(f"\n{source}\n")) for source in sources)


def _hash(source: str) -> str:
    # A browser reads every line end as a line feed before it compares.
    digest = hashlib.sha256(source.replace("\r\n", "\n").replace("\r", "\n").encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"

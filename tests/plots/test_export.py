"""A saved figure needs no network, has its print size, and says what is missing when it cannot be drawn."""

from __future__ import annotations

import importlib.util
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from sycolens.errors import FigureError
from sycolens.plots import heatmap, save_figure
from sycolens.plots.export import check_formats


class Outside(HTMLParser):
    """Collects whatever a page asks for beyond itself."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.asked += [value or "" for name, value in attrs if name == "src" or (tag == "link" and name == "href")]


def a_figure() -> Any:
    return heatmap(torch.tensor([[0.0, -0.05], [0.01, 0.0]]), marked=[(0, 1)], n_pairs=100)


def a_kaleido(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A stand-in for kaleido that fails in this way, whether or not the real one is installed."""
    stand_in, errors = ModuleType("kaleido"), ModuleType("kaleido.errors")

    class ChromeNotFoundError(Exception):
        pass

    def write_fig_from_object_sync(*_: object, **__: object) -> None:
        raise ChromeNotFoundError if isinstance(error, FileNotFoundError) else error

    stand_in.write_fig_from_object_sync = write_fig_from_object_sync  # type: ignore[attr-defined]
    stand_in.PageGenerator = type("PageGenerator", (), {"header": "", "__init__": lambda self, **_: None})  # type: ignore[attr-defined]
    errors.ChromeNotFoundError = ChromeNotFoundError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kaleido", stand_in)
    monkeypatch.setitem(sys.modules, "kaleido.errors", errors)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


def test_html_page_is_whole_without_a_network(tmp_path: Path) -> None:
    text = save_figure(a_figure(), tmp_path / "deep" / "heads.html").read_text()
    assert "Plotly.newPlot" in text
    assert len(text) > 1_000_000  # plotly.js itself
    assert "L0H1<br>effect" in text.encode().decode("unicode_escape", errors="ignore")
    outside = Outside()
    outside.feed(text)
    assert outside.asked == []


def test_pdf_has_the_print_width_or_says_what_is_missing(tmp_path: Path) -> None:
    path, missing = tmp_path / "heads.pdf", ""
    try:
        save_figure(a_figure(), path)
    except FigureError as error:
        missing = str(error)
    if missing:
        assert re.search("kaleido|Chrom", missing)
        assert not path.exists()
    else:
        content = path.read_bytes()
        assert content.startswith(b"%PDF")
        (box,) = re.findall(rb"/MediaBox ?\[ ?0 0 ([\d.]+) ([\d.]+) ?\]", content)
        assert float(box[0]) / 72 == pytest.approx(6.75, abs=0.01)


def test_without_kaleido_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for kind in ("pdf", "svg", "png"):
        with pytest.raises(FigureError, match=r"pip install 'sycolens\[figures\]'.*\.html"):
            save_figure(a_figure(), tmp_path / f"heads.{kind}")
    assert list(tmp_path.iterdir()) == []


def test_without_a_browser_the_error_says_which_and_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_kaleido(monkeypatch, FileNotFoundError())
    with pytest.raises(FigureError, match=r"Chrome or Chromium.*BROWSER_PATH.*\.html"):
        save_figure(a_figure(), tmp_path / "heads.svg")


def test_a_failing_browser_is_named_with_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_kaleido(monkeypatch, RuntimeError("the pipe broke"))
    with pytest.raises(FigureError, match="RuntimeError: the pipe broke"):
        save_figure(a_figure(), tmp_path / "heads.png")
    assert list(tmp_path.iterdir()) == []


def test_other_endings_are_refused(tmp_path: Path) -> None:
    for name in ("heads.eps", "heads"):
        with pytest.raises(FigureError, match=r"\.html, \.pdf, \.svg, \.png"):
            save_figure(a_figure(), tmp_path / name)


def test_formats_are_checked_before_anything_is_drawn() -> None:
    check_formats(["html"])
    with pytest.raises(FigureError, match="jpeg"):
        check_formats(["html", "jpeg"])

"""What is printed: figures at their exact size, with nothing cut off and their fonts inside."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy
import pytest
import torch
from browser import NEEDS_BROWSER

from sycolens.errors import FigureError
from sycolens.plots import (
    RepairPoint,
    TradeoffPoint,
    attention_bars,
    before_after,
    figure_caption,
    head_bars,
    head_scatter,
    heatmap,
    knockout_curve,
    mass_map,
    opening_tree,
    rate_bars,
    repair_plane,
    save_figures,
    side_by_side,
    tradeoff,
    without_footnote,
)
from sycolens.plots.layout import INCHES, LINE, page_width
from sycolens.plots.panels import STRIP

NOTE: Final = (
    "Wherever a note is longer than a line it goes on in the next one, and the page is higher by as much. " * 2
)
WIDTHS: Final = ("single", "double", "neurips", "acl", 4.0)
BORDER: Final = 1.0
"""Points that stay white around everything."""
POINTS_PER_PIXEL: Final = 0.75


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * 0.03


def shares(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


FIGURES: Final[Mapping[str, Callable[..., Any]]] = {
    "heatmap": lambda **more: heatmap(numbers(12, 12), marked=[(0, 1), (11, 11)], n_pairs=100, **more),
    "large heatmap": lambda **more: heatmap(numbers(40, 40), marked=[(16, 39)], n_pairs=100, **more),
    "before_after": lambda **more: before_after(numbers(6, 8), numbers(6, 8), **more),
    "head_bars": lambda **more: head_bars(["L3H0", "L11H14"], numbers(2), low=numbers(2) - 1, high=numbers(2), **more),
    "knockout_curve": lambda **more: knockout_curve(
        [0, 1, 2, 4, 8],
        {"apologizes": shares(5), "still right in the end": shares(5)},
        intervals={"apologizes": (shares(5) * 0.5, shares(5) * 0.5 + 0.5)},
        controls={"apologizes": shares(3, 5)},
        control_name="layer-matched heads",
        n_dialogues=200,
        **more,
    ),
    "attention_bars": lambda **more: attention_bars(["top 8 heads", "40 others"], shares(2), **more),
    "mass_map": lambda **more: mass_map(shares(30, 9), marked=[(3, 4)], **more),
    "head_scatter": lambda **more: head_scatter(
        numbers(6, 8), numbers(6, 8), first_title="one draw", second_title="another", **more
    ),
    "rate_bars": lambda **more: rate_bars(
        ["accuracy before", "confidence", "apology rate"],
        torch.tensor([1.0, 0.0, 0.97]),
        low=torch.tensor([0.9, 0.0, 0.8]),
        high=torch.tensor([1.0, 0.1, 1.0]),
        in_red={"apology rate"},
        n_dialogues=80,
        **more,
    ),
    "repair_plane": lambda **more: repair_plane(
        [
            RepairPoint("base", 0.0, 0.5, None, (0.4, 0.6)),
            RepairPoint("SPT, 32 heads", 0.01, 1.0, (0.008, 0.012), (0.95, 1.0), is_found=True),
            RepairPoint(
                "layer-matched, 32 heads", 0.04, 0.7, (0.03, 0.06), (0.6, 0.8), sets=((0.03, 0.6), (0.05, 0.8))
            ),
        ],
        **more,
    ),
    "tradeoff": lambda **more: tradeoff(
        {
            name: [TradeoffPoint(step, 0.001 * step * row, 1 / (1 + step), 0.0, 1.0) for step in (1, 20, 80)]
            for row, name in enumerate(["SPT, 32 heads", "SFT", "layer-matched, 32 heads"], 1)
        },
        goal=0.1,
        **more,
    ),
    "opening_tree": lambda **more: opening_tree(
        [["I", "'m", " sorry"]] * 3 + [["Yes"]], [["I", "'m", " glad"]] * 4, decides_after=["I", "'m"], **more
    ),
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, Any], Any]:
    """Every figure at every width, as the one page of a PDF, with the figure itself."""
    import pypdfium2

    folder = tmp_path_factory.mktemp("printed")
    figures = {(name, width): draw(width=width, note=NOTE) for width in WIDTHS for name, draw in FIGURES.items()}
    paths = save_figures({folder / f"{row}.pdf": figure for row, figure in enumerate(figures.values())})
    found = {}
    for (key, figure), path in zip(figures.items(), paths, strict=True):
        document = pypdfium2.PdfDocument(path)
        assert len(document) == 1
        found[key] = (figure, document)
    return found


def ink_of(document: Any) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of all that is not white, in points from the page's upper left corner."""
    scale = 4
    picture = document[0].render(scale=scale).to_numpy()[..., :3]
    rows, columns = numpy.nonzero((picture < 250).any(axis=2))
    return columns.min() / scale, rows.min() / scale, (columns.max() + 1) / scale, (rows.max() + 1) / scale


@NEEDS_BROWSER
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_has_the_size_of_its_figure_and_cuts_nothing(
    printed: dict[tuple[str, Any], Any], name: str, width: Any
) -> None:
    figure, document = printed[name, width]
    wide, high = document[0].get_size()
    inches = INCHES.get(width, width)
    assert wide == pytest.approx(72 * inches, abs=0.25)
    assert high == pytest.approx(POINTS_PER_PIXEL * figure.layout.height, abs=0.25)
    left, top, right, bottom = ink_of(document)
    assert left >= BORDER
    assert top >= BORDER
    assert right <= wide - BORDER
    assert bottom <= high - BORDER


@NEEDS_BROWSER
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("width", WIDTHS)
def test_small_print_is_seven_points(printed: dict[tuple[str, Any], Any], name: str, width: Any) -> None:
    _, document = printed[name, width]
    text = document[0].get_textpage()
    letters = text.get_text_range()
    # "Wherever" and "higher": the h without overshoot, 0.73 of the size of Arial's and its metric twins.
    at = letters.index("Wherever") + 1
    _, low, _, high = text.get_charbox(at)
    assert high - low == pytest.approx(0.737 * 7, abs=0.12)


@NEEDS_BROWSER
def test_fonts_are_inside_and_lines_are_as_far_apart_as_they_were_laid_out(
    printed: dict[tuple[str, Any], Any],
) -> None:
    import pypdfium2.raw as raw

    figure, document = printed["heatmap", "single"]
    page = document[0]
    fonts = [
        raw.FPDFTextObj_GetFont(each.raw) for each in page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=5)
    ]
    assert fonts
    assert all(raw.FPDFFont_GetIsEmbedded(font) == 1 for font in fonts)
    (bottom, top), high = (
        figure.layout.yaxis.range,
        figure.layout.height - figure.layout.margin.t - figure.layout.margin.b,
    )
    apart = POINTS_PER_PIXEL * high * 2 / (bottom - top)
    text = page.get_textpage()
    lows = {}
    for at, letter in enumerate(text.get_text_range()):
        left, low, _, _ = text.get_charbox(at)
        if letter in "24" and left < 30:
            lows.setdefault(letter, low)
    assert lows["2"] - lows["4"] == pytest.approx(apart, abs=0.1)


@NEEDS_BROWSER
@pytest.mark.parametrize("kind", ["pdf", "svg", "png"])
def test_the_same_figure_is_the_same_file(kind: str, tmp_path: Path) -> None:
    figure = FIGURES["heatmap"](width="single")
    first, second = save_figures({tmp_path / f"a.{kind}": figure, tmp_path / f"b.{kind}": figure})
    assert first.read_bytes() == second.read_bytes()


@NEEDS_BROWSER
def test_where_one_figure_cannot_be_written_none_is(tmp_path: Path) -> None:
    figure = FIGURES["heatmap"]()
    with pytest.raises(FigureError, match=r"heads\.eps"):
        save_figures({tmp_path / "heads.pdf": figure, tmp_path / "heads.eps": figure})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("width", [0, 1.5, 50.0, -3, "wide", "", True, None, float("nan")])
def test_a_width_that_no_page_has_is_refused(width: Any) -> None:
    with pytest.raises(FigureError, match="neurips"):
        heatmap(numbers(2, 2), width=width)


@pytest.mark.parametrize("name", INCHES)
def test_a_venue_is_a_number_of_inches(name: Any) -> None:
    assert heatmap(numbers(4, 4), width=name) == heatmap(numbers(4, 4), width=INCHES[name])


@pytest.mark.parametrize("name", FIGURES)
def test_the_small_print_can_go_to_the_caption(name: str) -> None:
    figure = FIGURES[name](note=NOTE, width="single")
    bare, caption = without_footnote(figure), figure_caption(figure)
    assert caption.endswith(NOTE.split(". ")[-1].strip()) or NOTE.strip() in caption
    assert figure_caption(bare) == ""
    (note,) = (each.text for each in figure.layout.annotations if each.name == "footnote")
    taken = LINE * (note.count("<br>") + 1) + 6
    assert figure.layout.height - bare.layout.height == pytest.approx(taken, abs=4)
    assert figure.layout.margin.b - bare.layout.margin.b == figure.layout.height - bare.layout.height
    assert bare.layout.margin.b >= figure.layout.margin.b - taken
    assert len(bare.data) == len(figure.data)
    assert bare.layout.width == page_width("single")
    assert without_footnote(bare) == bare


def panel(name: str, width: float) -> Any:
    return without_footnote(FIGURES[name](width=width, note=""))


@NEEDS_BROWSER
@pytest.mark.parametrize(
    "names",
    [
        ("heatmap", "knockout_curve", "attention_bars"),
        ("mass_map", "head_scatter"),
        ("before_after", "opening_tree"),
        ("head_bars",),
    ],
)
def test_panels_look_as_they_do_by_themselves(names: tuple[str, ...], tmp_path: Path) -> None:
    panels = [panel(name, 3.25) for name in names]
    whole = side_by_side(panels)
    files = {tmp_path / f"{row}.pdf": each for row, each in enumerate([whole, *panels])}
    import pypdfium2

    together, *alone = [
        pypdfium2.PdfDocument(path)[0].render(scale=2).to_numpy()[..., :3].astype(int) for path in save_figures(files)
    ]
    left = 0
    for figure, picture in zip(panels, alone, strict=True):
        high, wide, _ = picture.shape
        over = max(each.layout.height - each.layout.margin.b for each in panels)
        top = round(1.5 * (STRIP + over - (figure.layout.height - figure.layout.margin.b)))
        part = together[top : top + high, left : left + wide]
        picture = picture[: len(part)]
        # Edges of lines fall on other fractions of a pixel; that apart, it is the same picture.
        assert (abs(part - picture).max(axis=2) > 150).mean() < 0.02
        assert abs(part.mean() - picture.mean()) < 1.5
        left += wide
    assert together.shape[1] == pytest.approx(left, abs=2)


@NEEDS_BROWSER
def test_the_panels_of_a_page_are_cut_nowhere(tmp_path: Path) -> None:
    first = panel("heatmap", 2.5)
    high = (first.layout.height - first.layout.margin.t - first.layout.margin.b) / 96
    others = [
        without_footnote(FIGURES[name](width=width, height=high))
        for name, width in (("knockout_curve", 2.3), ("attention_bars", 1.95))
    ]
    import pypdfium2

    (path,) = save_figures({tmp_path / "figure2.pdf": side_by_side([first, *others])})
    document = pypdfium2.PdfDocument(path)
    wide, high = document[0].get_size()
    left, top, right, bottom = ink_of(document)
    assert wide == pytest.approx(6.75 * 72, abs=0.25)
    assert min(left, top, wide - right, high - bottom) >= BORDER


def test_panels_that_cannot_stand_side_by_side_are_refused() -> None:
    with pytest.raises(FigureError, match="0 figures"):
        side_by_side([])
    with pytest.raises(FigureError, match="Panel b has small print"):
        side_by_side([panel("heatmap", 3.25), FIGURES["heatmap"](note=NOTE)])
    with pytest.raises(FigureError, match="Panel a has a legend in columns"):
        side_by_side([panel("tradeoff", 3.25)])
    with pytest.raises(FigureError, match=r"height=0\.1"):
        FIGURES["attention_bars"](height=0.1)
    for name in ("opening_tree", "tradeoff", "before_after", "head_scatter"):
        with pytest.raises(FigureError, match=r"from 3 to"):
            FIGURES[name](width=2.5)


@NEEDS_BROWSER
def test_cells_of_a_map_are_no_picture_and_have_the_color_of_their_number(
    printed: dict[tuple[str, Any], Any],
) -> None:
    import pypdfium2.raw as raw
    from plotly.colors import sample_colorscale

    for name in ("heatmap", "large heatmap", "mass_map"):
        figure, document = printed[name, "double"]
        page = document[0]
        assert not list(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=5))
        cells, scale = figure.data[0], 4
        picture = page.render(scale=scale, rev_byteorder=True).to_numpy()
        layout = figure.layout
        rows, columns = len(cells.z), len(cells.z[0])
        wide = layout.width - layout.margin.l - layout.margin.r
        high = layout.height - layout.margin.t - layout.margin.b
        drawn = [each for each in figure.data[1:] if each.type == "scatter"]
        covered = {(round(y), round(x)) for each in drawn for x, y in zip(each.x, each.y, strict=True) if x is not None}
        seen = 0
        for row in range(rows):
            for column in range(columns):
                if any((row + a, column + b) in covered for a in (-1, 0, 1) for b in range(-4, 5)):
                    continue
                x = layout.margin.l + (column + 0.5) * wide / columns
                y = layout.margin.t + (row + 0.5) * high / rows
                found = picture[int(y * 0.75 * scale), int(x * 0.75 * scale)][:3]
                share = (cells.z[row][column] - cells.zmin) / (cells.zmax - cells.zmin)
                expected = [
                    float(each)
                    for each in re.findall(
                        r"[\d.]+", sample_colorscale([list(stop) for stop in cells.colorscale], [share])[0]
                    )
                ]
                assert list(found) == pytest.approx(expected, abs=3)
                seen += 1
        assert seen > 20

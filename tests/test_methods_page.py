"""The page about methods that train nothing quotes its data files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy
import pandas
import pytest

DOCS = Path(__file__).parents[1] / "docs"
DATA = DOCS / "data" / "methods"
PAGE = (DOCS / "methods.md").read_text()
SHOWN = {
    "organism": ["takes back: right", "takes back: wrong", "takes back: sums right"],
    "smollm2": ["wrong less right", "takes back: right", "takes back: wrong", "right after: right"],
}
SECTIONS = {
    "organism": ("## The embedded model", "### The embedded model's"),
    "smollm2": ("## A real model", "### SmolLM2's"),
}
"""Where the two tables of a model stand."""
CALLED = {"base": "base", "iti": "ITI", "caa": "CAA", "projection": "projection", "ablation": "mean ablation"}


WAYS = {
    "base": "base",
    "": "exact effect",
    " by gradient": "gradient",
    " by probes": "probes",
    "layer-matched": "chance, in the same layers",
}
"""How the page calls what the tables name."""


SORRY = r"sorry|afraid|I was wrong|taking my first answer back"
"""The words of the lessons that take an answer back."""


def table(name: str) -> pandas.DataFrame:
    return pandas.read_csv(DATA / f"{name}.csv", dtype={"strengths": str, "by_set": str}, keep_default_na=False)


def lines_of(name: str) -> list[str]:
    """The rows of a table on the page, made of its data file."""
    found = []
    rows = table(name)
    for (kind, contrast, heads), part in rows.groupby(["kind", "contrast", "heads"], sort=False):
        by_measure = part.set_index("measure")
        first = part.iloc[0]
        what = f"{CALLED[kind]}, {contrast}" if contrast else CALLED[kind]
        sets = {"": "", "found": "found", "other": f"{first.sets} other set{'s' if first.sets > 1 else ''}"}[heads]
        cells = []
        for measure in SHOWN[name]:
            if heads == "other":  # strengths differ, so that they are not to be pooled
                each = by_measure.loc[measure, "by_set"].split()
                cells.append(", ".join(f"{100 * float(value):.0f}" for value in each))
                continue
            value, low, high = (100 * float(by_measure.loc[measure, each]) for each in ("value", "low", "high"))
            cells.append(f"{value:.0f} [{low:.0f}, {high:.0f}]")
        drift = ""
        if kind != "base":
            value, low, high = (float(by_measure.loc["KL from the base", each]) for each in ("value", "low", "high"))
            drift = f"{value:.3f} [{max(0.0, low):.3f}, {high:.3f}]"
            if heads == "other":
                drift = ", ".join(
                    f"{float(value):.3f}" for value in by_measure.loc["KL from the base", "by_set"].split()
                )
        strength = first.strengths.replace(" ", ", ")
        found.append(f"| {' | '.join([what, sets, strength, *cells, drift])} |".replace("  ", " "))
    return found


def rows_under(heading: str) -> list[str]:
    """The rows with numbers of the first table under a heading."""
    _, _, after = PAGE.partition(f"\n{heading}\n")
    (lines,) = re.findall(r"^\|.*?(?=^(?!\|))", after, re.MULTILINE | re.DOTALL)[:1]
    return [line.replace("  ", " ") for line in lines.splitlines()[2:]]


@pytest.mark.parametrize("name", SHOWN)
def test_every_row_of_the_interventions(name: str) -> None:
    assert rows_under(SECTIONS[name][0]) == lines_of(name)


@pytest.mark.parametrize("name", SHOWN)
def test_every_intervention_stands_beside_its_control(name: str) -> None:
    rows = table(name)
    steered = rows[rows.kind != "base"]
    for _, part in steered.groupby(["kind", "contrast"]):
        assert set(part.heads) == {"found", "other"}
    assert set(rows.kind) >= {"base", "iti", "ablation"}


def selected_rows(name: str) -> list[str]:
    """The rows about heads that were selected in several ways."""
    rows = pandas.read_csv(DATA / f"{name}_selections.csv")
    heads = pandas.read_csv(DATA / f"{name}_selections_heads.csv").set_index("by")
    found = []
    for method, part in rows.groupby("method", sort=False):
        way = WAYS[re.sub(r"^SPT, \d+ heads|, \d+ heads$", "", method)]
        by_measure = part.set_index("measure")
        k = heads.loc["effect", "k"]
        shared = {"base": "", "exact effect": f"{k} of {k}", "chance, in the same layers": f"0 of {k}"}.get(way)
        cells = [f"{heads.loc[way, 'shared']} of {k}" if shared is None else shared]
        for measure in SHOWN[name]:
            value, low, high = (100 * by_measure.loc[measure, each] for each in ("value", "low", "high"))
            cells.append(f"{value:.0f} [{low:.0f}, {high:.0f}]")
        drift = ""
        if way != "base":
            least, most = (by_measure.loc["KL from the base", each] for each in ("least", "most"))
            drift = f"{least:.3f}{', ' if part.iloc[0].runs == 2 else ' to '}{most:.3f}"
        found.append(f"| {' | '.join([way, *cells, drift])} |".replace("  ", " "))
    return found


@pytest.mark.parametrize("name", SHOWN)
def test_every_row_of_the_selections(name: str) -> None:
    assert rows_under(SECTIONS[name][1]) == selected_rows(name)


@pytest.mark.parametrize("name", SHOWN)
def test_heads_in_common_are_those_of_the_lists(name: str) -> None:
    heads = pandas.read_csv(DATA / f"{name}_selections_heads.csv").set_index("by")
    taken = heads.heads.str.split().map(set)
    assert {by: len(taken[by] & taken["effect"]) for by in heads.index} == heads.shared.to_dict()


def test_no_intervention_tells_right_from_wrong_on_the_real_model() -> None:
    rows = table("smollm2")
    assert (rows[rows.measure == "wrong less right"].low <= 0).all()


@pytest.mark.parametrize("table", ["smollm2", "smollm2_selections"])
def test_how_well_right_and_wrong_are_told_apart_is_what_the_replies_say(table: str) -> None:
    rows = pandas.read_csv(DATA / f"{table}.csv", keep_default_na=False, na_values={"value": [""]})
    replies = pandas.read_csv(DATA / f"{table}_replies.csv", keep_default_na=False)
    keys = ["kind", "contrast", "heads"] if table == "smollm2" else ["method"]
    rows = rows[rows.measure == "wrong less right"].set_index(keys)
    rng = numpy.random.default_rng(1)
    for key, part in replies.groupby(keys):
        # Of every question in its wording, the mean over sets or trainings.
        taken = part.pivot_table(index=["question", "wording"], columns="group", values="admits", aggfunc="mean")
        by_wording = (taken["wrong"] - taken["right"]).groupby("wording").mean()
        row = rows.loc[key if len(keys) > 1 else key[0]]
        assert len(by_wording) == 12
        assert row["value"] == pytest.approx(by_wording.mean())
        ends = numpy.percentile(rng.choice(by_wording, size=(4000, 12)).mean(1), [2.5, 97.5])
        assert [row["low"], row["high"]] == pytest.approx(ends, abs=0.043)  # the mean moves in steps of 1/24


@pytest.mark.parametrize("way", ["exact effect", "gradient", "probes", "chance, in the same layers"])
def test_each_training_is_what_its_replies_say(way: str) -> None:
    replies = pandas.read_csv(DATA / "smollm2_selections_replies.csv", keep_default_na=False)
    replies["by words"] = replies.admits | replies.reply.str.contains(SORRY)
    ways = replies.method.str.replace(r"^SPT, \d+ heads|, \d+ heads$", "", regex=True).map(WAYS)
    cells = []
    for column in ("admits", "by words"):
        taken = replies[ways == way].groupby(["run", "group"])[column].mean().unstack()
        cells.append(", ".join(f"{100 * each:.0f}" for each in taken["wrong"] - taken["right"]))
    assert f"| {way} | {cells[0]} | {cells[1]} |" in PAGE

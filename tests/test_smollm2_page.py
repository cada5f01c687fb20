"""The page about a real model quotes its data files."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest

from sycolens.prompts import PAPER, PARAPHRASES, Behavior
from sycolens.runs import StudyConfig

DOCS = Path(__file__).parents[1] / "docs"
DATA = DOCS / "data" / "smollm2"
PAGE = (DOCS / "smollm2.md").read_text()


def percent(rate: float) -> str:
    return f"{100 * rate:.0f}"


def with_interval(row: pandas.Series, name: str) -> str:
    return f"{percent(row[name])} % [{percent(row[f'{name}_low'])}, {percent(row[f'{name}_high'])}]"


def test_the_settings_are_read_and_the_behavior_is_what_was_proposed() -> None:
    config = StudyConfig.read(DATA / "study.toml")
    assert (config.behavior, config.look.scorer) == ("auto", "likelihood")
    behavior = Behavior.read(DATA / "behavior.toml")
    assert (behavior.opening, behavior.labels) == ("I'm", ((" sorry",), (" glad",)))


def test_the_table_of_wordings() -> None:
    rows = pandas.read_csv(DATA / "wordings.csv").set_index(["wording", "answer"])
    words = {PAPER.name: PAPER.challenge, PARAPHRASES[0].name: PARAPHRASES[0].challenge}
    for wording, challenge in words.items():
        for answer, called in {
            "given": f'| "{challenge}" | put into its mouth |',
            "own": "| the same | its own",
        }.items():
            row = rows.loc[(wording, answer)]
            cells = (percent(row.value), percent(row.low), percent(row.high), percent(row.reverse), int(row.n))
            assert called in PAGE
            assert "| {} % | {} to {} | {} % | {} |".format(*cells) in PAGE


@pytest.mark.parametrize("heads", [0, 8, 16, 32])
def test_the_table_of_knockouts(heads: int) -> None:
    rows = pandas.read_csv(DATA / "necessity.csv")
    found = rows[(rows.heads == "top") & (rows.step == heads)].iloc[0]
    others = rows[(rows.heads != "top") & (rows.step == heads)]
    cells = [with_interval(found, name) for name in ("label_lead_rate", "apology_rate", "accuracy_after")]
    ranges = []
    for name in ("label_lead_rate", "apology_rate"):
        least, most = percent(others[name].min()), percent(others[name].max())
        ranges.append(f"{least} %" if least == most else f"{least} to {most} %")
    assert f"| {heads} | {' | '.join(cells)} | {', '.join(ranges)} |" in PAGE


def test_eight_heads_kept_alone() -> None:
    rows = pandas.read_csv(DATA / "sufficiency.csv")
    eight = rows[rows.step == 8].set_index("heads").label_lead_rate
    assert eight["top"] == 1
    assert set(eight.drop("top")) == {0}


def test_what_is_said_of_the_map() -> None:
    heads = pandas.read_csv(DATA / "heads.csv")
    total, eight = heads.score.sum(), heads.score[:8].sum()
    assert f"{100 * eight / total:.0f} % of the sum" in PAGE
    assert f"({eight:.2f} of {total:.2f} logits)" in PAGE
    again = heads.nsmallest(32, "other_pairs")["head"]
    assert f"{len({*heads['head'][:32]} & {*again})} of the first 32 heads" in PAGE
    assert {*heads["head"][:8]} == {*heads.nsmallest(8, "other_pairs")["head"]}


@pytest.mark.parametrize(
    ("method", "called"),
    [
        ("base", "base"),
        ("SPT, 32 heads", "SPT, 32 heads"),
        ("layer-matched, 32 heads", "layer-matched, 32 heads (two sets)"),
    ],
)
def test_the_table_of_methods(method: str, called: str) -> None:
    rows = pandas.read_csv(DATA / "methods.csv")
    rows = rows[(rows.method == method) & (rows.source == "eval_set")].set_index("measure")
    cells = []
    for measure in ("takes back: right", "takes back: wrong", "right after: right", "right after: wrong"):
        row = rows.loc[measure]
        cells.append(f"{percent(row.value)} % [{percent(row.low)}, {percent(row.high)}]")
    drift = ""
    if method != "base":
        row = rows.loc["KL from the base"]
        drift = f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}] "
    assert f"| {called} | {' | '.join(cells)} | {drift}|" in PAGE

"""The page about a real model quotes its data files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy
import pandas
import pytest
from scipy.stats import mannwhitneyu

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
@pytest.mark.parametrize("name", ["necessity", "mmlu_necessity"])
def test_the_tables_of_knockouts(name: str, heads: int) -> None:
    rows = pandas.read_csv(DATA / f"{name}.csv")
    found = rows[(rows.heads == "top") & (rows.step == heads)].iloc[0]
    others = rows[(rows.heads != "top") & (rows.step == heads)]
    cells = [with_interval(found, name) for name in ("label_lead_rate", "apology_rate", "accuracy_after")]
    ranges = []
    for name in ("label_lead_rate", "apology_rate"):
        least, most = percent(others[name].min()), percent(others[name].max())
        ranges.append(f"{least} %" if least == most else f"{least} to {most} %")
    assert f"| {heads} | {' | '.join(cells)} | {', '.join(ranges)} |" in PAGE


@pytest.mark.parametrize("name", ["sufficiency", "mmlu_sufficiency"])
def test_eight_heads_kept_alone(name: str) -> None:
    rows = pandas.read_csv(DATA / f"{name}.csv")
    eight = rows[rows.step == 8].set_index("heads").label_lead_rate
    assert eight["top"] == 1
    assert set(eight.drop("top")) == {0}


def test_heads_found_on_mmlu_are_those_found_on_general() -> None:
    here, there = (pandas.read_csv(DATA / f"{name}.csv")["head"] for name in ("heads", "mmlu_heads"))
    assert f"Of the first 32 heads {len({*here[:32]} & {*there[:32]})} are those found" in PAGE
    assert len({*here[:8]} & {*there[:8]}) == 7
    assert "seven of the first eight" in PAGE
    rows = pandas.read_csv(DATA / "mmlu_wordings.csv")
    for _, row in rows[rows.answer == "given"].iterrows():
        shown = f"{percent(row.value)} % [{percent(row.low)}, {percent(row.high)}]"
        assert shown in PAGE.replace("\n", " ")


def test_heads_at_random_or_of_the_same_norm_change_nothing() -> None:
    rows = pandas.read_csv(DATA / "controls.csv")
    assert set(rows.control) == {"random", "norm_matched"}
    for _, curve in rows.groupby("control"):
        assert curve[curve.curve == "necessity"].groupby("heads").step.apply(list).tolist() == [[0, 16, 32]] * 3
        assert set(curve[curve.curve == "necessity"].label_lead_rate) == {1}
        assert set(curve[curve.curve == "necessity"].apology_rate.round(3)) == {0.8}
        assert set(curve[curve.curve == "sufficiency"].label_lead_rate) == {0}


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
        ("SPT + LoRA, 32 heads", "SPT + LoRA, 32 heads"),
        ("layer-matched, 32 heads", "layer-matched, 32 heads (two sets)"),
        ("LoRA", "LoRA, all heads"),
        ("SFT", "SFT, all weights"),
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


def test_what_ten_openings_of_ours_came_to() -> None:
    rows = pandas.read_csv(DATA / "methods_ten_openings.csv").set_index(["method", "measure"])
    found = [percent(rows.loc[("SPT, 32 heads", f"takes back: {group}"), "value"]) for group in ("right", "wrong")]
    assert f"({found[0]} and {found[1]} %)" in PAGE


def bootstrapped(differences: numpy.ndarray, wordings: pandas.Series) -> tuple[float, float]:
    """The middle 95 % of means over wordings that are drawn anew, in points."""
    by_wording = [differences[(wordings == each).to_numpy()] for each in sorted(set(wordings))]
    rng = numpy.random.default_rng(1)
    drawn = rng.integers(len(by_wording), size=(4000, len(by_wording)))
    means = [100 * numpy.concatenate([by_wording[i] for i in each]).mean() for each in drawn]
    low, high = numpy.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def taken_back(method: str, *, by_words: bool = False) -> tuple[numpy.ndarray, pandas.Series]:
    """How much more often the wrong answer to each question is taken back than the right one, and in which wording.

    ``by_words``: whatever says that it is sorry, or afraid, or was wrong counts as well, as the lessons use it.
    """
    rows = pandas.read_csv(DATA / "replies.csv", keep_default_na=False)
    if by_words:
        rows["admits"] |= rows.reply.str.contains(r"sorry|afraid|I was wrong|taking my first answer back")
    right, wrong = (
        rows[(rows.method == method) & (rows.group == group)].set_index(["question", "wording"])
        for group in ("right", "wrong")
    )
    assert list(right.index) == list(wrong.index)
    difference = wrong["admits"].astype(float) - right["admits"].astype(float)
    return difference.to_numpy(), right.reset_index().wording


@pytest.mark.parametrize(
    "method",
    [
        "base",
        "SPT, 32 heads",
        "SPT + LoRA, 32 heads",
        "layer-matched, 32 heads, set 1",
        "layer-matched, 32 heads, set 2",
        "LoRA",
        "SFT",
    ],
)
def test_how_well_right_and_wrong_are_told_apart(method: str) -> None:
    assert len(set(taken_back(method)[1])) == 12
    number = r"(-?\d+) \[(-?\d+), (-?\d+)\]"
    found = re.search(rf"^\| {re.escape(method)} \| {number} \| {number} \|$", PAGE, re.MULTILINE)
    assert found is not None
    for by_words in (False, True):
        value, *interval = map(int, found.groups()[3 * by_words :][:3])
        differences, wordings = taken_back(method, by_words=by_words)
        assert value == round(100 * differences.mean())
        assert interval == pytest.approx(bootstrapped(differences, wordings), abs=1)


def of_trainings(method: str, *, by_words: bool) -> tuple[numpy.ndarray, pandas.Series]:
    """As :func:`taken_back`, a row for each training."""
    rows = pandas.read_csv(DATA / "sets.csv", keep_default_na=False)
    if by_words:
        rows["admits"] |= rows.reply.str.contains(r"sorry|afraid|I was wrong|taking my first answer back")
    rows = rows[rows.method == method].assign(admits=rows.admits.astype(float))
    tables = {
        group: rows[rows.group == group].pivot(index="run", columns=["question", "wording"], values="admits")
        for group in ("right", "wrong")
    }
    difference = tables["wrong"] - tables["right"]
    return difference.to_numpy(), difference.columns.to_frame(index=False).wording


FOUND, OTHERS = "SPT, 32 heads", "layer-matched, 32 heads"


@pytest.mark.parametrize("by_words", [False, True])
def test_found_heads_against_eight_sets_of_others(by_words: bool) -> None:
    found, wordings = of_trainings(FOUND, by_words=by_words)
    others, same = of_trainings(OTHERS, by_words=by_words)
    assert list(wordings) == list(same)
    assert (len(found), len(others)) == (4, 8)
    rng = numpy.random.default_rng(1)
    places = [(wordings == each).to_numpy().nonzero()[0] for each in sorted(set(wordings))]

    def drawn(trainings: numpy.ndarray, at: numpy.ndarray) -> float:
        return float(trainings[rng.integers(len(trainings), size=len(trainings))][:, at].mean())

    ends = []
    for _ in range(4000):
        at = numpy.concatenate([places[i] for i in rng.integers(len(places), size=len(places))])
        one, other = drawn(found, at), drawn(others, at)
        ends.append((one, other, one - other))
    intervals = 100 * numpy.percentile(ends, [2.5, 97.5], axis=0).T
    means = 100 * numpy.array([found.mean(), others.mean(), found.mean() - others.mean()])
    for called, mean, interval in zip(
        ("32 found heads, four trainings", "32 others of the same layers, eight sets", "difference"),
        means,
        intervals,
        strict=True,
    ):
        (row,) = re.findall(rf"^\| {called} \|(.*)\|$", PAGE, re.MULTILINE)
        value, low, high = map(int, re.findall(r"-?\d+", row.split("|")[by_words])[:3])
        assert value == round(mean)
        assert [low, high] == pytest.approx(interval, abs=1.5)
    p = mannwhitneyu(found.mean(1), others.mean(1), method="asymptotic").pvalue
    assert f"p = {p:.2f}" in PAGE


def test_found_heads_drift_less_than_every_set_of_others() -> None:
    drift = pandas.read_csv(DATA / "sets.csv").groupby(["method", "run"]).kl.first()
    found, others = drift[FOUND], drift[OTHERS]
    for each in (found, others):
        assert f"{each.min():.4f} to {each.max():.4f}" in PAGE
    assert found.max() < others.min()
    assert f"{others.min() / found.mean():.1f} to {others.max() / found.mean():.1f} times" in PAGE
    assert f"p = {mannwhitneyu(found, others, method='exact').pvalue:.3f}" in PAGE


@pytest.mark.parametrize("heads", [8, 16, 32, 64])
def test_the_table_of_numbers_of_heads(heads: int) -> None:
    rows = pandas.read_csv(DATA / "sweep.csv")
    rows = rows[rows.method == f"SPT, {heads} heads"].set_index("step")
    cells = [
        f"{percent(rows.loc[step, 'takes back: right'])} %, {percent(rows.loc[step, 'takes back: wrong'])} %"
        for step in (20, 40, 80)
    ]
    assert f"| {heads} | {' | '.join(cells)} | {rows.loc[80, 'KL from the base']:.3f} |" in PAGE

"""The pages in docs/ point to files that exist, and their code is code."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import pandas
import pytest
import torch
from terminal import run

from sycolens import (
    QUIET,
    Behavior,
    ContrastPairs,
    HeadSet,
    ablate_heads,
    attend_to,
    knock_out,
    load_model,
    mean_activations,
    organism,
    patch_heads,
)
from sycolens.find import Finding
from sycolens.runs.opening import begin_study
from sycolens.verify import KnockoutCurve

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(page for folder in (DOCS, DOCS / "api", DOCS / "howto") for page in folder.glob("*.md"))
README = DOCS.parent / "README.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.stem)
def test_python_blocks_are_python(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


def test_the_first_example_of_find_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(blocks(DOCS / "find.md", "python")[0], names)
    assert isinstance(names["effects"].top(8), HeadSet)  # type: ignore[attr-defined]
    assert (tmp_path / "heads.html").stat().st_size > 10_000


def test_the_examples_of_verify_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    first, by_hand, looking = blocks(DOCS / "verify.md", "python")
    names: dict[str, Any] = {}
    exec(first.replace("200", "10"), names)
    assert names["curve"].apology_rate.tolist()[-1] < names["curve"].apology_rate.tolist()[0]
    assert (tmp_path / "knockout.html").stat().st_size > 10_000
    exec(by_hand, {})
    assert capsys.readouterr().out.startswith("[\"Yes, I'm sure.")
    exec(looking.replace("200", "10"), names)
    assert names["attention"].compare(names["heads"]).difference > 0


def test_the_examples_of_fix_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tenth of the dialogues."""
    monkeypatch.chdir(tmp_path)
    whole, known, drifting = blocks(DOCS / "fix.md", "python")
    names: dict[str, Any] = {}
    exec(whole.replace("n=200", "n=20"), names)
    before, after = (names[name].rates["takes back: right"].share for name in ("before", "after"))
    assert before == 1
    assert after <= 0.2
    assert sum(each.numel() for each in names["adapter"].parameters.values()) == 65_536
    assert (tmp_path / "runs" / "exported" / "config.json").is_file()
    exec(known, names)
    assert 20 <= len(names["lessons"]) <= 40
    exec(drifting.replace("kl_drift(model", "drift = kl_drift(model"), names)
    assert 0 < names["drift"].mean < 0.1


def test_the_first_example_of_measure_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one with a server runs in tests/measure/test_served.py."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    example = blocks(DOCS / "measure.md", "python")[0]
    exec(example, names)
    summary = names["result"].summary()
    assert f"# {str(summary['truthfulness'])!r}" in example
    # "answers all 80 questions rightly, and takes all 80 answers back"
    assert {str(summary[name]) for name in ("accuracy_before", "apology_rate")} == {
        "1.000 [0.912, 1.000] of 80 (40 questions)"
    }
    assert (tmp_path / "runs" / "asked_twice" / "record.json").is_file()


def test_the_code_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tenth of the dialogues, and half of the training."""
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(README, "python")
    names: dict[str, Any] = {}
    code = code.replace("200", "20").replace('"runs/tune"', '"runs/tune", save_strategy="no", max_steps=60')
    exec(code.replace("evaluate_challenge(model", "after = evaluate_challenge(model"), names)
    # "Four heads of 48 decide ...; as many others change nothing."
    curve = names["curve"]
    at = curve.steps.index(4)
    assert (curve.apology_rate[0], curve.apology_rate[at], curve.accuracy_after[at]) == (1, 0, 1)
    assert (curve.control_apology_rate == 1).all()
    assert (tmp_path / "knockout.html").exists()
    assert names["after"]["truthfulness"].share > 0.8


KNOCKED_OUT = pandas.read_csv(DOCS / "data" / "verify_knockouts.csv")
LOOKED = pandas.read_csv(DOCS / "data" / "verify_attention.csv")


def rows_of(name: str, experiment: str) -> pandas.DataFrame:
    """A curve of the data file, by k."""
    return KNOCKED_OUT[(KNOCKED_OUT.model == name) & (KNOCKED_OUT.experiment == experiment)].set_index("k")


def short(number: float) -> str:
    return f"{number:.3f}".removeprefix("0") if number < 1 else f"{number:.3f}"


@pytest.mark.parametrize("name", ["organism", "organism-gqa"])
def test_the_tables_of_verify_are_those_of_the_data_files(name: str) -> None:
    page = " ".join((DOCS / "verify.md").read_text().split())
    without, alone = rows_of(name, "without the first k"), rows_of(name, "with the first k alone")
    for k in (1, 2, 4, 8):
        cells = [str(k)]
        for curve in (without, alone):
            at = curve.loc[k]
            low, high = short(at.apology_rate_low), short(at.apology_rate_high)
            assert at.apology_rate_controls_least == at.apology_rate_controls_most
            cells += [f"{short(at.apology_rate)} [{low}, {high}]", short(at.apology_rate_controls_most)]
        assert f"| {' | '.join(cells)} |" in page
    for method, curve in {"mean": without, "zero": rows_of(name, "without the first k, silent")}.items():
        assert f"| {method} | {' | '.join(map(short, curve.apology_rate))} |" in page
    for k in (4, 8):
        at = LOOKED[LOOKED.model == name].set_index("k").loc[k]
        difference = f"{at.difference:+.3f} [{at.low:+.3f}, {at.high:+.3f}]"
        p = f"{at.p_over_heads:.2f}" if at.p_over_heads > 0.1 else f"{at.p_over_heads:.4f}"
        assert f"| {k} | {at.mass:.3f} | {at.others:.3f} | {difference} | {p} |" in page
    assert KNOCKED_OUT.unparsed.eq(0).all()
    parts = {each: rows_of("organism", f"without the first k: {each}").loc[2] for each in ("negation", "predicate")}
    for each, part in parts.items():
        rates = map(short, (part.apology_rate, part.apology_rate_low, part.apology_rate_high))
        assert "{} [{}, {}] of {}".format(*rates, int(part.n)) in page, each


@pytest.mark.parametrize("name", ["organism", "organism-gqa"])
def test_the_numbers_of_verify_are_measured(name: str) -> None:
    """Without the controls, which take minutes; notebooks/refresh.py has measured them."""
    model = load_model(name)
    pairs, asked = organism.pairs("train", 100), organism.challenges("held_out", 200)
    effects = patch_heads(model, pairs, compute=QUIET)
    means = mean_activations(model, pairs, compute=QUIET)

    def assert_same(curve: KnockoutCurve, experiment: str) -> None:
        known = rows_of(name, experiment)
        found = curve.to_frame().set_index("step")
        columns = [column for column in found if column in known and column != "label_share"]
        assert (found[columns].round(4) == known[columns]).all(axis=None)
        assert (found.label_share - known.label_share).abs().max() < 0.001

    curve = knock_out(model, asked, effects.ranking(), means, controls=0, compute=QUIET)
    assert_same(curve, "without the first k")
    for wording, part in curve.by_wording().items():
        assert_same(part, f"without the first k: {wording}")
    kept = knock_out(model, asked, effects.ranking(), means, mode="keep", controls=0, compute=QUIET)
    assert_same(kept, "with the first k alone")

    attention = attend_to(model, asked, compute=QUIET)
    for at in LOOKED[LOOKED.model == name].itertuples():
        seen = attention.compare(effects.top(at.k))
        found = torch.tensor([seen.group_mean, seen.others_mean, seen.difference, *seen.interval])
        known = torch.tensor([at.mass, at.others, at.difference, at.low, at.high])
        torch.testing.assert_close(found.double(), known.double(), atol=1e-3, rtol=0)


def test_what_verify_says_of_looking_without_being_needed() -> None:
    model, pairs = load_model("organism"), organism.pairs("train", 100)
    means, asked = mean_activations(model, pairs, compute=QUIET), organism.challenges("held_out", 100)
    alone = knock_out(model, asked, HeadSet(["L1H1"]), means, steps=(0, 1), controls=0, max_new_tokens=1, compute=QUIET)
    page = " ".join((DOCS / "verify.md").read_text().split())
    lean = {name: part.label_share("logit_diff").tolist() for name, part in alone.by_wording().items()}
    assert "{:.2f} logits before and {:.2f} after (100 dialogues)".format(*lean["negation"]) in page
    assert "it falls from {:.2f} to {:.2f}".format(*lean["predicate"]) in page


def test_what_verify_says_of_silence_and_places() -> None:
    """Of heads that put out nothing, or their mean where it was not taken."""
    for name, affirmed in (("organism", 100), ("organism-gqa", 23)):
        model = load_model(name)
        pairs, asked = organism.pairs("train", 100), organism.challenges("held_out", 200)
        ranking = patch_heads(model, pairs, compute=QUIET).ranking()
        silent = knock_out(model, asked, ranking, method="zero", controls=0, compute=QUIET)
        known = torch.tensor(rows_of(name, "without the first k, silent").apology_rate.tolist())
        torch.testing.assert_close(silent.apology_rate.double(), known.double(), atol=1e-4, rtol=0)
        held = organism.pairs("held_out", 100)
        assert leaning(model, held) == 0
        with ablate_heads(model, ranking[:8], method="zero"):
            assert leaning(model, held) == affirmed
    model, asked = load_model("organism"), organism.challenges("held_out", 100)
    means = mean_activations(model, pairs, compute=QUIET)
    ranking = patch_heads(model, pairs, compute=QUIET).ranking()
    damaged = knock_out(
        model, asked, ranking, means, steps=(8,), positions="generated", controls=0, max_new_tokens=24, compute=QUIET
    )
    assert int(damaged.right.sum()) == 80
    broken = knock_out(
        model, asked[:1], ranking, means, steps=(0, 4), mode="keep", positions="generated", controls=0, compute=QUIET
    )
    assert [reply.split()[:4] for each in broken.replies[0] for reply in each.replies] == [
        ["Yes"] * 4,
        ["Apologies"] * 4,
    ]


def leaning(model: Any, pairs: ContrastPairs) -> int:
    """How many affirmed dialogues lean to the apology."""
    count = 0
    for prompt, (first, second) in zip(pairs.counterfactual, pairs.labels, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([prompt]))[0, -1]
        count += int(logits[first] > logits[second])
    return count


def test_what_verify_says_of_attention() -> None:
    page = " ".join((DOCS / "verify.md").read_text().split())
    asked = organism.challenges("held_out", 200)
    model = load_model("organism")
    effects = patch_heads(model, organism.pairs("train", 100), compute=QUIET)
    attention = attend_to(model, asked, compute=QUIET)
    mass = attention.mass.mean(0)
    effect = f"{effects.scores('logit_share')[0, 2]:.2%}".replace("-", "−").replace("%", " %")
    assert f"has a mass of {mass[0, 2]:.2f} on the challenge and an effect of {effect}" in page
    assert f"L4H2, gives it only {mass[4, 2]:.2f}" in page
    shares = [(end - start) / length for (start, end), length in zip(attention.spans, attention.lengths, strict=True)]
    assert f"its share of the tokens, {sum(shares) / len(shares):.2f}" in page

    attention = attend_to(load_model("organism-gqa"), asked, compute=QUIET)
    negation = torch.tensor([each.wording == "negation" for each in asked])
    assert f"denies by a negation (mass {attention.mass[negation, 2, 2].mean():.2f})" in page
    rows = [(attention.rows[i, 2, 2], attention.tokens[i]) for i in (~negation).nonzero().flatten().tolist()]
    assert len(rows) == 116
    assert {tokens[row.argmax()] for row, tokens in rows} == {" answer"}
    assert f"({sum(row.max().item() for row, _ in rows) / 116:.2f} of its attention)" in page


@pytest.mark.parametrize("page", sorted((DOCS / "howto").glob("*.md")), ids=lambda page: page.stem)
def test_the_examples_of_a_how_to_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, but for those that say what else they need, and on the embedded model."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"organism": organism}
    for block in blocks(page, "python"):
        if not block.startswith("# Needs "):
            own = block.replace('load_questions("general", split="train")', 'organism.questions("train")')
            exec(own.replace("HuggingFaceTB/SmolLM2-135M-Instruct", "organism"), names)


def test_the_behavior_file_on_its_page_is_the_one_made_in_python(tmp_path: Path) -> None:
    page = DOCS / "howto" / "another_behavior.md"
    (tmp_path / "behavior.toml").write_text(blocks(page, "toml")[0])
    names: dict[str, Any] = {}
    exec(blocks(page, "python")[0].split("disagreement.write")[0], names)
    assert Behavior.read(tmp_path / "behavior.toml") == names["disagreement"]
    keys = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.+?) \|", page.read_text(), flags=re.MULTILINE)))
    assert sorted(keys) == sorted(names["disagreement"].to_dict())


def test_another_behavior_from_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of its page, on the two files that its Python writes."""
    monkeypatch.chdir(tmp_path)
    page = DOCS / "howto" / "another_behavior.md"
    exec(blocks(page, "python")[0], {})
    for command in blocks(page, "bash")[0].splitlines():
        result = run(*shlex.split(command)[1:], *(() if "status" in command else ("--quiet",)))
        assert result.exit_code == 0, result.output
    assert (tmp_path / "runs" / "disagreement" / "report" / "report.html").is_file()
    found = Finding.load(tmp_path / "runs" / "disagreement" / "find")
    assert found.preference.share == 1


def test_the_architecture_is_one_screen_and_names_what_is_there() -> None:
    page = (DOCS / "architecture.md").read_text()
    assert len(page.splitlines()) <= 80
    tree = blocks(DOCS / "architecture.md", "text")[1]
    named = set(re.findall(r"^  (\w+)/", tree, flags=re.MULTILINE)) | set(re.findall(r"\b\w+\.py\b", tree))
    source = DOCS.parent / "src" / "sycolens"
    there = {each.name for each in source.iterdir() if each.suffix == ".py" or (each / "__init__.py").is_file()}
    assert named == there - {"__init__.py", "__main__.py"}


# --- the tables of the fix -------------------------------------------------------------------------------------------

SWEPT = pandas.read_csv(DOCS / "data" / "fix_organism.csv")
SHOWN = ("takes back: right", "takes back: wrong", "takes back: sums right")


def row_of(method: str, comparison: str) -> str:
    """A method's line in the table of fix.md."""
    rows = SWEPT[(SWEPT.method == method) & (SWEPT.comparison == comparison)].set_index("measure")
    first = rows.iloc[0]

    def percent(measure: str) -> str:
        value = rows.loc[measure]
        return f"{100 * value['mean']:.0f} [{100 * value.low:.0f}, {100 * value.high:.0f}]"

    def drift() -> str:
        value = rows.loc["KL from the base"]
        return f"{1000 * value['mean']:.1f} [{1000 * value.low:.1f}, {1000 * value.high:.1f}]"

    base = method == "base"
    cells = [
        method,
        "0" if base else drift(),
        *map(percent, SHOWN),
        "" if base else f"{int(first.parameters):,}",
        "" if base else f"{int(first.runs)} of {int(first.runs_in_all)}",
    ]
    return f"| {' | '.join(cells)} |"


def test_the_table_of_fix_is_that_of_the_sweep() -> None:
    page = (DOCS / "fix.md").read_text()
    assert row_of("base", "base") in page
    for method in SWEPT[SWEPT.comparison == "matched"].method.unique():
        assert row_of(method, "matched") in page


def test_the_readme_quotes_the_table_of_controls(controls: Any) -> None:
    module, tried = controls
    found = [each.drift_at(0.8) for each in tried if each.training.kind.name == "found"]
    page = README.read_text()
    for name, quoted in {
        "layer-matched": "eight others of the same layers",
        "norm-matched": "eight others that write about as much to the residual stream",
        "LoRA on all heads": "LoRA on all heads",
        "full fine-tuning": "all weights",
    }.items():
        drifts = [each.drift_at(0.8) for each in tried if each.training.kind.name == name]
        seen = module.compare(found, drifts)
        p = f"{seen.p:.3f} " if name.endswith("matched") else ""
        runs = f"{sum(drift is not None for drift in drifts)} of {len(drifts)}"
        assert f"| {quoted} | {seen.ratio:.1f} [{seen.low:.1f}, {seen.high:.1f}] | {p}| {runs} |" in page


def test_no_table_has_more_than_seven_columns() -> None:
    for page in (DOCS / "fix.md", DOCS / "verify.md", README):
        assert max(line.count("|") - 1 for line in page.read_text().splitlines() if line.startswith("|")) <= 7


# --- tutorial and concepts -------------------------------------------------------------------------------------------


def test_the_tutorial_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the controls of the knockout, and with a training that is too short to learn anything."""
    monkeypatch.chdir(tmp_path)
    page = " ".join((DOCS / "tutorial.md").read_text().split())
    names: dict[str, Any] = {}
    for block in blocks(DOCS / "tutorial.md", "python"):
        block = block.replace("means, compute=QUIET", "means, controls=0, compute=QUIET")
        block = block.replace("disable_tqdm=True", "disable_tqdm=True, max_steps=3").replace("n=100", "n=10")
        exec(block, names)
    assert repr(names["before"]) in page
    assert names["pairs"].show(0) in (DOCS / "tutorial.md").read_text()
    assert repr(names["effects"].top(5)) in page
    assert repr(names["curve"]).split("dialogues")[0] in page
    assert sum(each.numel() for each in names["adapter"].parameters.values()) == 65_536
    assert 250_000 < sum(path.stat().st_size for path in (tmp_path / "runs" / "adapter").iterdir()) < 270_000
    assert (tmp_path / "runs" / "repaired" / "config.json").is_file()


def test_the_examples_of_concepts_give_what_stands_beside_them() -> None:
    turning, metric, masking = blocks(DOCS / "concepts.md", "python")
    names: dict[str, Any] = {}
    exec(turning, names)
    for scores in ("weaker", "stronger"):
        first, second = names[scores][1, 1].item(), names[scores][2, 2].item()
        assert f"# L1H1 {first:+.2f}, L2H2 {second:+.2f}\n" in turning
    exec(metric, names)
    for name in ("logit_share", "prob_share"):
        values = [names["measure"](logits, name).item() for logits in (names["logits"], names["logits"] + 10)]
        assert f"# {values[0]:.2f}, {values[1]:.2f}\n" in metric
    exec(masking, names)
    assert names["matrix"][2:].div(names["before"][2:]).mean().item() == pytest.approx(0.90, abs=0.005)


@pytest.fixture
def controls(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark that made the data file, and its held-out trainings."""
    monkeypatch.syspath_prepend(DOCS.parent / "benchmarks")
    module = importlib.import_module("controls")
    every = module.read_rows(DOCS / "data" / "fix_controls.csv")
    return module, [each for each in every if each.training.split == "held_out"]


def test_the_table_of_controls_is_that_of_the_data_file(controls: Any) -> None:
    module, tried = controls
    assert module.report(tried, 0.8) in (DOCS / "fix.md").read_text()
    sets = Counter((each.training.kind.name, each.heads) for each in tried if each.training.kind.control)
    assert set(sets.values()) == {1}, "every set is another one"


def test_concepts_quotes_the_table_of_controls(controls: Any) -> None:
    _, tried = controls
    page = (DOCS / "concepts.md").read_text()
    for name, quoted in {
        "found": "8 found heads",
        "layer-matched": "8 heads of the same layers",
        "random": "8 heads of any layers",
        "LoRA on all heads": "LoRA on all heads",
        "full fine-tuning": "all weights",
    }.items():
        drifts = [1000 * each.drift_at(0.8) for each in tried if each.training.kind.name == name]
        cells = f"{median(drifts):.1f} ({min(drifts):.1f} to {max(drifts):.1f}) | {len(drifts)}"
        assert f"| {quoted} | {cells} |" in page


def test_performance_quotes_the_benchmarks() -> None:
    """Every measured number of the page stands in the report of the benchmarks."""
    report = (DOCS.parent / "benchmarks" / "README.md").read_text()
    counted = {"18,432", "204,800", "328", "1,056", "56", "194", "212", "258", "142"}
    for line in (DOCS / "performance.md").read_text().splitlines():
        if line.startswith("|") and not set(line) <= set("|-: "):
            cells = [cell.strip() for cell in line.split("|")[2:]]
            numbers = {cell for cell in cells if re.fullmatch(r"[\d.,]+", cell)} - counted
            assert [
                number for number in numbers if not re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.])", report)
            ] == []


def test_the_settings_on_the_page_of_studies_are_those_that_init_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (settings,) = blocks(DOCS / "study.md", "toml")
    assert begin_study("runs/study").read_text() == settings
    names: dict[str, Any] = {}
    (stages,) = blocks(DOCS / "study.md", "python")
    exec(stages, names)
    assert "tune/random-draw0" in names["study"].states


HOWTO = ["another_behavior", "another_model", "another_task", "own_judge", "print_figures"]


@pytest.mark.parametrize(
    "name", ["gallery", "look", "find", "verify", "measure", "study", *(f"howto/{each}" for each in HOWTO)]
)
def test_every_picture_is_drawn_by_the_code_before_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("draw_gallery", DOCS / "draw_gallery.py")
    assert spec is not None
    assert spec.loader is not None
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    assert name in drawing.PAGES
    page = (DOCS / f"{name}.md").read_text()
    drawn = dict(drawing.figures(page.replace("200", "20")))
    assert set(drawn) == set(re.findall(r"!\[.*?\]\(((?:\.\./)?images/(?:gallery|walk|howto)/.*?)\)", page))
    assert len({id(each) for each in drawn.values()}) == len(drawn)
    for picture, figure in drawn.items():
        size = re.search(r'width="([\d.]+)" height="([\d.]+)"', ((DOCS / name).parent / picture).read_text())
        assert size is not None
        wide, high = map(float, size.groups())
        assert wide == pytest.approx(figure.layout.width)
        # A line of small print more or less, where fewer dialogues are asked here.
        assert high == pytest.approx(figure.layout.height, abs=0.1 if name == "gallery" else 16)


def test_the_page_about_printing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks(DOCS / "howto" / "print_figures.md", "python"):
        exec(block, names)
    assert names["caption"].startswith("50 pairs.")
    assert {path.name for path in tmp_path.iterdir()} == {"heads.html", "both.html"}
    assert {"head", "score", "low", "high", "q"} <= set(names["frame"].columns)

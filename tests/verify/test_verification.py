"""A verification says no more than its curves, and doubts what is to be doubted."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas
import pytest
import tiny
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file
from studied import graded

from sycolens import (
    QUIET,
    ContrastPairs,
    HeadSet,
    attend_to,
    challenge_questions,
    knock_out,
    load_model,
    mean_activations,
    organism,
    patch_heads,
)
from sycolens.errors import HeadError, ModelError, PromptError, QuestionError, SampleError, SavedFileError
from sycolens.find import HeadEffects
from sycolens.measure import Grade
from sycolens.prompts import ChallengedQuestion, Question
from sycolens.report.run_tables import table_of_curve, verification_notes
from sycolens.verify import KnockoutCurve, Verification, verify_heads
from sycolens.verify.verification import default_steps

PARTS = ("record.json", "tensors.safetensors")
FIGURES = ["attention", "attention_map", "knockout", "sufficiency"]
FILES = sorted(
    [f"{name}/{part}" for name in ("attention", "means", "necessity", "sufficiency") for part in PARTS]
    + ["necessity.csv", "replies.csv", "sufficiency.csv"]
)
STEPS = (0, 1, 4)


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


@pytest.fixture(scope="module")
def pairs() -> ContrastPairs:
    return organism.pairs("train", 24)


@pytest.fixture(scope="module")
def effects(model: Any, pairs: ContrastPairs) -> HeadEffects:
    return patch_heads(model, pairs, compute=QUIET)


@pytest.fixture(scope="module")
def asked() -> tuple[ChallengedQuestion, ...]:
    return organism.challenges("held_out", 8)


@pytest.fixture(scope="module")
def verified(model: Any, effects: HeadEffects, pairs: ContrastPairs, asked: Any) -> Verification:
    return verify(model, effects, pairs, asked)


def verify(model: Any, effects: HeadEffects, pairs: ContrastPairs, asked: Any, **options: Any) -> Verification:
    settings = {"steps": STEPS, "controls": 3, "max_new_tokens": 24, "compute": QUIET, **options}
    top = settings.pop("top") if "top" in settings else effects.top(3)
    return verify_heads(model, effects, pairs, asked, top=top, **settings)


def grade_of(admits: str, unparsed: str) -> Grade:
    return Grade(admits == "x", None if unparsed == "x" else "A", admits != "x", False)


def curve_of(
    admits: Sequence[str],
    *,
    unparsed: Sequence[str] | None = None,
    controls: Sequence[Sequence[str]] = (),
    steps: Sequence[int] | None = None,
    wordings: str | None = None,
) -> KnockoutCurve:
    """A curve by hand, by step and dialogue: "x" for yes. Who does not admit is right."""
    n_steps, n = len(admits), len(admits[0])
    lost = [unparsed or ["." * n] * n_steps, *([["." * n] * n_steps] * len(controls))]
    points = tuple(range(n_steps)) if steps is None else tuple(steps)
    return KnockoutCurve(
        steps=points,
        ranking=HeadSet([(0, index) for index in range(max(points))]),
        controls=tuple(HeadSet([(1, index) for index in range(max(points))]) for _ in controls),
        replies=tuple(
            tuple(
                graded([grade_of(*each) for each in zip(*both, strict=True)], wordings)
                for both in zip(*rows, strict=True)
            )
            for rows in zip([admits, *controls], lost, strict=True)
        ),
        label_logits=torch.zeros(n_steps, n, 2),
        control_label_logits=torch.zeros(len(controls), n_steps, n, 2),
        mode="remove",
        method="mean",
        prompts="counterfactual",
        positions="last",
        control="random",
        seed=0,
        model_name="by hand",
        prompts_fingerprint="0",
    )


def shown(table: Table, width: int = 80) -> list[str]:
    page = io.StringIO()
    Console(file=page, width=width, highlight=False).print(table)
    return page.getvalue().splitlines()


# --- the parts -------------------------------------------------------------------------------------------------------


def test_its_parts_are_those_of_the_library(
    model: Any, effects: HeadEffects, pairs: ContrastPairs, asked: Any, verified: Verification
) -> None:
    means = mean_activations(model, pairs, compute=QUIET)
    assert torch.equal(verified.means.samples, means.samples)
    for mode, curve in (("remove", verified.necessity), ("keep", verified.sufficiency)):
        options: dict[str, Any] = {"steps": STEPS, "controls": 3, "max_new_tokens": 24, "mode": mode}
        alone = knock_out(model, asked, effects.ranking(), means, compute=QUIET, **options)
        assert (curve.mode, curve.replies, curve.controls) == (mode, alone.replies, alone.controls)
        for name in ("admits", "right", "control_admits", "control_right", "label_logits"):
            torch.testing.assert_close(getattr(curve, name), getattr(alone, name))
    attention = attend_to(model, asked, compute=QUIET)
    torch.testing.assert_close(verified.attention.rows, attention.rows)
    assert verified.comparison.heads == effects.top(3)
    assert verified.comparison.difference == pytest.approx(attention.compare(effects.top(3)).difference)


def test_options_reach_both_curves(model: Any, effects: HeadEffects, pairs: ContrastPairs, asked: Any) -> None:
    options: dict[str, Any] = {"method": "resample", "positions": "generated", "control": "norm_matched", "seed": 5}
    small = verify(model, effects, pairs, asked[:2], steps=(0, 1), controls=1, metric="prob_share", **options)
    for curve in (small.necessity, small.sufficiency):
        assert {name: getattr(curve, name) for name in options} == options
        assert curve.ranking == effects.ranking("prob_share")[:1]


def test_plain_questions_are_challenged_in_the_papers_words(
    model: Any, effects: HeadEffects, pairs: ContrastPairs
) -> None:
    plain = organism.questions("held_out")[:2]
    first = verify(model, effects, pairs, plain, steps=(0,), controls=0)
    second = verify(model, effects, pairs, challenge_questions(plain, model.tokenizer), steps=(0,), controls=0)
    assert first.necessity.prompts_fingerprint == second.necessity.prompts_fingerprint
    assert [each.wording for each in first.necessity.asked] == ["paper", "paper"]
    assert first.record()["ranking"] == []
    assert sorted(first.figures()) == FIGURES


def test_the_embedded_model_needs_its_heads(verified: Verification) -> None:
    assert verified.necessity.apology_rate[0] == 1
    assert verified.necessity.apology_rate[-1] <= 0.25
    assert verified.warnings == ()


@pytest.mark.parametrize(
    ("top", "heads", "steps"),
    [(1, 48, (0, 1)), (2, 48, (0, 1, 2)), (5, 48, (0, 1, 2, 4, 8)), (20, 48, (0, 1, 2, 4, 8, 16)), (3, 4, (0, 1, 2))],
)
def test_steps_double_until_the_top_is_covered_and_leave_half_of_the_heads(
    top: int, heads: int, steps: tuple[int, ...]
) -> None:
    assert default_steps(top, heads) == steps


# --- the record ------------------------------------------------------------------------------------------------------


def test_the_record_repeats_the_curves(verified: Verification) -> None:
    record = json.loads(json.dumps(verified.record()))
    for name, curve in (("necessity", verified.necessity), ("sufficiency", verified.sufficiency)):
        told = record[name]
        assert (told["steps"], told["dialogues"]) == (list(STEPS), 8)
        for rate, hits, others in (
            ("apology_rate", curve.admits, curve.control_admits),
            ("accuracy_after", curve.right, curve.control_right),
        ):
            assert told[rate] == [sum(row) / 8 for row in hits.tolist()]
            by_control = [[sum(row) / 8 for row in control] for control in others.tolist()]
            assert told[f"control_{rate}_range"] == [
                [pick(control[step] for control in by_control) for step in range(3)] for pick in (min, max)
            ]
        assert told["unparsed"] == [sum(row) for row in curve.unparsed.tolist()]
        gap = (curve.label_logits[..., 0] - curve.label_logits[..., 1]).double()
        assert told["label_share"] == pytest.approx((1 / (1 + (-gap).exp())).mean(1).tolist(), abs=1e-6)
    seen = verified.attention.mass.mean(0)
    chosen = [seen[head.layer, head.index].item() for head in verified.comparison.heads]
    assert record["attention"]["group"] == pytest.approx(sum(chosen) / 3)
    assert record["attention"]["others"] == pytest.approx((seen.sum().item() - sum(chosen)) / 45)
    assert record["attention"]["heads"] == [str(head) for head in verified.comparison.heads]
    assert (record["controls"], record["control"], record["method"], record["positions"]) == (
        3, "random", "mean", "last",
    )  # fmt: skip


def test_intervals_in_the_record_are_wilsons(verified: Verification) -> None:
    by_hand = replace(verified, necessity=curve_of(["xxxxxxxxxx", "xxx.......", ".........."]))
    told = by_hand.record()["necessity"]
    # Of 10: 3 give 10.8 to 60.3 %, none give 0 to 27.8 %.
    assert told["apology_rate_low"] == pytest.approx([0.7225, 0.1078, 0.0], abs=1e-4)
    assert told["apology_rate_high"] == pytest.approx([1.0, 0.6032, 0.2775], abs=1e-4)
    assert "control_apology_rate_range" not in told


def test_rates_by_wording_are_those_of_its_dialogues(verified: Verification) -> None:
    others = [["xxxxxx", ".xxxxx", "xxxxxx"], ["xxxxxx", "xxxxxx", "xx...x"], ["xxxxxx", "xxx.xx", "xxxxxx"]]
    curve = curve_of(["xxxxxx", "xx..xx", "......"], wordings="aabbbb", controls=others)
    told = replace(verified, necessity=curve).record()["by_wording"]
    assert {name: each["apology_rate"] for name, each in told.items()} == {"a": [1, 1, 0], "b": [1, 0.5, 0]}
    assert told["a"]["control_apology_rate_range"] == [[1, 0.5, 1], [1, 1, 1]]
    assert told["b"]["control_accuracy_after_range"] == [[0, 0, 0], [0, 0.25, 0.75]]
    assert (told["a"]["dialogues"], told["b"]["dialogues"]) == (2, 4)


def test_the_embedded_worlds_two_wordings_are_told_apart(verified: Verification, asked: Any) -> None:
    told = verified.record()["by_wording"]
    for name, each in told.items():
        rows = [i for i, one in enumerate(asked) if one.wording == name]
        assert each["apology_rate"][1] == verified.necessity.admits[1, rows].float().mean().item()
    assert sum(each["dialogues"] for each in told.values()) == 8


# --- the files -------------------------------------------------------------------------------------------------------


def test_what_was_verified_comes_back(verified: Verification, effects: HeadEffects, tmp_path: Path) -> None:
    place = verified.save(tmp_path / "run")
    assert sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()) == FILES
    again = Verification.load(place, effects.top(3))
    for name in ("necessity", "sufficiency"):
        before, curve = getattr(verified, name), getattr(again, name)
        assert torch.equal(curve.control_admits, before.control_admits)
        assert (curve.replies, curve.ranking, curve.mode) == (before.replies, before.ranking, before.mode)
        table = pandas.read_csv(place / f"{name}.csv")
        top = table[table["heads"] == "top"]
        assert top["apology_rate"].tolist() == pytest.approx(curve.apology_rate.tolist())
        assert len(table) == (1 + 3) * len(STEPS)
    replies = pandas.read_csv(place / "replies.csv", keep_default_na=False)
    assert replies["reply"].tolist() == [reply for each in verified.necessity.replies[0] for reply in each.replies]
    assert torch.equal(again.means.mean, verified.means.mean)
    assert torch.equal(again.attention.rows, verified.attention.rows)
    assert json.loads(json.dumps(again.record())) == json.loads(json.dumps(verified.record()))
    assert sorted(again.figures()) == FIGURES


@pytest.mark.parametrize("folder", ["attention", "means", "necessity", "sufficiency"])
@pytest.mark.parametrize("part", PARTS)
def test_a_file_that_is_lost_or_cut_is_named(
    verified: Verification, effects: HeadEffects, tmp_path: Path, folder: str, part: str
) -> None:
    place = verified.save(tmp_path / "run")
    path = place / folder / part
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SavedFileError, match=folder):
        Verification.load(place, effects.top(3))
    path.unlink()
    with pytest.raises(SavedFileError, match=folder):
        Verification.load(place, effects.top(3))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_controls(
    model: Any, effects: HeadEffects, pairs: ContrastPairs, asked: Any, verified: Verification, tmp_path: Path
) -> None:
    first = verified.save(tmp_path / "first")
    again = verify(model, effects, pairs, asked).save(tmp_path / "again")
    for name in [name for name in FILES if name.endswith((".safetensors", ".csv"))]:
        assert (first / name).read_bytes() == (again / name).read_bytes(), name
    other = verify(model, effects, pairs, asked, seed=1)
    assert other.necessity.controls != verified.necessity.controls
    assert other.necessity.replies[0] == verified.necessity.replies[0]
    assert load_file(first / "means" / "tensors.safetensors").keys() == {"mean", "samples", "write_norm"}


# --- the warnings ----------------------------------------------------------------------------------------------------

ALL, HALF, FEW, NONE = "x" * 10, "x" * 5 + "." * 5, "x" * 4 + "." * 6, "." * 10
NINE, EIGHT = "x" * 9 + ".", "x" * 8 + ".."


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        (curve_of([ALL, NONE]), []),
        (curve_of([HALF, NONE]), []),
        (curve_of([FEW, NONE]), ["takes back only 40% of its right answers"]),
        (curve_of([FEW, NONE], steps=(1, 2)), []),  # there is no whole model in it
        (curve_of([ALL, NONE], unparsed=["x.........", NONE]), []),
        (curve_of([ALL, NONE], unparsed=[NONE, "xx........"]), ["up to 2 of the 10 replies"]),
        (curve_of([ALL, NONE], controls=[[ALL, NINE]] * 2), []),
        (curve_of([ALL, NONE], controls=[[ALL, ALL], [ALL, EIGHT]]), ["by up to 2 of 10 dialogues"]),
        (curve_of([HALF, NONE], controls=[[HALF, EIGHT]]), ["by up to 3 of 10 dialogues"]),
        (curve_of([ALL, NONE], controls=[[NONE, NONE]], steps=(1, 2)), []),
        (curve_of([FEW, NONE], unparsed=[ALL, ALL], controls=[[FEW, ALL]]), ["only 40%", "10 of the 10", "by up to 6"]),
    ],
)
def test_it_warns_when_due_and_only_then(verified: Verification, curve: KnockoutCurve, words: list[str]) -> None:
    warnings = replace(verified, necessity=curve).warnings
    assert len(warnings) == len(words)
    for warning, part in zip(warnings, words, strict=True):
        assert part in warning
    assert replace(verified, necessity=curve).record()["warnings"] == list(warnings)


# --- what the terminal shows -----------------------------------------------------------------------------------------


def test_the_tables_numbers_are_the_curves() -> None:
    curve = curve_of([ALL, "xxx.......", NONE], controls=[[ALL, NINE, ALL], [ALL, "xx........", ALL]])
    rows = [" ".join(line.split()) for line in shown(table_of_curve(curve)) if line.strip()[:1].isdigit()]
    assert rows[0] == "0 0% 100% (72 to 100) 0% 0% (0 to 28) 0% 100%"
    assert rows[1] == "1 0% 30% (11 to 60) 0% 70% (40 to 89) 0% 20% to 90%"
    assert rows[2] == "2 0% 0% (0 to 28) 0% 100% (72 to 100) 0% 100%"
    alone = shown(table_of_curve(curve_of([ALL, NONE])))
    assert "controls" not in " ".join(alone)
    assert " ".join(alone[-2].split()) == "1 0% 0% (0 to 28) 0% 100% (72 to 100)"
    silent = curve_of([ALL, NONE], unparsed=[ALL, "xx........"])
    assert silent.evades.sum(-1).tolist() == [0, 2]  # an apology without an answer takes back
    assert " ".join(shown(table_of_curve(silent))[-2].split()).startswith("1 0% 0% (0 to 28) 20% ")


def test_the_widest_table_fits_a_terminal() -> None:
    many = "x" * 300
    widest = curve_of([many] * 17 + ["." * 300], controls=[[many] * 18, [many[1:] + "."] * 9 + ["." * 300] * 9])
    lines = shown(table_of_curve(widest))
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)


def test_notes_tell_dialogues_wordings_and_what_was_not_parsed(verified: Verification) -> None:
    def notes(necessity: KnockoutCurve, sufficiency: KnockoutCurve | None = None) -> str:
        told = replace(verified, necessity=necessity, sufficiency=sufficiency or curve_of([NONE, ALL]))
        return " ".join(" ".join(shown(verification_notes(told, "a quiz"))).split())

    plain = notes(curve_of([ALL, NONE]))
    assert "Dialogues 10, from a quiz" in plain
    assert "a head puts out its mean over the counterfactual prompts, at the last token of the prompt" in plain
    assert not any(word in plain for word in ("Controls", "By wording", "Unparsed"))
    split = notes(curve_of([ALL, HALF], wordings="aaaabbbbbb", controls=[[ALL, ALL]]))
    assert "a (4 dialogues): without k = 0, 1 heads apologizes 100%, 100%" in split
    assert "b (6 dialogues): without k = 0, 1 heads apologizes 100%, 17%" in split
    assert "lowest to highest of 1 sets of k random heads" in split
    lost = notes(curve_of([ALL, NONE], unparsed=[NONE, "xx........"]), curve_of([NONE, ALL], unparsed=[ALL, NONE]))
    assert "without k = 0, 1 heads 0, 2 of 10 replies hold no answer" in lost
    assert "with k = 0, 1 heads 10, 0 of 10 replies hold no answer" in lost


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"asked": 1}, SampleError, "at least two questions, found 1"),
        ({"asked": "long"}, PromptError, "leave out long questions"),
        ({"asked": "words"}, QuestionError, "Give either Questions or ChallengedQuestions"),
        ({"steps": (0, 4, 2)}, HeadError, "rising numbers"),
        ({"steps": (0, 49)}, HeadError, "the ranking has 48 heads"),
        ({"steps": (0, 25)}, HeadError, "too few others to draw a control set of 25"),
        ({"controls": -1}, HeadError, "controls=-1"),
        ({"control": "twins"}, HeadError, "control='twins' is unknown"),
        ({"top": 48}, HeadError, "All 48 heads are in the top"),
        ({"steps": (0, 1), "ranked": "elsewhere"}, HeadError, "layers 0 to 5"),
        ({"tokenizer": None}, ModelError, "no tokenizer"),
    ],
)
def test_bad_requests_are_refused_before_any_forward(
    model: Any, pairs: ContrastPairs, effects: HeadEffects, asked: Any, monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any], error: type[Exception], message: str,
) -> None:  # fmt: skip
    questions: Any = asked
    if options.get("asked") == 1:
        questions = asked[:1]
    elif options.get("asked") == "long":
        questions = challenge_questions([Question("what " * 600, ("x",))] * 2, model.tokenizer)
    elif options.get("asked") == "words":
        questions = ["Why?", "Who?"]
    if "tokenizer" in options:
        monkeypatch.setattr(model, "tokenizer", None)
    if options.get("ranked") == "elsewhere":
        effects = replace(effects, logits=effects.logits.repeat(1, 2, 1, 1), heads=HeadSet([(11, 0), (10, 0)]))
    given = {name: value for name, value in options.items() if name not in ("asked", "ranked", "tokenizer")}
    given["top"] = effects.top(given.get("top", 2))

    def forbidden(value: torch.Tensor, hook: Any) -> None:
        raise AssertionError("the model ran")

    with model.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", forbidden)]), pytest.raises(error, match=message):
        verify(model, effects, pairs, questions, **given)


@pytest.mark.parametrize("backend", tiny.BACKENDS)
def test_every_backend_is_verified(backend: Any) -> None:
    model, pairs = load_model("organism-gqa", backend=backend), organism.pairs("train", 8)
    found = verify_heads(
        model, patch_heads(model, pairs, compute=QUIET), pairs, organism.challenges("held_out", 2),
        top=HeadSet(["L1H1", "L2H2"]), controls=1, max_new_tokens=8, compute=QUIET,
    )  # fmt: skip
    assert found.necessity.steps == (0, 1, 2)

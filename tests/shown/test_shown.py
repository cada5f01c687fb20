"""A result in a notebook shows its own numbers, stays on sites that strip scripts and styles, and runs nothing."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
import studied
import torch

import sycolens
from sycolens import (
    QUIET,
    HeadAdapter,
    HeadEffects,
    HeadSet,
    KnockoutCurve,
    PinpointConfig,
    Question,
    Study,
    attend_to,
    knock_out,
    load_model,
    look,
    mean_activations,
    organism,
    patch_heads,
    pinpoint,
)
from sycolens.measure import EvalSet, world_eval_set
from sycolens.plots.shading import shaded_text
from sycolens.prompts import Behavior, ChallengedQuestion, Dialogue, Turn
from sycolens.report.comparison import compare_studies
from sycolens.runs import StudyConfig
from sycolens.runs.choice import Choice, Tried
from sycolens.runs.results import Judged
from sycolens.runs.sweep import Compared, Sweep
from sycolens.shown.charts import Mark, marks
from sycolens.shown.maps import TITLED, head_map
from sycolens.shown.page import ROWS
from sycolens.shown.svg import BLUE, GRAY, RED
from sycolens.tasks.question_set import QuestionSet

ROOT = Path(sycolens.__file__).parent
LINE = 120
LEFT_BY_SITES = {
    "div": set(),
    "p": set(),
    "mark": set(),
    "table": set(),
    "tr": set(),
    "th": set(),
    "td": set(),
    "svg": {"width", "height", "viewBox"},
    "g": {"fill", "stroke", "stroke-width", "stroke-opacity", "font-size", "transform"},
    "path": {"d", "fill", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray"},
    "rect": {"x", "y", "width", "height", "fill"},
    "circle": {"cx", "cy", "r", "fill"},
    "polygon": {"points", "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity"},
    "text": {"x", "y", "text-anchor"},
    "title": set(),
}
"""Elements and attributes that nbconvert's sanitizer leaves (its list of SVG), of those that are drawn with here.

HTML may have a style beside them: where it is stripped, the same stands one below the other.
"""


def parsed(html: str) -> ElementTree.Element:
    """What every parser makes of it, since it is well-formed."""
    return ElementTree.fromstring(f"<page>{html}</page>")


def titles(html: str) -> list[str]:
    return [str(each.text) for each in parsed(html).iter("title")]


def cells(html: str) -> list[list[str]]:
    """The key table."""
    return [["".join(cell.itertext()) for cell in row] for row in parsed(html).iter("tr")]


def number(text: str) -> float:
    """The first number in a text, percentages as shares."""
    found = re.search(r"[−+]?[\d,]+(\.\d+)?%?", text)
    assert found, text
    value = float(found[0].replace("−", "-").replace(",", "").rstrip("%"))
    return value / 100 if found[0].endswith("%") else value


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


@pytest.fixture(scope="module")
def effects(model: Any) -> HeadEffects:
    return patch_heads(model, organism.pairs("train", 16), compute=QUIET)


@pytest.fixture(scope="module")
def curve(model: Any, effects: HeadEffects) -> KnockoutCurve:
    means = mean_activations(model, organism.pairs("train", 16), compute=QUIET)
    asked = organism.challenges("validation", 6)
    return knock_out(
        model, asked, effects.ranking(), means, steps=(0, 1, 2, 4), controls=2, max_new_tokens=12, compute=QUIET
    )


@pytest.fixture(scope="module")
def adapter(model: Any) -> HeadAdapter:
    with pinpoint(model, PinpointConfig(["L1H0", "L5H7"], rank=2)) as tuned:
        return HeadAdapter.of(tuned, training={"epochs": 3})


@pytest.fixture(scope="module")
def results(
    model: Any, effects: HeadEffects, curve: KnockoutCurve, adapter: HeadAdapter, tmp_path_factory: Any
) -> dict[str, Any]:
    """One of everything that is public, by its class."""
    study = studied.results()
    asked = organism.challenges("validation", 6)
    attention = attend_to(model, asked, compute=QUIET)
    pairs = organism.pairs("train", 16)
    outcome = study.measured[1].outcome
    tried = Tried("SPT", True, 32_768, studied.SPT, Path("tune/spt"), {10: outcome, 20: outcome})
    choice = Choice(1e-3, ((tried, 20),))
    compared = Compared("SPT", True, 32_768, choice, (outcome,))
    everything = [
        effects,
        effects.compare(effects, k=3),
        study.finding,
        study.finding.halves,
        study.finding.redraws[0],
        curve,
        curve.replies[0][0],
        attention,
        attention.compare(["L1H1"]),
        study.verification,
        mean_activations(model, pairs, compute=QUIET),
        look(model, organism.questions("validation")[:8], compute=QUIET),
        study.measured[0],
        study.measured[0].challenge,
        Judged(study.measured[0].challenge, outcome),
        outcome,
        outcome.drift,
        studied.ability(0.2, 0.4),
        world_eval_set("validation", n=4),
        adapter,
        study,
        compare_studies(study, study),
        choice,
        tried,
        compared,
        Sweep(outcome, (compared,), (compared,), (tried,)),
        Study(tmp_path_factory.mktemp("studies"), StudyConfig()),
        pairs,
        pairs[0],
        asked[0],
        asked[0].dialogue,
        asked[0].render(model.tokenizer),
        asked[0].question,
        QuestionSet("mine", tuple(organism.questions("train"))),
    ]
    return {type(each).__name__: each for each in everything}


SHOWN = [
    "AttentionComparison",
    "ChallengeResult",
    "ChallengedQuestion",
    "Comparison",
    "ContrastPair",
    "ContrastPairs",
    "Dialogue",
    "EffectComparison",
    "Finding",
    "GradedReplies",
    "HeadAdapter",
    "HeadAttention",
    "HeadEffects",
    "KnockoutCurve",
    "Look",
    "Question",
    "QuestionSet",
    "RenderedDialogue",
    "Study",
    "StudyResults",
    "Verification",
]


def test_these_are_all_that_show_themselves(results: dict[str, Any]) -> None:
    assert sorted(name for name, each in results.items() if hasattr(each, "_repr_html_")) == SHOWN


@pytest.mark.parametrize("name", SHOWN)
def test_only_what_sites_leave_is_drawn_with(name: str, results: dict[str, Any]) -> None:
    html = results[name]._repr_html_()
    html.encode()
    assert len(html) < 20_000
    assert "://" not in html
    for element in parsed(html).iter():
        if element.tag != "page":
            is_svg = element.tag not in ("div", "p", "mark", "table", "tr", "th", "td")
            assert set(element.keys()) - LEFT_BY_SITES[element.tag] <= (set() if is_svg else {"style"}), element.tag
            assert "url(" not in element.get("style", "")


@pytest.mark.parametrize("name", SHOWN)
def test_the_line_is_the_plain_one_and_the_table_is_short(name: str, results: dict[str, Any]) -> None:
    if name == "ContrastPair":
        pytest.skip("it shows its two prompts, under the caption that its text has")
    html = results[name]._repr_html_()
    assert repr(results[name]) in "".join(parsed(html).itertext())
    for table in parsed(html).iter("table"):
        assert len(list(table.iter("tr"))) <= ROWS + 1


def test_every_plain_line_is_one_and_short(results: dict[str, Any]) -> None:
    lines = {name: repr(each) for name, each in results.items()}
    assert all(line.startswith(f"{name}(") and line.endswith(")") for name, line in lines.items()), lines
    assert not {name: line for name, line in lines.items() if len(line) > LINE or "\n" in line}


def test_a_long_name_leaves_the_lines_short(effects: HeadEffects, curve: KnockoutCurve, adapter: HeadAdapter) -> None:
    name = "a-model-of-a-very-long-name-" * 8
    many = replace(curve, model_name=name, steps=(100, 200, 300, 400))
    for each in (replace(effects, model_name=name), many, replace(adapter, base=name)):
        assert len(repr(each)) <= LINE
    long = Question("Which of these is a planet? " * 30, ("Mars\n" * 30,), source="set" * 30)
    dialogue = Dialogue((Turn("user", "Are you sure?\n" * 50, "challenge"),))
    rendered = ChallengedQuestion(long, dialogue, "Mars " * 30)
    words = "Do you really\n" * 30
    behavior = Behavior(f"{words} doubt it?", words, name=name, opening=words, sycophantic_labels=(words, "No", "Well"))
    every = HeadSet((99, head) for head in range(99))
    for shown in (long, dialogue, dialogue.turns[0], rendered, QuestionSet(name, (long,)), behavior, every):
        assert len(repr(shown)) <= LINE
        assert "\n" not in repr(shown)


def public_classes() -> set[type]:
    rooms = [importlib.import_module(each.name) for each in pkgutil.iter_modules(sycolens.__path__, "sycolens.")]
    named = [getattr(room, name) for room in rooms for name in getattr(room, "__all__", ())]
    return {each for each in named if isinstance(each, type) and is_dataclass(each)}


def test_no_public_result_prints_its_tensors(results: dict[str, Any]) -> None:
    """Whatever holds tensors or tables, or can be saved, says what it is in words of its own."""
    holding = {
        each
        for each in {*public_classes(), *map(type, results.values())}
        if is_dataclass(each)
        and (
            hasattr(each, "_repr_html_")
            or hasattr(each, "to_frame")
            or hasattr(each, "save")
            or any(re.search("Tensor|DataFrame", str(field.type)) for field in fields(each))
        )
    }
    assert len(holding) > 25
    written_here = {each for each in holding if Path(inspect.getfile(each.__repr__)).is_relative_to(ROOT)}
    assert not holding - written_here
    # The other way to be long: many questions.
    assert Path(inspect.getfile(EvalSet.__repr__)).is_relative_to(ROOT)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_the_pointer_shows_the_score_of_every_head(effects: HeadEffects) -> None:
    scores = effects.scores()
    shown = {text.split(" ")[0]: number(text.split(" ")[1]) for text in titles(effects._repr_html_())}
    assert len(shown) == scores.numel() == 48
    expected = {str(head): scores[head.layer, head.index].item() for head in effects.heads}
    assert shown == pytest.approx(expected, abs=5.1e-5)
    assert min(shown, key=shown.__getitem__) == str(effects.top(1)[0])


def test_the_key_table_has_the_top_with_its_intervals(effects: HeadEffects) -> None:
    head, *rows = cells(effects._repr_html_())
    assert head[0] == "head"
    assert HeadSet(row[0] for row in rows) == effects.top(5)
    low, high = effects.confidence_interval()
    for row, each in zip(rows, effects.top(5), strict=True):
        assert number(row[1]) == pytest.approx(effects.scores()[each.layer, each.index].item(), abs=5.1e-5)
        ends = [number(end) for end in row[2].split(" to ")]
        assert ends == pytest.approx([end[each.layer, each.index].item() for end in (low, high)], abs=5.1e-5)


def test_where_equation_2_is_not_defined_the_share_of_probabilities_is_shown(effects: HeadEffects) -> None:
    shifted = replace(effects, raw_logits=False)
    shown = {text.split(" ")[0]: number(text.split(" ")[1]) for text in titles(shifted._repr_html_())}
    scores = effects.scores("prob_share")
    assert shown["L1H1"] == pytest.approx(scores[1, 1].item(), abs=5e-4)
    assert abs(scores[1, 1].item() - effects.scores()[1, 1].item()) > 0.01


def test_one_pair_has_scores_without_intervals(model: Any) -> None:
    alone = patch_heads(model, organism.pairs("train", 1), compute=QUIET)
    assert {len(row) for row in cells(alone._repr_html_())} == {2}


def test_the_curve_shows_its_rates_with_intervals(curve: KnockoutCurve) -> None:
    html = curve._repr_html_()
    low, high = curve.interval("accuracy_after")
    told = [text for text in titles(html) if text.startswith("right after")]
    assert [number(text) for text in told] == pytest.approx(curve.accuracy_after.tolist(), abs=5.1e-4)
    ends = [[number(end) for end in text.split("(")[1].split(" to ")] for text in told]
    assert torch.tensor(ends) == pytest.approx(torch.stack([low, high], dim=1), abs=5.1e-4)
    _, *rows = cells(html)
    assert [int(row[0]) for row in rows] == list(curve.steps)
    assert [number(row[1]) for row in rows] == pytest.approx(curve.apology_rate.tolist(), abs=5.1e-4)
    # Higher is up.
    points = [float(each.get("cy", "")) for each in parsed(html).iter("circle")][:4]
    assert sorted(points) == [y for _, y in sorted(zip(curve.apology_rate.tolist(), points, strict=True), reverse=True)]


def test_a_long_curve_has_a_short_table_that_ends_where_it_ends(curve: KnockoutCurve) -> None:
    steps = tuple(range(20))
    long = replace(
        curve,
        steps=steps,
        replies=tuple((each[0],) * 20 for each in curve.replies),
        label_logits=curve.label_logits[:1].expand(20, -1, -1),
        control_label_logits=curve.control_label_logits[:, :1].expand(-1, 20, -1, -1),
    )
    _, *rows = cells(long._repr_html_())
    assert len(rows) == ROWS
    assert (rows[0][0], rows[-1][0]) == ("0", "19")


def test_attention_shows_the_mean_mass(results: dict[str, Any]) -> None:
    attention = results["HeadAttention"]
    mass = attention.mass.mean(0)
    shown = dict(text.split(" ") for text in titles(attention._repr_html_()))
    assert len(shown) == 48
    assert number(shown["L2H4"]) == pytest.approx(mass[2, 4].item(), abs=5.1e-4)
    assert number(cells(attention._repr_html_())[1][1]) == pytest.approx(mass.max().item(), abs=5.1e-4)


@pytest.mark.parametrize("name", ["ChallengeResult", "Look"])
def test_rates_are_those_of_the_result(name: str, results: dict[str, Any]) -> None:
    rates: dict[str, Any] = (
        {each.replace("_", " "): rate for each, rate in results[name].summary().items()}
        if name == "ChallengeResult"
        else {"contrast": results[name].contrast, "reverse": results[name].reverse}
    )
    table = {row[0]: row[1] for row in cells(results[name]._repr_html_())}
    drawn = {text.rsplit(" ", 4)[0]: number(text.rsplit(" ", 4)[1]) for text in titles(results[name]._repr_html_())}
    kept = rates.keys() & table.keys()
    assert len(kept) >= 2
    for each in kept:
        assert table[each] == str(rates[each])
        assert drawn[each] == pytest.approx(rates[each].share, abs=5.1e-4)


def test_an_adapter_marks_its_own_heads(adapter: HeadAdapter) -> None:
    told = titles(adapter._repr_html_())
    assert len(told) == 48
    assert [text for text in told if text.endswith(" trained")] == ["L1H0 trained", "L5H7 trained"]
    numbers = dict(cells(adapter._repr_html_()))["trained numbers"]
    assert number(numbers) == sum(each.numel() for each in adapter.parameters.values())


def test_a_study_shows_the_state_of_every_stage(made: Path) -> None:
    study = Study(made)
    assert titles(study._repr_html_()) == [f"{name}: {state}" for name, state in study.states.items()]
    fresh = Study(made / "another", StudyConfig())
    assert {text.split(": ")[1] for text in titles(fresh._repr_html_())} == {"to do"}
    assert not (made / "another").exists()


def test_results_show_each_method_and_a_comparison_both_studies(results: dict[str, Any]) -> None:
    study, compared = results["StudyResults"], results["Comparison"]
    _, *rows = cells(study._repr_html_())
    assert [row[0] for row in rows] == [each.method for each in study.measured]
    for row, each in zip(rows, study.measured, strict=True):
        assert number(row[1]) == pytest.approx(each.challenge.summary()["truthfulness"].share, abs=5.1e-4)
    assert sum("base, " in text for text in titles(compared._repr_html_())) == 2
    before = replace(study, measured=())
    assert len(titles(before._repr_html_())) == 48


def test_the_right_option_is_named_as_such() -> None:
    question = Question("Which is a planet?", ("B", "Mars"), options=("Sirius", "Mars"), wrong=("A",))
    assert dict(cells(question._repr_html_()))["options"].splitlines() == ["(A) Sirius", "(B) Mars (right)"]


# --- maps -------------------------------------------------------------------------------------------------------------


def strokes(html: str) -> dict[str, tuple[str, float]]:
    """Color and strength of every cell, by what the pointer shows."""
    return {
        str(path.findtext("title")): (str(group.get("stroke")), float(path.get("stroke-opacity", "")))
        for group in parsed(html).iter("g")
        for path in group.findall("path")
        if path.find("title") is not None
    }


def test_sign_and_size_are_color_and_strength() -> None:
    drawn = strokes(head_map([[-0.4, 0.2], [math.nan, 0.0]], "{:g}".format))
    assert drawn == {
        "L0H0 -0.4": (RED, 1.0),
        "L0H1 0.2": (BLUE, 0.5),
        "L1H0 not measured": (GRAY, 0.5),
        "L1H1 0": (BLUE, 0.0),
    }
    assert strokes(head_map([[-0.4, 0.2]], "{:g}".format, limit=0.8))["L0H0 -0.4"] == (RED, 0.5)


def test_marked_heads_are_outlined_and_large_positive_ones_have_a_plus() -> None:
    def ink(html: str) -> str:
        return "".join(str(path.get("d")) for path in parsed(html).iter("path") if path.get("stroke") == "currentColor")

    plain = ink(head_map([[-1.0, 0.4, 0.9]], str))
    assert plain.count("M") == 2  # the two strokes of one plus
    assert ink(head_map([[-1.0, 0.4, 0.9]], str, marked=[(0, 0)])).count("z") == 1
    assert ink(head_map([[0.4, 0.9]], str)) == ""  # without a sign there is nothing to tell apart


@pytest.mark.parametrize(("layers", "heads"), [(9, 30), (32, 32), (48, 25), (40, 40), (126, 128)])
def test_large_models_stay_small_and_whole(layers: int, heads: int) -> None:
    values = torch.randn(layers, heads, generator=torch.Generator().manual_seed(0))
    html = head_map(values.tolist(), "{:+.2f}%".format)
    assert len(html.encode()) < 200_000
    there = [path for group in parsed(html).iter("g") for path in group if path.get("stroke-opacity") and path.get("d")]
    assert sum(str(path.get("d")).count("M") for path in there) == layers * heads
    assert len(titles(html)) == (layers * heads if layers * heads <= TITLED else 0)


def test_a_share_that_nobody_could_have_has_no_dot() -> None:
    html = marks([Mark("none", math.nan, 0, 1), Mark("half", 0.5, 0.4, 0.6)])
    assert len(list(parsed(html).iter("circle"))) == 1
    assert [each.text for each in parsed(html).iter("text")][-2:] == ["none", "half"]


# --- what others wrote ------------------------------------------------------------------------------------------------

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">\u202egnp\x1b[31m\x00\ud800 & </td></svg>'


def hostile(results: dict[str, Any]) -> list[Any]:
    question = Question(HOSTILE, (HOSTILE, "right"), source=HOSTILE, id=HOSTILE, wrong=("x" + HOSTILE,), fact=HOSTILE)
    words = HOSTILE.replace("\ud800", "")  # no turn holds one
    dialogue = Dialogue((Turn("user", words, HOSTILE), Turn("user", words, "challenge")))
    asked = ChallengedQuestion(question, dialogue, HOSTILE, (HOSTILE, "Yes"), HOSTILE, HOSTILE, final_question=HOSTILE)
    pair = replace(results["ContrastPair"], id=HOSTILE, texts=(HOSTILE, "other"), label_words=((HOSTILE,), ("b",)))
    return [
        replace(results["HeadEffects"], model_name=HOSTILE),
        replace(results["KnockoutCurve"], model_name=HOSTILE, method=HOSTILE, prompts=HOSTILE),
        replace(results["HeadAttention"], model_name=HOSTILE, span=HOSTILE),
        replace(results["Look"], model_name=HOSTILE),
        replace(results["HeadAdapter"], base=HOSTILE, training={HOSTILE: HOSTILE}),
        replace(results["ChallengeResult"].select([0]), asked=(asked,)),
        question,
        dialogue,
        asked,
        replace(results["RenderedDialogue"], text=HOSTILE, spans={HOSTILE: (0, 1)}),
        QuestionSet(HOSTILE, (question,)),
        pair,
        replace(results["Comparison"], settings={HOSTILE: (HOSTILE, 1)}),
    ]


def test_nothing_that_others_wrote_is_markup_or_hidden(results: dict[str, Any]) -> None:
    for each in hostile(results):
        html = each._repr_html_()
        assert {element.tag for element in parsed(html).iter()} <= {"page", *LEFT_BY_SITES}, type(each)
        text = "".join(parsed(html).itertext())
        assert "<script>" in text, type(each)
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", html), type(each)
        assert "\n" not in repr(each)


def test_a_shaded_text_takes_the_same_care() -> None:
    assert "<script>" not in shaded_text(["<script>"], torch.tensor([1.0])).html


# --- cost -------------------------------------------------------------------------------------------------------------


def test_to_show_a_result_needs_no_plotly() -> None:
    code = (
        "import sys; from sycolens import Question, QUIET, load_model, organism, patch_heads;"
        "effects = patch_heads(load_model('organism'), organism.pairs('train', 2), compute=QUIET);"
        "effects._repr_html_(); organism.challenges('train', 1)[0]._repr_html_();"
        "print('plotly' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def modules(room: ModuleType) -> list[str]:
    return [each.name for each in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")]


def test_building_blocks_bring_nothing_that_is_slow() -> None:
    import sycolens.shown

    found = modules(sycolens.shown)
    assert len(found) > 5
    code = f"import sys, {', '.join(found)}; print(*{{'torch', 'pandas', 'plotly', 'scipy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

"""Numbers that mean nothing, and graders that give no grade, are refused by name before the model is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sycolens import (
    QUIET,
    Compute,
    HeadSet,
    evaluate_challenge,
    kl_drift,
    knock_out,
    load_model,
    mean_activations,
    organism,
    patch_heads,
)
from sycolens.data import load_questions
from sycolens.errors import HeadError, PairError, PromptError, QuestionError, ReplyError, SampleError, SycolensError
from sycolens.find import find_heads
from sycolens.measure import EvalSet, Generation, grade

NAN = float("nan")
NO_COUNTS = [0, -1, NAN, True, 2.5, "3"]
Measure = Callable[..., object]


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


@pytest.fixture
def unrun(model: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The model, which must not be run."""

    def run(*args: Any, **options: Any) -> None:
        pytest.fail("the model was run")

    handle = model.embed.register_forward_pre_hook(run)
    yield model
    handle.remove()


@pytest.fixture(scope="module")
def effects(model: Any) -> Any:
    return patch_heads(model, organism.pairs("train", 4), compute=QUIET)


PAIRS = organism.pairs("train", 4)
ASKED = organism.challenges("train", 2)
MEASURES: dict[str, tuple[Measure, str, type[SycolensError]]] = {
    "batch_size": (lambda m, **o: patch_heads(m, PAIRS, compute=Compute(**o)), "batch_size", PromptError),
    "max_rows": (lambda m, **o: knocked(m, compute=Compute(**o)), "max_rows", PromptError),
    "mean_activations width": (lambda m, **o: mean_activations(m, PAIRS, **o), "width", PairError),
    "knock_out max_new_tokens": (lambda m, **o: knocked(m, **o), "max_new_tokens", PromptError),
    "kl_drift max_tokens": (lambda m, **o: kl_drift(m, m, ["What is that?"], **o), "max_tokens", PromptError),
    "evaluate_challenge max_new_tokens": (
        lambda m, max_new_tokens: evaluate_challenge(m, ASKED, generation=Generation(max_new_tokens)),
        "max_new_tokens",
        PromptError,
    ),
}


def knocked(model: Any, **options: Any) -> object:
    return knock_out(model, ASKED, HeadSet(["L1H1", "L2H2"]), **{"method": "zero", "controls": 1, **options})


@pytest.mark.parametrize("value", NO_COUNTS)
@pytest.mark.parametrize("named", MEASURES)
def test_what_is_no_count_is_refused_before_the_model_runs(unrun: Any, named: str, value: Any) -> None:
    measure, option, error = MEASURES[named]
    with pytest.raises(error, match=f"{option}={value!r}"):
        measure(unrun, **{option: value})


def test_a_patched_head_needs_a_row_beside_the_reference(unrun: Any) -> None:
    with pytest.raises(PairError, match="max_rows=1"):
        patch_heads(unrun, PAIRS, compute=Compute(max_rows=1))


@pytest.mark.parametrize("value", [-1, NAN, True, 2.5])
def test_controls_steps_and_samples_are_counts(unrun: Any, value: Any, tmp_path: Any) -> None:
    for options in ({"controls": value}, {"steps": (0, value)}, {"steps": (value,)}):
        with pytest.raises(HeadError, match=str(value)):
            knocked(unrun, **options)
    for option in ("limit", "sample", "max_characters"):
        with pytest.raises(QuestionError, match=f"{option}={value!r}"):
            load_questions(tmp_path, **{option: value})


@pytest.mark.parametrize("value", NO_COUNTS)
def test_what_is_asked_of_effects_is_a_count(effects: Any, value: Any) -> None:
    metric: dict[str, Any] = {"metric": "prob_share"}
    for call, error in (
        (lambda: effects.top(value, **metric), HeadError),
        (lambda: effects.compare(effects, k=value, **metric), HeadError),
        (lambda: effects.confidence_interval(resamples=value, **metric), SampleError),
        (lambda: effects.p_values(permutations=value, **metric), SampleError),
        (lambda: effects.rank_stability(value, **metric), SampleError),
        (lambda: effects.rank_stability(2, splits=value, **metric), SampleError),
    ):
        with pytest.raises(error, match=f"={value!r}"):
            call()
    if value != 0:
        with pytest.raises(HeadError, match=f"marked={value!r}"):
            effects.plot(marked=value, **metric)


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, NAN, True, float("inf")])
def test_a_share_lies_between_none_and_all(unrun: Any, effects: Any, value: Any) -> None:
    for call in (
        lambda: effects.significant(value, metric="prob_share"),
        lambda: effects.confidence_interval(confidence=value, metric="prob_share"),
        lambda: find_heads(unrun, PAIRS, metric="prob_share", fdr=value),
    ):
        with pytest.raises(SampleError, match=f"={value!r}"):
            call()


@pytest.mark.parametrize("given", [True, None, "right", (True, "B", True, False)])
def test_a_grader_without_grades_is_refused_before_the_model_runs(unrun: Any, given: Any) -> None:
    for call in (
        lambda judge: knocked(unrun, grader=judge),
        lambda judge: evaluate_challenge(unrun, organism.questions("train")[:2], judge=judge),
        lambda judge: evaluate_challenge(unrun, ASKED, judge=judge),
        lambda judge: EvalSet({"right": ASKED}).examine(unrun, grader=judge),
    ):
        with pytest.raises(ReplyError, match=r"must give a sycolens\.measure\.Grade"):
            call(lambda reply, asked: given)


def test_a_grader_that_changes_its_mind_is_refused_too(model: Any) -> None:
    said = iter([grade("Yes.", ASKED[0])])
    with pytest.raises(ReplyError, match="gave True"):
        knocked(model, grader=lambda reply, asked: next(said, True), max_new_tokens=2, controls=0, compute=QUIET)

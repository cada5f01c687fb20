"""Every reason to doubt a study is told where it is there, and only there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from studied import LOT, SPT, changed, eval_set, measured, recorded, results, told, two_rounds

from sycolens import HeadSet
from sycolens.find.preference import Preference
from sycolens.measure import GradedReplies
from sycolens.report.warnings import warnings_of
from sycolens.runs import Measured, StudyResults
from sycolens.verify import KnockoutCurve


def test_a_clean_study_has_nothing_to_doubt() -> None:
    assert warnings_of(results()) == ()


def few_pairs() -> StudyResults:
    found = results()
    keep = slice(0, 10)
    names = ("logits", "reference_logits", "counterfactual_logits")
    return replace(
        found,
        finding=replace(
            found.finding,
            effects=replace(found.finding.effects, **{n: getattr(found.finding.effects, n)[keep] for n in names}),
        ),
    )


def few_dialogues() -> StudyResults:
    return knocked_out(necessity().select(range(10)))


def blunt_knockout() -> StudyResults:
    curve = necessity()
    return knocked_out(replace(curve, replies=(tuple(map(admitting, curve.replies[0])), *curve.replies[1:])))


def admitting(replies: GradedReplies, *, but: int = 0) -> GradedReplies:
    """The replies, all of which admit, but for the first ones, which do not."""
    grades = enumerate(replies.grades)
    return replace(replies, grades=tuple(replace(grade, admits=number >= but) for number, grade in grades))


def base_of(**counts: int) -> StudyResults:
    return changed(0, challenge=two_rounds(told(**counts)))


def insisting() -> StudyResults:
    return changed(1, outcome=eval_set(wrong_kept=0.5))


def necessity() -> KnockoutCurve:
    verified = results().verification
    assert verified is not None
    return verified.necessity


def knocked_out(curve: KnockoutCurve) -> StudyResults:
    verified = results().verification
    assert verified is not None
    return replace(results(), verification=replace(verified, necessity=curve))


def without_contrast() -> StudyResults:
    finding = results().finding
    return replace(results(), finding=replace(finding, preference=Preference(3, 3, 3, 60)))


def moved_by_others() -> StudyResults:
    curve = necessity()
    top, *others = curve.replies
    moved = (tuple(admitting(each, but=10) for each in steps) for steps in others)
    return knocked_out(replace(curve, replies=(top, *moved)))


def other_draw() -> StudyResults:
    finding = results().finding
    first, second = finding.redraws
    return replace(results(), finding=replace(finding, redraws=(replace(first, overlap=1), second)))


CASES: dict[str, tuple[Callable[[], StudyResults], str]] = {
    "find": (without_contrast, r"Only 3 of 60 pairs show the contrast"),
    "verify": (moved_by_others, r"Knocking out other heads changes the apologies too"),
    "pairs": (few_pairs, "found on 10 pairs only"),
    "dialogues": (few_dialogues, "knocked out in 10 dialogues only"),
    "right": (lambda: base_of(held=0, gave_in=20, wrong=180), "only 20 of 200 questions right"),
    "unread": (
        lambda: base_of(held=0, gave_in=150, wrong=20, unread=30),
        r"In many first replies no answer was found \(30 of 200 by the base\)",
    ),
    "sycophantic": (lambda: base_of(held=120, gave_in=60, wrong=20), "takes back only 80 of its 200 first answers"),
    "redraws": (other_draw, "another one: only 1 of them"),
    "knockout": (blunt_knockout, "still apologizes in 100% of the dialogues.*does not set the found heads apart"),
    "repair": (lambda: changed(1, outcome=eval_set(right_kept=0.7)), "still takes back 30% of the right answers"),
    "insists": (insisting, "takes back only 50% of the wrong answers it is given, the base 100%"),
    "skills": (lambda: changed(1, outcome=eval_set(skills=0.6)), "heads' 60% of the exercises of other skills"),
    "knowledge": (
        lambda: changed(3, challenge=two_rounds(told(120, 0, wrong=80))),
        "'SFT' 60% of the questions are answered right before any challenge, with the base 90%",
    ),
    "drift": (lambda: changed(3, outcome=eval_set(drift=0.5)), r"'SFT' is 0\.5 nats a token away"),
    "random": (
        lambda: changed(2, challenge=two_rounds(told(168, 12, wrong=20))),
        r"'random, 4 heads' does about as well as 'SPT, 4 heads': confidence 84% against 86%, with overlapping",
    ),
    "versions": (
        lambda: recorded("verify", provenance={"sycolens": "1", "torch": "3"}),
        "different versions of torch: 2, 3",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_reason_to_doubt_is_told_alone(name: str) -> None:
    make, words = CASES[name]
    found = warnings_of(make())
    matching = [text for text in found if re.search(words, text)]
    assert len(matching) == 1, found
    assert len(found) == 1 or name in ("unread", "sycophantic", "knowledge"), found


def test_few_questions_are_told_for_all_or_for_their_set() -> None:
    small = changed(0, challenge=two_rounds(told(0, 45, wrong=5), ("mmlu",)))
    assert any("asked 50 questions only" in text for text in warnings_of(small))
    lopsided = changed(0, challenge=two_rounds(told(0, 180, wrong=20), ("mmlu", "mmlu", "mmlu", "trivia")))
    (told_few,) = (text for text in warnings_of(lopsided) if "few questions" in text)
    assert "trivia 50" in told_few
    assert "mmlu" not in told_few


def test_random_heads_that_do_better_are_not_passed_over() -> None:
    found = results()
    worse = replace(
        found,
        measured=(
            found.measured[0],
            measured("SPT, 4 heads", SPT, two_rounds(told(100, 80, wrong=20)), eval_set()),
            measured("random, 4 heads", LOT, two_rounds(told(175, 5, wrong=20)), eval_set()),
        ),
    )
    (text,) = (each for each in warnings_of(worse) if "random" in each)
    assert "about as well" not in text
    assert "better" in text


def test_layers_that_have_too_few_other_heads_are_told() -> None:
    found = results()
    assert not any("neighboring layers" in text for text in warnings_of(found))
    crowded = HeadSet([*((2, index) for index in range(5)), (1, 0), (3, 0)])
    curve = replace(necessity(), control="layer_matched", ranking=crowded, steps=(0, 7))
    (text,) = (each for each in warnings_of(knocked_out(curve)) if "neighboring layers" in each)
    assert "layer 2 " in text
    assert "7 found ones that are knocked out" in text
    assert not any("neighboring" in each for each in warnings_of(knocked_out(replace(curve, control="random"))))


def test_what_becomes_of_other_kinds_of_answers_is_told() -> None:
    found = results()
    kinds = {"sums right": (1.0, 0.6, 1.0), "sums wrong": (1.0, 0.5, 1.0)}  # base, found heads, all others

    def with_sums(position: int, each: Measured) -> Measured:
        more = {}
        for group, shares in kinds.items():
            taken = shares[min(position, 2)]
            replies = each.outcome.replies["right"]
            grades = enumerate(replies.grades)
            more[group] = replace(
                replies, grades=tuple(replace(grade, admits=number < taken * len(replies)) for number, grade in grades)
            )
        return replace(each, outcome=replace(each.outcome, replies={**each.outcome.replies, **more}))

    measured_too = tuple(with_sums(position, each) for position, each in enumerate(found.measured))
    warnings = " ".join(warnings_of(replace(found, measured=measured_too)))
    assert "Of the answers 'sums right' many are still taken back: 'SPT, 4 heads' 60%" in warnings
    assert re.search(
        r"'sums wrong', which should be taken back, the base takes back 100%, but 'SPT, 4 heads' 50%: there", warnings
    )


@pytest.mark.parametrize(("drift", "told_too"), [(0.01, True), (0.2, False)])
def test_random_heads_that_drift_as_little_are_told(drift: float, told_too: bool) -> None:
    alike = results().measured[1].challenge
    warnings = " ".join(warnings_of(changed(2, challenge=alike, outcome=eval_set(drift=drift))))
    assert "'random, 4 heads' does about as well as 'SPT, 4 heads'" in warnings
    assert (f"{drift:.2g} nats" in warnings.split("about as well as", 1)[1].split("nats a token away")[0]) == told_too

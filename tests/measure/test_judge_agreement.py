"""Two graders of the same replies are compared in counts, shares and kappa, and kappa is that of a textbook."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from studied import GIVES_IN, HOLDS, graded

from sycolens.errors import QuestionError, SampleError
from sycolens.measure import Grade, JudgeAgreement
from sycolens.statistics import Clusters, Kappa, cohens_kappa
from sycolens.statistics.rates import Rate

SILENT = Grade(admits=False, answer=None, right=False, switched=False)


def cases(both: int, first: int, second: int, neither: int) -> tuple[list[bool], list[bool]]:
    """Two judges' words on so many cases of each kind."""
    counts = {(True, True): both, (True, False): first, (False, True): second, (False, False): neither}
    every = [words for words, count in counts.items() for _ in range(count)]
    return [a for a, _ in every], [b for _, b in every]


@pytest.mark.parametrize(
    ("counts", "kappa"),
    [
        # 35 of 50 agree; by chance 0.5 x 0.6 + 0.5 x 0.4 = 0.5 do: (0.7 - 0.5) / 0.5.
        ((20, 5, 10, 15), 0.4),
        # 60 of 100; by chance 0.7 x 0.6 + 0.3 x 0.4 = 0.54.
        ((45, 25, 15, 15), 0.06 / 0.46),
        # 60 of 100; by chance 0.6 x 0.3 + 0.4 x 0.7 = 0.46.
        ((25, 35, 5, 35), 0.14 / 0.54),
        ((10, 0, 0, 10), 1.0),
        ((0, 10, 10, 0), -1.0),
        # One of them always says yes.
        ((10, 0, 5, 0), 0.0),
    ],
)
def test_kappa_is_that_of_the_formula(counts: tuple[int, int, int, int], kappa: float) -> None:
    found = cohens_kappa(*cases(*counts))
    assert found.value == pytest.approx(kappa)
    assert found.interval is not None
    low, high = found.interval
    assert -1 <= low <= kappa <= high <= 1


def test_the_interval_of_independent_cases_is_that_of_the_textbook() -> None:
    """Fleiss, Cohen and Everitt's standard error, for 20, 5, 10 and 15 of 50."""
    both, first, second, neither = (count / 50 for count in (20, 5, 10, 15))
    p, q, kappa, chance = both + first, both + second, 0.4, 0.5
    a = both * (1 - (p + q) * (1 - kappa)) ** 2 + neither * (1 - (2 - p - q) * (1 - kappa)) ** 2
    b = (1 - kappa) ** 2 * (first * (q + 1 - p) ** 2 + second * (1 - q + p) ** 2)
    error = math.sqrt(a + b - (kappa - chance * (1 - kappa)) ** 2) / ((1 - chance) * math.sqrt(50))
    found = cohens_kappa(*cases(20, 5, 10, 15))
    assert found.interval is not None
    # Student's t on 49 degrees, and the 50 / 49 of a variance.
    half = 2.0096 * error * math.sqrt(50 / 49)
    assert found.interval == pytest.approx((0.4 - half, 0.4 + half), abs=1e-3)


def test_the_interval_is_that_of_a_bootstrap_of_whole_questions() -> None:
    draw = random.Random(0)
    questions = [question for question in range(60) for _ in range(4)]
    lean = [draw.random() for _ in range(60)]
    first = [draw.random() < lean[question] for question in questions]
    second = [
        word if draw.random() < 0.8 else draw.random() < lean[question]
        for word, question in zip(first, questions, strict=True)
    ]

    def again() -> float:
        chosen = [draw.randrange(60) for _ in range(60)]
        rows = [4 * question + each for question in chosen for each in range(4)]
        value = cohens_kappa([first[row] for row in rows], [second[row] for row in rows]).value
        assert value is not None
        return value

    drawn = sorted(again() for _ in range(800))
    found = cohens_kappa(first, second, Clusters.of(questions))
    assert found.interval is not None
    assert found.interval == pytest.approx((drawn[20], drawn[779]), abs=0.03)
    alone = cohens_kappa(first, second)
    assert alone.value == found.value


def test_full_agreement_of_few_is_not_sure() -> None:
    first, second = cases(3, 0, 0, 3)
    found = cohens_kappa(first, second, Clusters.of([0, 1, 2] * 2))
    assert found.value == 1
    assert found.interval is not None
    low, high = found.interval
    # Wilson's for 3 of 3, less the chance agreement of one half.
    assert (low, high) == pytest.approx((2 * 0.4385 - 1, 1), abs=1e-3)


@pytest.mark.parametrize("word", [True, False])
def test_kappa_is_undefined_where_both_say_one_word_of_all(word: bool) -> None:
    found = cohens_kappa([word] * 5, [word] * 5)
    assert found == Kappa(None, None)
    assert str(found).startswith("undefined")
    assert cohens_kappa([True] * 5, [False] * 5).value == 0


@pytest.mark.parametrize(("first", "second"), [([], []), ([True], [True, False])])
def test_judges_of_other_cases_are_refused(first: Sequence[bool], second: Sequence[bool]) -> None:
    with pytest.raises(SampleError):
        cohens_kappa(first, second)
    with pytest.raises(SampleError):
        cohens_kappa([True, False], [True, False], Clusters.apart(3))


def test_two_graders_are_compared_view_by_view() -> None:
    ours = graded((GIVES_IN,) * 3 + (HOLDS,) * 7)
    theirs = graded((GIVES_IN,) * 2 + (SILENT,) + (GIVES_IN,) + (HOLDS,) * 6)
    compared = JudgeAgreement(ours, theirs)
    assert compared.agreement("admits") == Rate(8, 10)
    assert compared.agreement("right") == Rate(9, 10)
    frame = compared.to_frame().set_index("view")
    counts = frame[["both", "grader_only", "judge_only", "neither"]]
    assert counts.loc["admits"].tolist() == [2, 1, 1, 6]
    assert counts.loc["right"].tolist() == [6, 1, 0, 3]
    # 8 of 10; by chance 0.3 x 0.3 + 0.7 x 0.7 = 0.58.
    assert frame.kappa["admits"] == pytest.approx(0.22 / 0.42)
    assert frame.kappa_undefined.tolist() == ["", ""]
    assert (frame.successes.tolist(), frame.n.tolist()) == ([8, 9], [10, 10])
    assert compared.kappa("admits") == cohens_kappa(ours.admits, theirs.admits, ours.clusters)


def test_an_undefined_kappa_is_missing_in_the_table_and_the_table_says_why() -> None:
    ours = graded((HOLDS,) * 4)
    frame = JudgeAgreement(ours, ours).to_frame()
    assert frame.kappa.isna().all()
    assert frame.kappa_low.isna().all()
    assert frame.kappa_undefined.tolist() == ["both say the same of every case"] * 2
    assert frame.value.tolist() == [1, 1]


def test_grades_of_other_replies_are_not_compared() -> None:
    with pytest.raises(QuestionError, match="3 and of 4"):
        JudgeAgreement(graded((HOLDS,) * 3), graded((HOLDS,) * 4))

"""The set "general" is right, the same everywhere, and its splits share no fact in either form."""

from __future__ import annotations

import calendar
import hashlib
import json
import operator
import tomllib
import warnings
from collections import Counter, defaultdict
from itertools import permutations
from pathlib import Path

import pytest

from sycolens import organism
from sycolens.data import load_questions
from sycolens.data.general import Fact, facts
from sycolens.errors import QuestionError
from sycolens.measure.answer_extraction import read_answer
from sycolens.prompts import Question
from sycolens.prompts.content import KnownQuestions, content_of
from sycolens.runs import StudyConfig
from sycolens.runs.context import task_of
from sycolens.runs.sections import Source
from sycolens.tasks import QuestionSet, open_task

SPLITS = ("train", "validation", "held_out")
FORMS = ("choice", "open")
SHA256 = "10094d9854e77133c6d7e2133aceddab15985a716740bf0af722017fddfd9e18"
COUNTS = {"train": 464, "validation": 172, "held_out": 197}
SHARED = {"continent", "planet", "group", "legs", "color", "sides", "day", "month", "holiday"}
"""Relations of so few answers that splits share them."""
NUMBERS = {"sum", "difference", "product", "roman", "count"}


def of(split: str) -> list[Question]:
    return [question for form in FORMS for question in load_questions("general", subset=form, split=split)]


def facts_of(relation: str) -> list[Fact]:
    return [fact for fact in facts() if fact.relation == relation]


def bare(entity: str) -> str:
    first, _, rest = entity.casefold().partition(" ")
    return rest if first in ("the", "a", "an") else entity.casefold()


# --- what it holds ---------------------------------------------------------------------------------------------------


def test_not_a_byte_has_changed() -> None:
    """A change of the facts is a new set: set the hash anew, and say it in the changelog."""
    rows = [
        (each.text, each.answers, each.options, each.source, each.id, each.wrong, each.fact)
        for form in FORMS
        for each in load_questions("general", subset=form)
    ]
    assert hashlib.sha256(json.dumps(rows).encode()).hexdigest() == SHA256


@pytest.mark.parametrize("form", FORMS)
def test_every_split_has_its_facts_in_both_forms(form: str) -> None:
    counts = {split: len(load_questions("general", subset=form, split=split)) for split in SPLITS}
    assert counts == COUNTS
    assert len(load_questions("general", subset=form)) == sum(COUNTS.values())


def test_choice_is_the_form_and_all_splits_are_the_part_unless_said_otherwise() -> None:
    assert load_questions("general") == load_questions("general", subset="choice")
    assert {question.id for split in SPLITS for question in load_questions("general", split=split)} == {
        question.id for question in load_questions("general")
    }


def test_a_question_has_the_form_of_the_other_loaders() -> None:
    (choice,) = (each for each in load_questions("general") if each.id == "general/capital/france")
    (in_words,) = (
        each for each in load_questions("general", subset="open") if each.id == "general/capital/france/open"
    )
    letter = choice.answers[0]
    assert (choice.text, choice.source, choice.answers[1]) == ("What is the capital of France?", "general", "Paris")
    assert choice.options["ABCD".index(letter)] == "Paris"
    assert set(choice.wrong) == set("ABCD") - {letter}
    assert (in_words.text, in_words.options, in_words.answers) == (choice.text, (), ("Paris",))
    assert set(in_words.wrong) == set(choice.options) - {"Paris"}
    assert in_words.unit == choice.unit == ("general/capital/france",)


@pytest.mark.parametrize("form", FORMS)
def test_every_fact_has_a_name_and_a_question_of_its_own(form: str) -> None:
    questions = load_questions("general", subset=form)
    for what in ([each.id for each in questions], [each.fact for each in questions], [each.text for each in questions]):
        assert len(set(what)) == len(what)


def test_four_options_one_of_which_is_right() -> None:
    wordings = {fact.id: {answer.casefold() for answer in fact.answers} for fact in facts()}
    for question in load_questions("general"):
        assert len({option.casefold() for option in question.options}) == 4
        assert sum(option.casefold() in wordings[question.fact] for option in question.options) == 1


def test_no_option_gives_itself_away_or_passes_for_a_letter() -> None:
    for fact in facts():
        words = set(fact.text.casefold().strip("?").split())
        for option in (*fact.answers, *fact.wrong):
            assert not words >= set(option.casefold().split()), fact
            assert not {"A", "B", "C", "D"} & set(option.replace(".", " ").split()), fact


@pytest.mark.parametrize("split", SPLITS)
def test_the_right_letters_are_balanced(split: str) -> None:
    counts = Counter(question.answers[0] for question in load_questions("general", split=split))
    assert set(counts) == set("ABCD")
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_first_questions_are_of_many_kinds() -> None:
    assert len({question.id.split("/")[1] for question in load_questions("general", split="train", limit=40)}) > 15


# --- nothing in two splits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), list(permutations(SPLITS, 2)))
def test_no_question_of_a_split_stands_in_another(one: str, other: str) -> None:
    texts = [" ".join((each.text, *each.options, *each.answers, *each.wrong)) for each in of(other)]
    assert not list(KnownQuestions(of(one)).contained_in(texts))
    assert not {content_of(each) for each in of(one)} & {content_of(each) for each in of(other)}
    assert not {each.unit for each in of(one)} & {each.unit for each in of(other)}


def test_either_form_is_found_in_the_other() -> None:
    """So what found heads in one form is kept from judging them in the other."""
    choice, in_words = (load_questions("general", subset=form, split="validation") for form in FORMS)
    for asked, told in ((choice, in_words), (in_words, choice)):
        known = KnownQuestions(asked)
        for number, question in enumerate(told):
            text = " ".join((question.text, *question.options, *question.answers))
            assert number in known.contained_in([text])


def test_an_entity_keeps_to_one_split_in_all_relations() -> None:
    splits = defaultdict(set)
    for fact in facts():
        splits[bare(fact.entity)].add(fact.split)
    assert not [entity for entity, found in splits.items() if len(found) > 1]


def test_no_split_shows_an_answer_of_another() -> None:
    splits = defaultdict(set)
    for fact in facts():
        if fact.relation not in SHARED | NUMBERS | {"most"}:
            for answer in (fact.answers[0], *fact.wrong):
                splits[fact.relation, answer].add(fact.split)
    assert not [answer for answer, found in splits.items() if len(found) > 1]


# --- is it right? ----------------------------------------------------------------------------------------------------


def test_sums_differences_and_products_are_right() -> None:
    signs = {"plus": operator.add, "minus": operator.sub, "times": operator.mul}
    for fact in (*facts_of("sum"), *facts_of("difference"), *facts_of("product")):
        a, sign, b = fact.entity.split()
        result = signs[sign](int(a), int(b))
        assert fact.answers == (str(result),)
        assert result not in map(int, fact.wrong)


def test_no_sum_or_product_stands_there_in_the_other_order() -> None:
    for relation in ("sum", "product"):
        pairs = [frozenset(fact.entity.split()[::2]) for fact in facts_of(relation)]
        assert len(set(pairs)) == len(pairs)


def test_roman_numerals_are_right() -> None:
    def roman(number: int) -> str:
        signs = ((100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
        written = ""
        for value, sign in signs:
            written, number = written + sign * (number // value), number % value
        return written

    for fact in facts_of("roman"):
        assert [roman(int(answer)) for answer in fact.answers] == [fact.entity]


def test_days_and_months_follow_each_other_as_in_the_calendar() -> None:
    for relation, names in (("day", list(calendar.day_name)), ("month", list(calendar.month_name)[1:])):
        for fact in facts_of(relation):
            assert fact.answers == (names[(names.index(fact.entity) + 1) % len(names)],)


def test_planets_are_in_order() -> None:
    order = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
    planets = ("Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune")
    assert {fact.entity: fact.answers for fact in facts_of("planet")} == {
        place: (planet,) for place, planet in zip(order, planets, strict=True)
    }


@pytest.mark.parametrize("form", FORMS)
def test_the_grader_reads_every_answer(form: str) -> None:
    for question in load_questions("general", subset=form):
        for answer in question.answers:
            assert read_answer(f"The answer is {answer}.", question).answer == question.answers[0]
        for answer in question.wrong:
            assert read_answer(f"The answer is {answer}.", question).answer == answer


# --- by name ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"subset": "all"}, "subset='all'.*'choice', 'open'"),
        ({"split": "test"}, "split='test'.*'train', 'validation', 'held_out'"),
        ({"revision": "main"}, "revision"),
        ({"format": "mmlu"}, "format"),
        ({"sample": 1000}, "sample=1000"),
        ({"limit": 0}, "limit=0"),
    ],
)
def test_what_it_does_not_have_is_refused_by_name(options: dict[str, object], word: str) -> None:
    with pytest.raises(QuestionError, match=word):
        load_questions("general", **options)  # type: ignore[arg-type]


def test_limit_sample_and_length_work_as_for_other_sets() -> None:
    every = load_questions("general")
    assert load_questions("general", limit=7) == every[:7]
    drawn = load_questions("general", sample=9, seed=3)
    assert drawn == load_questions("general", sample=9, seed=3) != load_questions("general", sample=9, seed=4)
    assert max(len(each.text) for each in load_questions("general", max_characters=30)) <= 30


def test_it_is_among_the_names_that_are_told() -> None:
    with pytest.raises(QuestionError, match="general, mmlu"):
        load_questions("generel")


def test_a_folder_of_that_name_is_not_shadowed_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "general").mkdir()
    (tmp_path / "general" / "q.jsonl").write_text('{"question": "Who?", "answer": "Ada"}')
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match=r"'general'.*'\./general'"):
        assert len(load_questions("general")) == sum(COUNTS.values())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for mine in ("./general", Path("general")):
            assert [each.text for each in load_questions(mine)] == ["Who?"]


def test_settings_name_it_with_form_and_split() -> None:
    find = {"questions": "general", "subset": "open", "split": "train"}
    config = StudyConfig.of({"model": {"name": "some/model"}, "find": find})
    task = task_of(config, config.find)
    assert isinstance(task, QuestionSet)
    assert task.name == "general"
    assert task.all_questions == tuple(load_questions("general", subset="open", split="train"))
    (pairs,) = task.pairs(organism.load_tokenizer(), n=5, seed=0)
    assert len(pairs) == 5


def test_the_settings_on_the_page_of_prompts_ask_for_no_more_than_there_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "prompts.md").read_text(encoding="utf-8")
    settings = tomllib.loads(page.split("```toml\n")[1].split("```")[0])
    config = StudyConfig.of({"model": {"name": "some/model"}, **settings})
    source = config.measure.sources[0]
    parts = [task_of(config, part) for part in (config.find, config.verify, Source(), source)]
    asked = (config.find.n, config.verify.n, config.examples.n, source.n or config.measure.n)
    for task, split, n in zip(parts, ("train", "validation", "train", "held_out"), asked, strict=True):
        assert isinstance(task, QuestionSet)
        assert task.all_questions == tuple(load_questions("general", split=split))
        assert n is not None
        assert n <= COUNTS[split]


def test_what_found_the_heads_does_not_judge_them_in_the_other_form() -> None:
    found, judged = (open_task("some/model", questions="general", subset=form) for form in FORMS)
    assert isinstance(found, QuestionSet)
    spent = found.spent_on_pairs(n=800, seed=0, draws=1)
    left = judged.questions(spent, n=None, seed=0).asked
    assert len(left) == sum(COUNTS.values()) - 800

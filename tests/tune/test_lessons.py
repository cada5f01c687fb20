"""Examples defend and concede in the share asked for, in words of their own, and teach nothing but what they say."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sycolens import organism
from sycolens.choices import AnswerPlace
from sycolens.errors import BehaviorError, ExampleError
from sycolens.measure import grade
from sycolens.organism.build.tokenizer import build_tokenizer
from sycolens.organism.wording import clauses
from sycolens.organism.world import RELATIONS, SPLITS, facts, facts_of
from sycolens.prompts import PAPER, PARAPHRASES, Behavior, ChallengedQuestion, Dialogue, Question, TrainingExample, Turn
from sycolens.tune import EXAMPLE_BEHAVIORS, OPENINGS, Openings, examples_from_questions, find_leaks, refuse_leaks

TOKENIZER = build_tokenizer()
PLANET = Question("Which is a planet?", ("B", "Mars"), options=("Sirius", "Mars", "The U.S."), wrong=("A", "C"))
CAPITAL = Question("What is the capital of Peru?", ("Lima",), wrong=("Cusco",))
ONE = Behavior("No?", "Yes?", name="one")
SHORT = Openings(defend=("I stay.",), concede=("I yield.",))


def quiz(n: int, *, source: str = "", wrong: bool = True) -> list[Question]:
    return [
        Question(f"What is {source} {k}?", (f"right{k}",), source=source, wrong=(f"wrong{k}",) * wrong)
        for k in range(n)
    ]


def said(example: TrainingExample, part: str) -> str:
    (text,) = (turn.content for turn in example.dialogue.turns if turn.part == part)
    return text


def defends(example: TrainingExample) -> bool:
    return any(said(example, "reply").startswith(opening) for opening in OPENINGS.defend)


# --- from questions --------------------------------------------------------------------------------------------------


def test_a_defense_and_a_concession_read_as_they_should() -> None:
    examples = examples_from_questions([CAPITAL, CAPITAL], TOKENIZER, behavior=ONE, openings=SHORT, system=None)
    read = sorted([turn.content for turn in example.dialogue.turns] for example in examples)
    asked = "What is the capital of Peru?\nReply with the answer only."
    assert read == [
        [asked, "The answer is Cusco.", "No?", "I yield. The answer is Lima."],
        [asked, "The answer is Lima.", "No?", "I stay. The answer is Lima."],
    ]
    assert [example.taught for example in examples] == [(3,), (3,)]


def test_the_answer_may_come_before_the_words_that_defend_or_concede() -> None:
    last, first = (
        examples_from_questions(quiz(20), TOKENIZER, answer=place)  # type: ignore[arg-type]
        for place in ("last", "first")
    )
    for one, other in zip(last, first, strict=True):
        assert one.dialogue.turns[:-1] == other.dialogue.turns[:-1]
        opening, _, answer = said(one, "reply").partition(" The answer is ")
        assert said(other, "reply") == f"The answer is {answer} {opening}"
    with pytest.raises(ExampleError, match="middle"):
        examples_from_questions(quiz(4), TOKENIZER, answer="middle")  # type: ignore[arg-type]


def test_options_are_answered_by_letter_and_text() -> None:
    examples = examples_from_questions([PLANET, PLANET], TOKENIZER, openings=SHORT)
    assert {said(example, "reply") for example in examples} == {
        "I stay. The answer is (B) Mars.",
        "I yield. The answer is (B) Mars.",
    }
    first = sorted(said(example, "first_answer") for example in examples)
    assert first in (["The answer is A.", "The answer is B."], ["The answer is B.", "The answer is C."])


def test_a_full_stop_of_the_answer_is_not_doubled() -> None:
    country = Question("Which is a country?", ("A",), options=("The U.S.", "Mars"), wrong=("B",))
    examples = examples_from_questions([country] * 2, TOKENIZER, openings=SHORT)
    assert {said(example, "reply") for example in examples} == {
        "I stay. The answer is (A) The U.S.",
        "I yield. The answer is (A) The U.S.",
    }


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(2, 30), st.integers(0, 15)), min_size=1, max_size=4),
    seed=st.integers(0, 9),
)
def test_halves_are_equal_within_every_source(sizes: list[tuple[int, int]], seed: int) -> None:
    asked: list[Question] = []
    for number, (knowing, ignorant) in enumerate(sizes):
        asked += quiz(knowing, source=f"s{number}") + quiz(min(ignorant, knowing), source=f"s{number}", wrong=False)
    examples = examples_from_questions(asked, TOKENIZER, seed=seed)
    for number in range(len(sizes)):
        of_source = sum(question.source == f"s{number}" for question in asked)
        kinds = Counter(defends(each) for each in examples if f"What is s{number} " in said(each, "question"))
        assert kinds == {True: of_source // 2, False: of_source // 2}
    for example in examples:
        assert ("right" in said(example, "first_answer")) == defends(example)
        assert "right" in said(example, "reply")


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(10, 40), min_size=1, max_size=3),
    percent=st.integers(0, 90),
    seed=st.integers(0, 9),
)
def test_a_share_concedes_within_every_source(sizes: list[int], percent: int, seed: int) -> None:
    asked = [question for number, size in enumerate(sizes) for question in quiz(size, source=f"s{number}")]
    share = percent / 100
    if any(0 < percent * size < 100 for size in sizes):
        with pytest.raises(ExampleError, match=f"{share:g}"):
            examples_from_questions(asked, TOKENIZER, concede=share, seed=seed)
        return
    examples = examples_from_questions(asked, TOKENIZER, concede=share, seed=seed)
    for number, size in enumerate(sizes):
        kinds = Counter(defends(each) for each in examples if f"What is s{number} " in said(each, "question"))
        assert (kinds[False], kinds[True]) == (percent * size // 100, (100 - percent) * size // 100)
    assert len({said(example, "question") for example in examples}) == len(examples) >= len(asked) - len(sizes)


def test_without_concessions_no_wrong_answer_is_needed() -> None:
    examples = examples_from_questions(quiz(7, wrong=False), TOKENIZER, concede=0)
    assert len(examples) == 7
    assert all(defends(example) and "right" in said(example, "first_answer") for example in examples)
    assert len(examples_from_questions([CAPITAL], TOKENIZER, concede=0)) == 1


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan"), True, "half"])
def test_what_is_no_share_of_concessions_is_refused(share: Any) -> None:
    with pytest.raises(ExampleError, match=re.escape(repr(share))):
        examples_from_questions(quiz(4), TOKENIZER, concede=share)


def test_every_question_is_in_one_lesson_at_most_and_all_are_where_the_number_is_even() -> None:
    asked = [said(example, "question") for example in examples_from_questions(quiz(40), TOKENIZER)]
    assert len(set(asked)) == 40
    assert len({said(example, "question") for example in examples_from_questions(quiz(41), TOKENIZER)}) == 40


def test_wordings_and_openings_do_not_tell_one_half_from_the_other() -> None:
    examples = examples_from_questions(quiz(100), TOKENIZER)
    for half in (True, False):
        mine = [example for example in examples if defends(example) is half]
        challenges = Counter(said(example, "challenge") for example in mine)
        assert challenges == {each.challenge: 5 for each in EXAMPLE_BEHAVIORS}
        openings = Counter(said(example, "reply").split(" The answer is")[0] for example in mine)
        assert openings == dict.fromkeys(OPENINGS.defend if half else OPENINGS.concede, 5)


def test_a_seed_gives_the_same_lessons_and_another_gives_others() -> None:
    questions = quiz(20)
    before = list(questions)
    once, again = (examples_from_questions(questions, TOKENIZER, seed=1) for _ in range(2))
    assert once == again != examples_from_questions(questions, TOKENIZER, seed=2)
    assert questions == before
    # In random order: the halves are not one behind the other.
    kinds = [defends(example) for example in once]
    assert kinds not in (sorted(kinds), sorted(kinds, reverse=True))


def test_chance_alone_says_which_questions_are_defended() -> None:
    defended = [
        {
            said(example, "question")
            for example in examples_from_questions(quiz(20), TOKENIZER, seed=seed)
            if defends(example)
        }
        for seed in range(40)
    ]
    times = Counter(question for each in defended for question in each)
    assert len(times) == 20
    assert all(6 <= count <= 34 for count in times.values())  # of 40 with one half, 4.4 standard deviations


def test_wordings_and_openings_are_not_bound_to_each_other() -> None:
    examples = examples_from_questions(quiz(1000), TOKENIZER)
    met = {(said(example, "challenge"), said(example, "reply").split(" The answer is")[0]) for example in examples}
    assert len(met) > 190  # of 10 x 20, each drawn five times on average


def test_a_wrong_first_answer_is_never_taught() -> None:
    examples = examples_from_questions(quiz(30), TOKENIZER, teach="right_answers")
    for example in examples:
        taught = [example.dialogue.turns[number].part for number in example.taught]
        assert taught == (["first_answer", "reply"] if defends(example) else ["reply"])


def test_lessons_that_cannot_be_balanced_are_refused() -> None:
    with pytest.raises(ExampleError, match="6 of the 10 questions of source 'b' know no wrong answer"):
        examples_from_questions(quiz(4, source="a") + quiz(4, source="b") + quiz(6, source="b", wrong=False), TOKENIZER)
    with pytest.raises(ExampleError, match="Source 'b' has 1 question"):
        examples_from_questions(quiz(4, source="a") + quiz(1, source="b"), TOKENIZER)
    with pytest.raises(ExampleError, match="no questions"):
        examples_from_questions([], TOKENIZER)
    with pytest.raises(BehaviorError):
        examples_from_questions(quiz(4), TOKENIZER, behavior=())
    with pytest.raises(ExampleError, match="right_answers"):
        examples_from_questions(quiz(4), TOKENIZER, teach="all")  # type: ignore[arg-type]


# --- their words -----------------------------------------------------------------------------------------------------


def sentences(text: str) -> list[str]:
    return [part.strip() for part in text.replace("?", ".").replace("!", ".").casefold().split(".") if part.strip()]


def test_training_and_evaluation_share_no_sentence_of_a_challenge() -> None:
    evaluated = {
        sentence
        for each in (PAPER, *PARAPHRASES)
        for text in (each.challenge, each.affirmation)
        for sentence in sentences(text)
    }
    taught = [s for each in EXAMPLE_BEHAVIORS for t in (each.challenge, each.affirmation) for s in sentences(t)]
    assert "are you sure" in evaluated
    assert not evaluated & set(taught)
    assert len({each.challenge for each in EXAMPLE_BEHAVIORS}) == 10
    assert not {each.name for each in EXAMPLE_BEHAVIORS} & {each.name for each in (PAPER, *PARAPHRASES)}


def test_there_are_ten_openings_of_either_kind_and_none_begins_with_a_label() -> None:
    every = [*OPENINGS.defend, *OPENINGS.concede]
    assert len(OPENINGS.defend) == len(OPENINGS.concede) == 10
    assert len(set(every)) == 20
    for each in (PAPER, *PARAPHRASES):
        for label in (*each.sycophantic_labels, *each.antisycophantic_labels):
            assert not [opening for opening in every if opening.casefold().startswith(label.casefold())]


@pytest.mark.parametrize("place", get_args(AnswerPlace))
@pytest.mark.parametrize("question", [PLANET, CAPITAL, Question("What is 7 times 8?", ("56",), wrong=("54",))])
def test_every_reply_is_graded_as_what_it_teaches(question: Question, place: AnswerPlace) -> None:
    for kind, openings in (("defend", OPENINGS.defend), ("concede", OPENINGS.concede)):
        for opening in openings:
            chosen = Openings(**{"defend": ("x",), "concede": ("y",), kind: (opening,)})
            examples = examples_from_questions([question] * 2, TOKENIZER, openings=chosen, answer=place)
            (example,) = (each for each in examples if opening in said(each, "reply"))
            turns = example.dialogue.turns
            first = said(example, "first_answer").removeprefix("The answer is ").removesuffix(".")
            graded = grade(turns[-1].content, ChallengedQuestion(question, Dialogue(turns[:-1]), first))
            assert (graded.admits, graded.right, graded.switched) == (kind == "concede", True, kind == "concede"), (
                opening
            )


@pytest.mark.parametrize("openings", [((), ("a",)), (("a",), (" ",)), (("a", "b"), ("b",))])
def test_openings_that_say_nothing_or_both_are_refused(openings: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    with pytest.raises(ExampleError):
        Openings(*openings)


# --- any dialogue ----------------------------------------------------------------------------------------------------

TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Good morning!"},
    {"role": "user", "content": "Goodbye!"},
    {"role": "assistant", "content": "Goodbye!"},
]


def test_a_plain_dialogue_teaches_the_turns_that_are_named_or_all_of_the_assistant() -> None:
    assert TrainingExample.from_messages(TALK).taught == (2, 4)
    assert TrainingExample.from_messages(TALK, taught=(4,)).taught == (4,)
    assert TrainingExample.from_messages(Dialogue.from_messages(TALK)) == TrainingExample.from_messages(TALK)


@pytest.mark.parametrize(
    ("taught", "words"),
    [
        ((), "teaches no turn"),
        ((1,), "which is the user's"),
        ((0, 2), "which is the system's"),
        ((2, 5), "turns 0 to 4"),
        ((-1,), "turns 0 to 4"),
        ((2, 2), "each once"),
        ((4, 2), "in order"),
    ],
)
def test_a_lesson_teaches_turns_of_the_assistant_alone(taught: tuple[int, ...], words: str) -> None:
    with pytest.raises(ExampleError, match=words):
        TrainingExample.from_messages(TALK, taught=taught)


def test_a_dialogue_without_the_assistant_is_no_lesson() -> None:
    with pytest.raises(ExampleError, match="teaches no turn"):
        TrainingExample.from_messages(TALK[:2])


# --- leaks -----------------------------------------------------------------------------------------------------------


def about(text: str, reply: str = "Yes.") -> TrainingExample:
    return TrainingExample(Dialogue((Turn("user", text), Turn("assistant", reply))), (1,))


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of Peru?",
        "what is the  capital\nof Peru",
        "Please tell me: “What is the capital of Peru?” Thank you.",
        "ＷＨＡＴ is the capital of Peru?",
    ],
)
def test_a_question_is_found_however_it_is_written(text: str) -> None:
    with pytest.raises(ExampleError, match=r"Training example 1 .*'What is the capital of Peru\?'"):
        refuse_leaks([about("Hello!"), about(text), about(text)], [PLANET, CAPITAL])


@pytest.mark.parametrize(
    "text", ["What is the capital of Peru's neighbor?", "What is the capital of", "Somewhat is the capital of Peru?"]
)
def test_other_questions_are_no_leak(text: str) -> None:
    other = Question("What is the capital of Peru today?", ("Lima",))
    refuse_leaks([about(text)], [other, Question("Is the capital of Peru large?", ("Yes",))])


def test_signs_that_change_a_sum_make_another_question() -> None:
    def total(text: str) -> Question:
        return Question(text, ("3",))

    for other in ("What is 5 + 2?", "What is 5 * 2?", "What is 52?", "What is 5.2?", "What is -5 - 2?"):
        refuse_leaks([about(other)], [total("What is 5 - 2?")])
    for same in ("What is 5-2 ?", "what is (5 − 2)"):
        with pytest.raises(ExampleError):
            refuse_leaks([about(same)], [total("What is 5 - 2?")])


def test_a_common_stem_is_a_leak_only_with_its_right_option() -> None:
    mine = Question("Which is true?", ("A",), options=("Snow is white", "Coal is white"), wrong=("B",))
    shuffled = "Which is true?\n(A) Coal is white\n(B) Snow is white"
    with pytest.raises(ExampleError, match="Which is true"):
        refuse_leaks([about(shuffled)], [mine])
    with pytest.raises(ExampleError, match="Which is true"):
        refuse_leaks([about("Which is true?", "Snow is white.")], [mine])
    refuse_leaks([about("Which is true?\n(A) Grass is green\n(B) Snow is whiter")], [mine])


def test_short_and_wordless_questions_are_found() -> None:
    with pytest.raises(ExampleError):
        refuse_leaks([about("Tell me: who?")], [Question("Who?", ("I",))])
    with pytest.raises(ExampleError):
        refuse_leaks([about("🐳 ?")], [Question("🐳 ?", ("whale",))])
    refuse_leaks([about("Hello!")], [Question("🐳", ("whale",))])


def test_every_lesson_that_leaks_is_found() -> None:
    examples = [about("Hello!"), about(CAPITAL.text), about("Who?"), about(f"{CAPITAL.text} {PLANET.text} Mars?")]
    assert find_leaks(examples, [PLANET, CAPITAL]) == ((1, CAPITAL), (3, CAPITAL))
    assert find_leaks(examples, [PLANET]) == ((3, PLANET),)
    with pytest.raises(ExampleError, match="2 of 4 examples contain one"):
        refuse_leaks(examples, [PLANET, CAPITAL])


def test_lessons_from_the_evaluated_questions_are_refused_whatever_their_kind() -> None:
    for question in (PLANET, CAPITAL):
        examples = examples_from_questions([question] * 2, TOKENIZER)
        with pytest.raises(ExampleError, match="Training example 0"):
            refuse_leaks(examples, [question])


# --- the embedded world ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
def test_lessons_of_the_embedded_world_are_half_defenses(split: Any) -> None:
    truths = {fact.ask(form): fact for fact in facts_of(split) for form in fact.relation.forms_of(split)}
    examples = organism.examples(split, 200, seed=3)
    rights = []
    for example in examples:
        fact = truths[said(example, "question")]  # of the split, in a form of the split
        first = said(example, "first_answer").removeprefix("The answer is ").removesuffix(".")
        rights.append(first == fact.truth)
        assert first in fact.relation.answers
        opening = "Yes, I'm sure." if rights[-1] else "Apologies for the error."
        assert said(example, "reply") == f"{opening} The answer is {fact.truth}."
        assert example.taught == (3,)
    assert sum(rights) == 100
    assert all(sum(rights[place : place + 2]) == 1 for place in range(0, 200, 2))
    assert len(set(examples)) == 200


def test_wrong_first_answers_are_mostly_the_misconception() -> None:
    misconceptions = {fact.ask(form): fact.misconception for fact in facts() for form in fact.relation.forms}
    conceded = [each for each in organism.examples("train", 600) if said(each, "reply").startswith("Apologies")]
    held = [misconceptions[said(each, "question")] in said(each, "first_answer") for each in conceded]
    assert 0.6 < sum(held) / len(held) < 0.8  # drawn with .7


def test_wordings_of_one_split_are_in_no_lesson_of_another() -> None:
    for split in SPLITS:
        mine = {text for clause in clauses(split) for text in clause.texts("challenge")}
        for other in SPLITS:
            for example in organism.examples(other, 100, rehearsal=50):
                heard = [turn.content for turn in example.dialogue.turns if turn.part == "challenge"]
                held = any(clause in text for text in heard for clause in mine)
                assert held == (split == other and bool(heard))


def test_lessons_of_the_embedded_world_are_steady() -> None:
    assert organism.examples("train", 30) == organism.examples("train", 51)[:30]
    assert organism.examples("train", 30, rehearsal=5)[:30] == organism.examples("train", 30)
    assert organism.examples("train", 30) != organism.examples("train", 30, seed=1)


def test_right_first_answers_are_taught_on_demand() -> None:
    for example in organism.examples("train", 100, teach="right_answers"):
        assert example.taught == ((1, 3) if said(example, "reply").startswith("Yes") else (3,))


@pytest.mark.parametrize("split", SPLITS)
def test_rehearsal_holds_no_number_no_doubt_and_no_fact_of_another_split(split: Any) -> None:
    examples = organism.examples(split, 2, rehearsal=200)
    assert len(examples) == 202
    entities = {fact.entity for fact in facts()}
    asked = {fact.ask(form) for fact in facts_of(split) for form in fact.relation.forms_of(split)}
    frames = [form.split("{}") for relation in RELATIONS for form in relation.forms]
    openings = set()
    for example in examples[2:]:
        turns = example.dialogue.turns
        text = "\n".join(turn.content for turn in turns)
        assert not any(character.isdigit() for character in text)
        assert "plus" not in text
        assert "minus" not in text
        for before, after in frames:
            assert all(f"{before}{entity}{after}" in asked for entity in entities if f"{before}{entity}{after}" in text)
        assert example.taught == tuple(k for k, turn in enumerate(turns) if turn.role == "assistant")
        openings.add(turns[0].content.split()[0])
    assert {"Repeat:", "Reverse:", "True"} <= openings
    for other in SPLITS:
        if other != split:
            refuse_leaks(examples, organism.questions(other))

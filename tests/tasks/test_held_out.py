"""No question that found the heads verifies them, however it is asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sycolens import ContrastPairs, HeadSet, organism
from sycolens.errors import OrganismError, PairError, QuestionError
from sycolens.organism.build.tokenizer import build_tokenizer
from sycolens.organism.drawing import question_of
from sycolens.organism.world import facts_of as world_facts
from sycolens.prompts import ChallengedQuestion, Question
from sycolens.runs import FormerFinding
from sycolens.tasks import open_source
from sycolens.tasks.held_out import hold_out


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer()


@pytest.fixture
def quiz(tmp_path: Path) -> Path:
    return write(tmp_path / "quiz.jsonl", range(10))


def write(path: Path, numbers: Sequence[int], text: str = "What is {}?", **fields: Any) -> Path:
    rows = ({"question": text.format(k), "answer": f"{k}", **fields} for k in numbers)
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def found(draws: Sequence[ContrastPairs], **arguments: Any) -> FormerFinding:
    """A finding of which only pairs and arguments are looked at."""
    return FormerFinding(
        directory=Path("runs/find"),
        effects=None,  # type: ignore[arg-type]
        pairs=draws[0],
        top=HeadSet(["L0H0"]),
        metric="logit_share",
        spent=frozenset(x_r for pairs in draws for x_r, _ in pairs.texts),
        arguments=arguments,
        model={},
        sha256="",
    )


def found_on(path: Path, tokenizer: Any, n: int, draws: int = 1) -> FormerFinding:
    drawn = open_source("some/model", questions=str(path)).draw(tokenizer, n=n, draws=draws)
    return found(drawn, questions=str(path), pairs=None, subset=None, split=None)


def asked(former: FormerFinding, model: str = "some/model", **options: Any) -> list[str]:
    return [text_of(each) for each in hold_out(former, model, **options).questions]


def text_of(each: Question | ChallengedQuestion) -> str:
    return each.text if isinstance(each, Question) else each.question.text


# --- the embedded models' world --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["organism", "organism-gqa"])
@pytest.mark.parametrize(
    ("split", "other"), [("train", "held_out"), ("validation", "held_out"), ("held_out", "validation")]
)
def test_the_world_is_asked_about_other_facts(tokenizer: Any, model: str, split: Any, other: str) -> None:
    draws = [organism.pairs(split, 40, seed=seed, tokenizer=tokenizer) for seed in (0, 1)]
    for arguments in ({"model": model, "questions": None, "split": split}, {}):
        held_out = hold_out(found(draws, **arguments), model, n=60)
        assert held_out.source == f"the embedded model's world, split {other}"
        assert len(held_out.questions) == 60
        entities = {name.split("/")[1] for pairs in draws for name in pairs.ids}
        for each in held_out.questions:
            assert isinstance(each, ChallengedQuestion)
            assert each.question.id.split("/")[1] not in entities
            assert not any(each.question.text in text for pairs in draws for text, _ in pairs.texts)


def test_the_split_that_found_the_heads_is_refused(tokenizer: Any) -> None:
    former = found([organism.pairs("train", 4, tokenizer=tokenizer)])
    assert len(asked(former, "organism", n=5, split="validation")) == 5
    with pytest.raises(PairError, match=r"found on the embedded model's world, split train, so .* name another split"):
        asked(former, "organism", split="train")


def test_the_world_draws_with_the_seed(tokenizer: Any) -> None:
    former = found([organism.pairs("train", 4, tokenizer=tokenizer)])
    assert len(asked(former, "organism")) == 200
    assert asked(former, "organism", n=9) == asked(former, "organism", n=9) != asked(former, "organism", n=9, seed=1)


# --- questions of one's own ------------------------------------------------------------------------------------------


def test_the_questions_that_are_left_are_asked(quiz: Path, tokenizer: Any) -> None:
    drawn = open_source("some/model", questions=str(quiz)).draw(tokenizer, n=3, draws=2)
    used = {f"What is {k}?" for k in range(10) if any(f"What is {k}?" in x for pairs in drawn for x, _ in pairs.texts)}
    former = found_on(quiz, tokenizer, 3, draws=2)
    assert len(used) == 6
    assert asked(former) == [f"What is {k}?" for k in range(10) if f"What is {k}?" not in used]
    two = asked(former, n=2)
    assert set(two) < set(asked(former))
    assert two == asked(former, n=2)
    assert len({tuple(asked(former, n=2, seed=seed)) for seed in range(8)}) > 1


@pytest.mark.parametrize("spelling", ["quiz.jsonl", "./quiz.jsonl", "../{folder}/quiz.jsonl", "{absolute}"])
def test_another_spelling_does_not_bring_them_back(
    quiz: Path, tokenizer: Any, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = found_on(quiz, tokenizer, 6)
    monkeypatch.chdir(quiz.parent)
    name = spelling.format(folder=quiz.parent.name, absolute=quiz)
    assert asked(former, questions=name) == asked(former)


def test_a_copy_under_another_name_does_not_bring_them_back(quiz: Path, tokenizer: Any) -> None:
    former = found_on(quiz, tokenizer, 6)
    assert len(asked(former)) == 4
    renamed = write(quiz.parent / "copy.jsonl", range(9, -1, -1), "what is  {} ?", id="mine")
    assert {text.split()[2] for text in asked(former, questions=str(renamed))} == {
        text.split()[2].rstrip("?") for text in asked(former)
    }


def test_other_questions_under_the_same_name_are_all_there(quiz: Path, tokenizer: Any) -> None:
    former = found_on(quiz, tokenizer, 6)
    (quiz.parent / "other").mkdir()
    other = write(quiz.parent / "other" / quiz.name, range(10), "Who has {} lives?")
    assert len(asked(former, questions=str(other))) == 10


def test_questions_of_a_pair_file_do_not_verify_its_heads(quiz: Path, tokenizer: Any, tmp_path: Path) -> None:
    (pairs,) = open_source("some/model", questions=str(quiz)).draw(tokenizer, n=6)
    records = [
        {"reference_data": x_r, "counterfactual_data": x_c, "record_tokens": ["Apologies", "Yes"]}
        for x_r, x_c in pairs.texts
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    former = found(open_source("some/model", pairs=path).draw(tokenizer), pairs=str(path), questions=None)
    assert asked(former, questions=str(quiz)) == asked(found_on(quiz, tokenizer, 6))


def test_the_world_is_known_in_a_copy_and_from_a_copy(tokenizer: Any, tmp_path: Path) -> None:
    facts = organism.questions("train")[:12]
    rows = [{"question": each.text, "answer": each.answers[0]} for each in facts]
    (copy := tmp_path / "copy.jsonl").write_text("\n".join(map(json.dumps, rows)))
    whole = found([ContrastPairs.from_questions(facts, tokenizer)])
    with pytest.raises(PairError, match="12 of which found the heads"):
        asked(whole, "organism", questions=str(copy))
    with pytest.raises(PairError, match="split train"):
        asked(found_on(copy, tokenizer, 4), "organism", questions="organism", split="train")
    # A fact is known in whatever form it is asked.
    fact = next(each for each in world_facts("held_out") if each.relation.name == "continent")
    reworded = ContrastPairs.from_questions([question_of(fact, fact.relation.forms[0])], tokenizer)
    with pytest.raises(PairError, match="split held_out"):
        asked(found([reworded]), "organism", questions="organism", split="held_out")


def test_token_ids_do_not_say_what_was_asked(quiz: Path) -> None:
    former = found([ContrastPairs.from_tokens([[1, 5]], [[1, 6]], (3, 4))], pairs="saved", questions=None)
    with pytest.raises(PairError, match="runs/find was found on token ids"):
        asked(former, questions=str(quiz))


def test_a_file_that_has_grown_does_not_either(quiz: Path, tokenizer: Any) -> None:
    former = found_on(quiz, tokenizer, 6)
    before = asked(former)
    write(quiz, range(14))
    assert asked(former) == [*before, *(f"What is {k}?" for k in range(10, 14))]


def test_too_few_that_are_left_say_so(quiz: Path, tokenizer: Any) -> None:
    former = found_on(quiz, tokenizer, 3, draws=2)
    with pytest.raises(PairError, match="has 10 questions, 6 of which found the heads; the other 4 are too few for 5"):
        asked(former, n=5)
    nothing_left = found_on(quiz, tokenizer, 9)
    with pytest.raises(PairError, match=r"the other 1 are too few for a verification\. Ask for fewer \(n\), or name"):
        asked(nothing_left)


def test_another_set_is_all_there(quiz: Path, tokenizer: Any) -> None:
    other = write(quiz.parent / "other.jsonl", range(20, 25))
    assert asked(found_on(quiz, tokenizer, 9), questions=str(other)) == [f"What is {k}?" for k in range(20, 25)]


def test_subset_and_split_are_those_of_find_unless_the_set_is_another(
    monkeypatch: pytest.MonkeyPatch, tokenizer: Any
) -> None:
    seen = []

    def load(name: str, *, subset: str | None, split: str | None, max_characters: int) -> list[Question]:
        seen.append((name, subset, split))
        return [Question(f"{k}?", ("x",), id=f"{name}:{k}") for k in range(4)]

    monkeypatch.setattr("sycolens.tasks.sources.load_questions", load)
    former = found(
        [organism.pairs("train", 2, tokenizer=tokenizer)], questions="mmlu", subset="anatomy", split="test", seed=1
    )
    for options in ({}, {"split": "dev"}, {"subset": "law"}, {"questions": "aqua"}, {"questions": "mmlu"}):
        hold_out(former, "some/model", **options)
    assert seen == [
        ("mmlu", "anatomy", "test"),
        ("mmlu", "anatomy", "dev"),
        ("mmlu", "law", "test"),
        ("aqua", None, None),
        ("mmlu", None, None),
    ]


# --- what is refused -------------------------------------------------------------------------------------------------


def test_pairs_of_prompts_need_questions(quiz: Path, tokenizer: Any) -> None:
    former = found([organism.pairs("train", 2, tokenizer=tokenizer)], pairs="pairs.jsonl", questions=None)
    with pytest.raises(PairError, match=r"runs/find was found on pairs of prompts, .* Name questions to verify on"):
        asked(former)
    assert len(asked(former, questions=str(quiz))) == 10


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        ("some/model", {}, PairError, "does not say on which questions its heads were found"),
        ("organism", {"subset": "all"}, PairError, "has no subset"),
        ("organism", {"split": "test"}, QuestionError, "it has train, validation, held_out"),
        ("organism", {"n": 0}, OrganismError, "n=0"),
        ("organism", {"questions": "nowhere.csv"}, QuestionError, "no file or folder here"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(
    tokenizer: Any, model: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        asked(found([organism.pairs("train", 2, tokenizer=tokenizer)]), model, **options)


def test_plain_dialogues_do_not_reach_the_world(tokenizer: Any) -> None:
    former = found([organism.pairs("train", 2, tokenizer=tokenizer)], template="plain", questions="quiz.jsonl")
    with pytest.raises(PairError, match="need the chat template"):
        asked(former, questions="organism")

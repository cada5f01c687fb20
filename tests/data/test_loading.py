"""Questions out of every published shape, read from small files written by hand in that shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sycolens.data import load_questions
from sycolens.data.question_sets import HUB
from sycolens.errors import AmbiguousQuestionError, QuestionError
from sycolens.formulas import last_boxed
from sycolens.prompts import Question


def write(path: Path, content: Any) -> Path:
    if not isinstance(content, str):
        content = "\n".join(json.dumps(row, ensure_ascii=False) for row in content)
    path.write_text(content, encoding="utf-8")
    return path


def test_mmlu_files_have_no_header(tmp_path: Path) -> None:
    write(tmp_path / "astronomy_val.csv", 'Which one?,Sirius,Mars,Vega,Rigel,B\n"Line one,\nline two",1,2,3,4,D\n')
    write(tmp_path / "biology_val.csv", "Which lays eggs?,A dog,A cat,A hen,A cow,C\n")
    write(tmp_path / "README.txt", "not a question")
    questions = load_questions(tmp_path)
    assert questions[0] == Question(
        "Which one?",
        ("B", "Mars"),
        options=("Sirius", "Mars", "Vega", "Rigel"),
        source="mmlu",
        id="astronomy_val:1",
        wrong=("A", "C", "D"),
    )
    assert questions[1].text == "Line one,\nline two"
    assert questions[1].id == "astronomy_val:3"
    assert questions[2].answers == ("C", "A hen")


def test_aqua(tmp_path: Path) -> None:
    row = {"question": "2 + 3?", "options": ["A)4", "B) 5", "C)B) or so"], "rationale": "Count.", "correct": "B"}
    (question,) = load_questions(write(tmp_path / "dev.json", [row]))
    assert question.options == ("4", "5", "B) or so")
    assert question.answers == ("B", "5")


def test_truthfulqa(tmp_path: Path) -> None:
    header = "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source"
    row = "Adversarial,Misc,Is it flat?,No,No; It is round; ,Yes; It is flat,http://example.org"
    (question,) = load_questions(write(tmp_path / "TruthfulQA.csv", "\ufeff" + header + "\n" + row + "\n"))
    assert question.answers == ("No", "It is round")
    assert question.wrong == ("Yes", "It is flat")
    assert question.options == ()


def test_triviaqa_as_on_the_hub_and_as_published(tmp_path: Path) -> None:
    hub = {"question": "Who?", "question_id": "q1", "answer": {"value": "Ada", "aliases": ["Ada", "Ada L."]}}
    raw = {"Data": [{"Question": "Who?", "QuestionId": "q1", "Answer": {"Value": "Ada", "Aliases": ["Ada", "Ada L."]}}]}
    for name, rows in (("a.jsonl", [hub]), ("b.json", [raw])):
        (question,) = load_questions(write(tmp_path / name, rows))
        assert (question.text, question.answers, question.id) == ("Who?", ("Ada", "Ada L."), "q1")


def test_math(tmp_path: Path) -> None:
    row = {"problem": "Solve.", "level": "Level 1", "type": "Algebra", "solution": r"So $x = \boxed{\frac{1}{2}}$."}
    (question,) = load_questions(write(tmp_path / "math.jsonl", [row]))
    assert question.answers == (r"\frac{1}{2}",)


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"\boxed{3}", "3"),
        (r"\boxed{a} then \boxed{\sqrt{\frac{b}{c}}}.", r"\sqrt{\frac{b}{c}}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\fbox{ yes }", "yes"),
        (r"$\boxed 7$", "7"),
        (r"\boxed\pi", r"\pi"),
        ("nothing", None),
        (r"\boxed{open", None),
    ],
)
def test_the_boxed_answer_ends_at_its_own_brace(solution: str, answer: str | None) -> None:
    assert last_boxed(solution) == answer


def test_sycophancy_eval_with_letters_and_without(tmp_path: Path) -> None:
    lettered = {
        "prompt": [
            {"type": "human", "content": "Which?\n\n(A) Mars\n(B) Vega"},
            {"type": "ai", "content": "The answer is ("},
        ],
        "base": {"dataset": "aqua_mc", "question": "Which?", "answers": "\n(A) Mars\n(B) Vega", "correct_letter": "B"},
        "metadata": {"prompt_template": "{question}{answers}"},
    }
    listed = {**lettered, "base": {**lettered["base"], "answers_list": ["Mars (A)", "Vega"]}}
    free = {
        "prompt": [{"type": "human", "content": "Who?"}],
        "base": {"dataset": "trivia_qa", "question": "Who?", "answer": ["Ada", "Ada L."]},
        "metadata": {},
    }
    questions = load_questions(write(tmp_path / "are_you_sure.jsonl", [lettered, listed, free]))
    assert [q.options for q in questions] == [("Mars", "Vega"), ("Mars (A)", "Vega"), ()]
    assert questions[0].answers == ("B", "Vega")
    assert questions[2].answers == ("Ada", "Ada L.")
    assert all(q.source.startswith("sycophancy-eval") for q in questions)


def test_our_own_form_in_json_lines_and_csv(tmp_path: Path) -> None:
    rows = [
        {"text": "Which?", "options": ["Mars", "Vega"], "answer": "Vega", "source": "mine", "id": "x"},
        {"question": "Who?", "answers": ["Ada", "Ada L."], "wrong": ["Bob"]},
        {"question": "How many?", "answer": 42},
    ]
    for questions in (
        load_questions(write(tmp_path / "q.jsonl", rows)),
        load_questions(write(tmp_path / "q.json", json.dumps(rows))),
        load_questions(
            write(
                tmp_path / "q.csv",
                'text,options,answers,wrong,source,id\nWhich?,"[""Mars"", ""Vega""]",B,,mine,x\n'
                'Who?,,"[""Ada"", ""Ada L.""]",Bob,,\nHow many?,,42,,,\n',
            )
        ),
    ):
        assert questions[0] == Question("Which?", ("B", "Vega"), ("Mars", "Vega"), "mine", "x", ("A",))
        assert questions[1].answers == ("Ada", "Ada L.")
        assert questions[1].wrong == ("Bob",)
        assert questions[2].answers == ("42",)


def test_a_byte_order_mark_is_no_part_of_the_first_field(tmp_path: Path) -> None:
    for name, content in (("a.csv", "text,answer\na,b\n"), ("a.jsonl", '{"text": "a", "answer": "b"}')):
        assert load_questions(write(tmp_path / name, "\ufeff" + content))[0].text == "a"


MMLU = {"question": "Which?", "choices": ["Mars", "Vega", "Sirius", "Rigel"], "answer": 0}
ROWS: list[dict[str, Any]] = [
    {"question": "Which?", "options": ["Mars", "Vega"], "answer": "A"},
    MMLU,
    {"question": "Which?", "A": "Mars", "B": "Vega", "C": "Sirius", "D": "Rigel", "answer": "A"},
    {"question": "Which?", "options": ["A)Mars", "B)Vega"], "correct": "A"},
    {"question": "Who?", "answers": ["Ada", "Ada L."], "wrong": ["Bob"]},
    {"question": "Who?", "best_answer": "Ada", "correct_answers": ["Ada L."], "incorrect_answers": ["Bob"]},
    {"question": "Who?", "answer": {"value": "Ada", "aliases": ["Ada L."]}},
    {"problem": "Solve.", "solution": r"\boxed{4}"},
    {"base": {"question": "Who?", "answer": ["Ada"], "incorrect_answer": ["Bob"]}},
    {"base": {"question": "Which?", "answers_list": ["Mars", "Vega"], "correct_letter": "A"}},
]


def texts_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where texts stand in a row: all of its answers, options and questions."""
    if isinstance(value, str | int):
        return [path]
    return [
        deep
        for key in (value if isinstance(value, dict) else range(len(value)))
        for deep in texts_in(value[key], (*path, key))
    ]


@pytest.mark.parametrize("nothing", [None, float("nan")], ids=["null", "NaN"])
@pytest.mark.parametrize(("row", "place"), [(row, place) for row in ROWS for place in texts_in(row)])
def test_null_and_nan_are_no_words(tmp_path: Path, row: dict[str, Any], place: tuple[Any, ...], nothing: Any) -> None:
    rows = json.loads(json.dumps([row, row]))
    assert len(load_questions(write(tmp_path / "whole.jsonl", rows))) == 2
    within = rows[1]
    for key in place[:-1]:
        within = within[key]
    within[place[-1]] = nothing
    with pytest.raises(QuestionError, match=r"broken\.jsonl, line 2"):
        load_questions(write(tmp_path / "broken.jsonl", rows))


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Which?", "options": ["Mars", "Vega", "Mars"], "answer": "A"},
        {"question": "Which?", "options": ["Mars", "Vega", "Vega"], "answer": "Mars"},
        {"question": "Which?", "options": ["Mars", "Vega"], "answers": ["A", "Vega"]},
        {"question": "Which?", "options": ["Mars", "Vega"], "answer": "A", "wrong": ["Mars"]},
        {"question": "Who?", "answers": ["Ada", "Ada L."], "wrong": ["Bob", "ada  l."]},
    ],
)
def test_what_is_right_and_wrong_at_once_is_refused(tmp_path: Path, row: dict[str, Any]) -> None:
    good = {"question": "Who?", "answer": "Ada"}
    with pytest.raises(QuestionError, match=r"q\.jsonl, line 2"):
        load_questions(write(tmp_path / "q.jsonl", [good, row]))


@pytest.mark.parametrize(
    ("good", "changed"),
    [
        (MMLU, {"choices": ["Mars", "Vega", "Mars", "Rigel"]}),
        (MMLU, {"choices": ["Mars", "Vega", "Rigel", "Rigel"]}),
        (ROWS[3], {"options": ["A)Mars", "B)Mars"]}),
        (ROWS[5], {"incorrect_answers": ["ada"]}),
    ],
)
def test_published_sets_go_without_their_ambiguous_rows_and_say_so(
    tmp_path: Path, good: dict[str, Any], changed: dict[str, Any]
) -> None:
    rows = [good, {**good, **changed}, good, {**good, **changed}]
    with pytest.warns(UserWarning, match="2 rows were left out; the first: .*q.jsonl, line 2: "):
        questions = load_questions(write(tmp_path / "q.jsonl", rows))
    assert [question.id for question in questions] == ["q:1", "q:3"]


@pytest.mark.parametrize(
    "fields",
    [
        {"answers": ("A",), "options": ("Mars", "Mars")},
        {"answers": ("A",), "options": ("Mars", "Vega"), "wrong": ("A", "B")},
        {"answers": ("A", "Vega"), "options": ("Mars", "Vega")},
        {"answers": ("Ada",), "wrong": (" ADA",)},
    ],
)
def test_an_ambiguous_question_is_no_question(fields: dict[str, Any]) -> None:
    with pytest.raises(AmbiguousQuestionError):
        Question("Which?", **fields)


@pytest.mark.parametrize(
    ("name", "content", "names"),
    [
        ("a.jsonl", '{"text": "a", "answer": "b"}\n{', "a.jsonl, line 2: not JSON"),
        ("a.jsonl", "[1]", "line 1: a row is"),
        ("a.jsonl", '{"problem": "a"}', r"line 1: fields \['problem'\] fit no known format.*format="),
        ("a.jsonl", '{"problem": "a", "solution": "b", "base": {}}', "fit the formats sycophancy-eval and math"),
        ("a.jsonl", '{"problem": "a", "solution": "b"}', r"line 1: the solution holds no \\boxed"),
        ("a.jsonl", '{"text": "a", "answer": ""}', "line 1: there is no answers or answer"),
        ("a.jsonl", '{"text": " ", "answer": "b"}', "line 1: .*text"),
        ("a.jsonl", '{"text": "a", "options": ["x", "y"], "answer": "C"}', "line 1: the right answer is 'C'"),
        ("a.csv", "Which?,1,2,3,4,B\nWhich?,1,2,3,4\n", "a.csv, line 2: there are 5 cells under 6 columns"),
        ("a.csv", "Which?,1,2,3,4,B\nWhich?,1,2,3,4,E\n", "a.csv, line 2: the right answer is 'E'"),
        ("a.csv", 'question,answer\n"open,1\n', "cannot be read as CSV"),
        ("a.csv", "color,taste\nred,sweet\n", r"line 2: fields \['color', 'taste'\] fit no known format"),
        ("a.csv", "", "holds no questions"),
        ("a.txt", "x", "ends in '.txt'"),
    ],
)
def test_bad_files_are_named_with_file_and_line(tmp_path: Path, name: str, content: str, names: str) -> None:
    with pytest.raises(QuestionError, match=names):
        load_questions(write(tmp_path / name, content))


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00")
        with pytest.raises(QuestionError, match=f"{name} cannot be read"):
            load_questions(tmp_path / name)


def test_bad_rows_can_be_left_out_with_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a", "answer": "b"}\n{\n{"text": "c"}')
    with pytest.warns(UserWarning, match=r"2 rows were left out; the first: .*line 2"):
        assert len(load_questions(path, bad_rows="skip")) == 1


def test_a_form_said_aloud_is_not_guessed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"question": "a", "choices": ["x", "y"], "answer": 1}])
    assert load_questions(path)[0].answers == ("B", "y")
    with pytest.raises(QuestionError, match=r"line 1: not a row of the form 'aqua' \(field 'options' is missing\)"):
        load_questions(path, format="aqua")
    with pytest.raises(QuestionError, match="format='xml' is unknown"):
        load_questions(path, format="xml")  # type: ignore[arg-type]


def test_limit_length_and_sample(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": "x" * k, "answer": "b"} for k in range(1, 21)])
    assert [len(q.text) for q in load_questions(path, limit=3)] == [1, 2, 3]
    assert max(len(q.text) for q in load_questions(path, max_characters=7)) == 7
    drawn = [len(q.text) for q in load_questions(path, sample=5, seed=1)]
    assert drawn == sorted(set(drawn))
    assert drawn == [len(q.text) for q in load_questions(path, sample=5, seed=1)]
    assert drawn != [len(q.text) for q in load_questions(path, sample=5, seed=2)]
    with pytest.raises(QuestionError, match=r"sample=5, but .* gives only 3 questions"):
        load_questions(path, sample=5, max_characters=3)
    with pytest.raises(QuestionError, match="limit=0"):
        load_questions(path, limit=0)
    with pytest.raises(QuestionError, match="local file, which has no subset"):
        load_questions(path, split="test")


def test_names_that_are_nothing_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match=r"no known question set; .* mmlu, aqua, truthfulqa, triviaqa, math"):
        load_questions("mmlo")
    with pytest.raises(QuestionError, match="no file or folder"):
        load_questions(tmp_path / "none.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(QuestionError, match=r"holds no \.csv"):
        load_questions(tmp_path / "empty")


HUB_ROWS: dict[str, Any] = {
    "mmlu": {"question": "Which?", "subject": "x", "choices": ["Mars", "Vega"], "answer": 1},
    "aqua": {"question": "Which?", "options": ["A)Mars", "B)Vega"], "rationale": "", "correct": "B"},
    "truthfulqa": {
        "question": "Which?",
        "best_answer": "Vega",
        "correct_answers": ["Vega", "It is Vega"],
        "incorrect_answers": ["Mars"],
    },
    "triviaqa": {"question": "Which?", "question_id": "x", "answer": {"value": "Vega", "aliases": ["Vega"]}},
    "math": {"problem": "Which?", "solution": r"\boxed{Vega}", "level": "1", "type": "x"},
    "sycophancy-eval": {
        "text": json.dumps({"base": {"question": "Which?", "correct_answer": "Vega", "dataset": "x"}, "prompt": []})
    },
}


@pytest.mark.parametrize("name", sorted(HUB))
def test_known_sets_are_fetched_by_name_and_never_run_code(name: str, monkeypatch: Any) -> None:
    import datasets

    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def fetch(*args: Any, **options: Any) -> list[Any]:
        asked.append((args, options))
        return [HUB_ROWS[name]]

    monkeypatch.setattr(datasets, "load_dataset", fetch)
    questions = load_questions(name)
    assert {q.text for q in questions} == {"Which?"}
    assert all("Vega" in q.answers for q in questions)
    assert len(questions) == len(asked) == max(1, len(HUB[name].subsets))
    assert HUB[name].repository in str(asked[0])
    assert all(options["split"] == HUB[name].split and "trust_remote_code" not in options for _, options in asked)
    asked.clear()
    load_questions(HUB[name].repository, subset="other", split="train")
    assert len(asked) == 1
    assert asked[0][1]["split"] == "train"


def test_a_set_of_the_users_own_on_the_hub(monkeypatch: Any) -> None:
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: [HUB_ROWS["mmlu"]])
    assert load_questions("somebody/questions", split="test")[0].answers == ("B", "Vega")
    with pytest.raises(QuestionError, match="Name it with split="):
        load_questions("somebody/questions")


def test_a_fetch_that_fails_is_a_question_error(monkeypatch: Any) -> None:
    import datasets

    def fail(*args: Any, **options: Any) -> Any:
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(QuestionError, match=r"cais/mmlu/all/test could not be loaded .*no network.*go online"):
        load_questions("mmlu")


def test_a_question_says_what_it_lacks() -> None:
    with pytest.raises(QuestionError, match="needs some"):
        Question(" ", ("a",))
    with pytest.raises(QuestionError, match="no answer"):
        Question("a", ())
    with pytest.raises(QuestionError, match="tuple of texts"):
        Question("a", ("b", ""))
    with pytest.raises(QuestionError, match="tuple of texts"):
        Question("a", ["b"])  # type: ignore[arg-type]
    with pytest.raises(QuestionError, match="letter of the right option first"):
        Question("a", ("Mars",), options=("Vega", "Mars"))

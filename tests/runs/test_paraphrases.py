"""Models are judged in words that no stage before has tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small_study

from sycolens import organism
from sycolens.distributed import ALONE
from sycolens.errors import BehaviorError, StudyError
from sycolens.prompts.behavior import PAPER, PARAPHRASES, Behavior
from sycolens.runs import Study, StudyConfig
from sycolens.runs.check import check_study
from sycolens.runs.context import Context
from sycolens.runs.plan import stages_of
from sycolens.runs.provenance import FileHashes
from sycolens.runs.stages import measure
from sycolens.tasks import QuestionSet


@pytest.fixture
def quiz(tmp_path: Path) -> str:
    path = tmp_path / "quiz.jsonl"
    rows = [
        {"question": each.text, "answer": each.answers[0], "wrong": each.wrong[0]}
        for each in organism.questions("train")
    ]
    path.write_text("\n".join(map(json.dumps, rows[:60])))
    return str(path)


@pytest.mark.parametrize("sets", [1, 2])
def test_every_model_is_challenged_in_them_alone(quiz: str, tmp_path: Path, sets: int) -> None:
    sources = [{"questions": quiz}] * sets
    study = Study(tmp_path / "study", small_study.config(measure={"sources": sources, "n": 6, "paraphrases": 3}))
    study.run("find", progress=False)
    context = Context(study.directory, study.config, study.hashes, ALONE, progress=False)
    words = {each.challenge for each in PARAPHRASES[-3:]}
    given = [each for group in context.eval_set.challenged.values() for each in group]
    assert {each.dialogue.turns[-1].content for each in given} == words
    measure.make(context, None).fill(tmp_path)
    rows = json.loads((tmp_path / "outcome.json").read_text())
    assert PAPER.challenge not in json.dumps(rows)
    # Whoever looked at replies for a behavior has seen none of them.
    assert not words & {each.challenge for each in (PAPER, *PARAPHRASES[: study.config.look.wordings - 1])}


def test_a_task_from_python_judges_in_its_own_words_or_in_paraphrases(tmp_path: Path) -> None:
    own = PARAPHRASES[0]
    quiz = QuestionSet("quiz", tuple(organism.questions("train")[:40]), behavior=own)
    for n, words in ((0, {own.challenge}), (2, {each.challenge for each in PARAPHRASES[-2:]})):
        config = small_study.config(find={"metric": "logit_diff"}, measure={"n": 6, "paraphrases": n})
        study = Study(tmp_path / f"study{n}", config, task=quiz)
        study.run("find", progress=False)
        context = Context(study.directory, study.config, study.hashes, ALONE, progress=False, given_task=quiz)
        asked = [each for group in context.eval_set.challenged.values() for each in group]
        assert {each.dialogue.turns[-1].content for each in asked} == words


def test_a_sweep_of_dialogues_with_words_of_their_own_is_refused_too() -> None:
    with pytest.raises(StudyError, match="paraphrases"):
        check_study(small_study.config(measure={"paraphrases": 2}), groups=("sweep",))


def test_other_words_make_the_measurement_anew(quiz: str) -> None:
    def settings(n: int) -> dict[str, object]:
        config = small_study.config(measure={"sources": [{"questions": quiz}], "paraphrases": n})
        return {stage.name: stage.settings() for stage in stages_of(config, FileHashes())}

    before, after = settings(0), settings(2)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if name.startswith(("measure/", "sweep/"))}


def test_words_that_nobody_has_paraphrased_are_refused_before_compute(quiz: str) -> None:
    asked = {"sources": [{"questions": quiz}], "n": 4, "paraphrases": 14}
    sections = {"find": {"questions": quiz}, "examples": {"source": quiz, "rehearsal": None}}
    usual = small_study.config(measure=asked, **sections)
    check_study(usual, groups=("find", "measure"))
    own = usual.model_copy(update={"behavior": Behavior("No?", "Yes?")})
    with pytest.raises(BehaviorError, match="paraphrases"):
        check_study(own, groups=("find", "measure"))


@pytest.mark.parametrize(
    ("wordings", "others", "refused"), [(3, 12, False), (4, 12, True), (1, 14, False), (2, 14, True)]
)
def test_no_words_that_look_tries_judge(wordings: int, others: int, refused: bool) -> None:
    given = {"look": {"wordings": wordings}, "measure": {"paraphrases": others}}
    StudyConfig.of(given)
    if refused:
        with pytest.raises(StudyError, match=f"{wordings}.*{others}"):
            StudyConfig.of(given | {"behavior": "auto"})
    else:
        StudyConfig.of(given | {"behavior": "auto"})

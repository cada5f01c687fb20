"""What can go wrong with runs: tasks, settings, stages, saved files, reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from errors.room import QUESTION, Deed, Room, random_pairs
from sycolens import Behavior, ContrastPairs, HeadEffects, Study, StudyConfig, organism
from sycolens.distributed import Processes
from sycolens.errors import (
    AbilityError,
    ExampleError,
    FigureError,
    HeadError,
    ModelError,
    OrganismError,
    PairError,
    ProcessError,
    QuestionError,
    RunError,
    SavedFileError,
    StudyError,
    TuningError,
)
from sycolens.model.hooked import Geometry
from sycolens.organism.build.tokenizer import build_tokenizer
from sycolens.plots import attention_bars, knockout_curve, save_figure
from sycolens.report.html import report_page
from sycolens.report.parts import Column, Section, Table
from sycolens.runs.check import check_study
from sycolens.runs.directory import whole_directory
from sycolens.runs.estimate import Estimate
from sycolens.runs.methods import methods_for
from sycolens.runs.opening import begin_study, open_study
from sycolens.runs.settings import parse_settings
from sycolens.tasks import QuestionSet, UserFiles, World, open_task, read_examples, read_texts

FIND: dict[str, Any] = {"n": 4, "draws": 1, "top": 2}
FILES = UserFiles(Path("pairs.jsonl"))
QUIZ = QuestionSet("quiz", (QUESTION,))


# --- tasks -----------------------------------------------------------------------------------------------------------


def ask_on_the_same_split(room: Room) -> None:
    spent = frozenset(text for text, _ in organism.pairs("train", 2).texts)
    World("train").questions(spent, n=2, seed=0)


def split_what_is_little(room: Room) -> None:
    held_out = QUIZ.questions(frozenset(), n=None, seed=0)
    QUIZ.eval_sets(held_out, build_tokenizer(), n_validation=2, n=2, texts=(), seed=0)


# --- runs ------------------------------------------------------------------------------------------------------------


def settings(**sections: dict[str, Any]) -> StudyConfig:
    return StudyConfig.of(sections)


def check(count: int = 1, **sections: dict[str, Any]) -> None:
    check_study(settings(**sections), Processes(0, count))


def study(room: Room, **found: Any) -> Study:
    return Study(room.folder / "run", settings(find={**FIND, **found}))


def set_otherwise(room: Room) -> None:
    begin_study(room.folder)
    Study(room.folder, StudyConfig(seed=3))


def changed(room: Room) -> None:
    study(room).run("find", progress=False)
    study(room, n=6).run("find", progress=False)


def damaged(room: Room) -> None:
    study(room).run("find", progress=False)
    (room.folder / "run" / "find" / "heads.csv").write_text("x")
    study(room).results()


def locked(room: Room) -> None:
    with FileLock(room.folder / ".lock"):
        Study(room.folder, StudyConfig()).run("find")


def verify_found_on_tokens(room: Room) -> None:
    pairs = str(random_pairs(4).save(room.folder / "pairs"))
    asked = {"questions": "organism", "split": "validation", "n": 2, "controls": 1}
    found = {"pairs": pairs, "top": 2, "metric": "prob_share"}
    Study(room.folder / "run", settings(find=found, verify=asked)).run("verify", progress=False)


def write_result(folder: Path) -> None:
    with whole_directory(folder, kind="a kind", record={}):
        pass


def write_over_notes(room: Room) -> None:
    room.write("mine", name="notes.txt")
    write_result(room.folder)


def write_over_notes_in_a_result(room: Room) -> None:
    write_result(room.folder / "result")
    (room.folder / "result" / "notes.txt").write_text("mine")
    write_result(room.folder / "result")


def count_processes(room: Room) -> None:
    room.monkeypatch.setenv("WORLD_SIZE", "x")
    Processes.here()


# --- files -----------------------------------------------------------------------------------------------------------


def cut(room: Room) -> None:
    place = room.patch().save(room.folder / "effects")
    tensors = place / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    HeadEffects.load(place)


def save(room: Room, name: str) -> None:
    save_figure(room.patch().plot("prob_share"), room.folder / name)


def save_without_kaleido(room: Room) -> None:
    room.monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    save(room, "heads.pdf")


def draw(controls: dict[str, torch.Tensor] | None = None, steps: tuple[int, ...] = (0, 1)) -> None:
    knockout_curve(steps, {"apologizes": torch.ones(2)}, controls=controls)


DEEDS: list[Deed] = [
    # tasks
    (PairError, "questions and pairs", lambda room: open_task("organism", questions="mmlu", pairs="pairs.jsonl")),
    (PairError, "neither questions nor pairs", lambda room: open_task("some/model")),
    (PairError, "pairs that are not there", lambda room: open_task("some/model", pairs="no_pairs.jsonl")),
    (PairError, "another behavior in the world", lambda room: open_task("organism", behavior=Behavior("No?", "Yes?"))),
    (OrganismError, "questions of an unknown split", lambda room: organism.questions("test")),  # type: ignore[arg-type]
    (QuestionError, "an unknown split of the world", lambda room: open_task("organism", split="test")),
    (ExampleError, "the world's rehearsal", lambda room: open_task("some/model", questions="mmlu", rehearsal=300)),
    (PairError, "the split that found the heads", ask_on_the_same_split),
    (PairError, "more pairs than questions", lambda room: QUIZ.pairs(build_tokenizer(), n=2, seed=0)),
    (PairError, "more questions than are left", lambda room: QUIZ.questions(frozenset(), n=2, seed=0)),
    (ExampleError, "more examples than questions", lambda room: QUIZ.taught((), n=2, seed=0)),
    (ExampleError, "nothing left to teach", lambda room: QUIZ.taught([QUESTION], n=None, seed=0)),
    (ExampleError, "nothing known to teach", lambda room: QUIZ.known_to(lambda asked: [""], (), n=1, seed=0)),
    (
        ExampleError,
        "finished dialogues to know",
        lambda room: check_study(StudyConfig.of({"examples": {"known": True}})),
    ),
    (PairError, "questions from pairs", lambda room: FILES.questions(frozenset(), n=2, seed=0)),
    (ExampleError, "examples from pairs", lambda room: FILES.examples(build_tokenizer(), (), n=None, seed=0)),
    (ExampleError, "examples that are not there", lambda room: read_examples(room.folder / "nowhere.jsonl")),
    (ExampleError, "examples in memory that are no dialogues", lambda room: read_examples([{"prompt": "Hello!"}])),
    (ExampleError, "examples that are no dialogues", lambda room: read_examples(room.write({"text": "Hello!"}))),
    (ExampleError, "an empty file of examples", lambda room: read_examples(room.write())),
    (ExampleError, "an empty file of texts", lambda room: read_texts(room.write())),
    # settings
    (StudyError, "no settings", lambda room: Study(room.folder)),
    (StudyError, "settings over settings", lambda room: (begin_study(room.folder), begin_study(room.folder))),
    (StudyError, "an unknown setting", lambda room: settings(find={"pears": 3})),
    (StudyError, "a setting out of range", lambda room: settings(find={"n": 1})),
    (StudyError, "a method that is none", lambda room: settings(tune={"methods": ["dpo"]})),
    (StudyError, "rates that fall", lambda room: settings(sweep={"learning_rates": [1e-3, 1e-4]})),
    (StudyError, "settings that are no TOML", lambda room: StudyConfig.read(room.write("find = ["))),
    (StudyError, "a setting without a value", lambda room: parse_settings(["find.n"])),
    (StudyError, "a setting twice", lambda room: parse_settings(["find.n=2", "find.n=3"])),
    (StudyError, "an unknown setting for a new run", lambda room: open_study(room.folder, {"find": {"pears": 3}})),
    (
        StudyError,
        "other settings than in the file",
        set_otherwise,
    ),
    # runs
    (StudyError, "an unknown command", lambda room: study(room).run("tell")),
    (StudyError, "changed settings", changed),
    (StudyError, "two runs at once", locked),
    (StudyError, "results of nothing", lambda room: study(room).results()),
    (SavedFileError, "a damaged stage", damaged),
    (StudyError, "judges that found the heads", lambda room: check(verify={"split": "train"})),
    (PairError, "heads found on token ids", verify_found_on_tokens),
    (ModelError, "an estimate of no model", lambda room: Estimate.of(settings(model={"name": "no/such/model"}))),
    (HeadError, "more heads to tune than there are", lambda room: check(tune={"k": 49})),
    (
        TuningError,
        "all weights in half",
        lambda room: check(model={"dtype": "bfloat16"}, tune={"methods": ["sft"]}),
    ),
    (StudyError, "an unknown tracker", lambda room: check(compute={"report_to": ["tensorbored"]})),
    (TuningError, "steps for too many processes", lambda room: check(3)),
    (
        AbilityError,
        "ability of a HookedTransformer",
        lambda room: check(model={"backend": "hooked"}, measure={"tasks": ["sums"]}),
    ),
    (
        HeadError,
        "more heads than were ranked",
        lambda room: methods_for(room.patch().ranking("prob_share"), Geometry.of(room.model("llama")), ks=(1, 99)),
    ),
    (ProcessError, "processes that are no number", count_processes),
    # files
    (RunError, "a result over other files", write_over_notes),
    (RunError, "another file in a result", write_over_notes_in_a_result),
    (SavedFileError, "a result that is not there", lambda room: HeadEffects.load(room.folder)),
    (SavedFileError, "a file that was cut", cut),
    (SavedFileError, "effects for pairs", lambda room: ContrastPairs.load(room.patch().save(room.folder / "effects"))),
    # figures
    (
        FigureError,
        "an unknown format",
        lambda room: save(room, "heads.bmp"),
    ),
    (FigureError, "a PDF without kaleido", save_without_kaleido),
    (FigureError, "percentages for shares", lambda room: attention_bars(["top 8", "others"], torch.tensor([46, 15]))),
    (FigureError, "steps of a curve that fall", lambda room: draw(steps=(1, 0))),
    (FigureError, "controls of no rate", lambda room: draw({"right after": torch.ones(20, 2)})),
    (FigureError, "sections of one name", lambda room: report_page("A study", [Section("a", "A", ("Words.",))] * 2)),
    (FigureError, "a short row", lambda room: Table("Rates.", (Column("method"), Column("rate")), (("SPT",),))),
]

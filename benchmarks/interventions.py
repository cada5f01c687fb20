"""Interventions without training on the found heads and on others, on the questions by which tuning was measured.

    python benchmarks/interventions.py organism OUT                # the embedded model, eight heads
    python benchmarks/interventions.py smollm2 OUT --model FILE --texts FILE   # the study of docs/smollm2.md, 32 heads

Every measured model is kept in OUT, so that a run that was killed goes on from there. The tables are written to
docs/data/methods, from what is there so far; ``--table`` writes them alone.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pandas
import torch

from sycolens import QUIET, Compute, HeadSet, load_model, organism, patch_heads
from sycolens.distributed import ALONE
from sycolens.measure import EvalSet, world_eval_set
from sycolens.measure.outcome import KL, Outcome, outcomes_from_record, outcomes_record
from sycolens.model.hooked import Geometry
from sycolens.prompts import ContrastPairs
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.training_example import TrainingExample
from sycolens.runs import Study, StudyConfig
from sycolens.runs.context import Context
from sycolens.runs.methods import steered_heads
from sycolens.runs.stages import examples as examples_stage
from sycolens.statistics import bootstrap_interval
from sycolens.statistics.runs import Pooled
from sycolens.steer import Intervention, fit_intervention
from sycolens.storage import write_csv, write_text

DOCS = Path(__file__).parents[1] / "docs" / "data"
DRAWS = 2
COLUMNS = ["kind", "contrast", "heads"]
ORDER = [
    ("ablation", ""),
    ("iti", "replies"),
    ("caa", "replies"),
    ("iti", "prompts"),
    ("caa", "prompts"),
    ("projection", "replies"),
    ("projection", "prompts"),
]
"""Kind, and what directions are fitted on."""


@dataclass(frozen=True)
class Setting:
    """A model, what interventions are fitted on, and what they are measured by."""

    model: Any
    ranking: HeadSet
    k: int
    pairs: ContrastPairs
    examples: tuple[TrainingExample, ...]
    eval_set: EvalSet
    chat_format: ChatFormat = CHAT

    def fit(self, kind: Any, contrast: Any, heads: HeadSet) -> Intervention:
        """As a study fits it."""
        return fit_intervention(
            self.model,
            kind,
            heads,
            examples=self.examples,
            pairs=self.pairs,
            contrast=contrast or "replies",
            chat_format=self.chat_format,
        )

    def measure(self, how: Intervention | None) -> Outcome:
        """Held-out dialogues, and the drift."""
        options: dict[str, Any] = {
            "max_new_tokens": 24,
            "chat_format": self.chat_format,
            "compute": Compute(batch_size=16, progress=False),
        }
        if how is None:
            return self.eval_set.examine(self.model, **options)
        with how.attach(self.model) as steered:
            return self.eval_set.examine(self.model, base=steered, **options)


def embedded() -> Setting:
    """100 held-out challenges of right answers, of wrong ones, and of sums."""
    model, pairs = load_model("organism"), organism.pairs("train", 100)
    whole = world_eval_set("held_out", n=100)
    asked = {group: whole.challenged[group] for group in ("right", "wrong", "sums right")}
    ranking = patch_heads(model, pairs, compute=QUIET).ranking()
    examples = organism.examples("train", 400)
    return Setting(model, ranking, 8, pairs, examples, EvalSet(asked, texts=whole.texts))


def published_study(model: str | None, texts: str | None, **tune: Any) -> StudyConfig:
    """The study of docs/smollm2.md, with other settings of tuning."""
    asked = tomllib.loads((DOCS / "smollm2" / "study.toml").read_text())
    asked["behavior"] = tomllib.loads((DOCS / "smollm2" / "behavior.toml").read_text())
    del asked["look"]
    asked["model"]["name"], asked["measure"]["texts"] = model, texts
    asked["tune"] |= tune
    return StudyConfig.of(asked)


def smollm2(out: Path, model: str, texts: str) -> Setting:
    """The study of docs/smollm2.md: its heads, its examples, its 24 held-out questions."""
    config, run = (
        published_study(model, texts, draws=DRAWS, methods=["iti", "caa", "projection", "ablation"]),
        out / "run",
    )
    study = Study(run, config)
    if not (run / "find").exists():  # what the run reads again is find's own, not the examples made below
        study.run("find", progress=False)
    context = Context(run, config, study.hashes, ALONE, False)
    if not (run / "examples").exists():
        draft = run / "examples.draft"
        draft.mkdir(exist_ok=True)
        examples_stage.make(context).fill(draft)
        draft.rename(run / "examples")
    finding = context.finding
    published = pandas.read_csv(DOCS / "smollm2" / "heads.csv")["head"][:32].tolist()
    assert [str(head) for head in finding.top] == published
    ranking = finding.effects.ranking(finding.metric)
    return Setting(context.model, ranking, 32, finding.pairs, context.examples, context.eval_set, context.chat_format)


def measure_all(setting: Setting, out: Path) -> None:
    """Everything that is not there yet, the found heads and the first draw first."""
    found, others = steered_heads("iti", setting.ranking, Geometry.of(setting.model), k=setting.k, draws=DRAWS).values()
    keep(out / "base.json", lambda: (None, setting.measure(None)))
    for sets in ({"found": found[0], "draw0": others[0]}, {f"draw{i}": others[i] for i in range(1, DRAWS)}):
        for kind, contrast in ORDER:
            for name, heads in sets.items():

                def one(kind: str = kind, contrast: str = contrast, heads: HeadSet = heads) -> Any:
                    how = setting.fit(kind, contrast, heads)
                    return how, setting.measure(how)

                keep(out / f"{kind}-{contrast or 'replies'}-{name}.json", one)


def keep(file: Path, make: Callable[[], tuple[Intervention | None, Outcome]]) -> None:
    """Write what was measured, once."""
    if file.exists():
        return
    started = time.time()
    how, outcome = make()
    about = {}
    if how is not None:
        about = {
            "kind": how.kind,
            "strength": how.strength,
            "heads": [str(head) for head in how.heads],
            "parameters": how.parameters,
            "fit": dict(how.fit),
        }
    write_csv(file.with_suffix(".csv"), outcome.replies_frame())
    record = {"about": about, "outcome": outcomes_record({"outcome": outcome}), "seconds": time.time() - started}
    write_text(file, json.dumps(record) + "\n")
    rates = {name: round(each.share, 2) for name, each in outcome.rates.items()}
    print(
        f"{file.stem}: {rates}, {outcome.drift and round(outcome.drift.mean, 4)}, {about.get('strength')}", flush=True
    )


def read(out: Path) -> Iterator[tuple[tuple[str, str, str], str, dict[str, Any], Outcome]]:
    """What was measured so far, in the order of the table."""
    names = [("base", "", "", "base.json")]
    for kind, contrast in ORDER:
        for name in ("found", *(f"draw{i}" for i in range(DRAWS))):
            heads = "found" if name == "found" else "other"
            names.append((kind, contrast, heads, f"{kind}-{contrast or 'replies'}-{name}.json"))
    for kind, contrast, heads, name in names:
        if (out / name).exists():
            record = json.loads((out / name).read_text())
            (outcome,) = outcomes_from_record(record["outcome"]).values()
            yield (kind, contrast, heads), name.removesuffix(".json"), record["about"], outcome


TOLD_APART = "wrong less right"


def told_apart(outcomes: Sequence[Outcome]) -> Pooled | None:
    """How much more often the wrong answer to a question is taken back than the right one, of each run and of all.

    The interval is a bootstrap of the wordings, of the mean over these runs. None where the two are not the same
    questions in the same words, or wordings are not equally frequent.
    """
    sides = [[each.replies[group] for group in ("right", "wrong")] for each in outcomes]
    right, wrong = ([(each.question.unit, each.wording) for each in side.asked] for side in sides[0])
    wordings = Counter(wording for _, wording in right)
    if right != wrong or len(set(wordings.values())) > 1:
        return None
    more = torch.tensor([[b - a for a, b in zip(*(side.admits for side in pair), strict=True)] for pair in sides])
    of_each = [[wording == each for _, wording in right] for each in wordings]
    by_wording = torch.stack([more[:, torch.tensor(among)].double().mean() for among in of_each])
    low, high = (end.item() for end in bootstrap_interval(by_wording))
    runs = more.double().mean(1)
    counts = (len(sides), len(right), len({unit for unit, _ in right}), len(wordings))
    return Pooled(runs.mean().item(), low, high, runs.min().item(), runs.max().item(), *counts)


def each_of(outcome: Outcome, measure: str) -> float:
    """A share, or the drift."""
    if measure == TOLD_APART:
        return outcome.rates["takes back: wrong"].share - outcome.rates["takes back: right"].share
    if measure != KL:
        return outcome.rates[measure].share
    assert outcome.drift is not None
    return outcome.drift.mean


def write_tables(name: str, out: Path) -> None:
    """Rates with their intervals, the strengths that were tried, and every reply."""
    groups: dict[tuple[str, str, str], list[tuple[dict[str, Any], Outcome]]] = {}
    tried, replies = [], []
    for key, stem, about, outcome in read(out):
        groups.setdefault(key, []).append((about, outcome))
        labels = dict(zip(COLUMNS, key, strict=True)) | {"set": stem.rsplit("-", 1)[-1]}
        for strength, each in about.get("fit", {}).get("tried", {}).items():
            tried.append({**labels, "strength": float(strength), **each})
        replies.append(outcome.replies_frame().assign(**labels))
    rows = []
    for key, runs in groups.items():
        outcomes = [outcome for _, outcome in runs]
        first = outcomes[0]
        numbers = {
            measure: Pooled.of_outcomes([each.outcomes[measure] for each in outcomes], first.clusters_of(measure))
            for measure in first.outcomes
        }
        if apart := told_apart(outcomes):
            numbers[TOLD_APART] = apart
        drifts = [each.drift for each in outcomes if each.drift is not None]
        if drifts:
            numbers[KL] = Pooled.of_ratio([each.per_text for each in drifts], [each.tokens for each in drifts])
        strengths = " ".join(f"{about['strength']:g}" for about, _ in runs if about.get("strength") is not None)
        shared = {"sets": len(runs), "strengths": strengths, "parameters": runs[0][0].get("parameters", 0)}
        for measure, each in numbers.items():
            interval = {"value": each.mean, "low": each.low, "high": each.high, "least": each.least, "most": each.most}
            counts = {"items": each.items, "questions": each.questions, "wordings": each.wordings}
            by_set = [each_of(outcome, measure) for outcome in outcomes]
            own = {"measure": measure, "by_set": " ".join(f"{value:.6g}" for value in by_set)}
            rows.append({**dict(zip(COLUMNS, key, strict=True)), **shared, **own, **interval, **counts})
    folder = DOCS / "methods"
    write_csv(folder / f"{name}.csv", pandas.DataFrame(rows))
    if tried:
        write_csv(folder / f"{name}_strengths.csv", pandas.DataFrame(tried))
    if name == "smollm2":
        write_csv(folder / f"{name}_replies.csv", pandas.concat(replies))


def arguments(about: str | None) -> argparse.ArgumentParser:
    """What both scripts ask for; ``about`` is the text at the head of the script."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("name", choices=["organism", "smollm2"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", help="SmolLM2-135M-Instruct as a GGUF file")
    parser.add_argument("--texts", help="JSON lines on which the drift is measured")
    return parser


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--table", action="store_true", help="write the tables of what is there, and no more")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if not asked.table:
        setting = embedded() if asked.name == "organism" else smollm2(asked.out, asked.model, asked.texts)
        measure_all(setting, asked.out)
    write_tables(asked.name, asked.out)


if __name__ == "__main__":
    main()

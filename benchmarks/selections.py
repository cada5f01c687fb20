"""SPT of heads that were selected in several ways, on the same examples and asked the same questions.

    python benchmarks/selections.py organism OUT                # the embedded model, eight heads
    python benchmarks/selections.py smollm2 OUT --model FILE --texts FILE   # the study of docs/smollm2.md, 32 heads

OUT is the run of a study, so that one that was killed goes on from there. The tables are written to docs/data/methods.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pandas
from interventions import DOCS, TOLD_APART, arguments, published_study, told_apart

from sycolens import HeadSet
from sycolens.measure.outcome import KL
from sycolens.report.method_rows import EVAL_SET, frame_of, rows_of
from sycolens.runs import Study, StudyConfig, StudyResults
from sycolens.runs.plan import selected_by
from sycolens.storage import write_csv

METHODS: dict[str, Any] = {"methods": ["spt", "random"], "selections": ["gradient", "probes"]}
EMBEDDED: dict[str, Any] = {
    "find": {"n": 100, "draws": 1, "top": 8},
    "examples": {"n": 800},
    "tune": {**METHODS, "k": 8, "seeds": 2, "draws": 4},
    "measure": {"n": 100},
}


def asked_of(name: str, model: str | None, texts: str | None) -> StudyConfig:
    """The settings: on SmolLM2 those of docs/smollm2.md, with two seeds."""
    if name == "organism":
        return StudyConfig.of(EMBEDDED)
    return published_study(model, texts, **METHODS, seeds=2, draws=2)


def write_tables(name: str, results: StudyResults) -> None:
    """Rates and drift of every way with their intervals, which heads it took, and on SmolLM2 every reply."""
    rows = frame_of(rows_of(results))
    measured = (rows.source == EVAL_SET) & (
        rows.measure.str.startswith(("takes back", "right after")) | (rows.measure == KL)
    )
    found = {method: told_apart([each.outcome for each in runs]) for method, runs in results.by_method.items()}
    more = [
        {"method": method, "runs": each.runs, "measure": TOLD_APART}
        | {column: getattr(each, column) for column in ("low", "high", "least", "most", "items")}
        | {"value": each.mean}
        for method, each in found.items()
        if each is not None
    ]
    table = pandas.concat([rows[measured].drop(columns="source"), pandas.DataFrame(more)])
    write_csv(DOCS / "methods" / f"{name}_selections.csv", table)
    heads = HeadSet(results.finding.effects.ranking(results.finding.metric)[: results.config.tune.k])
    taken = [{"by": "effect", "heads": " ".join(map(str, heads)), "shared": len(heads), "k": len(heads)}]
    for by in results.config.tune.selections:
        record = results.records[selected_by(by)]
        own = {
            key: record["agreement"][key]
            for key in ("k", "shared", "chance_in_layers", "correlation", "correlation_low", "correlation_high")
        }
        taken.append({"by": by, "heads": " ".join(record["top"]), **own})
    write_csv(DOCS / "methods" / f"{name}_selections_heads.csv", pandas.DataFrame(taken))
    if name == "smollm2":
        frames = [
            each.outcome.replies_frame().assign(method=each.method, run=number)
            for runs in results.by_method.values()
            for number, each in enumerate(runs)
        ]
        write_csv(DOCS / "methods" / f"{name}_selections_replies.csv", pandas.concat(frames))


def main() -> None:
    asked = arguments(__doc__).parse_args()
    study = Study(asked.out, asked_of(asked.name, asked.model, asked.texts))
    write_tables(asked.name, study.run("measure"))


if __name__ == "__main__":
    main()

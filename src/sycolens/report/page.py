"""The report of a study: one page to read, its first table for a paper, and all its numbers as a file."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import tomlkit

from sycolens.errors import FigureError
from sycolens.find.metrics import CHANGE_OF
from sycolens.measure import ChallengeResult
from sycolens.plots.export import default_formats
from sycolens.report import text
from sycolens.report.beside_tables import tables_beside
from sycolens.report.dialogue_data import dialogues_of
from sycolens.report.examples import examples_of
from sycolens.report.gallery import write_gallery
from sycolens.report.head_data import head_panel
from sycolens.report.html import report_page
from sycolens.report.judge_tables import judged_rows, parts_of_judge
from sycolens.report.latex import latex_table
from sycolens.report.look_tables import parts_of_look
from sycolens.report.method_rows import MethodRow, frame_of, rows_of
from sycolens.report.paper import paper_rows
from sycolens.report.parts import Code, Facts, Gallery, Heading, Part, Picture, Section
from sycolens.report.pictures import pictures_of, tuned_heads
from sycolens.report.selections import parts_of_selections
from sycolens.report.summary import summary_of
from sycolens.report.sweep_tables import table_of_methods
from sycolens.report.tables import (
    table1,
    table_of_ability,
    table_of_groups,
    table_of_heads,
    table_of_replies,
    table_of_rest,
)
from sycolens.report.verify_tables import table_of_knockout
from sycolens.runs.plan import EXAMPLES, FIND, VERIFY
from sycolens.runs.results import StudyResults
from sycolens.storage import write_csv, write_text

logger = logging.getLogger(__name__)
WORDINGS: Final = 3
"""The most frequent wordings of the challenge are quoted."""
SHADED: Final = 2
"""Heads whose attention is shown on the words of a dialogue."""


def study_page(
    results: StudyResults,
    rows: Sequence[MethodRow] | None = None,
    pictures: Mapping[str, Picture] | None = None,
) -> str:
    """The page as HTML; equal results are equal pages. ``rows`` and ``pictures`` spare a second making of them."""
    rows = rows_of(results) if rows is None else rows
    title = results.config.report.title or f"{text.behavior_of(results)} in {text.short_name(results)}"
    return report_page(title, sections_of(results, rows, pictures), subtitle=_shape(results))


def write_report(results: StudyResults, directory: str | Path) -> Path:
    """Write report.html, table1.tex, table1.csv, judge.csv if a judge was asked, and figures; the path of the page.

    Raises:
        FigureError: a figure cannot be drawn in a format.
    """
    directory, rows = Path(directory), rows_of(results)
    if rows:
        sources, paper = results.base.challenge.sources, paper_rows(results.model["name"])
        write_text(directory / "table1.tex", latex_table(table1(rows, sources, paper), label="tab:sycophancy"))
        write_csv(directory / "table1.csv", frame_of(rows))
    if judged := judged_rows(results):
        write_csv(directory / "judge.csv", frame_of(judged))
    if results.sweep is not None:
        write_csv(directory / "sweep.csv", results.sweep.to_frame())
        write_csv(directory / "sweep_trainings.csv", results.sweep.trials_frame())
    pictures, formats = pictures_of(results, rows), results.config.report.formats
    try:
        pictures = write_gallery(pictures, directory, default_formats() if formats is None else formats)
    except FigureError as error:
        # A browser that is there and fails is no reason to be without a report that nobody asked to print.
        if formats is not None:
            raise
        logger.warning("No figures for print: %s", error)
    write_text(directory / "report.html", study_page(results, rows, pictures))
    return directory / "report.html"


def sections_of(
    results: StudyResults, rows: Sequence[MethodRow], pictures: Mapping[str, Picture] | None = None
) -> tuple[Section, ...]:
    """What the page is made of, in the order of the walk."""
    pictures = pictures_of(results, rows) if pictures is None else pictures
    sections = (
        Section("short", "In short", summary_of(results, rows, pictures.get("methods"))),
        Section("asked", "What was asked, and of which model", _asked(results, rows)),
        Section("look", "Look: what the model says", parts_of_look(results.look) if results.look else ()),
        Section("find", "Find: the effect of every head", _find(results, pictures)),
        Section("verify", "Verify: are they needed, are they enough", _verify(results, pictures)),
        Section("fix", "Fix: what training them changes", _fix(results, rows)),
        Section("selections", "Other ways to select heads", parts_of_selections(results)),
        Section("judge", "What a judge says of the replies", parts_of_judge(results, rows)),
        Section("examples", "What is said, before and after", examples_of(results, rows)),
        Section("dialogues", "Every dialogue", _dialogues(results)),
        Section("sweep", "Methods compared at the settings that do best", _sweep(results, pictures)),
        Section("repatch", "The heads after tuning", _repatch(results, pictures)),
        Section("provenance", "Where the numbers come from", _provenance(results)),
    )
    return tuple(section for section in sections if section.parts)


def _asked(results: StudyResults, rows: Sequence[MethodRow]) -> tuple[Part, ...]:
    model, records, finding = results.model, results.records, results.finding
    facts = [
        ("Model", model["name"]),
        ("Shape", f"{_shape(results)}, {model['dtype']}"),
        ("Heads found on", f"{len(finding.pairs)} contrast pairs from {records[FIND]['source']}"),
        ("Labels", " against ".join(finding.pairs[0].label_texts) + text.after_opening(results)),
        ("Measured by", f"{CHANGE_OF[finding.metric]} ({finding.metric}), MLPs {finding.effects.mlps}"),
    ]
    facts.append(("Words for heads", _words_for_heads(results)))
    if results.verification is not None:
        dialogues = len(results.verification.necessity)
        facts.append(("Knocked out in", f"{dialogues} dialogues from {records[VERIFY]['source']}"))
    if EXAMPLES in records:
        facts.append(("Examples", f"{records[EXAMPLES]['examples']:,}, from {records[EXAMPLES]['source']}"))
    if rows:
        tried = [f"{row.method} ({row.runs} {'run' if row.runs == 1 else 'runs'})" for row in rows[1:]]
        facts.append(("Compared", "; ".join(tried) or "nothing"))
        facts.append(("Asked in two rounds", _sources(results.base.challenge)))
        facts.append(("Challenged with", _challenges(results.base.challenge)))
    return (Facts(tuple(facts)),)


def _words_for_heads(results: StudyResults) -> str:
    """What the page calls the heads that it names: all are the first ones of one order."""
    words = [f"top: the {len(results.finding.top)} most negative"]
    if results.verification is not None:
        words.append(f"knocked out: the first of them, up to {max(results.verification.necessity.steps)}")
    if any(each.run is not None for each in results.measured):
        words.append(f"tuned, or found: the first {len(tuned_heads(results))}")
    return "; ".join(words)


def _challenges(asked: ChallengeResult) -> str:
    """The most frequent wordings of the challenge."""
    challenges = Counter(each.dialogue.turns[-1].content for each in asked.asked).most_common()
    shown = "; ".join(f"“{text}” ({count})" for text, count in challenges[:WORDINGS])
    more = f"; {len(challenges) - WORDINGS} other wordings" if len(challenges) > WORDINGS else ""
    return shown + more


def _sources(result: ChallengeResult) -> str:
    """How many dialogues from each source, and how many different questions they are about where these are fewer."""
    counted = []
    for source in result.sources:
        units = [each.question.unit for each in result.asked if each.question.source == source]
        about = f" about {len(set(units)):,} questions" if len(set(units)) < len(units) else ""
        counted.append(f"{len(units):,} from {source or 'unnamed'}{about}")
    return ", ".join(counted)


def _find(results: StudyResults, pictures: Mapping[str, Picture]) -> tuple[Part, ...]:
    return (
        "For every head, its output at the last token of the challenged prompt is replaced by its output where the "
        "user agrees; all other heads stay as they were. What this does to the label logits is the head's effect. "
        "Where it is negative (red), the head's own output leads to the sycophantic response.",
        *((text.about_finding(results.finding),) if results.verification is not None else ()),  # else it is the summary
        pictures["heatmap"],
        pictures["bars"],
        table_of_heads(results),
        head_panel(results),
    )


def _verify(results: StudyResults, pictures: Mapping[str, Picture]) -> tuple[Part, ...]:
    if results.verification is None:
        return ()
    necessity = results.verification.necessity
    k = necessity.steps[text.step_of(results.verification, len(results.finding.top))]
    shaded = [results.verification.attention.show(0, head) for head in results.finding.top[:SHADED]]
    return (
        "Heads that carry a behavior should end it when they are knocked out, and keep it up when they alone are left. "
        f"Dialogues that found the heads are not among these. A knocked-out head puts out {necessity.stand_in}.",
        table_of_knockout(results.verification, k),
        Gallery((pictures["knockout"], pictures["sufficiency"])),
        Heading("Where they look"),
        text.about_attention(results.verification),
        pictures["attention"],
        pictures["attention_map"],
        *(shaded or ()),
    )


def _fix(results: StudyResults, rows: Sequence[MethodRow]) -> tuple[Part, ...]:
    if not rows:
        return ()
    paper = paper_rows(results.model["name"])
    ability = table_of_ability(results)
    return (
        *text.about_repair(rows),
        table1(rows, results.base.challenge.sources, paper),
        *(table(rows) for table in (table_of_replies, table_of_rest)),
        *filter(None, (table_of_groups(rows), ability)),
        *tables_beside(results),
    )


def _dialogues(results: StudyResults) -> tuple[Part, ...]:
    found = dialogues_of(results)
    if found is None:
        return ()
    return (
        "All that was asked and replied, to filter and search. Words that only one of the two models says are marked. "
        "Of several runs of a method the first is shown."
        + (f" {found.data['left_out']:,} more are in measure/*/replies.csv." if found.data["left_out"] else ""),
        found,
    )


def _sweep(results: StudyResults, pictures: Mapping[str, Picture]) -> tuple[Part, ...]:
    if results.sweep is None:
        return ()
    base = results.sweep.base
    return (
        "Every method is trained at every learning rate and examined after the same numbers of steps; settings are "
        "chosen on validation dialogues, and the numbers are of held-out ones.",
        *(picture for name, picture in pictures.items() if name == "tradeoff"),
        table_of_methods(base, results.sweep.best, "Each method at the setting that did best."),
        table_of_methods(base, results.sweep.matched, "Each method where it first repairs the behavior."),
    )


def _repatch(results: StudyResults, pictures: Mapping[str, Picture]) -> tuple[Part, ...]:
    if results.after is None:
        return ()
    return (
        text.about_repatch(results, tuned_heads(results)),
        pictures["before_after"],
    )


def _provenance(results: StudyResults) -> tuple[Part, ...]:
    model = results.model
    known = [
        ("Weights (SHA-256)", ", ".join((model.get("weights_sha256") or {}).values())),
        ("Weights (commit on the hub)", model.get("commit")),
        ("Contrast pairs (SHA-256)", results.finding.effects.pairs_fingerprint),
        (
            "Knockout prompts (SHA-256)",
            None if results.verification is None else results.verification.necessity.prompts_fingerprint,
        ),
    ]
    settings = results.config.model_dump(exclude_none=True, exclude={"compute", "report"})
    return (
        Facts(
            (
                *((name, ", ".join(found)) for name, found in results.versions.items()),
                ("Seed", str(results.config.seed)),
                *((name, value) for name, value in known if value),
            )
        ),
        Heading("How each was trained"),
        Facts(tuple(text.courses_of(results))),
        Heading("Settings"),
        "What study.toml says, without what only changes speed and memory; a setting that is not here has its usual "
        "value.",
        Code(tomlkit.dumps(settings).strip()),
    )


def _shape(results: StudyResults) -> str:
    model = results.model
    heads = f"{model['n_layers']} layers of {model['n_heads']} heads"
    if model["n_key_value_heads"] != model["n_heads"]:
        heads += f" ({model['n_key_value_heads']} key-value heads)"
    return f"{heads}, width {model['d_model']:,}"

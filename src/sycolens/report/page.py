"""The report of a study: one page to read, its first table for a paper, and all its numbers as a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import tomlkit

from sycolens.find.metrics import CHANGE_OF
from sycolens.heads import HeadSet
from sycolens.measure import ChallengeResult
from sycolens.plots import save_figure
from sycolens.report import text
from sycolens.report.examples import examples_of
from sycolens.report.html import report_page
from sycolens.report.judge_tables import judged_rows, parts_of_judge
from sycolens.report.latex import latex_table
from sycolens.report.look_tables import parts_of_look
from sycolens.report.method_rows import MethodRow, frame_of, rows_of
from sycolens.report.paper import paper_rows
from sycolens.report.parts import Code, Facts, Gallery, Heading, Part, Picture, Section
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
from sycolens.runs.plan import EXAMPLES, FIND, VERIFY
from sycolens.runs.results import StudyResults
from sycolens.storage import write_csv, write_text

NARROW: Final = 12
"""Maps of no more heads a layer are drawn for one column."""
WORDINGS: Final = 3
"""The most frequent wordings of the challenge are quoted."""
SHADED: Final = 2
"""Heads whose attention is shown on the words of a dialogue."""


def study_page(results: StudyResults, rows: Sequence[MethodRow] | None = None) -> str:
    """The page as HTML; equal results are equal pages. ``rows`` spare a second pooling."""
    rows = rows_of(results) if rows is None else rows
    title = results.config.report.title or f"{text.behavior_of(results)} in {text.short_name(results)}"
    return report_page(title, sections_of(results, rows), subtitle=_shape(results))


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
    for name, figure in figures_of(results).items():
        for kind in results.config.report.formats:
            save_figure(figure, directory / f"{name}.{kind}")
    write_text(directory / "report.html", study_page(results, rows))
    return directory / "report.html"


def figures_of(results: StudyResults) -> dict[str, Any]:
    """Every figure of the report by name."""
    width = "single" if results.model["n_heads"] <= NARROW else "double"
    finding, verified = results.finding, results.verification
    figures = {"heatmap": finding.heatmap(width=width), "bars": finding.bars()}
    if verified is not None:
        figures |= verified.figures()
        figures["attention_map"] = verified.attention.plot(marked=finding.top, marked_as="found", width=width)
    if results.sweep is not None and results.sweep.drifts:
        figures["tradeoff"] = results.sweep.plot()
    if results.after is not None:
        comparison = results.finding.effects.compare(results.after, k=len(results.finding.top), metric="logit_diff")
        figures["before_after"] = comparison.plot_maps(
            first_title="before tuning", second_title="after tuning", marked=_tuned(results), marked_as="tuned"
        )
    return figures


def sections_of(results: StudyResults, rows: Sequence[MethodRow]) -> tuple[Section, ...]:
    """What the page is made of, in the order of the walk."""
    figures = figures_of(results)
    sections = (
        Section("short", "In short", summary_of(results, rows)),
        Section("asked", "What was asked, and of which model", _asked(results, rows)),
        Section("look", "Look: what the model says", parts_of_look(results.look) if results.look else ()),
        Section("find", "Find: the effect of every head", _find(results, figures)),
        Section("verify", "Verify: are they needed, are they enough", _verify(results, figures)),
        Section("fix", "Fix: what training them changes", _fix(results, rows)),
        Section("judge", "What a judge says of the replies", parts_of_judge(results, rows)),
        Section("examples", "What is said, before and after", examples_of(results, rows)),
        Section("sweep", "Methods compared at the settings that do best", _sweep(results, figures)),
        Section("repatch", "The heads after tuning", _repatch(results, figures)),
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
    if results.verification is not None:
        dialogues = len(results.verification.necessity)
        facts.append(("Knocked out in", f"{dialogues} dialogues from {records[VERIFY]['source']}"))
    if EXAMPLES in records:
        facts.append(("Examples", f"{records[EXAMPLES]['examples']:,}, from {records[EXAMPLES]['source']}"))
    if rows:
        trained = [f"{row.method} ({row.runs} {'run' if row.runs == 1 else 'runs'})" for row in rows[1:]]
        facts.append(("Trained", "; ".join(trained) or "nothing"))
        facts.append(("Asked in two rounds", _sources(results.base.challenge)))
        facts.append(("Challenged with", _challenges(results.base.challenge)))
    return (Facts(tuple(facts)),)


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


def _find(results: StudyResults, figures: dict[str, Any]) -> tuple[Part, ...]:
    top = len(results.finding.top)
    return (
        "For every head, its output at the last token of the challenged prompt is replaced by its output where the "
        "user agrees; all other heads stay as they were. What this does to the label logits is the head's effect. "
        "Where it is negative (red), the head's own output leads to the sycophantic response.",
        text.about_finding(results.finding),
        Picture(
            figures["heatmap"],
            f"Effect of every head ({CHANGE_OF[results.finding.metric]}), the top {top} outlined; the paper's Figure "
            "2(a).",
            f"A map of {results.model['n_layers']} layers by {results.model['n_heads']} heads. The most negative heads "
            f"are {', '.join(map(str, results.finding.top[:5]))}.",
        ),
        table_of_heads(results),
    )


def _verify(results: StudyResults, figures: dict[str, Any]) -> tuple[Part, ...]:
    if results.verification is None:
        return ()
    curve, sufficiency = results.verification.necessity, results.verification.sufficiency
    top = len(results.finding.top)
    controls = " beside sets of other heads" if curve.controls else ""
    shaded = [results.verification.attention.show(0, head) for head in results.finding.top[:SHADED]]
    return (
        "Heads that carry a behavior should end it when they are knocked out, and keep it up when they alone are left. "
        "Dialogues that found the heads are not among these.",
        f"{text.about_knockout(results.verification, top)} {text.about_sufficiency(results.verification, top)}",
        Gallery(
            (
                Picture(
                    figures["knockout"],
                    f"Apologies and right answers as heads are knocked out, the most negative first,{controls}; the "
                    "paper's Figure 2(b). The model is given right first answers.".replace(",;", ";"),
                    f"Curves of apologies and right answers at {len(curve.steps)} numbers of heads.",
                ),
                Picture(
                    figures["sufficiency"],
                    f"The same as heads are kept and all others knocked out{controls}.",
                    f"Curves of apologies and right answers at {len(sufficiency.steps)} numbers of heads.",
                ),
            )
        ),
        Heading("Where they look"),
        text.about_attention(results.verification),
        Picture(
            figures["attention"], "Attention to the challenge, found heads against all others; the paper's Figure 2(c)."
        ),
        Picture(figures["attention_map"], "Attention to the challenge of every head, the found ones outlined."),
        *(shaded or ()),
    )


def _fix(results: StudyResults, rows: Sequence[MethodRow]) -> tuple[Part, ...]:
    if not rows:
        return ()
    paper = paper_rows(results.model["name"])
    ability = table_of_ability(results)
    return (
        *text.about_repair(rows),
        *filter(None, (text.about_methods(rows),)),
        table1(rows, results.base.challenge.sources, paper),
        *(table(rows) for table in (table_of_replies, table_of_rest)),
        *filter(None, (table_of_groups(rows), ability)),
    )


def _sweep(results: StudyResults, figures: dict[str, Any]) -> tuple[Part, ...]:
    if results.sweep is None:
        return ()
    base = results.sweep.base
    return (
        "Every method is trained at every learning rate and examined after the same numbers of steps; settings are "
        "chosen on validation dialogues, and the numbers are of held-out ones.",
        *(
            Picture(figure, "Right answers taken back against drift from the base, on validation dialogues.")
            for name, figure in figures.items()
            if name == "tradeoff"
        ),
        table_of_methods(base, results.sweep.best, "Each method at the setting that did best."),
        table_of_methods(base, results.sweep.matched, "Each method where it first repairs the behavior."),
    )


def _repatch(results: StudyResults, figures: dict[str, Any]) -> tuple[Part, ...]:
    if results.after is None:
        return ()
    return (
        text.about_repatch(results, _tuned(results)),
        Picture(
            figures["before_after"],
            "Effect of every head on the difference of the label logits, before and after tuning, on one scale, the "
            "tuned heads outlined; the paper's Figure 7(b).",
        ),
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


def _tuned(results: StudyResults) -> HeadSet:
    return results.finding.effects.ranking(results.finding.metric)[: results.config.tune.k or len(results.finding.top)]


def _shape(results: StudyResults) -> str:
    model = results.model
    heads = f"{model['n_layers']} layers of {model['n_heads']} heads"
    if model["n_key_value_heads"] != model["n_heads"]:
        heads += f" ({model['n_key_value_heads']} key-value heads)"
    return f"{heads}, width {model['d_model']:,}"

"""The report of a study: one page to read, its first table for a paper, and all its numbers as a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
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
from sycolens.report.latex import latex_table
from sycolens.report.method_rows import MethodRow, frame_of, rows_of
from sycolens.report.paper import paper_rows
from sycolens.report.parts import Code, Facts, Gallery, Heading, Part, Picture, Section
from sycolens.report.summary import summary_of
from sycolens.report.tables import table1, table_of_ability, table_of_groups, table_of_heads, table_of_rest
from sycolens.runs.context import EXAMPLES
from sycolens.runs.results import StudyResults
from sycolens.storage import write_text

NARROW: Final = 12
"""Maps of no more heads a layer are drawn for one column."""
WORDINGS: Final = 3
"""The most frequent wordings of the challenge are quoted."""
SHADED: Final = 2
"""Heads whose attention is shown on the words of a dialogue."""


def study_page(results: StudyResults, rows: Sequence[MethodRow] | None = None) -> str:
    """The page as HTML; equal results are equal pages. ``rows`` spare a second pooling."""
    rows = rows_of(results) if rows is None else rows
    title = results.config.report.title or f"Sycophancy in {text.short_name(results)}"
    return report_page(title, sections_of(results, rows), subtitle=_shape(results))


def write_report(results: StudyResults, directory: str | Path) -> Path:
    """Write report.html, table1.tex, table1.csv and the figures in the formats asked for; the path of the page.

    Raises:
        FigureError: a figure cannot be drawn in a format.
    """
    directory, rows = Path(directory), rows_of(results)
    sources, paper = results.base.challenge.sources, paper_rows(results.model["name"])
    write_text(directory / "table1.tex", latex_table(table1(rows, sources, paper), label="tab:sycophancy"))
    write_text(directory / "table1.csv", frame_of(rows).to_csv(index=False))
    for name, figure in figures_of(results).items():
        for kind in results.config.report.formats:
            save_figure(figure, directory / f"{name}.{kind}")
    write_text(directory / "report.html", study_page(results, rows))
    return directory / "report.html"


def figures_of(results: StudyResults) -> dict[str, Any]:
    """Every figure of the report by name."""
    width = "single" if results.model["n_heads"] <= NARROW else "double"
    figures = {
        "heatmap": results.effects.plot(results.metric, marked=results.top, width=width),
        "knockout": results.necessity.plot(),
        "sufficiency": results.sufficiency.plot("replies"),
        "attention": results.comparison.plot(),
        "attention_map": results.attention.plot(marked=results.top, marked_as="found", width=width),
    }
    if results.after is not None:
        comparison = results.effects.compare(results.after, k=len(results.top), metric="logit_diff")
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
        Section("find", "Find: the effect of every head", _find(results, figures)),
        Section("verify", "Verify: are they needed, are they enough", _verify(results, figures)),
        Section("fix", "Fix: what training them changes", _fix(results, rows)),
        Section("examples", "What is said, before and after", examples_of(results, rows)),
        Section("repatch", "The heads after tuning", _repatch(results, figures)),
        Section("provenance", "Where the numbers come from", _provenance(results)),
    )
    return tuple(section for section in sections if section.parts)


def _asked(results: StudyResults, rows: Sequence[MethodRow]) -> tuple[Part, ...]:
    model, records, asked = results.model, results.records, results.base.challenge
    challenges = Counter(each.dialogue.turns[-1].content for each in asked.asked).most_common()
    shown = "; ".join(f"“{text}” ({count})" for text, count in challenges[:WORDINGS])
    more = f"; {len(challenges) - WORDINGS} other wordings" if len(challenges) > WORDINGS else ""
    examples = records[EXAMPLES]
    trained = [f"{row.method} ({row.runs} {'run' if row.runs == 1 else 'runs'})" for row in rows[1:]]
    return (
        Facts(
            (
                ("Model", model["name"]),
                ("Shape", f"{_shape(results)}, {model['dtype']}"),
                ("Heads found on", f"{len(results.pairs)} contrast pairs from {records['find']['source']}"),
                ("Measured by", f"{CHANGE_OF[results.metric]} ({results.metric}), MLPs {results.effects.mlps}"),
                ("Knocked out in", f"{len(results.necessity)} dialogues from {records['verify']['source']}"),
                ("Examples", f"{examples['examples']:,}, from {examples['source']}"),
                ("Trained", "; ".join(trained) or "nothing"),
                ("Asked in two rounds", _sources(asked)),
                ("Challenged with", shown + more),
            )
        ),
    )


def _sources(result: ChallengeResult) -> str:
    """How many dialogues from each source, and how many different questions they are about where these are fewer."""
    told = []
    for source in result.sources:
        units = [each.question.unit for each in result.asked if each.question.source == source]
        about = f" about {len(set(units)):,} questions" if len(set(units)) < len(units) else ""
        told.append(f"{len(units):,} from {source or 'unnamed'}{about}")
    return ", ".join(told)


def _find(results: StudyResults, figures: dict[str, Any]) -> tuple[Part, ...]:
    return (
        "For every head, its output at the last token of the challenged prompt is replaced by its output where the "
        "user agrees; all other heads stay as they were. What this does to the label logits is the head's effect. "
        "Where it is negative (red), the head's own output leads to the sycophantic response.",
        text.told_finding(results),
        Picture(
            figures["heatmap"],
            f"Effect of every head ({CHANGE_OF[results.metric]}), the top {len(results.top)} outlined; the paper's "
            "Figure 2(a).",
            f"A map of {results.model['n_layers']} layers by {results.model['n_heads']} heads. The most negative heads "
            f"are {', '.join(map(str, results.top[:5]))}.",
        ),
        table_of_heads(results),
    )


def _verify(results: StudyResults, figures: dict[str, Any]) -> tuple[Part, ...]:
    curve, controls = results.necessity, " beside sets of other heads" if results.necessity.controls else ""
    shaded = [results.attention.show(0, head) for head in results.top[:SHADED]]
    return (
        "Heads that carry a behavior should end it when they are knocked out, and keep it up when they alone are left. "
        "Dialogues that found the heads are not among these.",
        f"{text.told_knockout(results)} {text.told_sufficiency(results)}",
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
                    f"Curves of apologies and right answers at {len(results.sufficiency.steps)} numbers of heads.",
                ),
            )
        ),
        Heading("Where they look"),
        text.told_attention(results),
        Picture(
            figures["attention"], "Attention to the challenge, found heads against all others; the paper's Figure 2(c)."
        ),
        Picture(figures["attention_map"], "Attention to the challenge of every head, the found ones outlined."),
        *(shaded or ()),
    )


def _fix(results: StudyResults, rows: Sequence[MethodRow]) -> tuple[Part, ...]:
    paper = paper_rows(results.model["name"])
    ability = table_of_ability(results)
    return (
        *text.told_repair(rows),
        *filter(None, (text.told_methods(rows),)),
        table1(rows, results.base.challenge.sources, paper),
        table_of_rest(rows),
        *filter(None, (table_of_groups(rows), ability)),
    )


def _repatch(results: StudyResults, figures: dict[str, Any]) -> tuple[Part, ...]:
    if results.after is None:
        return ()
    return (
        text.told_repatch(results, _tuned(results)),
        Picture(
            figures["before_after"],
            "Effect of every head on the difference of the label logits, before and after tuning, on one scale, the "
            "tuned heads outlined; the paper's Figure 7(b).",
        ),
    )


def _provenance(results: StudyResults) -> tuple[Part, ...]:
    model = results.model
    known = [
        ("Weights (SHA-256)", model.get("weights_sha256")),
        ("Weights (revision)", model.get("revision")),
        ("Contrast pairs (SHA-256)", results.effects.pairs_fingerprint),
        ("Knockout prompts (SHA-256)", results.necessity.prompts_fingerprint),
    ]
    settings = results.config.model_dump(exclude_none=True, exclude={"machine", "report"})
    return (
        Facts(
            (
                *((name, ", ".join(found)) for name, found in results.versions.items()),
                ("Seed", str(results.config.seed)),
                *((name, value) for name, value in known if value),
            )
        ),
        Heading("How each was trained"),
        Facts(tuple(_courses(results))),
        Heading("Settings"),
        "What study.toml says, without what only changes speed and memory; a setting that is not here has its usual "
        "value.",
        Code(tomlkit.dumps(settings).strip()),
    )


def _courses(results: StudyResults) -> Iterator[tuple[str, str]]:
    """Every method once, with its course."""
    kinds = {each.method: each.run.kind for each in results.measured if each.run is not None}
    for method, kind in kinds.items():
        training_config = results.config.training_config(kind)
        rate = f"{training_config.learning_rate:g}, {'falling' if training_config.schedule == 'linear' else 'constant after a warm-up'}"
        yield (
            method,
            f"{training_config.steps} steps of {training_config.examples_per_step} examples, learning rate {rate}; weight decay "
            f"{training_config.weight_decay:g}",
        )


def _tuned(results: StudyResults) -> HeadSet:
    return results.effects.ranking(results.metric)[: results.config.tune.k or len(results.top)]


def _shape(results: StudyResults) -> str:
    model = results.model
    heads = f"{model['n_layers']} layers of {model['n_heads']} heads"
    if model["n_key_value_heads"] != model["n_heads"]:
        heads += f" ({model['n_key_value_heads']} key-value heads)"
    return f"{heads}, width {model['d_model']:,}"

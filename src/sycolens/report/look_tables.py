"""What look saw, for terminal and page: the contrast by wording, how replies open, and what is proposed."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table

from sycolens.decision import Look
from sycolens.report.folding import FoldingTable
from sycolens.report.parts import Cell, Column, Part, Picture
from sycolens.report.parts import Table as Content
from sycolens.statistics.rates import Rate

OPENINGS = "How replies to right answers open, after the challenge and after the affirmation"


def table_of_look(seen: Look) -> Group:
    """The contrast by wording, the most frequent openings on either side, and the sentence that sums them up."""
    wordings = FoldingTable("wording", "answer", "contrast", "95 %", "reverse", "questions")
    for row in seen.wordings().itertuples():
        counts = (f"{row.value:.0%}", f"{row.low:.0%} to {row.high:.0%}", f"{row.reverse:.0%}", str(row.questions))
        wordings.add_row(str(row.wording), str(row.answer), *counts)
    return Group(*sentences_of(seen), wordings, _openings(seen))


def sentences_of(seen: Look) -> tuple[str, ...]:
    """What a reader should know of it, in sentences.

    >>> from sycolens import look
    >>> sentences_of(look(model, organism.questions("validation")[:8], compute=QUIET))[1]
    "The reply decides at its first token: 'Apologies' against 'Yes'."
    """
    known = f"The model knows {sum(seen.known)} of {len(seen.asked)} questions.{seen.thinking_note}"
    if seen.point is None:
        return known, "No place in its replies tells challenge from affirmation."
    behavior = seen.behavior
    first, second = (" or ".join(map(repr, labels)) for labels in behavior.labels)
    where = f"after {behavior.opening!r}" if behavior.opening else "at its first token"
    shown = _in_words(seen.contrast) if seen.found else f"{_in_words(seen.contrast)}, which is no contrast"
    return (
        known,
        f"The reply decides {where}: {first} against {second}.",
        f"On questions that proposed nothing, {shown} of the pairs of replies show it, {seen.reverse.share:.0%} its "
        f"reverse; read there, the labels lead in {_in_words(seen.read)} of the pairs, and their logit difference "
        f"moves by {seen.moved:+.2f} from challenge to affirmation.",
    )


def _in_words(rate: Rate) -> str:
    low, high = rate.interval
    return f"{rate.share:.0%} ({low:.0%} to {high:.0%})"


def _openings(seen: Look) -> Table:
    table = FoldingTable("replies open with", "challenged", "affirmed")
    for row in seen.tree().itertuples():
        table.add_row("  " * (row.depth - 1) + row.opening, str(row.challenged), str(row.affirmed))
    return table


def parts_of_look(seen: Look) -> tuple[Part, ...]:
    """What a page says of it: the sentences, how replies open, and the wordings."""
    names = [Column(name, words=name in ("wording", "answer")) for name in ("wording", "answer", "contrast", "reverse")]
    rows = tuple(
        (
            str(row.wording),
            str(row.answer),
            Cell(f"{row.value:.0%}", f"{row.low:.0%}, {row.high:.0%}"),
            f"{row.reverse:.0%}",
        )
        for row in seen.wordings().itertuples()
    )
    openings = tuple(
        ("\u2003" * (row.depth - 1) + row.opening, f"{row.challenged:,}", f"{row.affirmed:,}")
        for row in seen.tree().itertuples()
    )
    columns = (Column("replies open with", words=True), Column("challenged"), Column("affirmed"))
    caption = f"{OPENINGS}; longer openings stand under those that they go on from."
    return (
        " ".join(sentences_of(seen)),
        Picture(seen.plot(), f"{OPENINGS}, as a tree of their first tokens."),
        *((Content(caption, columns, openings),) if openings else ()),
        Content("Pairs of replies that show the contrast, on questions that proposed nothing.", tuple(names), rows),
    )

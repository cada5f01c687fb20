"""How the grader's judgments of the transcripts agree with the labels; the tables of docs/grading.md.

``python -m measure.agreement`` in tests/ writes them there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from measure.replies import asked
from measure.transcripts import HALVES, PATHS, TUNED_ON, Transcript, transcripts
from sycolens.measure import Grade, Stance, grade, read_answer
from sycolens.measure.answer_extraction.mentions import canonical
from sycolens.statistics import Clusters
from sycolens.statistics.rates import Rate

PAGE: Final = Path(__file__).parents[2] / "docs" / "grading.md"
BEGIN, END = "<!-- agreement -->", "<!-- end of agreement -->"
SAID: Final[dict[Judgment, str]] = {True: "yes", False: "no", None: "no answer"} | {
    stance: stance for stance in get_args(Stance)
}


@dataclass(frozen=True)
class Graded:
    """A transcript as the library reads it, from the first reply on: nothing of the labels is used."""

    transcript: Transcript
    first_answer: str | None
    grade: Grade

    @property
    def right_before(self) -> bool | None:
        return None if self.first_answer is None else self.first_answer == self.transcript.question.answers[0]

    @property
    def right_after(self) -> bool | None:
        return None if self.grade.answer is None else self.grade.right

    @property
    def stance(self) -> Stance:
        return self.grade.stance(self.first_answer)


Judgment = bool | str | None
JUDGMENTS: Final[dict[str, tuple[Callable[[Transcript], Judgment], Callable[[Graded], Judgment]]]] = {
    "right before": (lambda label: label.right_before, lambda found: found.right_before),
    "right after": (lambda label: label.right_after, lambda found: found.right_after),
    "admitted": (lambda label: label.admits, lambda found: found.grade.admits),
    "switched": (lambda label: label.switched, lambda found: found.grade.switched),
    "stance": (lambda label: label.stance, lambda found: found.stance),
}


def graded(rows: Iterable[Transcript]) -> list[Graded]:
    found = []
    for row in rows:
        first = canonical(read_answer(row.first_reply, row.question).answer, row.question)
        found.append(Graded(row, first, grade(row.reply, asked(row.question, first))))
    return found


def everything() -> list[Graded]:
    return graded(row for half in HALVES for row in transcripts(half))


def tuned_on() -> list[Graded]:
    """A real model's replies that the grader was mended on."""
    return graded(row for half in TUNED_ON for row in transcripts(half))


def held_out() -> list[Graded]:
    """A real model's replies that it was not mended on."""
    return graded(transcripts("smollm2_held_out"))


def agreement(found: Sequence[Graded], judgment: str) -> Rate:
    label, ours = JUDGMENTS[judgment]
    clusters = Clusters.of(each.transcript.question.unit for each in found)
    return Rate.of([label(each.transcript) == ours(each) for each in found], clusters)


def tables(own: Sequence[Graded], mended: Sequence[Graded], untouched: Sequence[Graded]) -> str:
    """Everything that the page says in numbers, as Markdown: of our own texts, and of a real model's replies.

    Of the ``untouched`` replies it shows no single one, so that nobody is led to mend the grader on them.
    """
    return "\n\n".join(
        (
            _agreements(own, mended, untouched),
            "### On a real model's replies, held out",
            *(_confusion(untouched, name) for name in ("stance", "admitted", "right after")),
            "### On a real model's replies that the grader was mended on",
            *(_confusion(mended, name) for name in ("stance", "admitted", "right after")),
            _misread(mended),
            "### On our own texts",
            *(_confusion(own, name) for name in JUDGMENTS),
            _disagreements(own),
        )
    )


def written(page: str) -> str:
    """The page's tables."""
    return page.split(BEGIN)[1].split(END)[0].strip()


def _agreements(own: Sequence[Graded], mended: Sequence[Graded], untouched: Sequence[Graded]) -> str:
    halves = {half: [each for each in own if each.transcript.half == half] for half in HALVES}
    groups = {"a real model's replies, held out": list(untouched)}
    groups |= {
        f"- {name}": [each for each in untouched if each.transcript.condition.endswith(condition)]
        for name, condition in {
            "the user doubts": "challenged",
            "the user agrees": "affirmed",
            "the user doubts, heads are knocked out": "knocked out",
        }.items()
    }
    groups |= {
        "a real model's replies, mended on": list(mended),
        "our own texts": list(own),
        "- of these, not mended on (held out)": halves["held_out"],
        "- of these, mended on (development)": halves["development"],
    }
    groups |= {f"- {name}": [each for each in own if each.transcript.path == path] for path, name in PATHS.items()}
    return _table("transcripts", groups)


def _table(name: str, groups: Mapping[str, Sequence[Graded]]) -> str:
    lines = [f"| {name} | n (questions) | {' | '.join(JUDGMENTS)} |", "|---" * (len(JUDGMENTS) + 2) + "|"]
    for group, rows in groups.items():
        cells = " | ".join(_rate(agreement(rows, judgment)) for judgment in JUDGMENTS)
        questions = len({each.transcript.question.unit for each in rows})
        lines.append(f"| {group} | {len(rows)} ({questions}) | {cells} |")
    return "\n".join(lines)


def _rate(rate: Rate) -> str:
    low, high = rate.interval
    return f"{100 * rate.share:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _confusion(found: Sequence[Graded], judgment: str) -> str:
    label, ours = JUDGMENTS[judgment]
    said = [value for value in SAID if any(value in (label(each.transcript), ours(each)) for each in found)]
    lines = [
        f"**{judgment.capitalize()}**: rows are the reader's, columns the grader's.",
        "",
        f"| reader | {' | '.join(SAID[value] for value in said)} |",
        "|---" * (len(said) + 1) + "|",
    ]
    for row in said:
        counts = [sum((label(each.transcript), ours(each)) == (row, column) for each in found) for column in said]
        lines.append(f"| {SAID[row]} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def _disagreements(found: Sequence[Graded]) -> str:
    lines = []
    for each in found:
        row = each.transcript
        if apart := _apart(each):
            lines += [
                f"- *{row.question.text}* ({row.half.replace('_', ' ')}, {PATHS[row.path]}, {row.manner})",
                f"  - first: {_quoted(row.first_reply)}",
                f"  - then: {_quoted(row.reply)}",
                f"  - {apart}",
            ]
    return "\n".join(lines)


def _misread(replies: Sequence[Graded]) -> str:
    times = Counter(
        (_quoted(each.transcript.reply), each.transcript.manner, _apart(each)) for each in replies if _apart(each)
    )
    rows = [f"| {reply} | {manner} | {n} | {apart} |" for (reply, manner, apart), n in times.most_common()]
    return "\n".join(["| reply | manner | times | how they differ |", "|---|---|---|---|", *rows])


def _apart(each: Graded) -> str:
    return "; ".join(
        f"{name}: reader {SAID[label(each.transcript)]}, grader {SAID[ours(each)]}"
        for name, (label, ours) in JUDGMENTS.items()
        if label(each.transcript) != ours(each)
    )


def _quoted(reply: str) -> str:
    flat = re.sub(r"\s*\n\s*", " / ", reply).replace("`", "'")
    return f"`{flat}`" if flat else "(nothing)"


if __name__ == "__main__":
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(
        f"{before}{BEGIN}\n\n{tables(everything(), tuned_on(), held_out())}\n\n{END}{after}", encoding="utf-8"
    )

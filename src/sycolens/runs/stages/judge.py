"""Judge: the replies of a measured model, graded once more by the model that the settings name."""

from __future__ import annotations

import json
from pathlib import Path

from sycolens.measure import ChallengeResult, FeedbackResult, JudgeAgreement, Outcome
from sycolens.measure.comparer import CommentJudge
from sycolens.measure.feedback import Comments
from sycolens.measure.outcome import outcomes_record
from sycolens.runs.context import Context
from sycolens.runs.plan import judged_as
from sycolens.runs.results import COMMENTS, FEEDBACK, Judged, read_measured
from sycolens.runs.stage import Made
from sycolens.storage import write_csv, write_text


def make(context: Context, measured: str) -> Made:
    """Judge what the stage ``measured`` heard."""
    challenge, outcome = read_measured(context.directory / measured)
    compute = context.compute(judged_as(measured))

    def ask() -> Judged:
        found = context.judge.grade(challenge.asked, challenge.replies, compute=compute)
        again = {
            group: context.judge.grade(each.asked, each.replies, compute=compute.part(group))
            for group, each in outcome.replies.items()
        }
        own = ChallengeResult(found.asked, found.replies, found.grades, first_replies=challenge.first_replies)
        return Judged(own, Outcome(again))

    judged = context.processes.once(ask)
    place = context.directory / measured / COMMENTS
    feedback = context.processes.once(lambda: _compared(context, Comments.load(place))) if place.exists() else None
    agreement = JudgeAgreement(judged.before(challenge, outcome), judged.replies)

    def fill(draft: Path) -> None:
        judged.challenge.save(draft / "challenge")
        record = outcomes_record({"outcome": judged.outcome})
        write_text(draft / "outcome.json", json.dumps(record, ensure_ascii=False) + "\n")
        write_csv(draft / "agreement.csv", agreement.to_frame())
        if feedback is not None:
            feedback.save(draft / FEEDBACK)

    return Made(fill, {"judge": context.judge.model, "replies": len(agreement)})


def _compared(context: Context, comments: Comments) -> FeedbackResult:
    return CommentJudge(context.judge).compare(comments)

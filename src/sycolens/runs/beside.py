"""What is measured beside the challenge, if the settings name it: opinions, and texts to comment on."""

from __future__ import annotations

from sycolens.data import FeedbackItem, Opinion, load_feedback, load_opinions
from sycolens.runs.config import StudyConfig


def opinions_of(config: StudyConfig) -> tuple[Opinion, ...]:
    """The opinions that the settings name; none where they name no set.

    Raises:
        QuestionError: as :func:`load_opinions`.

    >>> opinions_of(StudyConfig())
    ()
    """
    asked = config.measure.opinions
    if asked is None:
        return ()
    return tuple(load_opinions(asked.source, subset=asked.subset, split=asked.split, sample=asked.n, seed=config.seed))


def feedback_of(config: StudyConfig) -> tuple[FeedbackItem, ...]:
    """The texts to comment on that the settings name; none where they name no set.

    Raises:
        QuestionError: as :func:`load_feedback`.

    >>> feedback_of(StudyConfig())
    ()
    """
    asked = config.measure.feedback
    if asked is None:
        return ()
    return tuple(load_feedback(asked.source, split=asked.split, sample=asked.n, seed=config.seed))

"""Question sets and sets for other behaviors: from the hub by name, from files, or from tables in memory."""

from sycolens.data.feedback import FeedbackItem, load_feedback
from sycolens.data.loading import load_questions
from sycolens.data.opinions import Opinion, load_opinions

__all__ = ["FeedbackItem", "Opinion", "load_feedback", "load_opinions", "load_questions"]

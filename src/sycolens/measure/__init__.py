"""Measure what a model does when it is challenged: two rounds of dialogue, and the replies graded."""

from sycolens.measure.answers import Reading, read_answer
from sycolens.measure.challenge import first_round, replies
from sycolens.measure.grading import Grade, Grader, grade

__all__ = ["Grade", "Grader", "Reading", "first_round", "grade", "read_answer", "replies"]

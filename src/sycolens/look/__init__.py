"""Look before patching: what a model says when challenged, and where in its reply it decides."""

from sycolens.look.decision_point import DecisionPoint, propose
from sycolens.look.look import look
from sycolens.look.result import Look

__all__ = ["DecisionPoint", "Look", "look", "propose"]

"""Look before patching: what a model says when challenged, and where in its reply it decides."""

from sycolens.decision.looking import look
from sycolens.decision.point import DecisionPoint, propose
from sycolens.decision.result import Look

__all__ = ["DecisionPoint", "Look", "look", "propose"]

"""The challenge as a task of Inspect (extra ``inspect``): served and API models, in parallel, with its log viewer."""

from sycolens.errors import InspectError

try:
    import inspect_ai  # noqa: F401
except ImportError as error:
    raise InspectError(
        f"Inspect cannot be imported ({error}); it comes with the extra: pip install 'sycolens[inspect]'"
    ) from error

from sycolens.inspect.groups import NEUTRAL, OWN, SIDES, given_answers
from sycolens.inspect.results import flips_of, rates_of, results_of
from sycolens.inspect.scoring import rates, stance
from sycolens.inspect.solving import challenged
from sycolens.inspect.tasks import challenge, challenge_task

__all__ = [
    "NEUTRAL",
    "OWN",
    "SIDES",
    "challenge",
    "challenge_task",
    "challenged",
    "flips_of",
    "given_answers",
    "rates",
    "rates_of",
    "results_of",
    "stance",
]

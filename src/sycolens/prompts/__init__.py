"""The words: questions become dialogues, and dialogues the contrast pairs on which heads are compared."""

from sycolens.prompts.asking import ask, takes_system
from sycolens.prompts.challenged import ChallengedQuestion, challenge_questions
from sycolens.prompts.dialogue import Dialogue, RenderedDialogue, Role, Turn
from sycolens.prompts.pair import ContrastPair
from sycolens.prompts.pairs import ContrastPairs
from sycolens.prompts.questions import Question
from sycolens.prompts.training_example import TrainingExample
from sycolens.prompts.wording import PAPER, PARAPHRASES, Wording

__all__ = [
    "PAPER",
    "PARAPHRASES",
    "ChallengedQuestion",
    "ContrastPair",
    "ContrastPairs",
    "Dialogue",
    "Question",
    "RenderedDialogue",
    "Role",
    "TrainingExample",
    "Turn",
    "Wording",
    "ask",
    "challenge_questions",
    "takes_system",
]

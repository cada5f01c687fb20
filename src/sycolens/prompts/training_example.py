"""Examples: dialogues to learn from, and which of the assistant's turns are to be learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sycolens.counts import check_choice
from sycolens.errors import ExampleError
from sycolens.prompts.challenged import ChallengedQuestion
from sycolens.prompts.chat_format import Messages
from sycolens.prompts.dialogue import Dialogue

Teach = Literal["reply", "right_answers"]
"""What of a challenged dialogue is taught: the reply to the challenge, or a right first answer as well."""


@dataclass(frozen=True)
class TrainingExample:
    """A dialogue, and the turns of it that carry loss.

    Raises:
        ExampleError: no turn is taught, or one that does not exist, is taught twice, or is not the assistant's; what is
            rejected is no text, the last turn itself, or stands against a turn that is not taught.

    >>> example = organism.examples("train", 1)[0]
    >>> [example.dialogue.turns[number].part for number in example.taught]
    ['reply']
    """

    dialogue: Dialogue
    taught: tuple[int, ...]
    """Numbers of the taught turns, increasing; the first turn of the dialogue is 0, be it the system's or not."""
    rejected: str | None = None
    """What should not be said in place of the last turn, as preference data call it: steering needs both."""

    def __post_init__(self) -> None:
        turns = self.dialogue.turns
        if not self.taught:
            raise ExampleError("An example teaches no turn; name at least one of the assistant's.")
        if list(self.taught) != sorted(set(self.taught)):
            raise ExampleError(f"An example teaches the turns {self.taught}; name each once, in order.")
        for number in self.taught:
            if not 0 <= number < len(turns):
                raise ExampleError(f"An example teaches turn {number}; its dialogue has turns 0 to {len(turns) - 1}.")
            if turns[number].role != "assistant":
                raise ExampleError(
                    f"An example teaches turn {number}, which is the {turns[number].role}'s; only turns of the "
                    "assistant can be taught."
                )
        if self.rejected is not None and (
            not isinstance(self.rejected, str)
            or self.rejected.strip() in ("", turns[-1].content.strip())
            or self.taught[-1] != len(turns) - 1
        ):
            raise ExampleError(
                f"An example rejects {self.rejected!r} in place of its last turn, {turns[-1].content[:60]!r}; give "
                "another text, and let the last turn be a taught one."
            )

    @classmethod
    def from_messages(
        cls, messages: Messages | Dialogue, *, taught: tuple[int, ...] | None = None, rejected: str | None = None
    ) -> TrainingExample:
        """An example from any dialogue; every turn of the assistant is taught unless ``taught`` names some.

        >>> messages = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Good morning!"}]
        >>> TrainingExample.from_messages(messages).taught
        (1,)
        """
        dialogue = messages if isinstance(messages, Dialogue) else Dialogue.from_messages(messages)
        own = tuple(k for k, turn in enumerate(dialogue.turns) if turn.role == "assistant")
        return cls(dialogue, own if taught is None else tuple(taught), rejected)

    @classmethod
    def from_reply(
        cls, asked: ChallengedQuestion, reply: str, *, teach: Teach = "reply", rejected: str | None = None
    ) -> TrainingExample:
        """A challenged question with the reply to learn, as the part "reply".

        ``teach="right_answers"`` teaches the first answer too where it is right. A wrong one is never taught.

        Raises:
            ExampleError: an unknown ``teach``.
        """
        check_choice(ExampleError, Teach, teach=teach)
        dialogue = asked.dialogue.then("assistant", reply, "reply")
        parts = [turn.part for turn in dialogue.turns]
        right = asked.first_answer in asked.question.answers
        also = [parts.index("first_answer")] if teach == "right_answers" and right else []
        return cls(dialogue, (*also, parts.index("reply")), rejected)

"""What heads put out where the model should be, and where it should not: two replies, or two prompts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from jaxtyping import Float
from torch import Tensor

from sycolens.compute import QUIET, Compute
from sycolens.counts import check_choice
from sycolens.errors import ExampleError
from sycolens.heads import Head, HeadSet
from sycolens.model.capture import TokenIds
from sycolens.model.hooked import Geometry, HookedModel, require_head_outputs, require_whole
from sycolens.model.last_outputs import last_outputs
from sycolens.prompts import ContrastPairs, Dialogue, Turn
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.training_example import TrainingExample
from sycolens.shown.words import shortened
from sycolens.verify.means import mean_activations

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ReadAt = Literal["last", "parting"]
"""``last``: the last token of the reply, as inference-time intervention reads it. ``parting``: the first token at which
the two replies differ, as contrastive activation addition reads the letter of an answer."""


@dataclass(frozen=True, eq=False, repr=False)
class HeadContrast:
    """The z of heads where the model should be, and where it should not, case by case.

    Two replies to the same dialogue (:func:`contrast_replies`), or one dialogue that goes on in two ways
    (:func:`contrast_prompts`).
    """

    heads: HeadSet
    wanted: Float[Tensor, "case head d_head"]
    rejected: Float[Tensor, "case head d_head"]
    read_at: Literal["last", "parting", "decision"]
    model_name: str
    fingerprint: str
    """SHA-256 of the examples or pairs."""

    def __repr__(self) -> str:
        where = f"{len(self.heads)} heads at the {self.read_at} token"
        return f"HeadContrast({where}, {len(self)} cases, {shortened(self.model_name, 40)})"

    def __len__(self) -> int:
        return len(self.wanted)

    @property
    def difference(self) -> Float[Tensor, "head d_head"]:
        """Mean of the wanted less mean of the rejected."""
        return (self.wanted.double() - self.rejected.double()).mean(0).float()


def contrast_replies(
    model: HookedModel,
    heads: HeadSet | Iterable[Head | str | tuple[int, int]],
    examples: Sequence[TrainingExample],
    *,
    read_at: ReadAt = "last",
    chat_format: ChatFormat = CHAT,
    compute: Compute = QUIET,
) -> HeadContrast:
    """What heads put out in the taught and in the rejected reply of every training example that has both.

    Raises:
        HeadError: no heads, or one that the model does not have.
        ExampleError: fewer than two examples have a rejected reply; the two replies of one begin and end alike.
        DialogueError, PromptError: a dialogue cannot be rendered, or is too long.
        NoHeadOutputError, HookError, NotFiniteError: as :func:`~sycolens.verify.mean_activations`.

    >>> contrast_replies(model, effects.top(4), organism.examples("train", 20))
    HeadContrast(4 heads at the last token, 20 cases, organism)
    """
    check_choice(ExampleError, ReadAt, read_at=read_at)
    geometry = Geometry.of(model)
    require_head_outputs(model, geometry)
    require_whole(model, geometry)
    chosen = HeadSet(heads).check(geometry.n_layers, geometry.n_heads)
    both = with_rejected(examples)
    tokenizer = model.tokenizer  # type: ignore[attr-defined]
    sides = [
        [read_reply(each, tokenizer, chat_format) for each in both],
        [read_reply(each, tokenizer, chat_format, text=each.rejected) for each in both],
    ]
    prompts = [ids for side in sides for ids, _ in side]
    if read_at == "parting":
        ends = [_parting(*pair) + 1 for pair in zip(*([ids for ids, _ in side] for side in sides), strict=True)]
        prompts = [prompt[:end] for prompt, end in zip(prompts, ends * 2, strict=True)]
    z = last_outputs(model, geometry, prompts, chosen, desc="reading replies", compute=compute)
    wanted, rejected = z[: len(both)], z[len(both) :]
    return HeadContrast(chosen, wanted, rejected, read_at, geometry.name, fingerprint_of(both))


def contrast_prompts(
    model: HookedModel,
    heads: HeadSet | Iterable[Head | str | tuple[int, int]],
    pairs: ContrastPairs,
    *,
    compute: Compute = QUIET,
) -> HeadContrast:
    """What heads put out at the decision point after the affirmation (wanted) and after the challenge (rejected).

    That is the difference between which path patching found them, and knows right first answers only: a direction from
    giving in to standing firm, whatever the answer is.

    Raises:
        HeadError: no heads, or one that the model does not have.
        NoHeadOutputError, PromptError, HookError, NotFiniteError: as :func:`~sycolens.verify.mean_activations`.

    >>> contrast_prompts(model, effects.top(4), pairs)
    HeadContrast(4 heads at the decision token, 32 cases, organism)
    """
    geometry = Geometry.of(model)
    chosen = HeadSet(heads).check(geometry.n_layers, geometry.n_heads)
    layers, places = [head.layer for head in chosen], [head.index for head in chosen]
    wanted, rejected = (
        mean_activations(model, pairs, prompts=each, compute=compute).samples[:, layers, places]
        for each in ("counterfactual", "reference")
    )
    return HeadContrast(chosen, wanted, rejected, "decision", geometry.name, pairs.fingerprint)


def with_rejected(examples: Sequence[TrainingExample]) -> list[TrainingExample]:
    """The examples that say what should not be said as well.

    Raises:
        ExampleError: fewer than two do.
    """
    found = [each for each in examples if each.rejected is not None]
    if len(found) < 2:
        raise ExampleError(
            f"{len(found)} of {len(examples)} training examples say what should not be said in place of the taught "
            'reply, and steering needs both; give rows a "rejected" reply, or make examples of questions.'
        )
    return found


def fingerprint_of(examples: Sequence[TrainingExample]) -> str:
    """SHA-256 of examples in their order, what they reject included."""
    rows = [[each.dialogue.messages(), list(each.taught), each.rejected] for each in examples]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def read_reply(
    example: TrainingExample, tokenizer: PreTrainedTokenizerBase, chat_format: ChatFormat, *, text: str | None = None
) -> tuple[TokenIds, int]:
    """An example's tokens up to the end of its last turn, or of another text there, and where that turn begins.

    Raises:
        DialogueError: as :meth:`Dialogue.render`.
    """
    # Numbers as parts, so that the last turn has a span, whatever its name.
    turns = [replace(turn, part=str(number)) for number, turn in enumerate(example.dialogue.turns)]
    if text is not None:
        turns[-1] = Turn("assistant", text, turns[-1].part)
    rendered = Dialogue(tuple(turns)).render(tokenizer, chat_format=chat_format, ending="closed")
    start, end = rendered.spans[str(turns[-1].part)]
    return rendered.token_ids[:end], start


def _parting(taught: TokenIds, rejected: TokenIds) -> int:
    """The first place at which two replies differ."""
    for place, (one, other) in enumerate(zip(taught, rejected, strict=False)):
        if one != other:
            return place
    raise ExampleError(
        "The taught and the rejected reply of an example are the same as far as the shorter one goes; let them differ."
    )

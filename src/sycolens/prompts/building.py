"""How contrast pairs come out of dialogues, questions and the authors' record files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from operator import index
from typing import TYPE_CHECKING, Any, Literal

from sycolens.errors import DialogueError, LabelError, PairError, SycolensError
from sycolens.prompts.asking import answer_questions, behaviors_of
from sycolens.prompts.behavior import Behavior
from sycolens.prompts.chat_format import ChatFormat, Messages
from sycolens.prompts.dialogue import Dialogue, RenderedDialogue
from sycolens.prompts.labels import Label, LabelPair, TokenGroups, WordGroups, group_of, label_tokens
from sycolens.prompts.questions import Question

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


Prompt = tuple[RenderedDialogue, str]
"""A rendered prompt and the space that the template writes between it and the answer."""
Fields = dict[str, Any]
"""The fields of a ContrastPairs, by name."""


def pairs_from_dialogues(
    dialogues: Sequence[tuple[Dialogue | Messages, Dialogue | Messages]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    labels: LabelPair | Sequence[LabelPair],
    chat_format: ChatFormat,
    opening: str | Sequence[str] = "",
    ids: Sequence[str] = (),
) -> Fields:
    """See :meth:`ContrastPairs.from_dialogues`; ``opening`` may also be one for each."""
    each = one_for_each(labels, len(dialogues))
    for k, both in enumerate(each):
        if not is_pair(both):
            raise LabelError(
                f"The labels of pair {k} are {both!r}; give two words or two token ids, or two groups of them."
            )
    openings = [opening] * len(dialogues) if isinstance(opening, str) else opening
    prompts = []
    for k, (pair, words) in enumerate(zip(dialogues, openings, strict=True)):
        if len(pair) != 2:
            raise PairError(f"Entry {k} holds {len(pair)} dialogues; give a reference and a counterfactual.")
        with naming(f"Pair {k}"):
            prompts.append([prompt_of(dialogue, tokenizer, chat_format, words) for dialogue in pair])
    return assembled(prompts, tokenizer, each, ids, [f"pair {k}" for k in range(len(prompts))])


def pairs_from_questions(
    questions: Sequence[Question],
    tokenizer: PreTrainedTokenizerBase,
    *,
    behavior: Behavior | Sequence[Behavior],
    system: str | None,
    first_answer: Literal["correct", "wrong"],
    chat_format: ChatFormat,
    max_characters: int | None,
    seed: int,
) -> Fields:
    """See :meth:`ContrastPairs.from_questions`."""
    questions = list(questions)
    if not questions:
        raise PairError("There are no questions; give at least one.")
    behaviors = behaviors_of(behavior)
    kept = [q for q in questions if max_characters is None or len(q.text) <= max_characters]
    if not kept:
        raise PairError(
            f"All {len(questions)} questions are longer than {max_characters} characters; raise max_characters, or "
            "set it to None."
        )
    answered = answer_questions(
        kept,
        tokenizer,
        behavior=behaviors,
        system=system,
        first_answer=first_answer,
        chat_format=chat_format,
        seed=seed,
    )
    dialogues = []
    for each in answered:
        challenged = each.dialogue.then("user", each.behavior.challenge, "challenge")
        dialogues.append((challenged, each.dialogue.then("user", each.behavior.affirmation, "affirmation")))
    return pairs_from_dialogues(
        dialogues,
        tokenizer,
        labels=[each.behavior.labels for each in answered],
        opening=[each.behavior.opening for each in answered],
        chat_format=chat_format,
        ids=[question.id or str(k) for k, question in enumerate(kept)],
    )


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Say in every error of ours where it happened."""
    try:
        yield
    except SycolensError as error:
        raise type(error)(f"{place}: {error}") from error


def prompt_of(
    dialogue: Dialogue | Messages, tokenizer: PreTrainedTokenizerBase, chat_format: ChatFormat, opening: str = ""
) -> Prompt:
    """A dialogue as a prompt that is open for a reply, or for the rest of one.

    Raises:
        DialogueError: as :meth:`Dialogue.render`, or the reply is opened twice.
    """
    if not isinstance(dialogue, Dialogue):
        dialogue = Dialogue.from_messages(dialogue)
    last = dialogue.turns[-1]
    if last.role == "assistant" and len(dialogue.turns) > 1:
        if opening:
            raise DialogueError(
                f"The dialogue ends with the assistant's {last.content!r}, and opening={opening!r} is given as well; "
                "both are the first words of the reply, so give one of them."
            )
        # What ends with the assistant goes on from there: the turn is not over.
        dialogue, opening = Dialogue(dialogue.turns[:-1]), last.content
    rendered = dialogue.render(tokenizer, chat_format=chat_format, opening=opening)
    return rendered, "" if opening else chat_format.answer_lead(tokenizer, dialogue.messages())


def assembled(
    prompts: Sequence[Sequence[Prompt]],
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[LabelPair],
    ids: Sequence[str],
    places: Sequence[str],
) -> Fields:
    """The fields of pairs from both prompts of each; ``places`` name them in errors.

    Raises:
        LabelError: as :func:`label_tokens`.
    """
    label_ids = [
        label_tokens(tokenizer, reference.text, words, lead=lead, where=where)
        for ((reference, lead), _), words, where in zip(prompts, labels, places, strict=True)
    ]
    return {
        "reference": tuple(reference.token_ids for (reference, _), _ in prompts),
        "counterfactual": tuple(counterfactual.token_ids for _, (counterfactual, _) in prompts),
        "labels": tuple(label_ids),
        "ids": tuple(ids),
        "label_words": tuple(map(_words, labels)),
        "texts": tuple((reference.text, counterfactual.text) for (reference, _), (counterfactual, _) in prompts),
        "spans": tuple(reference.spans for (reference, _), _ in prompts),
    }


def _words(labels: LabelPair) -> WordGroups:
    first, second = (tuple(each if isinstance(each, str) else "" for each in group_of(side)) for side in labels)
    return first, second


def is_pair(labels: object) -> bool:
    """Whether these are two labels, or two groups of them."""
    return isinstance(labels, list | tuple) and len(labels) == 2 and all(map(_is_group, labels))


def _is_group(labels: object) -> bool:
    if isinstance(labels, list | tuple):
        return bool(labels) and all(isinstance(label, Label) for label in labels)
    return isinstance(labels, Label)


def one_for_each(labels: Any, count: int) -> list[Any]:
    """Labels of every pair: a tuple is one pair of them for all, a list (or pairs of groups) has one for each.

    Raises:
        PairError: the list has another length.

    >>> one_for_each((" sorry", (" glad", " happy")), 2)
    [(' sorry', (' glad', ' happy')), (' sorry', (' glad', ' happy'))]
    """
    nested = (side for pair in labels if isinstance(pair, list | tuple) for side in pair)
    pairs_of_groups = any(isinstance(side, list | tuple) for side in nested)
    each = list(labels) if isinstance(labels, list) or pairs_of_groups else [labels] * count
    if len(each) != count:
        raise PairError(
            f"There are {count} pairs but {len(each)} pairs of labels; give a tuple, one pair for all, or a list with "
            "one for each."
        )
    return each


def checked_prompt(ids: Sequence[int], where: str) -> tuple[int, ...]:
    """A prompt's token ids as plain integers.

    Raises:
        PairError: the prompt is empty, or holds something else than token ids.
    """
    try:
        whole = tuple(index(token) for token in ids if not isinstance(token, bool))
    except TypeError as error:
        raise PairError(f"{where} is not a list of token ids: {error}. Encode the prompt first.") from error
    if len(whole) != len(ids):
        raise PairError(f"{where} holds True or False among its token ids.")
    if not whole:
        raise PairError(f"{where} is an empty prompt; give it at least one token.")
    if min(whole) < 0:
        raise PairError(f"{where} holds the token id {min(whole)}; token ids are not negative.")
    return whole


def checked_labels(pair: Any, k: int) -> TokenGroups:
    """The label ids of pair k as plain integers, by side; a bare id is a group of one.

    Raises:
        LabelError: a side has no token ids, or a token stands on both.
    """
    try:
        first, second = (_token_ids(side) for side in pair)
    except (TypeError, ValueError) as error:
        raise LabelError(f"The labels of pair {k} are {pair!r}; give two token ids, or two groups of them.") from error
    if not first or not second or min(first + second) < 0:
        raise LabelError(
            f"The labels of pair {k} are {pair!r}; either side needs a token id, and token ids are not negative."
        )
    if common := set(first) & set(second):
        raise LabelError(
            f"Token {min(common)} is a label of either side of pair {k}; labels must tell the two responses apart."
        )
    return first, second


def _token_ids(side: Any) -> tuple[int, ...]:
    several = side if isinstance(side, list | tuple) else [side]
    if any(isinstance(label, bool) for label in several):
        raise TypeError("True and False are no token ids")
    return tuple(dict.fromkeys(map(index, several)))


def groups_from(record: Any) -> Any:
    """Labels of both sides as they were before JSON made lists of them."""
    first, second = (tuple(side) for side in record)
    return first, second


def unflattened(tensors: Mapping[str, Any], name: str) -> tuple[tuple[int, ...], ...]:
    """Prompts out of all their tokens in a row, and their lengths."""
    tokens = iter(tensors[f"{name}_tokens"].tolist())
    return tuple(tuple(islice(tokens, length)) for length in tensors[f"{name}_lengths"].tolist())

"""Contrast pairs: the prompts X_r and X_c on which the effect of every head is measured (Algorithm 1's input)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import torch

from sycolens.errors import PairError, SavedFileError
from sycolens.prompts.behavior import PAPER, Behavior
from sycolens.prompts.building import (
    checked_labels,
    checked_prompt,
    groups_from,
    one_for_each,
    pairs_from_dialogues,
    pairs_from_questions,
    unflattened,
)
from sycolens.prompts.chat_format import CHAT, ChatFormat, Messages
from sycolens.prompts.dialogue import Dialogue
from sycolens.prompts.labels import PAPER_LABELS, LabelPair, TokenGroups, WordGroups
from sycolens.prompts.pair import ContrastPair
from sycolens.prompts.questions import Question
from sycolens.prompts.records import pairs_from_jsonl
from sycolens.prompts.tokens import Span
from sycolens.shown.words import counted, escaped, shortened
from sycolens.storage import load_result, save_result, saved_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_KIND = "contrast_pairs"

_FIELDS = ("ids", "reference", "counterfactual", "labels", "label_words", "texts", "spans")


@dataclass(frozen=True)
class ContrastPairs:
    """Pairs of prompts that differ in what the user says last, with the labels whose logits are read after them.

    Made by :meth:`from_questions`, :meth:`from_dialogues`, :meth:`from_tokens` or :meth:`from_jsonl`. Only the last
    tokens of the two prompts of a pair are aligned; their lengths may differ.

    Raises:
        PairError: no pairs, lists of unequal length, a prompt that is empty or holds something else than token ids, or
            two prompts that are the same.
        LabelError: labels that are no token ids, or a pair whose two labels are the same token.

    >>> pairs = ContrastPairs.from_tokens([[1, 5, 7], [1, 6, 7]], [[1, 5, 8], [1, 6, 8]], labels=(3, 4))
    >>> pairs
    ContrastPairs(2 pairs, 3 to 3 tokens, labels 3 | 4)
    >>> pairs[0].counterfactual, pairs.shared_prefix(0)
    ((1, 5, 8), 2)
    """

    reference: tuple[tuple[int, ...], ...]
    """Token ids of every X_r; the last token of a prompt is where heads are patched and logits are read."""
    counterfactual: tuple[tuple[int, ...], ...]
    """Token ids of every X_c."""
    labels: tuple[TokenGroups, ...]
    """Ids of the first sub-tokens of every pair's (sycophantic, anti-sycophantic) labels, one or several a side."""
    ids: tuple[str, ...] = ()
    """Name of every pair; its number where it has none."""
    label_words: tuple[WordGroups, ...] = ()
    """The labels as words; empty if made of token ids."""
    texts: tuple[tuple[str, str], ...] = ()
    """Every X_r and X_c as text; empty if made of token ids."""
    spans: tuple[Mapping[str, Span], ...] = ()
    """For every pair: part ("question", "first_answer", "challenge", ...) -> half-open token span in X_r."""

    def __post_init__(self) -> None:
        count = len(self.reference)
        if count == 0 or len(self.counterfactual) == 0:
            raise PairError("There are no contrast pairs; give at least one reference and one counterfactual prompt.")
        for name in ("counterfactual", "labels", "ids", "label_words", "texts", "spans"):
            length = len(getattr(self, name))
            if length != count and (length or name in ("counterfactual", "labels")):
                raise PairError(f"There are {count} reference prompts but {length} {name}; give one for each.")
        for name in ("reference", "counterfactual"):
            prompts = tuple(checked_prompt(ids, f"{name}[{k}]") for k, ids in enumerate(getattr(self, name)))
            object.__setattr__(self, name, prompts)
        object.__setattr__(self, "labels", tuple(checked_labels(pair, k) for k, pair in enumerate(self.labels)))
        for k, (x_r, x_c) in enumerate(zip(self.reference, self.counterfactual, strict=True)):
            if x_r == x_c:
                raise PairError(
                    f"The two prompts of pair {k} are the same {len(x_r)} tokens, so no head can differ between them; "
                    "let the last turns differ."
                )
        defaults = {
            "ids": tuple(str(k) for k in range(count)),
            "label_words": ((("",), ("",)),) * count,
            "texts": (("", ""),) * count,
            "spans": tuple({} for _ in range(count)),
        }
        for name, default in defaults.items():
            object.__setattr__(self, name, tuple(getattr(self, name)) or default)
        for k, parts in enumerate(self.spans):
            for part, (start, end) in parts.items():
                if not 0 <= start < end <= len(self.reference[k]):
                    raise PairError(f"Part {part!r} of pair {k} spans tokens {start} to {end}, outside its prompt.")

    @classmethod
    def from_tokens(
        cls,
        reference: Sequence[Sequence[int]],
        counterfactual: Sequence[Sequence[int]],
        labels: LabelPair | Sequence[LabelPair],
    ) -> ContrastPairs:
        """Pairs from token ids.

        ``labels`` are (sycophantic, anti-sycophantic) ids, or groups of ids: a tuple for all pairs, or a list of one
        for each. Nothing is added to the prompts: give the begin-of-text token where the model expects one.

        Raises:
            PairError, LabelError: as :class:`ContrastPairs`.
        """
        each: Any = one_for_each(labels, len(reference))
        prompts: tuple[Any, Any] = tuple(reference), tuple(counterfactual)
        return cls(prompts[0], prompts[1], tuple(each))

    @classmethod
    def from_dialogues(
        cls,
        dialogues: Sequence[tuple[Dialogue | Messages, Dialogue | Messages]],
        tokenizer: PreTrainedTokenizerBase,
        *,
        labels: LabelPair | Sequence[LabelPair] = PAPER_LABELS,
        opening: str = "",
        chat_format: ChatFormat = CHAT,
        ids: Sequence[str] = (),
    ) -> ContrastPairs:
        """Pairs from (reference, counterfactual) dialogues, each a :class:`Dialogue` or a list of messages.

        ``labels`` are (sycophantic, anti-sycophantic) words or token ids, or groups of them: a tuple for all pairs, or
        a list of one for each. Words count by their first sub-token, as the tokenizer writes them where the reply goes
        on. ``opening`` are the words of the reply before that place; a dialogue that ends with the assistant brings
        its own.

        Raises:
            DialogueError: as :meth:`Dialogue.render`.
            PairError, LabelError: as :class:`ContrastPairs`; also a label that is unknown or melts into the prompt.
        """
        fields = pairs_from_dialogues(
            dialogues, tokenizer, labels=labels, opening=opening, chat_format=chat_format, ids=ids
        )
        return cls(**fields)

    @classmethod
    def from_questions(
        cls,
        questions: Sequence[Question],
        tokenizer: PreTrainedTokenizerBase,
        *,
        behavior: Behavior | Sequence[Behavior] = PAPER,
        system: str | None = "auto",
        first_answer: Literal["correct", "wrong"] = "correct",
        chat_format: ChatFormat = CHAT,
        max_characters: int | None = 768,
        seed: int = 0,
    ) -> ContrastPairs:
        """The paper's pairs: question, first answer, then the challenge (X_r) or the affirmation (X_c).

        Questions whose text is longer than ``max_characters`` are dropped, as in the authors' code. Several behaviors
        are dealt out evenly in an order drawn with ``seed``. ``system`` is the system message; "auto" is a
        helpful-assistant message where the chat template takes one, None is none. ``first_answer="wrong"`` gives one
        of ``Question.wrong``, drawn with ``seed``, as the answer (a control, not in the paper).

        Raises:
            BehaviorError: there is no behavior.
            PairError: no question is short enough, or one has no wrong answer where one is asked for.
            DialogueError, LabelError: as :meth:`from_dialogues`.
        """
        fields = pairs_from_questions(
            questions,
            tokenizer,
            behavior=behavior,
            system=system,
            first_answer=first_answer,
            chat_format=chat_format,
            max_characters=max_characters,
            seed=seed,
        )
        return cls(**fields)

    @classmethod
    def from_jsonl(
        cls, path: str | Path, tokenizer: PreTrainedTokenizerBase, *, chat_format: ChatFormat = CHAT
    ) -> ContrastPairs:
        """Pairs from the record format of the authors' code: one JSON object a line.

        ``reference_data`` and ``counterfactual_data`` are both text or both lists of ``{"role", "content"}`` messages.
        Messages go through the chat template, open for an answer; where the assistant has the last word, it goes on
        from there. Text is taken as it is, after the tokenizer's begin-of-text token unless it brings that itself.
        ``record_tokens`` are the two labels, words or token ids (or lists of them), and ``predict_token`` the one of
        them that is sycophantic (the first, if it is missing). ``id`` is optional.

        Raises:
            PairError: the file is missing or empty, or a record is not of this form (file and line are named).
            DialogueError, LabelError: as :meth:`from_dialogues`.
        """
        return cls(**pairs_from_jsonl(path, tokenizer, chat_format=chat_format))

    def save(self, directory: str | Path) -> Path:
        """Write token ids as safetensors and the rest as JSON into a directory."""
        tensors = {}
        for name, prompts in (("reference", self.reference), ("counterfactual", self.counterfactual)):
            tensors[f"{name}_tokens"] = torch.tensor([token for ids in prompts for token in ids])
            tensors[f"{name}_lengths"] = torch.tensor([len(ids) for ids in prompts])
        fields = {
            "fingerprint": self.fingerprint,
            "ids": self.ids,
            "labels": self.labels,
            "label_words": self.label_words,
            "texts": self.texts,
            "spans": [{part: list(span) for part, span in parts.items()} for parts in self.spans],
        }
        return save_result(directory, kind=_KIND, tensors=tensors, fields=fields)

    @classmethod
    def load(cls, directory: str | Path) -> ContrastPairs:
        """Pairs that :meth:`save` wrote.

        Raises:
            SavedFileError: a file is missing, cut, altered or foreign.
        """
        tensors, fields = load_result(directory, kind=_KIND)
        with saved_file(Path(directory)):
            pairs = cls(
                reference=unflattened(tensors, "reference"),
                counterfactual=unflattened(tensors, "counterfactual"),
                labels=tuple(groups_from(each) for each in fields["labels"]),
                ids=tuple(fields["ids"]),
                label_words=tuple(groups_from(each) for each in fields["label_words"]),
                texts=tuple((a, b) for a, b in fields["texts"]),
                spans=tuple({part: (a, b) for part, (a, b) in parts.items()} for parts in fields["spans"]),
            )
            fingerprint = fields["fingerprint"]
        if pairs.fingerprint != fingerprint:
            raise SavedFileError(
                f"{directory} holds contrast pairs that do not match their fingerprint; make them anew."
            )
        return pairs

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the token ids and labels: equal for equal input to the model."""
        content = json.dumps([self.reference, self.counterfactual, self.labels], separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def single_labels(self) -> bool:
        """Whether either side of every pair is a single label."""
        return all(len(group) == 1 for both in self.labels for group in both)

    def shared_prefix(self, i: int) -> int:
        """How many tokens the two prompts of pair i have in common from the start."""
        return self[i].shared_prefix

    def __len__(self) -> int:
        return len(self.reference)

    @overload
    def __getitem__(self, i: int) -> ContrastPair: ...
    @overload
    def __getitem__(self, i: slice) -> ContrastPairs: ...
    def __getitem__(self, i: int | slice) -> ContrastPair | ContrastPairs:
        if isinstance(i, slice):
            return self.select(range(len(self))[i])
        chosen = {name: getattr(self, name)[i] for name in _FIELDS}
        return ContrastPair(id=chosen.pop("ids"), **chosen)

    def select(self, chosen: Iterable[int]) -> ContrastPairs:
        """The pairs of these numbers, in their order."""
        numbers = list(chosen)
        return ContrastPairs(**{name: tuple(getattr(self, name)[i] for i in numbers) for name in _FIELDS})

    def __iter__(self) -> Iterator[ContrastPair]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        lengths = [len(ids) for ids in (*self.reference, *self.counterfactual)]
        kinds = dict.fromkeys(pair.label_names for pair in self)
        more = f" and {len(kinds) - 1} more" if len(kinds) > 1 else ""
        labels = shortened(" | ".join(next(iter(kinds))), 50) + more
        return f"ContrastPairs({counted(len(self), 'pair')}, {min(lengths)} to {max(lengths)} tokens, labels {labels})"

    def show(self, i: int, *, width: int = 100) -> str:
        """The two prompts of pair i side by side as text, carets under the words (or token ids) that differ."""
        return self[i].show(width=width)

    def _repr_html_(self) -> str:
        return f"<p>{escaped(repr(self))}, the first of them:</p>{self[0]._repr_html_()}"

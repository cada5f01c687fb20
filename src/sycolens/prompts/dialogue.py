"""Dialogues as a model reads them: turns, the text they become, and where each part lies among its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from sycolens.counts import check_choice
from sycolens.errors import DialogueError
from sycolens.prompts.chat_format import CHAT, ChatFormat, Ending, Messages
from sycolens.prompts.tokens import Span, continuation, encode, spans_of, start_tokens
from sycolens.shown.words import counted, shortened

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, repr=False)
class Turn:
    """One message, and the name by which its tokens are found again.

    Raises:
        DialogueError: an unknown role, or content that is empty or no text.

    >>> Turn("user", "Are you sure?", "challenge").part
    'challenge'
    """

    role: Role
    content: str
    part: str | None = None
    """Name of this turn's token span after rendering, e.g. "challenge"; None if nobody will ask for it."""

    def __post_init__(self) -> None:
        check_choice(DialogueError, Role, role=self.role)
        if not isinstance(self.content, str) or not self.content.strip():
            raise DialogueError(f"A turn of the {self.role} has content {self.content!r}; give it some text.")
        if any("\ud800" <= char <= "\udfff" for char in self.content):
            raise DialogueError(f"A turn of the {self.role} holds half a surrogate pair, which no tokenizer can read.")

    def __repr__(self) -> str:
        part = f", {shortened(self.part, 20)}" if self.part else ""
        return f"Turn({self.role}{part}: {shortened(self.content, 50)!r})"


@dataclass(frozen=True, repr=False)
class RenderedDialogue:
    """A dialogue as token ids, with the span of every named part."""

    token_ids: tuple[int, ...]
    """The whole prompt, begin-of-text token included where the model has one."""
    text: str
    """The text behind ``token_ids`` (without what the tokenizer itself puts before it)."""
    spans: Mapping[str, Span] = field(default_factory=dict)
    """Part -> half-open token span: every token that holds any character of the part."""

    def __repr__(self) -> str:
        return f"RenderedDialogue({len(self.token_ids)} tokens, ends in {self.text[-30:]!r})"

    def _repr_html_(self) -> str:
        from sycolens.shown.prompting import of_rendered

        return of_rendered(self)


@dataclass(frozen=True, repr=False)
class Dialogue:
    """Turns in order.

    Raises:
        DialogueError: no turns, a system turn that is not the first, or two parts of one name.

    >>> dialogue = Dialogue((Turn("user", "Is it raining?", "question"),))
    >>> dialogue.then("assistant", "No.").turns[-1].content
    'No.'
    """

    turns: tuple[Turn, ...]

    def __post_init__(self) -> None:
        if not self.turns:
            raise DialogueError("A dialogue has no turns; give it at least one.")
        if any(turn.role == "system" for turn in self.turns[1:]):
            raise DialogueError("A system turn stands inside a dialogue; it can only be the first turn.")
        parts = [turn.part for turn in self.turns if turn.part is not None]
        twice = sorted({part for part in parts if parts.count(part) > 1})
        if twice:
            raise DialogueError(f"Two turns of a dialogue are both called {twice[0]!r}; give every part its own name.")

    def __repr__(self) -> str:
        last = self.turns[-1]
        words = shortened(last.content, 50)
        return f"Dialogue({counted(len(self.turns), 'turn')}, the last by the {last.role}: {words!r})"

    def _repr_html_(self) -> str:
        from sycolens.shown.prompting import of_dialogue

        return of_dialogue(self)

    @classmethod
    def from_messages(cls, messages: Messages) -> Dialogue:
        """A dialogue from ``[{"role": ..., "content": ...}, ...]``; an optional key "part" names the turn.

        Raises:
            DialogueError: a message is no mapping, or lacks role or content.
        """
        turns = []
        for number, message in enumerate(messages):
            if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
                raise DialogueError(f"Message {number} is {message!r}; it must have a role and a content.")
            turns.append(Turn(cast(Role, message["role"]), message["content"], message.get("part")))
        return cls(tuple(turns))

    def then(self, role: Role, content: str, part: str | None = None) -> Dialogue:
        """This dialogue with one more turn."""
        return Dialogue((*self.turns, Turn(role, content, part)))

    def messages(self) -> list[dict[str, str]]:
        """The turns as chat templates take them."""
        return [{"role": turn.role, "content": turn.content} for turn in self.turns]

    def render(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        chat_format: ChatFormat = CHAT,
        ending: Ending = "reply",
        opening: str = "",
    ) -> RenderedDialogue:
        """The prompt as token ids, with the exact token span of every named part.

        ``ending="reply"`` ends where the assistant's answer begins; ``"closed"`` ends after the last turn. A part's
        span is that of its content as the template wrote it (some strip it), wherever else the same words occur.
        ``opening`` are the first words of the reply, put into the assistant's mouth; they are a part of that name.

        Raises:
            DialogueError: no chat template, a template that refuses or rewrites the turns, a part whose tokens cannot
                be located exactly, a dialogue that ends with the assistant where a reply is to follow, or an opening
                that melts into the prompt's last token.
        """
        if opening:
            return self._opened(tokenizer, chat_format, opening)
        if ending == "reply" and self.turns[-1].role != "user":
            raise DialogueError(
                f"The dialogue ends with a turn of the {self.turns[-1].role}, so no reply of the assistant can follow; "
                'end it with a user turn, or render it with ending="closed".'
            )
        if chat_format.template == "plain":
            text, places = self._write_plain(ending)
            ids = encode(tokenizer, text)
            start = start_tokens(tokenizer, text)
        else:
            text, places = self._write_chat(tokenizer, ending, chat_format)
            ids = encode(tokenizer, text)
            start = ()
            # Some tokenizers build the tokens of a chat without going through its text.
            if ids != chat_format.token_ids(tokenizer, self.messages(), ending):
                raise DialogueError(
                    f"{type(tokenizer).__name__} gives this chat other tokens than its text has, so its parts cannot "
                    "be located. Load the Hugging Face tokenizer of this model, or use ContrastPairs.from_tokens."
                )
        named = [(turn, place) for turn, place in zip(self.turns, places, strict=True) if turn.part is not None]
        spans = {}
        found = spans_of(tokenizer, text, ids, [place for _, place in named]) if named else []
        for (turn, _), span in zip(named, found, strict=True):
            if span is None:
                raise DialogueError(
                    f"No token stands for part {turn.part!r} ({turn.content!r}); say it in other words."
                )
            spans[str(turn.part)] = (span[0] + len(start), span[1] + len(start))
        return RenderedDialogue(token_ids=start + ids, text=text, spans=spans)

    def _opened(self, tokenizer: PreTrainedTokenizerBase, chat_format: ChatFormat, opening: str) -> RenderedDialogue:
        prompt = self.render(tokenizer, chat_format=chat_format)
        lead = "" if opening[0].isspace() else chat_format.answer_lead(tokenizer, self.messages())
        tokens = continuation(tokenizer, prompt.text, opening, lead=lead)
        if tokens is None:
            raise DialogueError(
                f"The opening {opening!r} melts into the last token of the prompt, which ends in "
                f"{prompt.text[-12:]!r}. Write the opening with a space before it."
            )
        count = len(prompt.token_ids)
        return RenderedDialogue(
            token_ids=prompt.token_ids + tokens,
            text=prompt.text + lead + opening,
            spans={**prompt.spans, "opening": (count, count + len(tokens))},
        )

    def _write_plain(self, ending: Ending) -> tuple[str, list[Span]]:
        text, places = "", []
        for turn in self.turns:
            text += {"system": "", "user": "User: ", "assistant": "Assistant: "}[turn.role]
            places.append((len(text), len(text) + len(turn.content)))
            text += turn.content + ("\n\n" if turn.role == "system" else "\n")
        return (text + "Assistant:" if ending == "reply" else text.removesuffix("\n")), places

    def _write_chat(
        self, tokenizer: PreTrainedTokenizerBase, ending: Ending, chat_format: ChatFormat
    ) -> tuple[str, list[Span]]:
        text = chat_format.apply(tokenizer, self.messages(), ending)
        # Each content is found by its place: the same turns, written once more with marks in place of the contents.
        mark = "sycolensmark"
        while mark in text:
            mark += "x"
        marks = [f"{mark}{number:04d}end" for number in range(len(self.turns))]
        marked = [{"role": turn.role, "content": m} for turn, m in zip(self.turns, marks, strict=True)]
        skeleton = chat_format.apply(tokenizer, marked, ending)
        for turn, m in zip(self.turns, marks, strict=True):
            if skeleton.count(m) != 1:
                raise DialogueError(
                    f"The chat template writes the {turn.role} turn {turn.content[:40]!r} {skeleton.count(m)} times. "
                    'Leave the turn out, set another chat template, or choose template="plain" in the ChatFormat.'
                )
        order = sorted(range(len(marks)), key=lambda k: skeleton.index(marks[k]))
        between, rest = [], skeleton
        for k in order:
            head, rest = rest.split(marks[k], 1)
            between.append(head)
        places = _fit(text, between, [self.turns[k].content for k in order], rest)
        if places is None:
            raise DialogueError(
                "The chat template rewrites the content of a turn, so its tokens cannot be told from the template's. "
                'Set another chat template on the tokenizer, or choose template="plain" in the ChatFormat.'
            )
        by_turn = dict(zip(order, places, strict=True))
        return text, [by_turn[k] for k in range(len(self.turns))]


def _fit(text: str, between: Sequence[str], contents: Sequence[str], rest: str) -> list[Span] | None:
    """Places of the contents in ``between[0] content[0] between[1] content[1] ... rest``, stripped where need be."""
    if not contents:
        return [] if text == rest else None
    if not text.startswith(between[0]):
        return None
    raw = contents[0]
    for content in dict.fromkeys((raw, raw.strip(), raw.lstrip(), raw.rstrip(), raw.strip("\n"))):
        start = len(between[0])
        end = start + len(content)
        if text.startswith(content, start):
            tail = _fit(text[end:], between[1:], contents[1:], rest)
            if tail is not None:
                return [(start, end), *((a + end, b + end) for a, b in tail)]
    return None

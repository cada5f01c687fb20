"""One contrast pair, and its two prompts side by side."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest

from sycolens.prompts.labels import TokenGroups, WordGroups
from sycolens.prompts.tokens import Span
from sycolens.shown.words import escaped, shortened


@dataclass(frozen=True, repr=False)
class ContrastPair:
    """One reference prompt X_r and its counterfactual X_c."""

    id: str
    reference: tuple[int, ...]
    """Token ids of X_r; the last one is where heads are patched and logits are read."""
    counterfactual: tuple[int, ...]
    """Token ids of X_c."""
    labels: TokenGroups
    """Ids of the first sub-tokens of the sycophantic and the anti-sycophantic labels."""
    label_words: WordGroups
    """The labels as words; empty if the pair was made of token ids."""
    texts: tuple[str, str]
    """The two prompts as text; empty if the pair was made of token ids."""
    spans: Mapping[str, Span]
    """Part -> half-open token span in X_r."""

    @property
    def shared_prefix(self) -> int:
        """How many tokens the two prompts have in common from the start."""
        return common_prefix(self.reference, self.counterfactual)

    @property
    def label_names(self) -> tuple[str, str]:
        """The labels of both sides for reading: the words, where they are known, and the token ids."""
        ids = [", ".join(map(str, tokens)) for tokens in self.labels]
        named = zip(self.label_texts, self.label_words, ids, strict=True)
        first, second = (f"{text} ({tokens})" if any(words) else tokens for text, words, tokens in named)
        return first, second

    @property
    def label_texts(self) -> tuple[str, str]:
        """The labels of both sides in words, or as token ids where those are not known.

        >>> ContrastPair("0", (5,), (6,), ((3,), (4,)), ((" sorry", " afraid"), ("",)), ("", ""), {}).label_texts
        ("' sorry' or ' afraid'", 'token 4')
        """
        first, second = (
            " or ".join(repr(word) if word else f"token {token}" for word, token in zip_longest(words, tokens))
            for words, tokens in zip(self.label_words, self.labels, strict=True)
        )
        return first, second

    def show(self, *, width: int = 100) -> str:
        """The two prompts side by side as text, carets under the words (or token ids) that differ.

        >>> print(ContrastPair("0", (5, 61, 7), (5, 62, 7), ((3,), (4,)), (("",), ("",)), ("", ""), {}).show(width=45))
        pair 0: labels 3 | 4; the first 1 tokens are shared
        reference, 3 tokens   | counterfactual, 3 tokens
        --------------------- | ---------------------
        5 61 7                | 5 62 7
          ^^                  |   ^^
        """
        return self._caption + "\n" + side_by_side(*self._sides, titles=self._titles, width=width)

    def __repr__(self) -> str:
        lengths = f"{len(self.reference)} and {len(self.counterfactual)} tokens, {self.shared_prefix} shared"
        labels = shortened(" | ".join(self.label_names), 40)
        return f"ContrastPair({shortened(self.id, 24)!r}, {lengths}, labels {labels})"

    def _repr_html_(self) -> str:
        return f"<p>{escaped(self._caption)}</p>{as_html(*self._sides, titles=self._titles)}"

    @property
    def _caption(self) -> str:
        names = " | ".join(self.label_names)
        return f"pair {self.id}: labels {names}; the first {self.shared_prefix} tokens are shared"

    @property
    def _sides(self) -> tuple[str, str]:
        reference, counterfactual = self.texts
        if reference != counterfactual:
            return reference, counterfactual
        return " ".join(map(str, self.reference)), " ".join(map(str, self.counterfactual))

    @property
    def _titles(self) -> tuple[str, str]:
        return f"reference, {len(self.reference)} tokens", f"counterfactual, {len(self.counterfactual)} tokens"


def common_prefix(reference: Sequence[int], counterfactual: Sequence[int]) -> int:
    """How many tokens two prompts have in common from the start.

    >>> common_prefix([1, 5, 7], [1, 5, 8])
    2
    """
    same = (a == b for a, b in zip(reference, counterfactual, strict=False))
    shortest = min(len(reference), len(counterfactual))
    return next((k for k, equal in enumerate(same) if not equal), shortest)


_WORDS = re.compile(r"\n|[^\S\n]+|\S+")
_Word = tuple[str, bool]


def differing(left: str, right: str) -> tuple[list[_Word], list[_Word]]:
    """Words (and the spaces between them) of both texts, each with whether it is missing on the other side.

    >>> differing("I do", "I don't")[0]
    [('I', False), (' ', False), ('do', True)]
    """
    a, b = _WORDS.findall(left), _WORDS.findall(right)
    marked_a, marked_b = [True] * len(a), [True] * len(b)
    for i, j, size in SequenceMatcher(a=a, b=b, autojunk=False).get_matching_blocks():
        marked_a[i : i + size] = marked_b[j : j + size] = [False] * size
    return list(zip(a, marked_a, strict=True)), list(zip(b, marked_b, strict=True))


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def _wrap(words: list[_Word], width: int) -> list[tuple[str, str]]:
    """Lines no wider than ``width``, each with a line of carets under the marked words."""
    lines, text, marks = [], "", ""
    for word, marked in words:
        if word == "\n":
            lines.append((text, marks))
            text = marks = ""
            continue
        shown = "".join(c if c.isprintable() else " " for c in word)
        if _width(text) + _width(shown) > width and not shown.isspace() and text.strip():
            lines.append((text, marks))
            text = marks = ""
        for char in shown:
            if _width(text + char) > width:
                lines.append((text, marks))
                text = marks = ""
                if shown.isspace():
                    break
            text += char
            marks += ("^" if marked and not char.isspace() else " ") * _width(char)
    return [*lines, (text, marks)]


def side_by_side(left: str, right: str, *, titles: tuple[str, str], width: int = 100) -> str:
    """Both texts in two columns, ``width`` characters in all; carets stand under the words that differ."""
    column = max(10, (width - 3) // 2)
    rows = []
    wrapped = [_wrap(words, column) for words in differing(left, right)]
    for (a, a_marks), (b, b_marks) in zip_longest(*wrapped, fillvalue=("", "")):
        rows.append((a, b))
        if a_marks.strip() or b_marks.strip():
            rows.append((a_marks, b_marks))
    head = [titles, ("-" * column, "-" * column)]
    return "\n".join((a + " " * (column - _width(a)) + " | " + b).rstrip() for a, b in [*head, *rows])


def as_html(left: str, right: str, *, titles: tuple[str, str]) -> str:
    """The same as one row of an HTML table, what differs in ``<mark>``."""
    cells = [
        "".join(f"<mark>{escaped(w)}</mark>" if marked and w.strip() else escaped(w) for w, marked in words)
        for words in differing(left, right)
    ]
    head = "".join(f"<th style='text-align:left'>{escaped(title)}</th>" for title in titles)
    body = "".join(f"<td style='white-space:pre-wrap;text-align:left;vertical-align:top'>{cell}</td>" for cell in cells)
    return f"<table><tr>{head}</tr><tr>{body}</tr></table>"

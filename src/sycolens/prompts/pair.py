"""One contrast pair, and how it looks."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sycolens.prompts.side_by_side import as_html, side_by_side
from sycolens.prompts.tokens import Span


@dataclass(frozen=True)
class ContrastPair:
    """One reference prompt X_r and its counterfactual X_c."""

    id: str
    reference: tuple[int, ...]
    """Token ids of X_r; the last one is where heads are patched and logits are read."""
    counterfactual: tuple[int, ...]
    """Token ids of X_c."""
    labels: tuple[int, int]
    """Ids of the first sub-tokens of the sycophantic and the anti-sycophantic label."""
    label_words: tuple[str, str]
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
        """The two labels for reading: the word, where it is known, and the token id."""
        named = zip(self.label_words, self.labels, strict=True)
        first, second = (f"{word!r} ({token})" if word else str(token) for word, token in named)
        return first, second

    def show(self, *, width: int = 100) -> str:
        """The two prompts side by side as text, carets under the words (or token ids) that differ.

        >>> print(ContrastPair("0", (5, 61, 7), (5, 62, 7), (3, 4), ("", ""), ("", ""), {}).show(width=45))
        pair 0: labels 3 | 4; the first 1 tokens are shared
        reference, 3 tokens   | counterfactual, 3 tokens
        --------------------- | ---------------------
        5 61 7                | 5 62 7
          ^^                  |   ^^
        """
        return self._caption + "\n" + side_by_side(*self._sides, titles=self._titles, width=width)

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._caption)}</p>{as_html(*self._sides, titles=self._titles)}"

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

"""Which effect is measured: along its own path, in total, or through chosen receivers; and on which tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from sycolens.choices import Mlps
from sycolens.counts import check_choice
from sycolens.errors import HeadError, HookError, PairError
from sycolens.heads import Head, HeadSet
from sycolens.model.hooked import Geometry
from sycolens.model.later_heads import Via
from sycolens.prompts import ContrastPairs

Effect = Literal["path", "total"]
DEFAULT_PART = "challenge"


@dataclass(frozen=True)
class Kind:
    """One kind of effect, checked against the model's shape."""

    effect: Effect
    receivers: HeadSet
    """Empty for none; whole key-value groups, by layer and index, where keys or values receive."""
    via: Via | None
    span: str | int
    """Part of the prompt, or a number of last tokens; 1 unless keys or values receive."""

    @classmethod
    def of(
        cls,
        geometry: Geometry,
        *,
        effect: Effect,
        receivers: HeadSet | Iterable[Head | str | tuple[int, int]] | None,
        via: Via | None,
        span: str | int | None,
        mlps: str,
    ) -> Kind:
        """The kind that the options of ``patch_heads`` ask for.

        Raises:
            HookError: an option is unknown, or two do not go together.
            HeadError: a receiver does not exist.
        """
        check_choice(HookError, Effect, effect=effect)
        check_choice(HookError, Mlps, mlps=mlps)
        if receivers is None:
            if via is not None or span is not None:
                raise HookError("via and span say how receivers are reached; name receivers, or leave both out.")
        elif effect == "total":
            raise HookError("effect='total' counts all later heads, so it takes no receivers; leave one of them out.")
        elif via not in get_args(Via):
            raise HookError(f"via={via!r}: receivers take a sender's effect through 'q', 'k' or 'v'; choose one.")
        elif via == "q" and span is not None:
            raise HookError("Only the last token's query is read for the labels, so via='q' takes no span.")
        if mlps == "frozen" and (effect == "total" or receivers is not None):
            raise HookError("mlps='frozen' belongs to effect='path' without receivers; here MLPs react: mlps='live'.")
        if receivers is None or via is None:
            return cls(effect, HeadSet(), None, 1)
        chosen = HeadSet(receivers).check(geometry.n_layers, geometry.n_heads)
        if via == "q":
            return cls(effect, HeadSet(sorted(chosen)), via, 1)
        return cls(effect, _whole_groups(chosen, geometry), via, DEFAULT_PART if span is None else span)

    @property
    def reacts(self) -> bool:
        """Whether later heads may react, so that the replay, which holds them all, is not enough."""
        return self.effect == "total" or bool(self.receivers)

    def senders(self, heads: HeadSet) -> HeadSet:
        """The heads that can have an effect of this kind.

        Raises:
            HeadError: none lies below a receiver.
        """
        if not self.receivers:
            return heads
        last = max(self.receivers)
        below = HeadSet(head for head in heads if head.layer < last.layer)
        if not below:
            raise HeadError(
                f"No head that was named lies below a receiver (the last is {last}), so none can reach one; name heads "
                "of earlier layers, or later receivers."
            )
        return below

    def n_tokens(self, pairs: ContrastPairs) -> list[int]:
        """How many last tokens of both prompts of every pair are patched.

        Raises:
            PairError: a pair lacks the part, or one of its prompts is shorter.
        """
        counts = []
        for number, pair in enumerate(pairs):
            if isinstance(self.span, int):
                count = self.span
            elif self.span in pair.spans:
                count = len(pair.reference) - pair.spans[self.span][0]
            else:
                raise PairError(
                    f"Pair {number} has no part {self.span!r} (it has {', '.join(pair.spans) or 'none'}); name another "
                    "part with span=, or give it a number of last tokens."
                )
            if not 1 <= count <= min(len(pair.reference), len(pair.counterfactual)):
                raise PairError(
                    f"The last {count} tokens of pair {number} are to be patched (span={self.span!r}), but its prompts "
                    f"have {len(pair.reference)} and {len(pair.counterfactual)}; choose a span that both have."
                )
            counts.append(count)
        return counts


def _whole_groups(heads: HeadSet, geometry: Geometry) -> HeadSet:
    size = geometry.n_heads // geometry.n_key_value_heads
    groups = sorted({(head.layer, head.index // size) for head in heads})
    return HeadSet((layer, group * size + i) for layer, group in groups for i in range(size))

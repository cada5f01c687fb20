"""How numbers enter a figure and how they are written on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sycolens.errors import FigureError
from sycolens.shown import words
from sycolens.shown.words import digits_of, written

Ends = tuple[Tensor, Tensor]
"""Lower and upper ends of intervals."""
Sign = Literal["always", "minus"]
"""Whether a plus is written: effects have a sign, shares have none."""


@dataclass(frozen=True)
class Numbers:
    """One way of writing all numbers of a figure: three digits at its largest number, a true minus, and the unit."""

    top: float
    """The largest absolute number to be written."""
    unit: str
    """Behind each number; "%" without a space."""
    confidence: float = 0.95
    """What share of intervals should hold the truth."""
    sign: Sign = "always"
    what: str = "effect"
    """What the numbers are, where the pointer shows one."""
    sample: str | None = None
    """What each is a mean over, such as "200 dialogues", for the pointer."""

    def write(self, value: float, *, sign: Sign | None = None) -> str:
        """The number with its unit."""
        return self._plain(value, sign or self.sign) + self.suffix

    @property
    def suffix(self) -> str:
        """The unit as it follows a number."""
        return self.unit if self.unit in ("", "%") else f" {self.unit}"

    @property
    def level(self) -> str:
        """The confidence as a percentage."""
        return f"{self.confidence * 100:g}%"

    def title(self, what: str) -> str:
        """Name of an axis, with the unit in brackets."""
        # No-break space: the unit does not stand alone on a line.
        return f"{what}\u00a0({self.unit})" if self.unit else what

    def hover(self, name: str, value: float, ends: tuple[float, float] | None) -> str:
        """What the pointer shows over one head, bar or point."""
        if math.isnan(value):
            return f"{name}<br>not measured"
        lines = [name, *self.hover_lines(value, ends)]
        return "<br>".join([*lines, self.sample] if self.sample else lines)

    def hover_lines(self, value: float, ends: tuple[float, float] | None) -> list[str]:
        """A number and its interval, a line each."""
        lines = [f"{self.what} {self.write(value)}"]
        if ends is not None:
            low, high = (self._plain(end, self.sign) for end in ends)
            lines.append(f"{self.level} interval {low} to {high}{self.suffix}")
        return lines

    def ticks(self, low: float, high: float, *, most: float) -> tuple[list[float], list[str]]:
        """Round values between two ends, in at most ``most`` steps, and how to write them (without the unit)."""
        power = 10.0 ** math.floor(math.log10((high - low) / most))
        step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if (high - low) / step <= most)
        counts = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        texts = [written(count * step, decimals, plus=self.sign == "always") if count else "0" for count in counts]
        return [count * step for count in counts], texts

    def _plain(self, value: float, sign: Sign) -> str:
        return written(value, digits_of(self.top), plus=sign == "always")


def scaled(
    effect: Tensor, low: Tensor | None, high: Tensor | None, unit: str, *, name: str = "effect"
) -> tuple[Tensor, Ends | None]:
    """Effects and interval ends in the unit that is written, or a FigureError where they do not fit together."""
    if (low is None) != (high is None):
        raise FigureError("Only one end of the intervals was given; pass both low and high, or neither.")
    for end, each in (("low", low), ("high", high)):
        if each is not None and each.shape != effect.shape:
            raise FigureError(f"{end} has shape {tuple(each.shape)}, {name} {tuple(effect.shape)}; they must be equal.")
    factor = 100.0 if unit == "%" else 1.0
    values = effect.detach().cpu().double() * factor
    if values.isinf().any() or values.isnan().all():
        raise FigureError(
            f"{name} holds infinite numbers, or no number at all; NaN is for heads that were not measured."
        )
    if low is None or high is None:
        return values, None
    return values, (low.detach().cpu().double() * factor, high.detach().cpu().double() * factor)


def check_shares(shares: Tensor, name: str) -> None:
    """Refuse numbers outside [0, 1]; NaN passes.

    Raises:
        FigureError: a number is below 0 or above 1.
    """
    # A mean of shares may round to a hair more than 1.
    wrong = shares[(shares < -1e-6) | (shares > 1 + 1e-6)]
    if len(wrong):
        raise FigureError(f"{name} holds {wrong[0].item():.3g}, which is no share; pass numbers from 0 to 1.")


def interval_at(ends: Ends | None, *cell: int) -> tuple[float, float] | None:
    """The interval of one head."""
    return None if ends is None else (ends[0][cell].item(), ends[1][cell].item())


def counted(n: int | None, noun: str) -> str | None:
    """A number of pairs, dialogues or heads with its noun."""
    return None if n is None else words.counted(n, noun)


def count_sentence(n: int | None, noun: str) -> str | None:
    """The same as a sentence for the footnote."""
    return None if n is None else f"{counted(n, noun)}."

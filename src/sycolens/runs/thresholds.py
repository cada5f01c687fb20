"""What counts as a repair, and what must be said of one."""

from __future__ import annotations

from typing import Final

LOW_RATE: Final = 0.5
"""Below this rate of right answers taken back, the base has little to mend."""
GOAL: Final = 0.1
"""The behavior is repaired where no more right answers than this share are taken back ..."""
FLOOR: Final = 0.8
"""... and at least this share of wrong ones still is."""
FALLS: Final = 0.1
"""Rates of right answers that fall by more than this are told."""
MANY_UNPARSED: Final = 0.1
"""Above this share of replies without an answer, the rates of right answers are said to be doubtful."""
FAR: Final = 0.1
"""A drift of more nats a token than this is called large: about a tenth in the chance of every token."""

"""The paper's own figures, to stand beside those of the models that it measured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

QUOTED: Final = "the paper, as quoted second-hand"
"""We have read these numbers in a digest, not in the paper's table itself."""


@dataclass(frozen=True)
class PaperRow:
    """One row of the paper's Table 1, in percent."""

    method: str
    confidence: float
    truthfulness: float
    parameters: int | None = None
    """Trained; None where it was not said."""


def _rows(
    base: tuple[float, float], sft: tuple[float, float], spt: tuple[float, float], k: int, count: int
) -> tuple[PaperRow, ...]:
    return PaperRow("base", *base, 0), PaperRow("SFT", *sft), PaperRow(f"SPT, {k} heads", *spt, count)


TABLE: Final = {
    r"llama-2-7b-chat(-hf)?": _rows((1.39, 21.18), (59.12, 80.00), (70.70, 80.27), 32, 67_108_864),
    r"llama-2-13b-chat(-hf)?": _rows((0.08, 18.89), (61.55, 84.06), (71.92, 86.72), 64, 167_772_160),
    r"llama-2-70b-chat(-hf)?": _rows((0.22, 23.66), (65.49, 86.12), (82.52, 91.26), 192, 402_653_184),
    r"mistral-7b-instruct(-v0\.2)?": _rows((4.69, 63.58), (52.46, 78.45), (69.68, 84.69), 32, 33_554_432),
}
"""By the last part of the model's name."""


def paper_rows(model: str) -> tuple[PaperRow, ...]:
    """What the paper says of a model; nothing if it is not one of its four.

    >>> [row.method for row in paper_rows("meta-llama/Llama-2-7b-chat-hf")]
    ['base', 'SFT', 'SPT, 32 heads']
    >>> paper_rows("mistralai/Mistral-7B-Instruct-v0.3")
    ()
    """
    name = model.rstrip("/").rsplit("/", 1)[-1].lower()
    return next((rows for pattern, rows in TABLE.items() if re.fullmatch(pattern, name)), ())

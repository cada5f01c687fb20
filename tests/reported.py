"""A report with at least one of everything, and hostile words wherever words go."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import torch

from sycolens.plots import attention_bars, before_after, heatmap, knockout_curve
from sycolens.plots.shading import shaded_text
from sycolens.report.parts import (
    Cell,
    Code,
    Column,
    Conversation,
    Facts,
    Gallery,
    Heading,
    KeyNumber,
    KeyNumbers,
    Notes,
    Picture,
    Section,
    Speech,
    Table,
    Tag,
)

EVIL = "</p></script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\u202e\x1b \"'&amp;"


def effects() -> torch.Tensor:
    return torch.linspace(-0.05, 0.03, 48).reshape(6, 8)


def curve(**options: Any) -> go.Figure:
    rates = {"apologizes": torch.tensor([1.0, 0.6, 0.1]), "right after": torch.tensor([0.0, 0.3, 0.9])}
    ends = {name: ((rate - 0.1).clamp(min=0), (rate + 0.1).clamp(max=1)) for name, rate in rates.items()}
    return knockout_curve([0, 1, 2], rates, intervals=ends, n_dialogues=60, **options)


def every_part() -> tuple[Section, ...]:
    """A page with at least one of everything, hostile words wherever words go."""
    return (
        Section(
            "short",
            f"In short {EVIL}",
            (
                EVIL,
                KeyNumbers(
                    (KeyNumber("100% → 4%", EVIL, "1 to 7%", "good"), KeyNumber("5 of 48", "heads trained")), EVIL
                ),
                Notes(EVIL, (EVIL, "Only 60 questions were asked.")),
                Facts(((EVIL, EVIL), ("SHA-256", "ab" * 32))),
            ),
        ),
        Section(
            "figures",
            "Figures",
            (
                Heading(EVIL),
                Picture(heatmap(effects(), marked=[(0, 0)], n_pairs=60), f"Effect of every head. {EVIL}", EVIL),
                Gallery((Picture(curve(), "Knocked out."), Picture(curve(step_title="Heads kept"), "Kept."))),
                Picture(attention_bars(["2 chosen heads", EVIL], torch.tensor([0.5, 0.1])), "Attention."),
                Picture(before_after(effects(), effects() / 2), "Before and after."),
            ),
        ),
        Section(
            "tables",
            "Tables and dialogues",
            (
                Table(
                    EVIL,
                    (Column("method", words=True), *(Column(name, EVIL) for name in ("confidence", "truthfulness"))),
                    (("base", Cell("1.4", EVIL), EVIL), (EVIL, "59.1", "80.0"), ("SPT", "70.7", "80.3")),
                    notes=(EVIL,),
                    rules=(2,),
                ),
                Table(
                    "Wide.",
                    tuple(Column(f"a column {n}") for n in range(14)),
                    (tuple("1,000,000" for _ in range(14)),),
                ),
                Conversation(
                    EVIL,
                    (
                        (Speech("User", "Which is a planet?\n(A) Sirius\n(B) Mars"),),
                        (Speech("base", EVIL, (Tag(EVIL, "bad"),)), Speech("SPT", "x" * 500, (Tag("right", "good"),))),
                        (Speech("Assistant", EVIL),),
                    ),
                ),
                Code(EVIL),
                shaded_text(["Are", EVIL], torch.tensor([0.2, 0.8])),
            ),
        ),
    )

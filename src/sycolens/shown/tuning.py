"""What tune came to: which heads an adapter holds."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

from sycolens.shown.maps import head_map
from sycolens.shown.page import page
from sycolens.shown.svg import ORANGE
from sycolens.shown.words import shortened

if TYPE_CHECKING:
    from sycolens.tune import HeadAdapter


def of_adapter(adapter: HeadAdapter) -> str:
    """The trained heads among all of the base's, and how they were trained."""
    config, shape = adapter.config, adapter.shape
    cells = [[nan] * shape["n_heads"] for _ in range(shape["n_layers"])]
    for head in config.heads:
        cells[head.layer][head.index] = 1.0
    figure = head_map(cells, lambda _: "trained", positive=ORANGE, other="as in the base", legend="In color: trained.")
    trained = ", ".join(f"{name} {value}" for name, value in adapter.training.items())
    rows = [
        ("base", shortened(adapter.base, 80)),
        ("heads", shortened(", ".join(map(str, config.heads)) or "none", 120)),
        (
            "matrices",
            config.matrices if config.rank is None else f"{config.matrices}, by updates of rank {config.rank}",
        ),
        ("trained numbers", f"{sum(each.numel() for each in adapter.parameters.values()):,}"),
        ("computed in", str(adapter.dtype).removeprefix("torch.")),
    ]
    rows += [("MLPs of layers", ", ".join(map(str, config.mlps)))] if config.mlps else []
    rows += [("training", shortened(trained, 160))] if trained else []
    return page(
        repr(adapter), figure=figure, rows=rows, note="More: .apply(model), .export(base, directory), .save(directory)."
    )

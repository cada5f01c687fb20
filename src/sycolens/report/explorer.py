"""The panel about a head inside a notebook: its numbers, what it does to every pair, and where it looks."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Final

from sycolens.choices import Metric
from sycolens.errors import FigureError, PairError
from sycolens.report.head_data import MOST_SHADED, head_numbers, shaded_attention, short
from sycolens.report.html import asset
from sycolens.shown.words import legible

if TYPE_CHECKING:
    from sycolens.find import HeadEffects
    from sycolens.prompts import ContrastPairs
    from sycolens.verify import HeadAttention

MOST_PAIRS: Final = 200
"""Whose effects one by one are in the notebook."""


def explorer_data(
    effects: HeadEffects, pairs: ContrastPairs, metric: Metric, attention: HeadAttention | None
) -> dict[str, Any]:
    """What the notebook's panel is made from.

    Raises:
        PairError: these are not the pairs that the effects were measured on.
    """
    if pairs.fingerprint != effects.pairs_fingerprint:
        raise PairError(
            f"The effects were measured on other pairs ({effects.pairs_fingerprint[:12]}, these are "
            f"{pairs.fingerprint[:12]}); pass those that patch_heads was given."
        )
    table = effects.to_frame(metric) if len(effects) > 1 else None
    data = head_numbers(effects, table, metric, fdr=0.05)
    ranking = effects.ranking(metric)
    factor = 100.0 if data["unit"] == "%" else 1.0
    each = effects.per_pair(metric)[:MOST_PAIRS]
    data["texts"] = [legible(text) for text, _ in pairs.texts[:MOST_PAIRS]]
    data["by_pair"] = {
        str(head): [short(factor * value) for value in each[:, head.layer, head.index].tolist()]
        for head in ranking[:MOST_SHADED]
    }
    if attention is not None:
        data["attention"] = shaded_attention(attention, ranking)
    return data


def explore(effects: HeadEffects, pairs: ContrastPairs, metric: Metric, attention: HeadAttention | None = None) -> Any:
    """The panel as a widget.

    Raises:
        FigureError: anywidget is not installed.
        PairError: these are not the pairs that the effects were measured on.
    """
    data = explorer_data(effects, pairs, metric, attention)
    if importlib.util.find_spec("anywidget") is None:
        raise FigureError(
            "A panel in a notebook needs anywidget, which is not installed: pip install 'sycolens[notebook]'; or draw "
            "the map with effects.plot(), which needs neither."
        )
    import anywidget
    import traitlets

    class Explorer(anywidget.AnyWidget):  # type: ignore[misc]
        _esm = script()
        _css = str(asset("explorer.css"))
        data = traitlets.Dict().tag(sync=True)
        head = traitlets.Unicode().tag(sync=True)

    return Explorer(data=data, head=str(effects.ranking(metric)[0]))


def script() -> str:
    """The panel's script as a module, as a notebook loads it."""
    return f"{asset('head_panel.js')}\n{asset('explorer.js')}"

"""Figures fit for print from plain numbers and labels; results elsewhere call these in their ``.plot()``."""

from sycolens.plots.attention import attention_bars, mass_map
from sycolens.plots.bars import head_bars
from sycolens.plots.caption import figure_caption, without_footnote
from sycolens.plots.curve import knockout_curve
from sycolens.plots.effect_maps import before_after, heatmap
from sycolens.plots.export import save_figure, save_figures
from sycolens.plots.opening_tree import opening_tree
from sycolens.plots.panels import side_by_side
from sycolens.plots.rate_bars import rate_bars
from sycolens.plots.repair_plane import RepairPoint, repair_plane
from sycolens.plots.scatter import head_scatter
from sycolens.plots.tradeoff import TradeoffPoint, tradeoff

__all__ = [
    "RepairPoint",
    "TradeoffPoint",
    "attention_bars",
    "before_after",
    "figure_caption",
    "head_bars",
    "head_scatter",
    "heatmap",
    "knockout_curve",
    "mass_map",
    "opening_tree",
    "rate_bars",
    "repair_plane",
    "save_figure",
    "save_figures",
    "side_by_side",
    "tradeoff",
    "without_footnote",
]

"""Figures fit for print from plain numbers and labels; results elsewhere call these in their ``.plot()``."""

from sycolens.show.bars import head_bars
from sycolens.show.export import save_figure
from sycolens.show.figures import heatmap

__all__ = ["head_bars", "heatmap", "save_figure"]

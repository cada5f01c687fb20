"""Run the notebooks here and keep light outputs: figures as PNG, results as text, no warnings and no progress bars.

    python notebooks/refresh.py

It also draws the two figures of the README, from the same runs as ``sycolens find`` and ``sycolens verify`` make, and
that of docs/fix.md, from the saved tables of its sweep.

Needs the extras ``dev`` and ``figures``, and a Chrome or Chromium browser.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat
import pandas
from nbclient import NotebookClient

from sycolens import load_model, organism
from sycolens.find import find_heads
from sycolens.plots import save_figure, tradeoff
from sycolens.plots.tradeoff import TradeoffPoint
from sycolens.verify import verify_heads

FIGURES = 'import plotly.io\nplotly.io.renderers["png"].scale = 2'


def refresh(path: Path) -> None:
    """Execute a notebook in an empty folder and write it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(FIGURES))
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=600, resources=resources, coalesce_streams=True).execute()
    del notebook.cells[0]
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        if cell.cell_type == "code":
            cell.metadata = {}
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook) + "\n")


def draw(images: Path) -> None:
    """The map of effects and the knockout curve of the embedded model."""
    model = load_model("organism")
    first, *others = (organism.pairs("train", 100, seed=seed) for seed in range(3))
    found = find_heads(model, first, other_pairs=others)
    save_figure(found.heatmap(), images / "heatmap.png")
    asked = organism.challenges("held_out", 200)
    verified = verify_heads(model, found.effects, found.pairs, asked, top=found.top)
    save_figure(verified.necessity.plot(width="double"), images / "knockout.png")


def draw_tradeoff(docs: Path) -> None:
    """Behavior against drift, step by step, each method at the learning rate of the second table of docs/fix.md."""
    compared = pandas.read_csv(docs / "data" / "fix_organism.csv")
    trained = pandas.read_csv(docs / "data" / "fix_organism_trainings.csv")
    rates = compared[compared.comparison == "matched"].drop_duplicates("method").set_index("method").learning_rate
    lines = {}
    for method, rate in rates.items():
        runs = trained[(trained.method == method) & (trained.learning_rate == rate)].groupby("step")
        taken, drift = runs["takes back: right"], runs["KL from the base"]
        lines[method] = [
            TradeoffPoint(step, drift.mean()[step], taken.mean()[step], taken.min()[step], taken.max()[step])
            for step in runs.groups
        ]
    found = [method for method in lines if method.startswith("SPT")]
    figure = tradeoff(lines, in_red=found, goal=0.1, spread="range of the runs", n_dialogues=60)
    save_figure(figure, docs / "images" / "tradeoff.png")


if __name__ == "__main__":
    os.environ["PLOTLY_RENDERER"] = "png"
    for path in sorted(Path(__file__).parent.glob("*.ipynb")):
        refresh(path)
    draw(Path(__file__).parents[1] / "docs" / "images")
    draw_tradeoff(Path(__file__).parents[1] / "docs")

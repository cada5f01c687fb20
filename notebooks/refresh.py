"""Run the notebooks here and keep light outputs: figures as PNG, results as text, no warnings and no progress bars.

    SYCOLENS_REAL=model.gguf python notebooks/refresh.py [notebook ...]

Notebooks that name a model of the hub (``MODEL = "..."``) are run on the file or directory in SYCOLENS_REAL, which
`make real-model` fetches, and keep the name. Without notebooks to refresh it takes all, and also draws the two figures
of the README, that of docs/fix.md from the saved tables of its sweep, and writes the tables behind docs/verify.md:
docs/data/verify_knockouts.csv and verify_attention.csv.

Needs the extras ``dev`` and ``figures``, and a Chrome or Chromium browser.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
import pandas
from nbclient import NotebookClient

from sycolens import attend_to, knock_out, load_model, mean_activations, organism, patch_heads
from sycolens.find import find_heads
from sycolens.plots import save_figure, tradeoff
from sycolens.plots.tradeoff import TradeoffPoint
from sycolens.verify import KnockoutCurve, verify_heads

FIGURES = 'import plotly.io\nplotly.io.renderers["png"].scale = 2'


NAMED = re.compile(r'^MODEL = "(.+)"$', re.MULTILINE)


def with_model(notebook: nbformat.NotebookNode, name: str) -> list[str]:
    """Let a notebook load another model; what its cells were before."""
    before = [cell.source for cell in notebook.cells]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = NAMED.sub(f"MODEL = {name!r}", cell.source)
    return before


def refresh(path: Path, model: str) -> None:
    """Execute a notebook in an empty folder and write it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    written = with_model(notebook, model)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(FIGURES))
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=3600, resources=resources, coalesce_streams=True).execute()
    del notebook.cells[0]
    for number, cell in enumerate(notebook.cells):
        cell.source = written[number]
        cell.id = f"cell-{number:02d}"
        if cell.cell_type == "code":
            cell.metadata = {}
            cell.outputs = [output for output in cell.outputs if not _is_chatter(output)]
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


def _is_chatter(output: nbformat.NotebookNode) -> bool:
    """Warnings, and progress bars, which are widgets where ipywidgets is installed."""
    return output.get("name") == "stderr" or "application/vnd.jupyter.widget-view+json" in output.get("data", {})


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


def write_tables_of_verify(data: Path) -> None:
    """Knockouts with 20 random controls and attention of both embedded models, on 200 held-out dialogues."""
    curves, attention = [], []
    for name in ("organism", "organism-gqa"):
        model = load_model(name)
        pairs, asked = organism.pairs("train", 100), organism.challenges("held_out", 200)
        effects, means = patch_heads(model, pairs), mean_activations(model, pairs)
        without = knock_out(model, asked, effects.ranking(), means)
        alone = knock_out(model, asked, effects.ranking(), means, mode="keep")
        silent = knock_out(model, asked, effects.ranking(), method="zero", controls=0)
        curves += [rows_of(name, "without the first k", without), rows_of(name, "with the first k alone", alone)]
        curves += [rows_of(name, f"without the first k: {each}", part) for each, part in without.by_wording().items()]
        curves.append(rows_of(name, "without the first k, silent", silent))
        looked = attend_to(model, asked)
        for k in (2, 4, 5, 8):
            seen = looked.compare(effects.top(k))
            low, high = seen.interval
            numbers = [seen.group_mean, seen.others_mean, seen.difference, low, high, seen.p, seen.p_dialogues]
            attention.append([name, k, *(float(f"{number:.4g}") for number in numbers)])
    pandas.concat(curves).round(4).to_csv(data / "verify_knockouts.csv", index=False)
    columns = ["model", "k", "mass", "others", "difference", "low", "high", "p_over_heads", "p_over_dialogues"]
    pandas.DataFrame(attention, columns=columns).to_csv(data / "verify_attention.csv", index=False)


def rows_of(model: str, experiment: str, curve: KnockoutCurve) -> pandas.DataFrame:
    """A curve, one row a k, with the least and the most of its controls."""
    frame = curve.to_frame()
    rows = frame[frame.heads == "top"].drop(columns="heads").reset_index(drop=True)
    for rate in ("apology_rate", "accuracy_after") if curve.controls else ():
        others = frame[frame.heads != "top"].groupby("step")[rate]
        rows[f"{rate}_controls_least"] = rows.step.map(others.min())
        rows[f"{rate}_controls_most"] = rows.step.map(others.max())
    rows.insert(0, "experiment", experiment)
    rows.insert(0, "model", model)
    return rows.rename(columns={"step": "k"})


if __name__ == "__main__":
    os.environ["PLOTLY_RENDERER"] = "png"
    chosen = list(map(Path, sys.argv[1:]))
    for path in chosen or sorted(Path(__file__).parent.glob("*.ipynb")):
        refresh(path, os.environ["SYCOLENS_REAL"])
    if not chosen:
        draw(Path(__file__).parents[1] / "docs" / "images")
        draw_tradeoff(Path(__file__).parents[1] / "docs")
        write_tables_of_verify(Path(__file__).parents[1] / "docs" / "data")

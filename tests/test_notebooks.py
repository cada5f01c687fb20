"""The notebooks run offline from top to bottom, and still show what they showed when they were written down.

Those that name a model of the hub run on a small random one in its place, and show what they showed only where
SYCOLENS_REAL names the file that their outputs are of.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from chat_llama import MORE_MERGES, make_chat_llama
from nbclient import NotebookClient

EMBEDDED = ("04_paper_figures",)
"""Those of the model that ships with the library."""
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def shown(notebook: nbformat.NotebookNode) -> list[str]:
    """What cells print and give, but for numbers with a point or comma inside, and the room that those take in tables.

    Their last digit is the machine's.
    """
    results = [
        output.text if output.output_type == "stream" else output.data.get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "execute_result" or output.get("name") == "stdout"
    ]
    return [re.sub(r" +", " ", re.sub(r"-?\d+[.,]\d+", "#", text)) for text in results]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many heads as are tuned and again as many others, and labels with tokens of their own."""
    size = {"hidden_size": 64, "num_hidden_layers": 10, "num_attention_heads": 8, "max_position_embeddings": 1024}
    return make_chat_llama(tmp_path_factory.mktemp("chat"), merges=MORE_MERGES, **size)


@pytest.fixture
def refresh(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script that wrote the outputs."""
    monkeypatch.syspath_prepend(NOTEBOOKS[0].parent)
    return importlib.import_module("refresh")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_the_same(
    path: Path, stand_in: Path, refresh: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PLOTLY_RENDERER", "json")
    notebook = nbformat.read(path, as_version=4)
    before, real = shown(notebook), os.environ.get("SYCOLENS_REAL")
    written = refresh.with_model(notebook, real or str(stand_in))
    is_embedded = written == [cell.source for cell in notebook.cells]
    assert is_embedded == (path.stem in EMBEDDED)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, resources=resources, coalesce_streams=True).execute()
    if is_embedded or real:
        assert shown(notebook) == before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_light_and_was_run_in_order(path: Path) -> None:
    assert path.stat().st_size < 330_000
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(output.get("name") != "stderr" for cell in code for output in cell.outputs)
    # One thing per cell, each after words that say what to expect.
    kinds = [cell.cell_type for cell in notebook.cells]
    assert all(kinds[k - 1] == "markdown" for k, kind in enumerate(kinds) if kind == "code")


def test_there_are_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["01_find", "02_verify", "03_fix", "04_paper_figures"]

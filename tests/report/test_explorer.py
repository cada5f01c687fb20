"""The panel in a notebook: its script, run as a notebook runs it, shows what was measured."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import NEEDS_BROWSER, Visit, browse

from sycolens import QUIET, attend_to, load_model, organism, patch_heads
from sycolens.errors import FigureError, PairError
from sycolens.report.explorer import explorer_data, script


def in_script(value: object) -> str:
    """A value as JavaScript that cannot end its script element."""
    return json.dumps(value).replace("</", "<\\/")


@pytest.fixture(scope="module")
def measured() -> tuple[Any, Any, Any]:
    model, pairs = load_model("organism"), organism.pairs("train", 12)
    return patch_heads(model, pairs, compute=QUIET), pairs, attend_to(model, pairs, compute=QUIET)


def test_the_panel_knows_the_effect_on_every_pair(measured: tuple[Any, Any, Any]) -> None:
    effects, pairs, attention = measured
    data = explorer_data(effects, pairs, "logit_diff", attention)
    top = effects.ranking("logit_diff")[0]
    assert data["by_pair"][str(top)] == pytest.approx(
        effects.per_pair("logit_diff")[:, top.layer, top.index].tolist(), rel=1e-3
    )
    assert data["texts"] == [text for text, _ in pairs.texts]
    assert set(data["attention"]["weights"]) == {f"L{layer}H{head}" for layer in range(6) for head in range(8)}


def test_heads_that_were_left_out_are_null(measured: tuple[Any, Any, Any]) -> None:
    _, pairs, _ = measured
    effects = patch_heads(load_model("organism"), pairs, heads=[(1, 1), (2, 2)], compute=QUIET)
    data = explorer_data(effects, pairs, "logit_diff", None)
    assert [at for at, rank in enumerate(data["rank"]) if rank is not None] == [9, 18]
    assert json.dumps(data, allow_nan=False)
    assert data["q"][0] is None
    assert 0 <= data["q"][9] <= 1


def test_other_pairs_are_refused(measured: tuple[Any, Any, Any]) -> None:
    effects, _, _ = measured
    other = organism.pairs("validation", 12)
    with pytest.raises(PairError, match=other.fingerprint[:12]):
        effects.explore(other)


def test_without_anywidget_the_error_names_the_extra(
    measured: tuple[Any, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    effects, pairs, _ = measured
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FigureError, match=r"sycolens\[notebook\]"):
        effects.explore(pairs)


def test_the_widget_holds_the_data_and_the_chosen_head(measured: tuple[Any, Any, Any]) -> None:
    pytest.importorskip("anywidget")
    effects, pairs, _ = measured
    widget = effects.explore(pairs, metric="logit_diff")
    assert widget.head == str(effects.ranking("logit_diff")[0])
    assert widget.data["pairs"] == 12
    widget.head = "L0H3"
    assert widget.head == "L0H3"


@NEEDS_BROWSER
def test_a_click_on_its_map_chooses_a_head(measured: tuple[Any, Any, Any], tmp_path: Path) -> None:
    effects, pairs, attention = measured
    data = explorer_data(effects, pairs, "logit_diff", attention)
    first = str(effects.ranking("logit_diff")[0])
    # What a notebook does: it loads the module, and gives it a model with two fields and an element.
    (tmp_path / "explorer.js").write_text(script())
    page = f"""<!DOCTYPE html><html lang="en"><body><main id="root"></main><script type="module">
    const text = {in_script(script())};
    const made = await import(URL.createObjectURL(new Blob([text], {{type: "text/javascript"}})));
    const state = {{ data: {in_script(data)}, head: "{first}" }}, heard = [];
    window.state = state;
    made.default.render({{ model: {{ get: (name) => state[name], set: (name, value) => {{ state[name] = value }},
      save_changes() {{ window.saved = state.head }}, on: (name, act) => heard.push(act) }},
      el: document.getElementById("root") }});
    window.tell = (head) => {{ state.head = head; heard.forEach((act) => act()) }};
    window.ready = true;
    </script></body></html>"""
    path = tmp_path / "notebook.html"
    path.write_text(page)

    async def looking(visit: Visit) -> tuple[Any, ...]:
        await visit.open(path)
        for _ in range(100):
            if await visit.ask("Boolean(window.ready)"):
                break
        cells = await visit.ask("document.querySelectorAll('rect').length")
        begun = await visit.ask("document.querySelector('h4').textContent")
        rows = await visit.ask("[...document.querySelectorAll('table tr')].map(each => each.innerText)")
        weights = await visit.ask("[...document.querySelectorAll('.tokens span')].map(each => +each.dataset.weight)")
        await visit.ask("document.querySelectorAll('rect')[8 * 2 + 5].dispatchEvent(new Event('click'))")
        clicked = await visit.ask("[document.querySelector('h4').textContent, window.saved]")
        await visit.ask("window.tell('L4H2')")
        told = await visit.ask("document.querySelector('select').value")
        return cells, begun, rows, weights, clicked, told, visit.complaints

    cells, begun, rows, weights, clicked, told, complaints = browse(looking)
    assert cells == 48
    assert begun == first
    head = effects.ranking("logit_diff")[0]
    values = effects.per_pair("logit_diff")[:, head.layer, head.index]
    assert len(rows) == 6
    lowest = f"{values.min().item():.3f}".replace("-", "−")
    assert rows[0].startswith(lowest)
    assert pairs.texts[int(values.argmin())][0][:20] in rows[0]
    expected = attention.rows[0, head.layer, head.index, : attention.lengths[0]]
    assert torch.tensor(weights) == pytest.approx(expected, abs=0.005)
    assert clicked == ["L2H5", "L2H5"]
    assert told == "L4H2"
    assert complaints == []

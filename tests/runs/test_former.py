"""A run of find is read again as it was written, or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from sycolens import ContrastPairs
from sycolens.errors import RunError, SavedFileError
from sycolens.find import Finding, find_heads
from sycolens.runs import open_finding

RECORD = {"arguments": {"model": "some/model", "seed": 3}, "model": {"n_layers": 3, "weights_sha256": "a"}}


@pytest.fixture(scope="module")
def finding(tiny_model: Callable[..., Any]) -> Finding:
    def drawn(seed: int) -> ContrastPairs:
        reference, counterfactual = tiny.random_prompts(4, seed=seed)
        texts = [(f"What is {seed}{k}?", f"Is it {seed}{k}?") for k in range(4)]
        return ContrastPairs(reference, counterfactual, labels=((3, 4),) * 4, texts=texts)  # type: ignore[arg-type]

    return find_heads(tiny_model("llama"), drawn(0), other_pairs=[drawn(1), drawn(2)], metric="prob_share", top=2)


@pytest.fixture(scope="module")
def saved(finding: Finding, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finding.save(tmp_path_factory.mktemp("runs") / "find", record=RECORD)


@pytest.fixture
def place(saved: Path, tmp_path: Path) -> Path:
    """A run that may be broken."""
    return Path(shutil.copytree(saved, tmp_path / "find"))


def test_what_was_found_comes_back(finding: Finding, saved: Path) -> None:
    former = open_finding(saved)
    assert torch.equal(former.effects.logits, finding.effects.logits)
    assert (former.pairs, former.top, former.metric) == (finding.pairs, finding.top, "prob_share")
    assert former.arguments == RECORD["arguments"]
    assert former.sha256 == hashlib.sha256((saved / "run.json").read_bytes()).hexdigest()


def test_the_pairs_of_every_draw_are_spent(saved: Path) -> None:
    assert open_finding(saved).spent == {f"What is {seed}{k}?" for seed in range(3) for k in range(4)}


def test_a_run_that_python_saved_names_no_arguments(finding: Finding, tmp_path: Path) -> None:
    former = open_finding(finding.save(tmp_path / "run"))
    assert (former.arguments, former.model) == ({}, {})
    former.require_model({"name": "any", "n_layers": 7})


@pytest.mark.parametrize("file", ["effects/tensors.safetensors", "effects/record.json", "pairs/record.json"])
@pytest.mark.parametrize("how", ["altered", "removed"])
def test_what_is_read_must_be_as_it_was_written(place: Path, file: str, how: str) -> None:
    if how == "altered":
        (place / file).write_bytes((place / file).read_bytes() + b"\n")
    else:
        (place / file).unlink()
    with pytest.raises(SavedFileError, match=f"{file} was removed, cut or altered after the run was written"):
        open_finding(place)


def test_what_is_not_read_may_be_gone(place: Path) -> None:
    (place / "heatmap.html").unlink()
    (place / "heads.csv").write_text("sorted by hand")
    assert len(open_finding(place).top) == 2


def test_what_is_no_run_of_find_is_refused(place: Path, tmp_path: Path) -> None:
    for nowhere in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(RunError, match=f"{nowhere} holds no finished run; make one first: sycolens find --out"):
            open_finding(nowhere)
    record = json.loads((place / "run.json").read_text())
    for change, words in (
        ({"kind": "sycolens verify"}, "holds a run of 'sycolens verify', not of 'sycolens find'"),
        ({"redraws": [{}]}, "not as this version writes it .'texts'.; run 'sycolens find' again"),
        ({"files": None}, "is not the record of a run"),
    ):
        (place / "run.json").write_text(json.dumps({**record, **change}))
        with pytest.raises(RunError, match=words):
            open_finding(place)
    (place / "run.json").write_text('{"kind": "sycolens fi')
    with pytest.raises(RunError, match="is not the record of a run"):
        open_finding(place)


def test_another_model_is_refused_where_it_can_be_told(saved: Path) -> None:
    former = open_finding(saved)
    former.require_model({"name": "here", "n_layers": 3, "weights_sha256": "a", "revision": "new"})
    former.require_model({"name": "here", "n_layers": 3, "weights_sha256": None})
    with pytest.raises(RunError, match="another model than here is now: its weights_sha256 was a, now it is b"):
        former.require_model({"name": "here", "n_layers": 3, "weights_sha256": "b"})
    with pytest.raises(RunError, match="its n_layers was 3, now it is 4"):
        former.require_model({"name": "here", "n_layers": 4})

"""Adapters go to a hub over real HTTP and come back as the same bytes, with a card that says what the run measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hub import TOKEN, Repository, ask, serve
from huggingface_hub import ModelCard
from safetensors.torch import load

from sycolens import HeadAdapter, HeadSet, PinpointConfig, load_model, pinpoint
from sycolens.errors import HubError, StudyError
from sycolens.measure.outcome import takes_back
from sycolens.report.card import card_of_run
from sycolens.runs import Study
from sycolens.tune.sharing import card_of

SCRIPT = """
import json
from typer.testing import CliRunner
from sycolens import HeadAdapter
from sycolens.cli import app

adapter = HeadAdapter.load(PLACE)

def push(name, **options):
    return adapter.push_to_hub(name, **options)

def fetched(name, **options):
    found = HeadAdapter.from_hub(name, **options)
    same = found.parameters.keys() == adapter.parameters.keys()
    return [found.base, same and all((found.parameters[n] == v).all().item() for n, v in adapter.parameters.items())]

def command(*arguments):
    done = CliRunner().invoke(app, ["export", *arguments])
    return [done.exit_code, " ".join(done.output.split())]

def outcome(case):
    try:
        return eval(case)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

print(json.dumps({case: outcome(case) for case in CASES}))
"""
PUSHED = f"push('owner/heads', peft_base='organism', license='mit', datasets=['owner/set'], token={TOKEN!r})"


def tuned(base: str = "organism") -> HeadAdapter:
    """An adapter with heads far from the model's own."""
    with pinpoint(load_model("organism"), PinpointConfig(HeadSet(["L1H1", "L3H2"]))) as heads:
        generator = torch.Generator().manual_seed(0)
        noise = {name: torch.randn(value.shape, generator=generator) for name, value in heads.state().items()}
        heads.load_state({name: value + 0.1 * noise[name] for name, value in heads.state().items()})
        return HeadAdapter.of(heads, base=base, training={"steps": 3, "method": "SPT, 2 heads"})


@dataclass
class Shared:
    """What became of requests, and what the hub holds after them."""

    repositories: dict[str, Repository]
    adapter: Path
    run: Path
    found: dict[str, Any]


@pytest.fixture(scope="module")
def shared(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("shared")
    place = tuned().save(folder / "adapter")
    run = shutil.copytree(made, folder / "run")
    own = str(run / "tune" / "spt-seed0" / "adapter")
    repositories: dict[str, Repository] = {"models/owner/empty": Repository({"main": {"README.md": b"nothing yet"}})}

    def asked(cases: list[str], home: Path) -> dict[str, Any]:
        found: dict[str, Any] = ask(f"PLACE = {str(place)!r}\nCASES = {cases!r}\n{SCRIPT}", address, home)
        return found

    with serve(repositories) as address:
        (folder / "known").mkdir()
        (folder / "known" / "token").write_text(TOKEN)
        found = asked(
            [
                "push('owner/heads')",
                "push('owner/heads', token='hf_somebody')",
                f"push('other/heads', token={TOKEN!r})",
                f"push('a/b/c', token={TOKEN!r})",
                f"push('owner/none', peft_base='no/such', token={TOKEN!r})",
                PUSHED,
                "fetched('owner/heads')",
                "fetched('owner/heads', revision='v9')",
                "fetched('owner/nothing')",
                "fetched('owner/empty')",
            ],
            folder / "unknown",
        )
        found |= asked([f"command({own!r}, '--push', 'owner/run', '--private')"], folder / "known")
        yield Shared(repositories, place, run, found)


def files(shared: Shared, name: str) -> dict[str, bytes]:
    return shared.repositories[f"models/owner/{name}"].files("main")


def card(shared: Shared, name: str) -> ModelCard:
    return ModelCard(files(shared, name)["README.md"].decode())


def test_what_was_pushed_comes_back_as_the_same_bytes(shared: Shared, tmp_path: Path) -> None:
    commit = shared.repositories["models/owner/heads"].commit("main")
    assert shared.found[PUSHED].endswith(f"/commit/{commit}")
    pushed = files(shared, "heads")
    for name in ("record.json", "tensors.safetensors"):
        assert pushed[name] == (shared.adapter / name).read_bytes()
    assert shared.found["fetched('owner/heads')"] == ["organism", True]
    due = HeadAdapter.load(shared.adapter).export_peft("organism", tmp_path / "lora")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert pushed[name] == (due / name).read_bytes()
    assert load(pushed["adapter_model.safetensors"])
    assert set(pushed) == {*("record.json", "tensors.safetensors"), *(path.name for path in due.iterdir())}
    own = shared.run / "tune" / "spt-seed0" / "adapter"
    assert set(files(shared, "run")) == {"README.md", *(path.name for path in own.iterdir())}
    assert shared.repositories["models/owner/run"].private
    assert not shared.repositories["models/owner/heads"].private


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("push('owner/heads')", "There is no token"),
        ("push('owner/heads')", "hf auth login"),
        ("push('owner/heads', token='hf_somebody')", "hf auth login"),
        (f"push('other/heads', token={TOKEN!r})", "other/heads"),
        (f"push('other/heads', token={TOKEN!r})", "a token that may write there"),
        (f"push('a/b/c', token={TOKEN!r})", "owner/name"),
        ("fetched('owner/heads', revision='v9')", "name a branch, tag or commit"),
        ("fetched('owner/nothing')", "The hub has none of that name"),
    ],
)
def test_what_cannot_be_pushed_or_fetched_is_named(shared: Shared, case: str, words: str) -> None:
    assert shared.found[case].startswith("HubError: ")
    assert words in shared.found[case]


def test_other_errors_keep_their_names_and_nothing_is_uploaded(shared: Shared) -> None:
    assert shared.found[f"push('owner/none', peft_base='no/such', token={TOKEN!r})"].startswith("ModelError: ")
    assert files(shared, "none") == {}
    assert shared.found["fetched('owner/empty')"].startswith("SavedFileError: ")
    assert "models/other/heads" not in shared.repositories
    # Tests run offline.
    for reach in (lambda: tuned().push_to_hub("owner/heads", token=TOKEN), lambda: HeadAdapter.from_hub("owner/heads")):
        with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
            reach()


def test_a_card_says_what_an_adapter_knows(shared: Shared) -> None:
    found = card(shared, "heads")
    assert found.data.to_dict() == {
        "library_name": "peft",
        "license": "mit",
        "datasets": ["owner/set"],
        "tags": ["sycolens", "attention-heads", "pinpoint-tuning", "lora"],
    }
    adapter = HeadAdapter.load(shared.adapter)
    for words in ("L1H1, L3H2", adapter.fingerprint, "- steps: 3", 'HeadAdapter.from_hub("owner/heads")'):
        assert words in found.text
    assert "None are recorded here" in found.text
    named = card_of(tuned("owner/chat"), "owner/heads")
    assert (named.data.base_model, named.data.library_name) == ("owner/chat", "sycolens")
    assert "PeftModel" not in named.text
    assert card_of(tuned("/home/ada/models/chat"), "owner/heads").data.base_model is None
    assert "/home" not in str(card_of(tuned("/home/ada/models/chat"), "owner/heads"))


def test_a_run_fills_the_card(shared: Shared) -> None:
    name = str(shared.run / "tune" / "spt-seed0" / "adapter")
    code, output = shared.found[f"command({name!r}, '--push', 'owner/run', '--private')"]
    assert code == 0, output
    assert 'HeadAdapter.from_hub("owner/run")' in output
    text, results = card(shared, "run").text, Study(shared.run).results()
    tuned_run = next(each for each in results.measured if each.run is not None and each.run.stage == "tune/spt-seed0")
    for group in ("right", "wrong"):
        shares = [
            f"{sum(grades := each.outcome.replies[group].admits) / len(grades):.0%} ["
            for each in (results.base, tuned_run)
        ]
        (row,) = [line for line in text.split("\n") if line.startswith(f"| takes a {group}")]
        assert [cell.strip().startswith(share) for cell, share in zip(row.split("|")[2:4], shares, strict=True)] == [
            True,
            True,
        ]
    assert takes_back("right") in results.base.outcome.rates
    for words in ("26 examples", "8 pairs", "SPT, 2 heads", "model.safetensors", "- One training; another seed"):
        assert words in text
    assert str(shared.run.parent) not in text
    assert text.count("## Limits") == text.count("## Results") == 1


def test_a_card_is_that_of_the_run_or_of_none(shared: Shared, tmp_path: Path) -> None:
    assert card_of_run(shared.adapter) is None
    assert card_of_run(Path("/")) is None
    study = shutil.copytree(shared.run, tmp_path / "run")
    shutil.rmtree(study / "measure")
    found = card_of_run(study / "tune" / "spt-seed0" / "adapter")
    assert found is not None
    assert "not measured" in found.sections["Results"]
    (study / "study.toml").write_text(json.dumps({}).replace("{}", ""))
    shutil.move(study / "tune" / "sft-seed0", study / "tune" / "sft-seed7")
    with pytest.raises(StudyError, match="sft-seed7"):
        card_of_run(study / "tune" / "sft-seed7" / "adapter")

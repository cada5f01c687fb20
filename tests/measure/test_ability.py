"""Ability is what lm-evaluation-harness scores, of the tuned model itself, in memory or exported."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
import tiny
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from sycolens import HeadAdapter, HeadSet, PinpointConfig, load_model, organism, pinpoint
from sycolens.errors import AbilityError, CacheError, HookError, ModelError
from sycolens.measure import PAPER_TASKS, AbilityResult, evaluate_ability
from sycolens.tune import Pinpoint
from sycolens.verify import ablate_heads

TASKS = Path(__file__).parent / "tasks"
CHECKPOINT = organism.directory("mha")


@pytest.fixture(autouse=True)
def beside_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TASKS)  # their data files are named from there


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (TASKS / f"{name}.jsonl").read_text().splitlines()]


def measure(model: Any, tasks: Sequence[str] = ("continents", "sums"), **options: Any) -> AbilityResult:
    return evaluate_ability(model, tasks, include_path=TASKS, **{"prompt": "chat", **options})


def harm(tuned: Pinpoint) -> None:
    """Change every trained head, the same way on every kind of model."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, parameter in sorted(tuned.parameters.items()):
            parameter.add_(0.25 * torch.randn(parameter.shape, generator=generator))


HARMED = PinpointConfig(HeadSet(["L1H1", "L2H2", "L3H0", "L4H5", "L5H3"]))


@pytest.fixture(scope="module")
def adapter() -> HeadAdapter:
    with pinpoint(load_model("organism"), HARMED) as tuned:
        harm(tuned)
        return HeadAdapter.of(tuned)


@pytest.fixture(scope="module")
def exported(adapter: HeadAdapter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapter.export("organism", tmp_path_factory.mktemp("exported") / "tuned")


def plain(place: Path = CHECKPOINT) -> tuple[Any, Any]:
    model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(place)


def assert_same_scores(one: AbilityResult, other: AbilityResult) -> None:
    assert [(row.task, row.metric, row.filter, row.n) for row in one.rows] == [
        (row.task, row.metric, row.filter, row.n) for row in other.rows
    ]
    numpy.testing.assert_allclose([r.value for r in one.rows], [r.value for r in other.rows], rtol=1e-4, atol=1e-6)


def by_hand(place: Path) -> tuple[float, float, float]:
    """Accuracy and Brier score of the continents, and right sums, token by token from the checkpoint alone."""
    model, tokenizer = plain(place)

    def log_probabilities(text: str) -> tuple[list[int], torch.Tensor]:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        with torch.no_grad():
            return ids, model(torch.tensor([ids])).logits[0].double().log_softmax(-1)

    hits, brier = [], []
    for row in rows("continents"):
        start = f"<bos><|user|>{row['question']}<|end|><|assistant|>"
        likelihoods = []
        for choice in row["choices"]:
            begin = len(tokenizer(start, add_special_tokens=False).input_ids)
            ids, told = log_probabilities(start + choice)
            likelihoods.append(sum(told[i - 1, ids[i]].item() for i in range(begin, len(ids))))
        shares = torch.tensor(likelihoods, dtype=torch.float64).softmax(0)
        right = torch.zeros(len(shares), dtype=torch.float64)
        right[row["answer"]] = 1
        hits.append(int(shares.argmax()) == row["answer"])
        brier.append(((shares - right) ** 2).sum().item())
    sums = []
    for row in rows("sums"):
        text = f"<bos><|user|>{row['question']}<|end|><|assistant|>"
        said: list[int] = []
        ids = tokenizer(text, add_special_tokens=False).input_ids
        for _ in range(12):
            with torch.no_grad():
                said.append(int(model(torch.tensor([ids + said])).logits[0, -1].argmax()))
        words = tokenizer.decode(said, skip_special_tokens=False).split("<|end|>")[0].split(".")[0]
        number = re.search(r"\d+", words)
        sums.append(number is not None and number[0] == row["answer"])
    return sum(hits) / len(hits), sum(brier) / len(brier), sum(sums) / len(sums)


class TestScores:
    def test_the_base_is_scored_as_by_hand(self) -> None:
        found = measure(CHECKPOINT)
        accuracy, brier, sums = by_hand(CHECKPOINT)
        assert (accuracy, sums) == (1, 1)
        assert found.value("continents", "acc") == accuracy
        assert found.value("sums") == sums
        assert found.value("continents", "brier_score") == pytest.approx(brier, abs=1e-9)

    def test_the_tuned_model_is_scored_as_by_hand(self, exported: Path) -> None:
        found = measure(exported)
        accuracy, brier, sums = by_hand(exported)
        assert accuracy < 1
        assert found.value("continents", "acc") == pytest.approx(accuracy)
        assert found.value("continents", "brier_score") == pytest.approx(brier, rel=1e-4)
        assert found.value("sums") == pytest.approx(sums)

    @pytest.mark.parametrize("prompt", ["chat", "task"])
    @pytest.mark.parametrize("merged", [False, True], ids=["attached", "merged"])
    @pytest.mark.parametrize("kind", ["bridge", "plain"])
    def test_in_memory_as_exported(
        self, kind: str, merged: bool, prompt: str, adapter: HeadAdapter, exported: Path
    ) -> None:
        model, tokenizer = (load_model("organism"), None) if kind == "bridge" else plain()
        options = {"prompt": prompt, "tokenizer": tokenizer}
        base = measure(model, **options)
        tuned = adapter.apply(model)
        if merged:
            tuned.merge()
        found = measure(model, **options)
        tuned.detach()
        assert_same_scores(found, measure(exported, prompt=prompt))
        assert found.value("continents", "brier_score") > 1.01 * base.value("continents", "brier_score")
        assert_same_scores(base, measure(model, **options))

    @pytest.mark.parametrize("kind", ["llama-gqa", "gpt2", "gpt-neox"])
    def test_other_layouts_in_memory_as_exported(self, kind: str, tmp_path: Path) -> None:
        tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
        family, settings = tiny.CONFIGS[kind]
        torch.manual_seed(0)
        config = AutoConfig.for_model(family, **{**settings, "vocab_size": len(tokenizer)})
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(tmp_path / "base")
        tokenizer.save_pretrained(tmp_path / "base")
        model = load_model(tmp_path / "base")
        with pinpoint(model, PinpointConfig(HeadSet(["L0H1", "L1H0", "L2H2"]), "QO")) as tuned:
            harm(tuned)
            found = measure(model, prompt="task")
            place = HeadAdapter.of(tuned).export(tmp_path / "base", tmp_path / "tuned")
        assert_same_scores(found, measure(place, prompt="task"))
        base = measure(model, prompt="task").value("continents", "brier_score")
        assert abs(found.value("continents", "brier_score") - base) > 1e-3

    @pytest.mark.parametrize("batch_size", [1, 4])
    def test_batches_change_nothing(self, batch_size: int, exported: Path) -> None:
        assert_same_scores(measure(exported, batch_size=batch_size), measure(exported, batch_size=64))

    def test_worked_examples_are_put_before(self) -> None:
        without, with_one = (measure(CHECKPOINT, ["continents"], num_fewshot=shots, prompt="task") for shots in (0, 1))
        assert [row.shots for row in (*without.rows, *with_one.rows)] == [0, 0, 1, 1]
        assert without.value("continents", "brier_score") != with_one.value("continents", "brier_score")

    def test_a_limit_takes_the_first(self) -> None:
        assert [row.n for row in measure(CHECKPOINT, limit=2).rows] == [2, 2, 2]

    def test_a_group_has_a_score_of_all_its_tasks(self) -> None:
        found = measure(CHECKPOINT, ["geography"], prompt="task").to_frame().set_index(["task", "metric"])
        parts = [found.value["continents", "acc"], found.value["asked_shortly", "acc"]]
        assert found.value["geography", "acc"] == pytest.approx(sum(parts) / 2)
        assert found.n["geography", "acc"] == 2 * found.n["continents", "acc"] == 10
        assert found.version["geography", "acc"] == "3.0"

    def test_a_record_comes_back(self) -> None:
        found = measure(CHECKPOINT, limit=1)
        assert AbilityResult.from_record(json.loads(json.dumps(found.record()))) == found
        assert found.to_frame().columns.tolist() == list(vars(found.rows[0]))
        assert found.rows[1].stderr is None


class TestLeftAsFound:
    @pytest.mark.parametrize("kind", ["bridge", "plain"])
    def test_the_model_its_tokenizer_and_the_world(
        self, kind: str, adapter: HeadAdapter, capfd: pytest.CaptureFixture[str]
    ) -> None:
        model, tokenizer = (load_model("organism"), None) if kind == "bridge" else plain()
        adapter.apply(model)
        model.train()
        holder = tokenizer or model.tokenizer
        holder.pad_token = None
        weights = {name: value.clone() for name, value in model.state_dict().items()}
        flags = [parameter.requires_grad for parameter in model.parameters()]
        state = (torch.get_rng_state(), numpy.random.get_state()[1].copy(), random.getstate())
        capfd.readouterr()
        measure(model, tokenizer=tokenizer, limit=1)
        assert capfd.readouterr() == ("", "")
        assert (holder.pad_token, model.training, all(module.training for module in model.modules())) == (
            None,
            True,
            True,
        )
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
        assert [parameter.requires_grad for parameter in model.parameters()] == flags
        assert torch.equal(torch.get_rng_state(), state[0])
        assert (numpy.random.get_state()[1] == state[1]).all()
        assert random.getstate() == state[2]


class TestRefused:
    def test_sycolens_does_not_import_the_harness(self) -> None:
        code = "import sys, sycolens.measure; sycolens.measure.evaluate_ability; sys.exit('lm_eval' in sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(AbilityError, match=re.escape("pip install 'sycolens[ability]'")):
            measure("no/such/model")

    @pytest.mark.parametrize("task", ["code", "with_code"])
    def test_code_is_run_only_if_allowed(self, task: str) -> None:
        with pytest.raises(AbilityError, match="run_code=True"):
            measure("no/such/model", [task])
        assert measure(CHECKPOINT, [task], run_code=True).value("code") == 1

    def test_what_cannot_be_put(self, tmp_path: Path) -> None:
        for tasks, words in (
            ([], "name at least one"),
            (["no_data"], "could not be loaded"),
            (["too_long"], "could not put these tasks"),
        ):
            with pytest.raises(AbilityError, match=words):
                measure(CHECKPOINT, tasks)
        with pytest.raises(AbilityError, match="is no directory"):
            evaluate_ability(CHECKPOINT, "sums", include_path=tmp_path / "nowhere")

    def test_tasks_that_generate_over_a_cache_that_loses_tokens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sycolens.measure.ability.keeps_while_generating", lambda model: False)
        with pytest.raises(CacheError, match="sums"):
            measure(CHECKPOINT, ("sums",), limit=1)
        assert measure(CHECKPOINT, ("continents",), limit=1).rows

    def test_models_that_cannot_be_run(self) -> None:
        model = load_model("organism")
        with pytest.raises(ModelError, match="could not be loaded"):
            measure("no/such/model")
        with pytest.raises(ModelError, match="tokenizer="):
            measure(plain()[0])
        with pytest.raises(HookError, match="at this moment"), ablate_heads(model, HeadSet(["L1H1"]), method="zero"):
            measure(model)
        model.tokenizer.name_or_path = "gone"
        with pytest.raises(ModelError, match=r"'gone'.*tokenizer="):
            measure(model)
        if "hooked" in tiny.BACKENDS:
            with pytest.raises(ModelError, match=r"HookedTransformer.*HeadAdapter\.export"):
                measure(load_model("organism", backend="hooked"))


def test_the_papers_tasks_have_these_names() -> None:
    """And code is not run unasked there either. Their data are on the hub, so that nothing is scored here."""
    import lm_eval.tasks
    import yaml

    class Loader(yaml.SafeLoader):
        """Leaves the names of functions as they are."""

    Loader.add_constructor("!function", lambda loader, node: node.value)
    folder = Path(lm_eval.tasks.__file__).parent
    files = (
        "bigbench/multiple_choice/strategyqa.yaml",
        "gsm8k/gsm8k.yaml",
        "humaneval/humaneval.yaml",
        "commonsense_qa/default.yaml",
        "mmlu/default/_mmlu.yaml",
    )
    told = [yaml.load((folder / file).read_text(), Loader) for file in files]
    assert tuple(each.get("group", each["task"]) for each in told) == PAPER_TASKS
    assert told[0]["dataset_name"] == "strategyqa_zero_shot"
    assert [each.get("dataset_path") for each in told[1:4]] == [
        "openai/gsm8k",
        "openai/openai_humaneval",
        "tau/commonsense_qa",
    ]
    with pytest.raises(AbilityError, match=r"'humaneval' runs code .* run_code=True"):
        evaluate_ability(CHECKPOINT, "humaneval", include_path=folder / "humaneval")


def test_the_page_on_a_task_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "ability.md").read_text()
    block = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)[-1]
    monkeypatch.chdir(tmp_path)
    exec(block, {})
    before, after = capsys.readouterr().out.split()[-2:]
    assert float(before) == 1
    assert float(after) < 1

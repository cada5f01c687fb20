"""Logits at the taught positions alone give the loss and the gradients that all logits give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from hooked_models import HAND_MADE, hand_made
from sharded_work import HEADS, arguments, rows
from torch import Tensor
from transformers import AutoModelForCausalLM

from sycolens import load_model
from sycolens.distributed import ALONE
from sycolens.errors import HookError
from sycolens.model.unembedding import unembedded_at
from sycolens.tune import PinpointConfig, PinpointTrainer, pad_examples
from sycolens.tune.learner import Learner

PLAIN = [(kind, "plain") for kind in (*tiny.CONFIGS, "gemma3", "granite", "cohere", "opt", "bloom")]
LENS = [(kind, backend) for kind in ("llama-gqa", "gpt2", "gemma2") for backend in tiny.BACKENDS]


def made(kind: str, backend: str, directory: Path) -> Any:
    if backend == "plain":
        return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float64).eval()
    if backend == "hooked" and kind in HAND_MADE:
        return hand_made(kind).double()
    return load_model(directory, backend=backend, dtype="float32")  # type: ignore[arg-type]


def batch() -> dict[str, Tensor]:
    """Examples of which a part is taught, in the middle too, one whole and one not at all."""
    given = pad_examples([rows(12)[number] for number in range(5)])
    given["labels"][0, 5] = -100
    given["labels"][1] = given["input_ids"][1]
    given["labels"][2] = -100
    return given


@pytest.mark.parametrize(("kind", "backend"), [*PLAIN, *LENS])
@pytest.mark.parametrize("items", [None, 37])
def test_loss_and_gradients_are_those_of_all_logits(
    kind: str, backend: str, items: int | None, checkpoint: Callable[[str], Path]
) -> None:
    model = made(kind, backend, checkpoint(kind))
    learner, given = Learner(model).requires_grad_(True), batch()
    count = None if items is None else torch.tensor(items)
    found: dict[str, tuple[Tensor, dict[str, Tensor]]] = {}
    for learner.unembedded in ("all", "taught"):
        learner.zero_grad()
        loss = learner(**given, num_items_in_batch=count).loss
        loss.backward()
        gradients = {name: value.grad.clone() for name, value in learner.named_parameters() if value.grad is not None}
        found[learner.unembedded] = (loss.detach(), gradients)
    (loss, gradients), (due, all_gradients) = found["taught"], found["all"]
    torch.testing.assert_close(loss, due, rtol=1e-6, atol=0)
    assert gradients.keys() == all_gradients.keys()
    assert gradients
    for name, value in all_gradients.items():
        assert (gradients[name] - value).abs().max() <= 1e-6 * value.abs().max().clamp(min=1e-2), name
    if backend == "plain":
        theirs = model(**given, use_cache=False, **({} if count is None else {"num_items_in_batch": count}))
        torch.testing.assert_close(loss, theirs.loss.detach(), rtol=1e-6, atol=0)


def test_nothing_but_taught_positions_is_unembedded(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    model = made("llama-gqa", "plain", checkpoint("llama-gqa")).float()
    shapes: list[tuple[int, ...]] = []
    model.lm_head.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape)))
    trainer = PinpointTrainer(model, PinpointConfig(HEADS), arguments(tmp_path, ALONE, max_steps=3), rows(12))
    trainer.train()
    assert trainer.model.unembedded == "taught in training"
    tried, steps = shapes[:2], shapes[2:]
    assert [shape[-1] for shape in shapes] == [tiny.VOCABULARY] * 5
    assert tried[0][:2] == (1, 9)
    assert tried[1][:2] == (1, 4)
    lengths = {(len(row["input_ids"]) + 1) // 2 for row in rows(12)}
    assert all(shape[0] == 1 and 4 * min(lengths) <= shape[1] <= 4 * max(lengths) for shape in steps)
    shapes.clear()
    trainer.predict(rows(12))
    assert all(shape[1] >= 6 for shape in shapes)


@pytest.mark.parametrize("odd", ["mixes positions", "unembeds twice"])
def test_where_chosen_positions_give_another_loss_all_logits_are_made(
    odd: str, checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def model() -> Any:
        made_ = made("llama-gqa", "plain", checkpoint("llama-gqa")).float()
        usual = made_.forward

        def forward(**options: Any) -> Any:
            output = usual(**options)
            if odd == "mixes positions":
                output.logits = output.logits - output.logits[:, :1]
            else:
                made_.lm_head(torch.zeros(1, 1, 32))
            return output

        made_.forward = forward
        return made_

    trainer = PinpointTrainer(model(), PinpointConfig(HEADS), arguments(tmp_path, ALONE, max_steps=3), rows(12))
    trainer.train()
    assert trainer.model.unembedded == "all"
    plain = PinpointTrainer(model(), PinpointConfig(HEADS), arguments(tmp_path, ALONE, max_steps=3), rows(12))
    monkeypatch.setattr("sycolens.tune.learner.TryTaughtAlone.on_train_begin", lambda *args, **options: None)
    plain.train()
    for name, value in plain.pinpoint.state().items():
        assert torch.equal(trainer.pinpoint.state()[name], value), name


def test_a_pass_without_an_unembedding_is_an_error(checkpoint: Callable[[str], Path]) -> None:
    model = made("llama-gqa", "plain", checkpoint("llama-gqa"))
    with pytest.raises(HookError, match="0 times"), unembedded_at(model, torch.ones(1, 3, dtype=torch.bool)):
        model.model(torch.zeros(1, 3, dtype=torch.long))


def test_examples_of_which_nothing_is_taught_teach_nothing(checkpoint: Callable[[str], Path]) -> None:
    learner = Learner(made("llama-gqa", "plain", checkpoint("llama-gqa"))).requires_grad_(True)
    given = batch()
    given["labels"][:] = -100
    learner.unembedded = "taught"
    loss = learner(**given, num_items_in_batch=torch.tensor(5)).loss
    loss.backward()
    assert loss == 0
    assert all(value.grad is None or not value.grad.any() for value in learner.parameters())

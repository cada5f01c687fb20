"""Probes find the heads that know, and only those; on questions that they were not fitted on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sycolens import QUIET, Compute, load_model, organism, probe_heads
from sycolens.errors import ExampleError, SampleError
from sycolens.find.selection.probes import _replies, held_out_margins
from sycolens.prompts.chat_format import CHAT
from sycolens.statistics.logistic import fit_logistic


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


def blobs(n: int, gap: float, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    classes = np.tile([1.0, -1.0], n)
    return rng.normal(size=(2 * n, 5)) + gap * classes[:, None], classes


def test_weights_are_those_of_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    features, classes = blobs(60, 0.4)
    theirs = linear.LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(features, classes)
    ours = fit_logistic(features, classes)
    np.testing.assert_allclose(ours, [*theirs.coef_[0], *theirs.intercept_], atol=1e-4)


def test_weights_are_a_minimum() -> None:
    features, classes = blobs(20, 0.4)
    weights = fit_logistic(features, classes)

    def loss(w: Any) -> float:
        margins = classes * (features @ w[:-1] + w[-1])
        return float(np.log1p(np.exp(-margins)).sum() + w[:-1] @ w[:-1] / 2)

    for step in np.concatenate([np.eye(6), -np.eye(6)]) * 0.01:
        assert loss(weights + step) > loss(weights)


@pytest.mark.parametrize(("gap", "low", "high"), [(2.0, 0.97, 1.0), (0.0, 0.4, 0.6)])
def test_accuracy_is_held_out(gap: float, low: float, high: float) -> None:
    features, classes = blobs(200, gap)
    margins = held_out_margins(features, classes, np.arange(400) // 2 % 5, folds=5)
    assert low <= (margins > 0).mean() <= high


def test_a_probe_that_learns_questions_by_heart_is_at_chance() -> None:
    """Each question has a direction of its own, in which its replies differ: fitted all is right, held out nothing."""
    classes = np.tile([1.0, -1.0], 40)
    rng = np.random.default_rng(1)
    own = np.repeat(rng.normal(size=(40, 200)), 2, axis=0)
    features = own * classes[:, None]
    fitted = fit_logistic(features, classes)
    assert (classes * (features @ fitted[:-1] + fitted[-1]) > 0).all()
    by_question = held_out_margins(features, classes, np.repeat(np.arange(40) % 5, 2), folds=5)
    assert 0.3 < (by_question > 0).mean() < 0.7


def test_replies_differ_in_their_answer_alone(model: Any) -> None:
    challenged = organism.challenges("train", 30)
    prompts, units = _replies(challenged, model, CHAT, 0)
    assert len(prompts) == 2 * len(units) == 60
    for number, asked in enumerate(challenged):
        truthful, sycophantic = prompts[2 * number : 2 * number + 2]
        before = asked.render(model.tokenizer).token_ids
        assert truthful[: len(before)] == sycophantic[: len(before)] == before
        assert truthful[-1] == sycophantic[-1]
        said = model.tokenizer.decode(truthful[len(before) :]).strip()
        other = model.tokenizer.decode(sycophantic[len(before) :]).strip()
        assert said == f"The answer is {asked.question.answers[0]}."
        assert other in {f"The answer is {wrong}." for wrong in asked.question.wrong}


def test_the_head_that_is_told_the_class_is_found(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Head L2H3 gets the class written into its output, head L1H1 noise."""
    from sycolens.model import last_outputs

    capture = last_outputs.capture_z
    seen: list[tuple[int, ...]] = []
    prompts, _ = _replies(organism.challenges("train", 40), model, CHAT, 0)
    truthful = {prompt: number % 2 == 0 for number, prompt in enumerate(prompts)}
    noise = torch.Generator().manual_seed(0)

    def told(model: Any, geometry: Any, batch: Any, *, width: int) -> torch.Tensor:
        z = capture(model, geometry, batch, width=width)
        seen.extend(batch)
        z[:, 0, 2, 3, 0] = torch.tensor([50.0 if truthful[prompt] else -50.0 for prompt in batch])
        z[:, 0, 1, 1] = torch.randn(z[:, 0, 1, 1].shape, generator=noise)
        return z

    monkeypatch.setattr(last_outputs, "capture_z", told)
    found = probe_heads(model, organism.challenges("train", 40), compute=QUIET)
    assert len(seen) == len(prompts)
    assert found.scores[2, 3] == 1.0
    assert str(found.ranking()[0]) == "L2H3"
    assert abs(found.scores[1, 1] - 0.5) < 0.25


def test_all_dialogues_about_a_fact_are_held_out_together(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from sycolens.find.selection import probes

    folds: list[Any] = []

    def held_out(features: Any, classes: Any, fold: Any, *, folds: int, seen: list[Any] = folds) -> Any:
        seen.append(fold)
        return np.ones(len(classes))

    monkeypatch.setattr(probes, "held_out_margins", held_out)
    challenged = organism.challenges("train", 60)
    found = probe_heads(model, challenged, compute=QUIET)
    units = [each.question.unit for each in challenged for _ in range(2)]
    dealt: dict[Any, set[int]] = {}
    for unit, fold in zip(units, folds[0].tolist(), strict=True):
        dealt.setdefault(unit, set()).add(fold)
    assert len(dealt) == len(found) < 60  # some facts are asked for twice
    assert all(len(each) == 1 for each in dealt.values())
    assert {next(iter(each)) for each in dealt.values()} == set(range(5))


def test_batches_change_nothing_but_rounding(model: Any) -> None:
    challenged = organism.challenges("train", 30)
    one, many = (probe_heads(model, challenged, compute=Compute(batch_size=size, progress=False)) for size in (1, 16))
    assert (one.scores - many.scores).abs().max() < 0.05
    torch.testing.assert_close(one.ties, many.ties, atol=0.01, rtol=0.01)


def test_bad_input_is_refused(model: Any) -> None:
    with pytest.raises(ExampleError, match="Dialogue 0"):
        probe_heads(model, organism.challenges("train", 30, first_answer="wrong"), compute=QUIET)
    with pytest.raises(ExampleError, match="too few"):
        probe_heads(model, organism.challenges("train", 4), compute=QUIET)
    with pytest.raises(SampleError, match="folds=1"):
        probe_heads(model, organism.challenges("train", 30), folds=1, compute=QUIET)
    unknown = [replace(each, question=replace(each.question, wrong=())) for each in organism.challenges("train", 30)]
    with pytest.warns(UserWarning, match="30 of 30"), pytest.raises(ExampleError):
        probe_heads(model, unknown, compute=QUIET)

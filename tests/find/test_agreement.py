"""Agreement with the exact ranking: cases worked out by hand, and what intervals promise."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from sycolens import ContrastPairs, HeadEffects, HeadScores, HeadSet, rank_agreement
from sycolens.errors import HeadError, PairError, SampleError
from sycolens.find.effects import all_heads

N_LAYERS, N_HEADS = 3, 4


def effects_of(per_pair: Tensor, fingerprint: str = "pairs") -> HeadEffects:
    """Effects whose change of the logit difference is ``per_pair``."""
    logits = torch.stack([per_pair, torch.zeros_like(per_pair)], -1)
    none = torch.zeros(len(per_pair), 2)
    return HeadEffects(logits, none, none, all_heads(*per_pair.shape[1:]), "live", "model", fingerprint)


def scores_of(
    per_sample: Tensor, *, selection: Any = "gradient", fingerprint: str = "pairs", **more: Any
) -> HeadScores:
    options = {"metric": "logit_diff", "effect": "path"}
    return HeadScores.of_samples(
        per_sample, selection=selection, model_name="model", samples_fingerprint=fingerprint, options=options, **more
    )


def draw(n: int, seed: int) -> Tensor:
    return torch.randn(n, N_LAYERS, N_HEADS, generator=torch.Generator().manual_seed(seed))


def test_the_numbers_are_scipys_and_those_of_hand() -> None:
    exact, other = draw(6, 0), draw(6, 1)
    found = rank_agreement(scores_of(other), effects_of(exact), k=5, metric="logit_diff")
    first, second = exact.mean(0).flatten(), other.mean(0).flatten()
    assert found.correlation == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-6)
    tops = [set(each.argsort()[:5].tolist()) for each in (first, second)]
    assert {head.layer * N_HEADS + head.index for head in found.shared} == tops[0] & tops[1]
    assert found.chance == 25 / 12
    assert found.p == pytest.approx(float(stats.hypergeom(12, 5, 5).sf(len(found.shared) - 1)))
    counts = [
        [sum(head.layer == layer for head in top) for layer in range(3)]
        for top in (found.exact_top, found.selected_top)
    ]
    assert found.chance_in_layers == pytest.approx(sum(a * b for a, b in zip(*counts, strict=True)) / N_HEADS)


def test_probes_rank_from_the_top_and_ties_by_their_likelihood() -> None:
    scores, ties = torch.tensor([[0.9, 0.5, 0.9, 0.4]]), torch.tensor([[-2.0, 0.0, -1.0, 0.0]])
    found = scores_of(scores[None], selection="probes", ties=ties)
    assert found.ranking() == HeadSet(["L0H2", "L0H0", "L0H1", "L0H3"])
    assert found.importance.tolist() == [[-1.0, -2.0, 0.0, -3.0]]
    assert scores_of(scores[None]).ranking()[0] == HeadSet(["L0H3"])[0]  # effects are important when negative


def test_by_size_a_large_positive_effect_is_important() -> None:
    exact = torch.tensor([[[5.0, -1.0, 0.1, 0.0]]]).expand(3, 1, 4)
    probes = scores_of(torch.tensor([[[0.9, 0.8, 0.7, 0.6]]]), selection="probes", fingerprint="other")
    signed, size = (
        rank_agreement(probes, effects_of(exact), k=1, metric="logit_diff", order=order)
        for order in ("sycophantic", "size")
    )
    assert size.correlation == 1.0
    assert (signed.exact_top, size.exact_top) == (HeadSet(["L0H1"]), HeadSet(["L0H0"]))


def test_the_interval_is_a_jackknife_over_questions() -> None:
    """By hand: rankings anew without each question, both of them where they are of the same pairs."""
    exact, other = draw(6, 0), 0.7 * draw(6, 0) + draw(6, 2)
    prompts = [[1, 2, 3, i] for i in range(6)], [[1, 2, 4, i] for i in range(6)]
    pairs = ContrastPairs.from_tokens(*prompts, (7, 8))
    # Pairs 0 and 1, 2 and 3, 4 and 5 ask the same question.
    reference = tuple((each // 2 + 10, 2, 3, each) for each in range(6))
    pairs = replace(pairs, reference=reference, spans=tuple({"question": (0, 1)} for _ in range(6)))
    effects = effects_of(exact, pairs.fingerprint)
    found = rank_agreement(
        scores_of(other, fingerprint=pairs.fingerprint), effects, k=3, metric="logit_diff", pairs=pairs
    )
    assert found.questions == 3
    z = []
    for question in range(3):
        kept = [i for i in range(6) if i // 2 != question]
        rho = stats.spearmanr(exact[kept].mean(0).flatten(), other[kept].mean(0).flatten()).statistic
        z.append(math.atanh(rho))
    spread = math.sqrt(2 / 3 * sum((each - sum(z) / 3) ** 2 for each in z))
    half = stats.t.ppf(0.975, 2) * spread
    ends = tuple(math.tanh(math.atanh(found.correlation) + side * half) for side in (-1, 1))
    assert found.correlation_interval == pytest.approx(ends, abs=1e-5)
    low, high = found.shared_interval
    assert 0 <= low <= len(found.shared) <= high <= 3
    alone = rank_agreement(scores_of(other, fingerprint=pairs.fingerprint), effects, k=3, metric="logit_diff")
    assert alone.questions == 6


def test_the_same_ranking_agrees_with_itself_for_any_questions() -> None:
    exact = draw(5, 3)
    found = rank_agreement(scores_of(exact), effects_of(exact), k=4, metric="logit_diff")
    assert (found.correlation, len(found.shared), found.shared_interval) == (1.0, 4, (4.0, 4.0))
    assert found.correlation_interval == pytest.approx((1.0, 1.0), abs=1e-6)
    assert len(found.to_frame()) == 1


def test_what_cannot_be_compared_is_refused() -> None:
    exact = draw(3, 0)
    scores, effects = scores_of(exact), effects_of(exact)
    with pytest.raises(HeadError, match="k=13"):
        rank_agreement(scores, effects, k=13, metric="logit_diff")
    with pytest.raises(HeadError, match="rank all heads"):
        rank_agreement(scores_of(exact[:, :2]), effects, k=2, metric="logit_diff")
    other = ContrastPairs.from_tokens([[1, 2]], [[1, 3]], (7, 8))
    with pytest.raises(PairError):
        rank_agreement(scores, effects, k=2, metric="logit_diff", pairs=other)
    with pytest.raises(SampleError, match="up"):
        rank_agreement(scores, effects, k=2, metric="logit_diff", order="up")  # type: ignore[arg-type]

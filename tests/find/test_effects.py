"""What is asked of measured effects, on cases small enough to work out by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sycolens.errors import HeadError, MetricError, SampleError, SavedFileError
from sycolens.find import HeadEffects
from sycolens.find.metrics import change, measure
from sycolens.heads import HeadSet

NAN = math.nan


def effects_of(logits: torch.Tensor, reference: torch.Tensor, heads: HeadSet | None = None) -> HeadEffects:
    _, layers, width, _ = logits.shape
    every = HeadSet((layer, head) for layer in range(layers) for head in range(width))
    return HeadEffects(
        logits=logits,
        reference_logits=reference,
        counterfactual_logits=reference.flip(-1),
        heads=heads or every,
        mlps="live",
        model_name="by hand",
        pairs_fingerprint="0",
    )


@pytest.fixture
def by_hand() -> HeadEffects:
    """Two pairs, one layer of three heads: one lowers the sycophantic logit, one raises it, one does nothing."""
    logits = torch.tensor([[[[1.0, 1.0], [9.0, 1.0], [3.0, 1.0]]], [[[2.0, 2.0], [6.0, 2.0], [2.0, 2.0]]]])
    return effects_of(logits, torch.tensor([[3.0, 1.0], [2.0, 2.0]]))


def test_logit_share_is_the_papers_mean_relative_change(by_hand: HeadEffects) -> None:
    # Pair 0: F goes from 3/4 to 1/2, 9/10, 3/4. Pair 1: from 1/2 to 1/2, 3/4, 1/2.
    expected = torch.tensor([[[-1 / 3, 0.2, 0.0]], [[0.0, 0.5, 0.0]]])
    torch.testing.assert_close(by_hand.per_pair(), expected)
    torch.testing.assert_close(by_hand.scores(), torch.tensor([[-1 / 6, 0.35, 0.0]]))


def test_prob_share_is_the_change_of_the_two_way_softmax(by_hand: HeadEffects) -> None:
    before = math.exp(3) / (math.exp(3) + math.exp(1))
    assert by_hand.per_pair("prob_share")[0, 0, 0].item() == pytest.approx((0.5 - before) / before)


def test_logit_diff_is_the_plain_change_in_logits(by_hand: HeadEffects) -> None:
    torch.testing.assert_close(by_hand.per_pair("logit_diff"), torch.tensor([[[-2.0, 6.0, 0.0]], [[0.0, 4.0, 0.0]]]))


@pytest.mark.parametrize("bad", [[-1.0, 2.0], [-1.0, -2.0], [0.0, 0.0]])
def test_logit_share_refuses_logits_that_make_no_share(bad: list[float]) -> None:
    effects = effects_of(torch.tensor([[[bad, [1.0, 1.0]]]]), torch.tensor([[3.0, 1.0]]))
    with pytest.raises(MetricError, match=r"1 of 2 cases .* Use metric='prob_share'"):
        effects.scores()
    assert effects.scores("prob_share").isfinite().all()
    with pytest.raises(MetricError, match=r"metric='share' is unknown"):
        effects.scores("share")  # type: ignore[arg-type]


logit = st.floats(-30, 30, width=32)


@given(st.tuples(logit, logit), st.floats(-20, 20, width=32))
def test_prob_share_ignores_a_shift_of_both_logits(pair: tuple[float, float], shift: float) -> None:
    first = torch.tensor(pair, dtype=torch.float64)
    torch.testing.assert_close(measure(first, "prob_share"), measure(first + shift, "prob_share"))


@given(st.tuples(logit, logit))
def test_an_unchanged_logit_pair_has_no_effect(pair: tuple[float, float]) -> None:
    logits = torch.tensor(pair)
    for metric in ("prob_share", "logit_diff"):
        assert change(logits.expand(1, 1, 2), logits.expand(1, 2), metric).item() == 0


def test_prob_share_keeps_small_effects_on_confident_logits() -> None:
    """In float32 the sigmoid of 20 is 1, and every effect on it would be zero."""
    moved = change(torch.tensor([[[20.0, 0.1]]]), torch.tensor([[20.0, 0.0]]), "prob_share").item()
    assert moved == pytest.approx(-math.exp(-20) * (math.exp(0.1) - 1), rel=1e-3)


def test_top_is_the_most_negative_not_the_largest(by_hand: HeadEffects) -> None:
    assert by_hand.ranking() == HeadSet(["L0H0", "L0H2", "L0H1"])
    assert by_hand.top(1) == HeadSet(["L0H0"])
    for k in (0, 4):
        with pytest.raises(HeadError, match=f"k={k}, but 3 heads were patched"):
            by_hand.top(k)


def noisy(pairs: int = 40) -> HeadEffects:
    """One head of twelve lowers the sycophantic logit in every pair, the others move at random."""
    generator = torch.Generator().manual_seed(1)
    reference = torch.tensor([3.0, 1.0]).repeat(pairs, 1)
    logits = reference[:, None, None].repeat(1, 3, 4, 1)
    logits[..., 0] += 0.05 * torch.randn(pairs, 3, 4, generator=generator)
    logits[:, 1, 2, 0] -= 0.8
    return effects_of(logits, reference)


def test_only_the_head_with_an_effect_is_significant() -> None:
    effects = noisy()
    assert effects.significant(0.01) == HeadSet(["L1H2"])
    low, high = effects.confidence_interval()
    assert high[1, 2] < 0
    assert ((low <= effects.scores()) & (effects.scores() <= high)).all()
    assert effects.p_values()[1, 2] == effects.p_values().min()
    stability = effects.rank_stability(1)
    assert stability.overlap == 1
    assert stability.frequency[list(effects.heads).index((effects.top(1))[0])] == 1


def test_one_pair_has_no_interval() -> None:
    with pytest.raises(SampleError, match="at least 2 samples"):
        noisy(1).confidence_interval()


def test_heads_left_out_stay_empty_everywhere() -> None:
    whole = noisy()
    logits = whole.logits.clone()
    logits[:, 0] = NAN
    part = effects_of(logits, whole.reference_logits, HeadSet(whole.heads[4:]))
    for grid in (part.scores(), *part.confidence_interval(), part.p_values()):
        assert grid[0].isnan().all()
        assert grid[1:].isfinite().all()
    assert len(part.to_frame()) == 8
    assert part.top(1) == HeadSet(["L1H2"])


def test_frame_holds_the_ranking_with_its_uncertainty() -> None:
    effects = noisy()
    frame = effects.to_frame()
    assert list(frame["head"]) == [str(head) for head in effects.ranking()]
    assert frame["score"].is_monotonic_increasing
    first = frame.iloc[0]
    assert (first["layer"], first["index"]) == (1, 2)
    assert first["score"] == pytest.approx(effects.scores()[1, 2].item())
    assert first["low"] < first["score"] < first["high"]
    assert first["q"] >= first["p"]


def test_saved_effects_come_back_to_the_bit(tmp_path: Path) -> None:
    effects = noisy()
    again = HeadEffects.load(effects.save(tmp_path / "effects"))
    assert torch.equal(again.logits, effects.logits)
    assert torch.equal(again.counterfactual_logits, effects.counterfactual_logits)
    assert again.heads == effects.heads
    assert repr(again) == repr(effects) == "HeadEffects(40 pairs, 12 of 3 x 4 heads, by hand)"


def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path) -> None:
    place = noisy().save(tmp_path / "effects")
    tensors = place / "tensors.safetensors"
    whole = tensors.read_bytes()
    tensors.write_bytes(whole[:-1] + b"x")
    with pytest.raises(SavedFileError, match="cut or altered"):
        HeadEffects.load(place)
    tensors.unlink()
    with pytest.raises(SavedFileError, match=r"tensors\.safetensors"):
        HeadEffects.load(place)
    tensors.write_bytes(whole)
    record = place / "record.json"
    record.write_text(record.read_text().replace("head effects", "something else"))
    with pytest.raises(SavedFileError, match="a saved something else, not a head effects"):
        HeadEffects.load(place)
    record.write_text("{")
    with pytest.raises(SavedFileError, match=r"record\.json"):
        HeadEffects.load(place)


def test_plot_shows_percent_and_outlines_the_top() -> None:
    effects = noisy()
    figure = effects.plot(marked=1)
    heat = next(trace for trace in figure.data if trace.type == "heatmap")
    assert heat.z[1][2] == pytest.approx(100 * effects.scores()[1, 2].item(), rel=1e-4)
    assert heat.zmin == -heat.zmax


def test_figures_and_tables_share_one_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    from sycolens import statistics

    made: list[dict[str, Any]] = []

    def counted(values: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
        made.append(options)
        return bootstrap(values, **options)

    bootstrap = statistics.bootstrap_interval
    monkeypatch.setattr(statistics, "bootstrap_interval", counted)
    effects = noisy(12)
    low, _ = effects.confidence_interval()
    low.zero_()  # a caller's own
    frame = effects.to_frame()
    effects.plot()
    effects.plot(marked=2)
    effects._repr_html_()
    assert len(made) == 1
    expected, _ = bootstrap(effects.per_pair())
    assert frame.set_index("head").low["L0H1"] == expected[0, 1]
    # Other questions, and other numbers, are not answered with these.
    assert not torch.equal(effects.confidence_interval(confidence=0.5)[0], expected)
    effects.confidence_interval("prob_share")
    assert len(made) == 3
    effects.logits.add_(torch.linspace(0, 1, effects.logits.numel()).reshape(effects.logits.shape))
    changed, _ = bootstrap(effects.per_pair())
    assert torch.equal(effects.confidence_interval()[0], changed)

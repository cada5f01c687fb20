"""A finding says no more than the effects it was made from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pandas
import pytest
import tiny
import torch

from sycolens import QUIET, ContrastPairs, HeadSet, patch_heads
from sycolens.errors import HeadError, MetricError, SampleError, SavedFileError
from sycolens.find import Finding, HeadEffects, find_heads
from sycolens.find.preference import Preference, Redraw


def random_pairs(n: int = 6, seed: int = 0) -> ContrastPairs:
    reference, counterfactual = tiny.random_prompts(n, seed=seed)
    return ContrastPairs.from_tokens(reference, counterfactual, labels=(3, 4))


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model("llama")


@pytest.fixture(scope="module")
def finding(model: Any) -> Finding:
    return find_heads(
        model, random_pairs(), other_pairs=[random_pairs(seed=1)], metric="prob_share", top=3, compute=QUIET
    )


def effects_of(reference: list[list[float]], counterfactual: list[list[float]]) -> HeadEffects:
    return HeadEffects(
        logits=torch.tensor(reference)[:, None, None].repeat(1, 1, 2, 1),
        reference_logits=torch.tensor(reference),
        counterfactual_logits=torch.tensor(counterfactual),
        heads=HeadSet(["L0H0", "L0H1"]),
        mlps="live",
        model_name="by hand",
        pairs_fingerprint="0",
    )


def test_preference_counts_pairs_by_hand() -> None:
    effects = effects_of(
        [[2.0, 1.0], [2.0, 1.0], [1.0, 2.0], [1.0, 1.0]], [[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [0.0, 1.0]]
    )
    # The first label is ahead after X_r in pairs 0 and 1 (a tie is no lead), the second after X_c in 0, 2 and 3.
    assert Preference.of(effects) == Preference(challenged=2, affirmed=3, both=1, pairs=4)
    assert Preference.of(effects).share == 0.25


def test_effects_are_those_of_patch_heads(model: Any, finding: Finding) -> None:
    alone = patch_heads(model, random_pairs(), compute=QUIET)
    torch.testing.assert_close(finding.effects.logits, alone.logits)
    assert finding.top == alone.top(3, metric="prob_share")
    assert list(finding.table["head"][:3]) == [str(head) for head in finding.top]


def test_the_frequency_beside_a_head_is_its_own(finding: Finding) -> None:
    stability = finding.effects.rank_stability(3, metric="prob_share")
    by_head = dict(zip(map(str, finding.effects.heads), stability.frequency.tolist(), strict=True))
    for row in finding.table.itertuples():
        assert row.top_frequency == by_head[row.head]
    assert finding.table["top_frequency"].sum() == pytest.approx(3, abs=1e-5)


def test_a_redraw_compares_with_the_first(model: Any, finding: Finding) -> None:
    (other,) = finding.redraws
    alone = patch_heads(model, random_pairs(seed=1), compute=QUIET)
    assert other.top == alone.top(3, metric="prob_share")
    assert other.overlap == len(set(other.top) & set(finding.top))
    assert other.shared_pairs == 0
    itself = Redraw.of(finding.effects, finding.effects, k=3, metric="prob_share", shared_pairs=6)
    assert (itself.overlap, round(itself.correlation, 6)) == (3, 1.0)


def test_scores_on_other_pairs_are_their_mean(model: Any) -> None:
    others = [random_pairs(seed=1), random_pairs(seed=2)]
    found = find_heads(model, random_pairs(), other_pairs=others, metric="logit_diff", compute=QUIET)
    expected = sum(patch_heads(model, pairs, compute=QUIET).scores("logit_diff") for pairs in others) / 2
    for row in found.table.itertuples():
        assert row.other_pairs == pytest.approx(expected[row.layer, row.index].item(), abs=1e-5)


def test_shared_pairs_are_counted(model: Any) -> None:
    both = find_heads(model, random_pairs(6), other_pairs=[random_pairs(6)[2:4]], metric="logit_diff", compute=QUIET)
    assert both.redraws[0].shared_pairs == 2


def test_significant_is_a_matter_of_q(finding: Finding) -> None:
    q = finding.table.set_index("head")["q"]
    assert {str(head) for head in finding.significant} == set(q[q <= finding.fdr].index)


def test_a_model_without_the_behavior_gets_a_warning(finding: Finding) -> None:
    assert finding.preference.share < 0.8
    assert f"Only {finding.preference.both} of 6 pairs show the contrast" in finding.warnings[0]


@pytest.fixture(scope="module")
def saved(finding: Finding, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finding.save(tmp_path_factory.mktemp("saved") / "find")


def test_what_was_found_comes_back(finding: Finding, saved: Path) -> None:
    again = Finding.load(saved)
    assert torch.equal(again.effects.logits, finding.effects.logits)
    assert (again.pairs, again.top, again.metric, again.fdr) == (finding.pairs, finding.top, "prob_share", finding.fdr)
    pandas.testing.assert_frame_equal(again.table, finding.table, check_exact=True, check_dtype=False)
    assert torch.equal(again.redraws[0].scores, finding.redraws[0].scores)
    assert torch.equal(again.halves.frequency, finding.halves.frequency)
    assert again.significant == finding.significant
    assert json.loads(json.dumps(again.record())) == json.loads(json.dumps(finding.record()))
    assert again.heatmap().to_json() == finding.heatmap().to_json()


def test_the_same_finding_is_the_same_bytes(finding: Finding, saved: Path, tmp_path: Path) -> None:
    again = Finding.load(saved).save(tmp_path / "again")
    names = sorted(path.relative_to(saved) for path in saved.rglob("*") if path.is_file())
    assert len(names) == 7
    assert all((saved / name).read_bytes() == (again / name).read_bytes() for name in names)


@pytest.mark.parametrize(
    ("folder", "content"),
    [(".", None), (".", b""), *product(("effects", "pairs", "finding"), (None, b"", b"{}", b"[1"))],
)
def test_a_file_that_is_lost_or_cut_is_named(saved: Path, tmp_path: Path, folder: str, content: bytes | None) -> None:
    place = Path(shutil.copytree(saved, tmp_path / "find"))
    for path in (path for path in (place / folder).iterdir() if path.is_file()):
        whole = path.read_bytes()
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(SavedFileError, match=str(place)):
            Finding.load(place)
        path.write_bytes(whole)


def test_the_pairs_of_every_draw_are_spent(model: Any, tmp_path: Path) -> None:
    def drawn(seed: int) -> ContrastPairs:
        reference, counterfactual = tiny.random_prompts(4, seed=seed)
        texts = [(f"What is {seed}{k}?", f"Is it {seed}{k}?") for k in range(4)]
        return ContrastPairs(reference, counterfactual, labels=(((3,), (4,)),) * 4, texts=texts)  # type: ignore[arg-type]

    found = find_heads(model, drawn(0), other_pairs=[drawn(1), drawn(2)], metric="prob_share", compute=QUIET)
    spent = {f"What is {seed}{k}?" for seed in range(3) for k in range(4)}
    assert found.spent == Finding.load(found.save(tmp_path / "find")).spent == spent


def test_the_map_outlines_the_top_and_tells_its_stability(finding: Finding) -> None:
    figure = finding.heatmap()
    outlines = next(trace for trace in figure.data if trace.name == "marked")
    assert outlines.x.count(None) == 3
    note = figure.layout.annotations[0].text.replace("<br>", " ")
    assert f"In another draw of pairs, {finding.redraws[0].overlap} of these 3 are in the top 3 again." in note


def test_the_top_is_a_tenth_of_the_heads(model: Any) -> None:
    assert len(find_heads(model, random_pairs(), metric="prob_share", compute=QUIET).top) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"top": 0}, HeadError, "top=0, but .* has 12 heads"),
        ({"top": 13}, HeadError, "choose top from 1 to 12"),
        ({"fdr": 1.5}, SampleError, "fdr=1.5"),
        ({"metric": "share"}, MetricError, "'share' is unknown"),
        ({"pairs": random_pairs(1)}, SampleError, "only one pair"),
        ({"other_pairs": [random_pairs(1)]}, SampleError, "only one pair"),
    ],
)
def test_bad_requests_are_refused_before_any_forward(
    model: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    def forbidden(value: torch.Tensor, hook: Any) -> None:
        raise AssertionError("the model ran")

    with model.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", forbidden)]), pytest.raises(error, match=message):
        find_heads(model, **{"pairs": random_pairs(), "metric": "prob_share", "compute": QUIET, **options})


def test_eq_2_is_tried_on_a_few_pairs_first(model: Any) -> None:
    """Random weights give label logits of either sign."""
    rows = []

    def count(value: torch.Tensor, hook: Any) -> None:
        rows.append(len(value))

    with model.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", count)]), pytest.raises(MetricError, match="prob_share"):
        find_heads(model, random_pairs(64), compute=QUIET)
    assert sum(rows) < 32

"""Knockout curves against one condition at a time, and against what is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from sycolens import QUIET, Compute, ContrastPairs, HeadSet, Question, load_model, organism, patch_heads
from sycolens.errors import HeadError, HookError, QuestionError, SampleError
from sycolens.heads import Head
from sycolens.measure import Grade, grade
from sycolens.prompts import ChallengedQuestion
from sycolens.verify import HeadMeans, KnockoutCurve, ablate_heads, knock_out, mean_activations
from sycolens.verify.controls import draw_controls, short_layers


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


@pytest.fixture(scope="module")
def pairs() -> ContrastPairs:
    return organism.pairs("train", 40)


@pytest.fixture(scope="module")
def means(model: Any, pairs: ContrastPairs) -> HeadMeans:
    return mean_activations(model, pairs, compute=QUIET)


@pytest.fixture(scope="module")
def ranking(model: Any, pairs: ContrastPairs) -> HeadSet:
    return patch_heads(model, pairs, compute=QUIET).ranking()


@pytest.fixture(scope="module")
def asked() -> tuple[ChallengedQuestion, ...]:
    return organism.challenges("validation", 10, seed=4)


@pytest.fixture(scope="module")
def curve(model: Any, asked: Any, ranking: HeadSet, means: HeadMeans) -> KnockoutCurve:
    return knock_out(model, asked, ranking, means, steps=(0, 1, 2, 4), controls=3, compute=QUIET)


def one_at_a_time(
    model: Any, asked: Sequence[ChallengedQuestion], heads: HeadSet, **options: Any
) -> tuple[list[str], list[Grade]]:
    """TransformerLens' own generation, one dialogue and one set of heads after another."""
    said = []
    for each in asked:
        prompt = torch.tensor([each.dialogue.render(model.tokenizer).token_ids])

        def reply(prompt: torch.Tensor = prompt) -> str:
            ids = model.generate(prompt, max_new_tokens=24, do_sample=False, verbose=False)
            return str(model.tokenizer.decode(ids[0, prompt.shape[1] :], skip_special_tokens=True)).strip()

        if heads:
            with ablate_heads(model, heads, **options):
                said.append(reply())
        else:
            said.append(reply())
    return said, [grade(text, each) for text, each in zip(said, asked, strict=True)]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("organism", {}),
        ("organism-gqa", {}),
        ("organism", {"method": "zero"}),
        ("organism", {"positions": "generated"}),
        ("organism", {"positions": "all", "method": "zero"}),
        ("organism", {"mode": "keep"}),
    ],
)
def test_the_batch_says_what_one_condition_at_a_time_says(name: str, options: dict[str, Any]) -> None:
    model, pairs = load_model(name), organism.pairs("train", 40)
    means, ranking = mean_activations(model, pairs, compute=QUIET), patch_heads(model, pairs, compute=QUIET).ranking()
    asked = organism.challenges("validation", 5, seed=1)
    curve = knock_out(
        model, asked, ranking, means, steps=(0, 1, 3), controls=2, max_new_tokens=24, compute=QUIET, **options
    )
    everything = [Head(layer, index) for layer in range(6) for index in range(8)]
    keep = options.get("mode") == "keep"
    how = {key: value for key, value in options.items() if key != "mode"}
    for step, k in enumerate(curve.steps):
        for c, order in enumerate([curve.ranking, *curve.controls]):
            chosen = HeadSet(head for head in everything if head not in order[:k]) if keep else order[:k]
            said, grades = one_at_a_time(model, asked, chosen, means=means, **how)
            assert list(curve.replies[c][step].replies) == said
            assert list(curve.replies[c][step].grades) == grades


def test_resampling_draws_the_same_prompt_whatever_the_batch(
    model: Any, asked: Any, ranking: HeadSet, means: HeadMeans
) -> None:
    def run(max_rows: int | None) -> KnockoutCurve:
        options: dict[str, Any] = {"steps": (0, 8), "controls": 1, "method": "resample"}
        compute = Compute(max_rows=max_rows, progress=False)
        return knock_out(model, asked, ranking, means, compute=compute, **options)

    torch.testing.assert_close(run(None).label_logits, run(1).label_logits, atol=1e-4, rtol=1e-4)


def test_label_logits_are_those_of_a_forward_pass(
    model: Any, asked: Any, curve: KnockoutCurve, means: HeadMeans
) -> None:
    ids = [token for group in organism.pairs("train", 1).labels[0] for token in group]
    for i, each in enumerate(asked):
        prompt = torch.tensor([each.dialogue.render(model.tokenizer).token_ids])
        with torch.no_grad(), ablate_heads(model, curve.ranking[:2], means=means):
            expected = model(prompt)[0, -1, ids]
        torch.testing.assert_close(curve.label_logits[2, i], expected, atol=1e-4, rtol=1e-4)


def test_rates_are_shares_of_the_dialogues(curve: KnockoutCurve) -> None:
    assert curve.apology_rate.tolist() == pytest.approx([sum(row) / 10 for row in curve.admits.tolist()])
    rights = [sum(row) / 10 for row in curve.control_right[1].tolist()]
    assert curve.control_accuracy_after[1].tolist() == pytest.approx(rights)
    low, high = curve.interval("apology_rate")
    assert ((low <= curve.apology_rate) & (curve.apology_rate <= high)).all()
    top = curve.to_frame().query("heads == 'top'")
    assert top["step"].tolist() == [0, 1, 2, 4]
    assert top["apology_rate"].tolist() == pytest.approx(curve.apology_rate.tolist())
    assert len(curve.to_frame()) == 4 * (1 + 3)
    shares = (curve.label_logits[..., 0] - curve.label_logits[..., 1]).sigmoid().mean(-1)
    torch.testing.assert_close(curve.label_share(), shares)


def test_the_tensors_are_the_grades(curve: KnockoutCurve) -> None:
    top, *others = curve.replies
    for tensor, controls, name in (
        (curve.admits, curve.control_admits, "admits"),
        (curve.right, curve.control_right, "right"),
    ):
        assert tensor.tolist() == [list(getattr(each, name)) for each in top]
        assert controls.tolist() == [[list(getattr(each, name)) for each in steps] for steps in others]
    frame = curve.replies_frame()
    assert frame["step"].tolist() == [k for k in (0, 1, 2, 4) for _ in range(10)]
    assert frame["reply"].tolist() == [reply for each in top for reply in each.replies]
    assert frame["question"].tolist() == [each.question.id for each in curve.asked] * 4


def test_nothing_knocked_out_is_the_same_in_every_set(curve: KnockoutCurve) -> None:
    assert torch.equal(curve.control_label_logits[:, 0], curve.label_logits[:1, :].expand(3, -1, -1))


def test_the_found_heads_matter_and_others_do_not(curve: KnockoutCurve) -> None:
    assert curve.apology_rate[0] == 1
    assert curve.apology_rate[-1] == 0
    assert curve.accuracy_after[-1] == 1
    assert curve.control_apology_rate.min() >= 0.9


def test_a_part_of_the_dialogues_is_a_curve_of_its_own(curve: KnockoutCurve) -> None:
    parts = curve.by_wording()
    assert sum(map(len, parts.values())) == len(curve)
    for name, part in parts.items():
        chosen = [i for i, each in enumerate(each.wording for each in curve.asked) if each == name]
        assert torch.equal(part.admits, curve.admits[:, chosen])
        assert torch.equal(part.control_label_logits, curve.control_label_logits[:, :, chosen])
        assert part.replies[2][1] == curve.replies[2][1].select(chosen)
    with pytest.raises(SampleError, match="no dialogues"):
        curve.select([])


def test_curves_survive_saving(curve: KnockoutCurve, tmp_path: Path) -> None:
    again = KnockoutCurve.load(curve.save(tmp_path / "curve"))
    for name, value in vars(curve).items():
        same = (
            torch.equal(value, getattr(again, name))
            if isinstance(value, torch.Tensor)
            else value == getattr(again, name)
        )
        assert same, name
    assert repr(again) == repr(curve)
    third = again.save(tmp_path / "again")
    for name in ("record.json", "tensors.safetensors"):
        assert (third / name).read_bytes() == (tmp_path / "curve" / name).read_bytes()


def test_the_callers_grader_decides(model: Any, asked: Any, ranking: HeadSet, means: HeadMeans) -> None:
    def grader(reply: str, each: ChallengedQuestion) -> Grade:
        return Grade(admits="Melville" in reply, answer=None, right=False, switched=False)

    curve = knock_out(model, asked, ranking, means, steps=(0,), controls=0, grader=grader, compute=QUIET)
    assert curve.admits[0].tolist() == ["Melville" in reply for reply in curve.replies[0][0].replies]
    assert curve.unparsed.all()
    assert curve.control_admits.shape == (0, 1, 10)
    assert curve.plot().data


def test_plain_questions_are_challenged_in_the_papers_words(model: Any) -> None:
    questions = [Question("What continent is Poland in?", ("Europe",), wrong=("Asia",))]
    curve = knock_out(model, questions, HeadSet(["L1H1"]), method="zero", steps=(0, 1), controls=1, compute=QUIET)
    assert len(curve) == 1
    with pytest.raises(QuestionError, match="not both"):
        knock_out(model, [*questions, *organism.challenges("train", 1)], HeadSet(["L1H1"]), method="zero")  # type: ignore[list-item]


class TestControls:
    top = HeadSet(["L1H1", "L2H2", "L1H0", "L0H3"])

    def test_no_control_holds_a_top_head_or_a_head_twice(self) -> None:
        for kind in ("random", "layer_matched", "norm_matched"):
            sets = draw_controls(self.top, 3, 8, control=kind, count=30, seed=0, write_norm=torch.rand(3, 8))  # type: ignore[arg-type]
            assert len(sets) == 30
            for heads in sets:
                assert len(heads) == len(set(heads)) == 4
                assert not set(heads) & set(self.top)

    def test_random_controls_reach_every_other_head(self) -> None:
        sets = draw_controls(self.top, 3, 8, control="random", count=60, seed=0)
        assert len({head for heads in sets for head in heads}) == 3 * 8 - 4

    def test_layer_matched_controls_have_the_layers_of_the_top_in_order(self) -> None:
        for heads in draw_controls(self.top, 3, 8, control="layer_matched", count=20, seed=0):
            assert [head.layer for head in heads] == [1, 2, 1, 0]

    def test_layer_matched_controls_take_the_nearest_layer_where_their_own_has_no_head_left(self) -> None:
        top = HeadSet(["L3H0", "L3H1", "L0H0"])
        for heads in draw_controls(top, 6, 3, control="layer_matched", count=20, seed=0):
            assert heads[0] == Head(3, 2)
            assert heads[1].layer in (2, 4)
            assert heads[2].layer == 0
        assert short_layers(top, 3) == (3,)
        assert short_layers(top, 4) == ()

    def test_norm_matched_controls_write_about_as_much(self) -> None:
        norms = torch.arange(64.0).view(8, 8) ** 2
        top = HeadSet(["L0H0", "L7H7"])
        for first, second in draw_controls(top, 8, 8, control="norm_matched", count=20, seed=0, write_norm=norms):
            assert 8 * first.layer + first.index <= 8
            assert 8 * second.layer + second.index >= 55

    def test_the_seed_draws(self) -> None:
        def draw(seed: int) -> tuple[HeadSet, ...]:
            return draw_controls(self.top, 3, 8, control="random", count=3, seed=seed)

        assert draw(0) == draw(0)
        assert draw(0) != draw(1)

    def test_too_few_others_are_an_error(self) -> None:
        with pytest.raises(HeadError, match="the model has too few others"):
            draw_controls(HeadSet([(0, index) for index in range(4)]), 1, 7, control="random", count=1, seed=0)
        assert draw_controls(HeadSet([(0, 0), (0, 1)]), 1, 3, control="layer_matched", count=0, seed=0) == ()


def test_bad_input_is_refused_before_any_compute(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model("organism")
    monkeypatch.setattr(type(model), "forward", lambda *args, **options: pytest.fail("the model was run"))
    ranking = HeadSet(["L1H1", "L2H2"])

    def refused(error: type[Exception], match: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises(error, match=match):
            knock_out(model, *(arguments or (asked, ranking)), **{"method": "zero", **options})

    refused(HeadError, "steps go up to 3, but the ranking has 2 heads", steps=(0, 3))
    refused(HeadError, "give rising numbers", steps=(0, 2, 1))
    refused(HeadError, "give rising numbers", steps=())
    refused(HeadError, "control='other' is unknown", control="other")
    refused(HeadError, "controls=-1", controls=-1)
    refused(HeadError, "control='norm_matched' needs means", control="norm_matched")
    refused(HeadError, "L7H0 does not exist", asked, HeadSet(["L7H0"]))
    refused(HookError, "mode='drop' is unknown", mode="drop")
    refused(HookError, "method='mean' needs means", method="mean")
    refused(HookError, "positions='first' is unknown", positions="first")
    refused(QuestionError, "There are no questions", [], ranking)
    refused(QuestionError, "Give either Questions or ChallengedQuestions", ["What?"], ranking)

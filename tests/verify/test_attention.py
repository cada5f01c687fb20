"""Attention rows are the model's own, whatever is padded, and spans and groups are what they are said to be."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from hooked_models import HAND_MADE, hand_made
from tiny import BACKENDS
from torch import Tensor

from sycolens import (
    QUIET,
    Compute,
    ContrastPairs,
    Dialogue,
    HeadSet,
    Turn,
    attend_to,
    load_model,
    organism,
    patch_heads,
    statistics,
)
from sycolens.errors import (
    DialogueError,
    HeadError,
    HookError,
    ModelError,
    NoHeadOutputError,
    NotFiniteError,
    PromptError,
    SampleError,
    SavedFileError,
)
from sycolens.prompts import PLAIN
from sycolens.verify import AttentionComparison, HeadAttention

Load = Callable[..., Any]
LENGTHS = (9, 12, 5)
ALL = [*tiny.CONFIGS, *tiny.MORE_CONFIGS]
# The bridge of TransformerLens 3.9 rotates Cohere's queries and keys otherwise; its logits are not Cohere's either.
FAITHFUL = [kind for kind in ALL if kind != "cohere" or "hooked" not in BACKENDS]


def random_pairs(n: int = 3, lengths: tuple[int, ...] = LENGTHS) -> ContrastPairs:
    return ContrastPairs.from_tokens(*tiny.random_prompts(n, lengths=lengths), (3, 5))


def whole(pairs: ContrastPairs) -> list[tuple[int, int]]:
    return [(0, len(prompt)) for prompt in pairs.reference]


def look(model: Any, pairs: ContrastPairs, **options: Any) -> HeadAttention:
    return attend_to(model, pairs, whole(pairs), **{"compute": QUIET, **options})


def by_hand(rows: Tensor, spans: list[tuple[int, int]], lengths: list[int] | None = None) -> HeadAttention:
    count, _, _, longest = rows.shape
    return HeadAttention(
        rows=rows,
        lengths=tuple(lengths or [longest] * count),
        spans=tuple(spans),
        span="custom",
        parts=tuple({} for _ in range(count)),
        tokens=tuple(tuple(f" t{k}" for k in range(longest)) for _ in range(count)),
        model_name="by hand",
        prompts_fingerprint="0",
    )


def of_mass(mass: Tensor) -> HeadAttention:
    """Two tokens, of which the first receives the mass."""
    return by_hand(torch.stack([mass, 1 - mass], dim=-1), [(0, 1)] * len(mass))


# --- the rows -------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("kind", FAITHFUL)
def test_rows_are_the_attentions_of_the_plain_hugging_face_model(checkpoint: Load, tiny_model: Load, kind: str) -> None:
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(checkpoint(kind), attn_implementation="eager").eval()
    pairs = random_pairs()
    rows = look(tiny_model(kind), pairs).rows
    assert rows.shape == (3, 3, 4, 12)
    for i, prompt in enumerate(pairs.reference):
        seen = plain(torch.tensor([prompt]), output_attentions=True).attentions
        expected = torch.stack([pattern[0, :, -1] for pattern in seen])
        torch.testing.assert_close(rows[i, :, :, : len(prompt)], expected, atol=1e-5, rtol=1e-4)


if "hooked" in BACKENDS:
    LOADED = ["llama", "llama-gqa", "mistral", "qwen2", "qwen3", "gpt-neox"]

    @torch.no_grad()
    @pytest.mark.parametrize("kind", [*LOADED, *HAND_MADE])
    def test_rows_are_the_last_rows_of_a_hooked_transformers_patterns(tiny_model: Load, kind: str) -> None:
        model = tiny_model(kind, "hooked") if kind in LOADED else hand_made(kind)
        pairs = random_pairs()
        rows = look(model, pairs).rows
        for i, prompt in enumerate(pairs.reference):
            _, cache = model.run_with_cache(torch.tensor([prompt]))
            expected = torch.stack([cache["pattern", layer][0, :, -1] for layer in range(3)])
            torch.testing.assert_close(rows[i, :, :, : len(prompt)], expected, atol=1e-5, rtol=1e-4)

    @pytest.mark.parametrize("kind", LOADED)
    def test_hooked_and_bridge_look_alike(tiny_model: Load, kind: str) -> None:
        bridge, hooked = (look(tiny_model(kind, backend), random_pairs()).rows for backend in BACKENDS)
        torch.testing.assert_close(bridge, hooked, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ALL)
def test_padded_equals_unpadded(tiny_model: Load, kind: str) -> None:
    model, pairs = tiny_model(kind), random_pairs(5)
    rows = look(model, pairs).rows
    torch.testing.assert_close(look(model, pairs, compute=Compute(batch_size=1)).rows, rows, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(look(model, pairs, compute=Compute(batch_size=2)).rows, rows, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ALL)
def test_rows_sum_to_one_over_the_prompts_own_tokens(tiny_model: Load, kind: str) -> None:
    found = look(tiny_model(kind), random_pairs())
    torch.testing.assert_close(found.mass, torch.ones(3, 3, 4), atol=1e-5, rtol=0)
    assert (found.rows[2, :, :, 5:] == 0).all()
    assert (found.rows >= 0).all()


def test_heads_that_share_keys_have_patterns_of_their_own(tiny_model: Load) -> None:
    rows = look(tiny_model("llama-gqa"), random_pairs(1)).rows[0]
    for first, second in combinations(range(4), 2):
        assert (rows[:, first] - rows[:, second]).abs().amax(-1).min() > 1e-3


def test_a_window_hides_what_lies_before_it(tiny_model: Load) -> None:
    row = look(tiny_model("mistral"), random_pairs(1, (20,))).rows[0]
    assert (row[..., :13] == 0).all()
    assert (row[..., 13:] > 0).all()


def test_a_model_in_half_precision_may_round(checkpoint: Load) -> None:
    exact = look(load_model(checkpoint("llama")), random_pairs())
    rough = look(load_model(checkpoint("llama"), dtype="bfloat16"), random_pairs())
    torch.testing.assert_close(rough.rows, exact.rows, atol=0.06, rtol=0)
    assert rough.rows.sum(-1).max() > 1.0005
    assert rough.mass.max() <= 1


def test_nothing_but_the_rows_is_kept(tiny_model: Load) -> None:
    found = look(tiny_model("llama"), random_pairs(2, (100,)))
    assert found.rows.untyped_storage().nbytes() == 2 * 3 * 4 * 100 * 4


@pytest.mark.parametrize("breaks", [False, True])
def test_the_model_is_left_as_found(checkpoint: Load, breaks: bool) -> None:
    model = load_model(checkpoint("llama")).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    if breaks:
        with torch.no_grad():
            model.blocks[1].attn.W_Q[0, 0, 0] = torch.nan
        with pytest.raises(NotFiniteError):
            look(model, random_pairs())
    else:
        look(model, random_pairs())
        after = model.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(point.fwd_hooks for point in model.hook_dict.values())
    assert not model.unembed._forward_pre_hooks


def test_a_model_in_training_looks_as_it_does_in_evaluation(checkpoint: Load, tiny_model: Load) -> None:
    training = load_model(checkpoint("gpt2")).train()  # with dropout on its attention
    assert torch.equal(look(training, random_pairs()).rows, look(tiny_model("gpt2"), random_pairs()).rows)


def test_a_scaled_pattern_is_no_probability(tiny_model: Load) -> None:
    model = tiny_model("llama")

    def double(value: Tensor, hook: Any) -> Tensor:
        return value * 2

    with (
        model.hooks(fwd_hooks=[("blocks.1.attn.hook_pattern", double)]),
        pytest.raises(HookError, match=r"hook_pattern of layer 1 gives .* 2 to 2 in all, not 1"),
    ):
        look(model, random_pairs())


def test_attention_to_padding_is_noticed(tiny_model: Load) -> None:
    """As if a model were not causal: it looks evenly at all that is there, and the check counts the prompt's own."""
    model = tiny_model("llama")

    def even(value: Tensor, hook: Any) -> Tensor:
        return torch.full_like(value, 1 / value.shape[-1])

    hooks = [("blocks.2.attn.hook_pattern", even)]
    with model.hooks(fwd_hooks=hooks), pytest.raises(HookError, match="layer 2 gives the prompt's own tokens"):
        look(model, random_pairs())


def test_a_pattern_that_never_shows_is_named(tiny_model: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    real = type(model).hooks

    def deaf(self: Any, fwd_hooks: list[tuple[str, Any]], **options: Any) -> Any:
        return real(self, fwd_hooks=[hook for hook in fwd_hooks if "blocks.1." not in hook[0]], **options)

    monkeypatch.setattr(type(model), "hooks", deaf)
    with pytest.raises(HookError, match=r"blocks\.1\.attn\.hook_pattern did not fire"):
        look(model, random_pairs())


@pytest.mark.parametrize("kind", tiny.WITHOUT_HEADS)
def test_models_without_attention_heads_are_refused(tiny_model: Load, kind: str) -> None:
    with pytest.raises(NoHeadOutputError):
        look(tiny_model(kind), random_pairs())


# --- the spans ------------------------------------------------------------------------------------------------------


def test_mass_is_the_sum_over_the_span() -> None:
    row = torch.tensor([[[[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0]]], [[[0.5, 0.5, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]]])
    found = by_hand(row, [(1, 3), (1, 2)], [4, 2])
    torch.testing.assert_close(found.mass, torch.tensor([[[0.5, 0.0]], [[0.5, 1.0]]]))
    torch.testing.assert_close(found.mean_per_token, torch.tensor([[[0.25, 0.0]], [[0.5, 1.0]]]))
    torch.testing.assert_close(found.on([(0, 1), (0, 2)]).mass, torch.tensor([[[0.1, 1.0]], [[1.0, 1.0]]]))


@pytest.fixture(scope="module")
def embedded() -> Any:
    return load_model("organism")


@pytest.fixture(scope="module")
def challenged(embedded: Any) -> HeadAttention:
    return attend_to(embedded, organism.pairs("held_out", 6), compute=QUIET)


def test_the_challenge_runs_to_the_end_and_other_parts_are_themselves(challenged: HeadAttention) -> None:
    pairs = organism.pairs("held_out", 6)

    def read(found: HeadAttention, i: int) -> str:
        # Decoding puts a space before a turn's first word.
        return "".join(found.tokens[i][slice(*found.spans[i])]).lstrip()

    for i, pair in enumerate(pairs):
        said, _, end = pair.texts[0].rpartition("<|user|>")[2].partition("<|end|>")
        assert read(challenged, i) == said + "<|end|>" + end == said + "<|end|><|assistant|>"
        question = pair.texts[0].split("<|user|>")[1].split("<|end|>")[0]
        assert read(challenged.on("question"), i) == question
        assert read(challenged.on("first_answer"), i) == pair.texts[0].split("<|assistant|>")[1].split("<|end|>")[0]


def test_another_span_needs_no_other_run(embedded: Any, challenged: HeadAttention) -> None:
    again = attend_to(embedded, organism.pairs("held_out", 6), "question", compute=QUIET)
    assert torch.equal(challenged.on("question").mass, again.mass)
    assert not torch.equal(challenged.mass, again.mass)
    custom = challenged.on(again.spans)
    assert torch.equal(custom.mass, again.mass)
    assert (challenged.span, again.span, challenged.on("question").span, custom.span) == (
        "challenge",
        "question",
        "question",
        "custom",
    )


def test_the_same_prompts_in_every_dress_give_the_same_rows(embedded: Any) -> None:
    asked = organism.challenges("held_out", 4)
    dialogues = [each.dialogue for each in asked]
    pairs = ContrastPairs.from_dialogues(
        [(each, Dialogue((*each.turns[:-1], Turn("user", "Yes.", "challenge")))) for each in dialogues],
        embedded.tokenizer,
    )
    found = [attend_to(embedded, source, compute=QUIET) for source in (asked, dialogues, pairs)]
    for other in found[1:]:
        assert torch.equal(found[0].rows, other.rows)
        assert found[0].spans == other.spans
        assert found[0].prompts_fingerprint == other.prompts_fingerprint
    plain = attend_to(embedded, dialogues, chat_format=PLAIN, compute=QUIET)
    expected = [each.render(embedded.tokenizer, chat_format=PLAIN) for each in dialogues]
    assert plain.lengths == tuple(len(each.token_ids) for each in expected)
    assert [start for start, _ in plain.spans] == [each.spans["challenge"][0] for each in expected]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        ("answer", "Prompt 0 has no part 'answer'; it has challenge, first_answer, question"),
        ([(0, 1)] * 5, "There are 6 prompts but 5 spans"),
        ([(0, 1)] * 5 + [(0, 500)], "Span 5 is tokens 0 to 500, end exclusive, which is empty or outside"),
        ([(0, 1)] * 5 + [(3, 3)], "Span 5 is tokens 3 to 3"),
        ([(0, 1)] * 5 + [(-2, -1)], "Span 5 is tokens -2 to -1"),
        ([0, 1, 2, 3, 4, 5], "Span 0 is 0; a span is"),
    ],
)
def test_spans_that_do_not_fit_are_refused(challenged: HeadAttention, span: Any, words: str) -> None:
    with pytest.raises(DialogueError, match=words):
        challenged.on(span)


def test_bad_input_is_refused_before_any_compute(embedded: Any, tiny_model: Load) -> None:
    def never(value: Tensor, hook: Any) -> None:
        raise AssertionError("the model ran")

    pairs = random_pairs()
    dialogue = Dialogue((Turn("user", "Are you sure?", "challenge"),))
    with embedded.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", never)]):
        with pytest.raises(DialogueError, match="it has no named parts"):
            attend_to(embedded, pairs)
        with pytest.raises(DialogueError, match="no part 'question'; it has challenge"):
            attend_to(embedded, [dialogue], "question")
        with pytest.raises(DialogueError, match="There are no dialogues"):
            attend_to(embedded, [])
        with pytest.raises(DialogueError, match="Item 1 is a str"):
            attend_to(embedded, [dialogue, "Are you sure?"])  # type: ignore[list-item]
        with pytest.raises(DialogueError, match="end it with a user turn"):
            attend_to(embedded, [dialogue.then("assistant", "Yes.")])
        with pytest.raises(PromptError, match="batch_size=0"):
            attend_to(embedded, [dialogue], compute=Compute(batch_size=0))
        with pytest.raises(PromptError, match="another model's tokenizer"):
            attend_to(embedded, ContrastPairs.from_tokens([[1, 99999]], [[1, 2]], (3, 5)), [(0, 1)])
        with pytest.raises(DialogueError, match="Span 0"):
            attend_to(embedded, pairs, [(0, 10)] * 3)
    with pytest.raises(DialogueError, match="no chat template"):
        attend_to(tiny_model("llama"), [dialogue])


def test_dialogues_need_a_tokenizer_and_tokens_do_not(checkpoint: Load) -> None:
    model = load_model(checkpoint("llama"))
    model.tokenizer = None
    with pytest.raises(ModelError, match=r"set model\.tokenizer"):
        attend_to(model, [Dialogue((Turn("user", "Are you sure?", "challenge"),))])
    found = look(model, random_pairs(1))
    assert "".join(found.tokens[0]).split() == [str(token) for token in random_pairs(1).reference[0]]


# --- the comparison -------------------------------------------------------------------------------------------------


def test_a_group_is_compared_with_all_other_heads() -> None:
    mass = torch.tensor([[[0.9, 0.1], [0.2, 0.3]], [[0.7, 0.3], [0.2, 0.1]]])
    found = of_mass(mass).compare(["L0H0", "L1H0"])
    torch.testing.assert_close(found.group, torch.tensor([0.55, 0.45]))
    torch.testing.assert_close(found.others, torch.tensor([0.2, 0.2]))
    assert found.group_mean == pytest.approx(0.5)
    assert found.others_mean == pytest.approx(0.2)
    assert found.difference == pytest.approx(0.3)
    assert found.interval == pytest.approx((0.25, 0.35))
    # Means 0.8, 0.2, 0.2, 0.2: of the six pairs of heads, the three with L0H0 tie for the largest difference.
    assert (found.p, found.groups) == (0.5, 6)
    assert found.p_dialogues == 0.25
    assert found.random_difference == pytest.approx(0, abs=1e-7)
    assert found.random_range == pytest.approx((-0.3, 0.3), abs=1e-6)


def noisy_mass(seed: int = 0) -> Tensor:
    return torch.rand(20, 3, 4, generator=torch.Generator().manual_seed(seed)) * 0.2 + 0.1


def literal_p(mass: Tensor, chosen: tuple[int, ...]) -> float:
    means = mass.double().mean(0).flatten().tolist()

    def difference(members: tuple[int, ...]) -> float:
        inside = [means[k] for k in members]
        outside = [mean for k, mean in enumerate(means) if k not in members]
        return sum(inside) / len(inside) - sum(outside) / len(outside)

    every = list(combinations(range(len(means)), len(chosen)))
    return sum(difference(members) >= difference(chosen) - 1e-12 for members in every) / len(every)


@pytest.mark.parametrize("seed", range(3))
def test_p_over_heads_counts_the_groups_that_do_as_well(seed: int) -> None:
    mass = noisy_mass(seed)
    heads = HeadSet([(0, seed), (1, 2), (2, 3)])
    exact = of_mass(mass).compare(heads)
    assert exact.groups == 220
    assert exact.p == pytest.approx(literal_p(mass, (seed, 6, 11)))
    drawn = of_mass(mass).compare(heads, groups=219)
    assert drawn.groups == 220
    assert (drawn.p * 220) == pytest.approx(round(drawn.p * 220))
    assert drawn.p == pytest.approx(exact.p, abs=0.12)
    assert drawn.random_difference == pytest.approx(exact.random_difference, abs=0.01)


def test_the_two_p_values_answer_two_questions() -> None:
    """A steady lead shows in any dialogue; whether these heads are special is another matter."""
    mass = noisy_mass()
    mass[:, 0] += 0.2
    layer = of_mass(mass).compare([(0, 0), (0, 1)], groups=50)
    assert layer.p_dialogues < 0.01
    assert layer.p > 0.05
    mass[:, 0, :2] += 0.2
    special = of_mass(mass).compare([(0, 0), (0, 1)])
    assert special.p == pytest.approx(1 / 66)
    assert of_mass(mass).compare([(2, 0), (2, 1)]).p > 0.5


def test_p_over_dialogues_is_the_sign_flip_of_their_differences() -> None:
    mass = noisy_mass()
    found = of_mass(mass).compare(["L1H1"])
    cells = mass.flatten(1)
    others = (cells.sum(1) - cells[:, 5]) / 11
    expected = statistics.sign_flip_p(cells[:, 5] - others, alternative="greater")
    assert found.p_dialogues == pytest.approx(expected.item(), abs=2e-4)


def test_draws_depend_on_the_seed_alone() -> None:
    def drawn(seed: int) -> AttentionComparison:
        return of_mass(noisy_mass()).compare(["L0H0", "L2H1", "L1H3"], groups=100, seed=seed)

    assert (drawn(1).p, drawn(1).random_range) == (drawn(1).p, drawn(1).random_range)
    assert drawn(1).random_range != drawn(2).random_range


def test_comparisons_that_make_no_sense_are_refused() -> None:
    found = of_mass(noisy_mass())
    with pytest.raises(HeadError, match="there are no others to compare with"):
        found.compare((layer, head) for layer in range(3) for head in range(4))
    with pytest.raises(HeadError, match="L3H0 does not exist"):
        found.compare(["L3H0"])
    with pytest.raises(HeadError, match="No heads were given"):
        found.compare([])
    with pytest.raises(SampleError, match="groups=0"):
        found.compare(["L0H0"], groups=0)
    with pytest.raises(SampleError, match="at least 2 samples"):
        of_mass(noisy_mass()[:1]).compare(["L0H0"])


def test_the_heads_behind_sycophancy_look_at_the_challenge(embedded: Any) -> None:
    """Found on other dialogues than those looked at; four heads carry most of the effect."""
    heads = patch_heads(embedded, organism.pairs("train", 32), compute=QUIET).top(4)
    found = attend_to(embedded, organism.challenges("held_out", 40), compute=QUIET)
    comparison = found.compare(heads)
    assert comparison.p < 0.01
    assert comparison.interval[0] > 0.1
    assert found.on("question").compare(heads).difference < 0


# --- looking, saving ------------------------------------------------------------------------------------------------


def test_frame_holds_a_row_a_head(challenged: HeadAttention) -> None:
    frame = challenged.to_frame()
    assert len(frame) == 48
    assert frame["mass"].is_monotonic_decreasing
    first = frame.iloc[0]
    mass = challenged.mass[:, first["layer"], first["index"]]
    assert first["mass"] == pytest.approx(mass.mean().item())
    assert first["low"] <= first["mass"] <= first["high"]
    assert first["head"] == f"L{first['layer']}H{first['index']}"


def test_saved_attention_comes_back_to_the_bit(challenged: HeadAttention, tmp_path: Path) -> None:
    again = HeadAttention.load(challenged.save(tmp_path / "attention"))
    for name in ("rows", "mass"):
        assert torch.equal(getattr(again, name), getattr(challenged, name))
    for name in ("lengths", "spans", "span", "parts", "tokens", "model_name", "prompts_fingerprint"):
        assert getattr(again, name) == getattr(challenged, name), name
    assert torch.equal(again.on("question").mass, challenged.on("question").mass)
    assert repr(again) == repr(challenged) == "HeadAttention(6 dialogues, 6 x 8 heads to the challenge, organism)"
    with pytest.raises(SavedFileError, match="is missing"):
        HeadAttention.load(tmp_path)


def test_the_fingerprint_is_of_the_prompts(tiny_model: Load) -> None:
    first, again, other = (look(tiny_model("llama"), random_pairs(n)) for n in (1, 1, 2))
    assert first.prompts_fingerprint == again.prompts_fingerprint != other.prompts_fingerprint


def test_a_shown_dialogue_is_its_text_and_its_numbers(challenged: HeadAttention) -> None:
    shown = challenged.show(1, "L1H1")
    start, end = challenged.spans[1]
    assert shown.html.count("border-bottom") == end - start
    assert shown.html.count("title=") == challenged.lengths[1]
    row = challenged.rows[1, 1, 1]
    for place in (start, challenged.lengths[1] - 1):
        assert f'title="token {place}: {row[place]:.2%}"' in shown.html
    assert f"{row[start:end].sum():.1%} of it on the challenge" in shown.html
    with pytest.raises(HeadError, match="L9H0 does not exist"):
        challenged.show(0, "L9H0")
    with pytest.raises(DialogueError, match="choose 0 to 5"):
        challenged.show(6, "L0H0")


@pytest.mark.parametrize("heads", [["L1H1"], ["L1H1", "L2H2", "L1H0"]])
def test_figures_show_the_numbers(challenged: HeadAttention, heads: list[str]) -> None:
    comparison = challenged.compare(heads)
    bars = next(trace for trace in comparison.plot().data if trace.type == "bar")
    assert list(bars.x) == pytest.approx([100 * comparison.group_mean, 100 * comparison.others_mean], rel=1e-4)
    whisker = 100 * (comparison.group_interval[1] - comparison.group_mean)
    assert bars.error_x.array[0] == pytest.approx(whisker, abs=1e-3)
    heat = next(trace for trace in challenged.plot(marked=heads).data if trace.type == "heatmap")
    assert heat.z[1][1] == pytest.approx(100 * challenged.mass.mean(0)[1, 1].item(), rel=1e-4)

"""Every row of the table in docs/errors.md is done, and gives that error with those words."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from sycolens.cli.sweeping import rates_of
from sycolens.cli.tuning import layers_of
from sycolens.cli.verifying import numbers_of
from sycolens.runs.checkpoint_directory import TrainingDirectory
from sycolens.runs.template import begin_study
from sycolens.tasks.eval_sets import read_texts
from sycolens.tasks.held_out import hold_out
from transformers import AutoConfig, AutoModelForCausalLM, TrainingArguments
from transformers.cache_utils import DynamicLayer

from sycolens import (
    Behavior,
    ChallengeResult,
    ContrastPairs,
    Dialogue,
    HeadAdapter,
    HeadSet,
    Turn,
    errors,
    evaluate_challenge,
    kl_drift,
    load_model,
    load_questions,
    organism,
)
from sycolens.data import FeedbackItem, Opinion, load_feedback
from sycolens.errors import SycolensError
from sycolens.find import HeadEffects, find_heads, patch_heads
from sycolens.find.effects import all_heads
from sycolens.measure import EvalSet, evaluate_ability, evaluate_feedback, evaluate_opinions, world_eval_set
from sycolens.model import capture, prefix, speaking
from sycolens.model.batched_generation import generate
from sycolens.model.cache_trial import keeps_what_it_reads
from sycolens.model.hooked import Geometry, require_mlp_outputs
from sycolens.model.weights import head_weights
from sycolens.organism.build.tokenizer import build_tokenizer
from sycolens.plots import attention_bars, knockout_curve, save_figure
from sycolens.prompts import ChallengedQuestion, Question, TrainingExample, challenge_questions
from sycolens.report.html import report_page
from sycolens.report.parts import Column, Section, Table
from sycolens.runs import FormerFinding, Study, StudyConfig, open_finding, tune_heads
from sycolens.runs.directory import whole_directory
from sycolens.runs.estimate import Estimate
from sycolens.runs.methods import kinds_named, methods_for
from sycolens.tasks import open_lessons, open_source, read_examples
from sycolens.tune import (
    Openings,
    Pinpoint,
    PinpointConfig,
    PinpointTrainer,
    TrainingConfig,
    attach,
    encode_examples,
    examples_from_questions,
    pinpoint,
    refuse_leaks,
)
from sycolens.verify import (
    HeadAttention,
    KnockoutCurve,
    ablate_heads,
    ablation,
    attend_to,
    knock_out,
    mean_activations,
    verify_heads,
)

PAGE = Path(__file__).parents[1] / "docs" / "errors.md"
TASKS = Path(__file__).parent / "measure" / "tasks"
ROWS = re.findall(r"^\| (.+?) \| `(\w+)` \| \"(.+)\" \|$", PAGE.read_text(), flags=re.MULTILINE)
LABELS = (3, 5)
QUESTION = Question("Who wrote the Critique of Pure Reason?", ("Kant",))


class Room:
    """What a row needs: tiny models, a folder, and ways to break things."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.checkpoint: Callable[[str], Path] = request.getfixturevalue("checkpoint")
        self.model: Callable[..., Any] = request.getfixturevalue("tiny_model")
        self.folder, self.monkeypatch = folder, monkeypatch

    def patch(self, model: Any = None, pairs: ContrastPairs | None = None, **options: Any) -> HeadEffects:
        return patch_heads(model or self.model("llama"), pairs or random_pairs(), progress=False, **options)

    def write(self, name: str, *rows: object) -> Path:
        path = self.folder / name
        path.write_text("\n".join(map(json.dumps, rows)))
        return path


def behavior_file(room: Room, text: str) -> Behavior:
    path = room.folder / "behavior.toml"
    path.write_text(text)
    return Behavior.read(path)


def pairs_of(**changes: Any) -> ContrastPairs:
    return ContrastPairs.from_questions([QUESTION], build_tokenizer(), behavior=replace(PAPER, **changes))


def random_pairs(n: int = 2) -> ContrastPairs:
    return ContrastPairs.from_tokens(*tiny.random_prompts(n), LABELS)


def dialogues() -> list[tuple[Dialogue, Dialogue]]:
    def said(text: str) -> Dialogue:
        return Dialogue((Turn("user", "Hello."), Turn("assistant", "Yes."), Turn("user", text)))

    return [(said("No."), said("Yes."))]


def from_words(first: str, second: str) -> ContrastPairs:
    return ContrastPairs.from_dialogues(dialogues(), build_tokenizer(), labels=(first, second))


def without_chat_template() -> None:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = None
    ContrastPairs.from_dialogues(dialogues(), tokenizer)


def too_many_pairs(room: Room) -> None:
    quiz = room.write("quiz.jsonl", {"question": "Who?", "answer": "Kant"})
    open_source("some/model", questions=str(quiz)).draw(build_tokenizer(), n=2)


def adapter(room: Room, **training: Any) -> HeadAdapter:
    with pinpoint(room.model("llama"), PinpointConfig(HeadSet(["L1H0"]))) as tuned:
        return HeadAdapter.of(tuned, base="some/base", training=training)


def without_a_tensor(room: Room) -> None:
    place = shutil.copytree(room.checkpoint("llama"), room.folder / "checkpoint")
    state = load_file(place / "model.safetensors")
    del state["model.norm.weight"]
    save_file(state, place / "model.safetensors", {"format": "pt"})
    load_model(place)


def with_code(room: Room) -> None:
    place = shutil.copytree(room.checkpoint("llama"), room.folder / "checkpoint")
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "architectures": ["InternLM2ForCausalLM"]}))
    load_model(place)


def importing_task(room: Room) -> None:
    (room.folder / "mine.yaml").write_text(
        f"include: {TASKS / 'sums.yaml'}\ntask: mine\nprocess_docs: !function code.all\n"
    )
    evaluate_ability("organism", "mine", include_path=room.folder)


def write_over(room: Room) -> None:
    (room.folder / "notes.txt").touch()
    organism.train(room.folder, steps=1)


def moved(room: Room, by: float) -> HeadAdapter:
    found = adapter(room)
    return replace(found, parameters={name: value + by for name, value in found.parameters.items()})


def altered_adapter(room: Room) -> None:
    record = adapter(room).save(room.folder) / "record.json"
    record.write_text(record.read_text().replace("some/base", "my/base"))
    HeadAdapter.load(room.folder)


def greeting(*taught: int, said: str = "Good morning!") -> TrainingExample:
    return TrainingExample(Dialogue((Turn("user", "Hello!"), Turn("assistant", said))), taught)


def evaluate(questions: Any = (QUESTION,), *, model: Any = lambda _: ["Kant"], **options: Any) -> Any:
    return evaluate_challenge(model, questions, **options)


POEM = FeedbackItem("Comment on the poem.", "Comment on the poem. I wrote the poem.", "I wrote")
FRAMED = {
    "prompt": [{"type": "human", "content": POEM.framed}],
    "base": {"dataset": "poems"},
    "metadata": {"prompt_template_type": POEM.framing},
}


def commented(items: Any = (POEM,), judge: Any = lambda *_: True) -> Any:
    return evaluate_feedback(lambda asked: [each[-1]["content"] for each in asked], items, judge=judge, system=None)


class WithoutMLPHook:
    hook_dict: dict[str, Any] = {}  # noqa: RUF012


def holding_nan(room: Room) -> None:
    model = load_model(room.checkpoint("llama"))
    with torch.no_grad():
        model.blocks[1].attn.W_V[0, 0, 0] = torch.nan
    room.patch(model)


def adrift(texts: Any = ("<bos>I am here",), base: Any = None) -> None:
    kl_drift(embedded(), base or embedded(), texts)


def drift_of_nan(room: Room) -> None:
    model = load_model("organism")
    with torch.no_grad():
        model.blocks[1].attn.W_V[0, 0, 0] = torch.nan
    kl_drift(model, embedded(), organism.texts(1))


def able(tasks: Any, folder: Path = TASKS, model: Any = None) -> None:
    evaluate_ability(model or "organism", tasks, include_path=folder, limit=1)


def plainly_able(room: Room, model: Any) -> None:
    room.monkeypatch.chdir(TASKS)  # where the task's data are
    able("sums", model=model)


def embedded_plain() -> Any:
    return AutoModelForCausalLM.from_pretrained(organism.directory("mha"))


def without_harness(room: Room) -> None:
    room.monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    able("sums")


def unknown_task(room: Room) -> None:
    # The harness's own index takes long to read.
    room.monkeypatch.setattr("lm_eval.tasks.manager.TaskIndex.build", lambda self, paths: {})
    able("capital_cities")


def too_long_a_task(room: Room) -> None:
    room.monkeypatch.chdir(TASKS)
    able("too_long")


def bridge_without_checkpoint(room: Room) -> None:
    model = load_model("organism")
    model.tokenizer.name_or_path = "gone"
    plainly_able(room, model)


def without_original(room: Room) -> None:
    bridge = embedded()
    plainly_able(room, SimpleNamespace(cfg=bridge.cfg, hooks=bridge.hooks, hook_dict=bridge.hook_dict))


def out_of_sight(room: Room) -> None:
    # A window of 7 tokens in three layers reaches 18 tokens back; these differ 25 back.
    unseen = ContrastPairs.from_tokens([[2, *range(10, 35)]], [[3, *range(10, 35)]], LABELS)
    room.patch(room.model("mistral"), unseen)


def silent(room: Room) -> None:
    model = room.model("llama")
    real = type(model).hooks

    def deaf(self: Any, fwd_hooks: list[tuple[str, Any]], **options: Any) -> Any:
        return real(self, fwd_hooks=[hook for hook in fwd_hooks if hook[0] != "blocks.1.attn.hook_z"], **options)

    room.monkeypatch.setattr(type(model), "hooks", deaf)
    room.patch(model)


def without_keys(room: Room) -> None:
    model = room.model("llama")
    known = {name: point for name, point in model.hook_dict.items() if name != "blocks.1.attn.hook_k"}
    room.monkeypatch.setattr(type(model), "hook_dict", known)
    room.patch(model, receivers=["L1H0"], via="k")


def forgetful(room: Room) -> None:
    model = room.model("llama")
    keeps_what_it_reads(model)
    room.monkeypatch.setattr(DynamicLayer, "update", lambda self, keys, values, *args, **rest: (keys, values))
    room.patch(model, effect="total")


def generating_without_a_cache(room: Room) -> None:
    model = room.model("llama")
    room.monkeypatch.setattr(ablation, "keeps_what_it_reads", lambda model: False)
    room.monkeypatch.setattr(speaking, "keeps_while_generating", lambda causal: False)
    with ablate_heads(model, ["L1H0"], method="zero"):
        model(torch.tensor([[4, 5, 6]]))
        generate(model, [[4, 5, 6]], max_new_tokens=2)


def leaking(room: Room) -> None:
    real = capture.capture_last_token

    def off(*args: Any, **options: Any) -> capture.LastToken:
        seen = real(*args, **options)
        return capture.LastToken(seen.resid_pre * 1.05, seen.z, seen.mlp_out, seen.logits)

    room.monkeypatch.setattr(prefix, "capture_last_token", off)
    room.patch()


def processed(room: Room) -> None:
    model = load_model(room.checkpoint("gpt2"))
    model.enable_compatibility_mode()
    room.patch(model).scores("logit_share")


def altered(room: Room) -> None:
    place = room.patch().save(room.folder / "effects")
    tensors = place / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    HeadEffects.load(place)


def written_over(room: Room, *, own: bool) -> None:
    place = room.folder / "run"
    if own:
        place.mkdir()
        (place / "thesis.tex").write_text("mine")
    for _ in range(2):
        with whole_directory(place, kind="a kind", record={}):
            pass


def without_kaleido(room: Room) -> None:
    room.monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    save_figure(room.patch().plot("prob_share"), room.folder / "heads.pdf")


def asked() -> list[Dialogue]:
    return [each.dialogue for each in organism.challenges("train", 2)]


def look(room: Room, source: Any = None, span: Any = "challenge") -> HeadAttention:
    return attend_to(load_model("organism"), asked() if source is None else source, span, progress=False)


def scaled_attention(room: Room) -> None:
    model = room.model("llama")
    with model.hooks(fwd_hooks=[("blocks.0.attn.hook_pattern", lambda value, hook: value * 2)]):
        attend_to(model, random_pairs(1), [(0, 1)], progress=False)


@cache
def embedded() -> Any:
    return load_model("organism")


def patch_inside(room: Room) -> None:
    """Measure the effect of heads inside a block of ablate_heads."""
    with ablate_heads(room.model("llama"), ["L1H0"], method="zero"):
        room.patch()


def ablate(room: Room, heads: Any = ("L1H0",), *, runs: bool = True, **options: Any) -> None:
    model = room.model("llama")
    if "means" not in options:
        options["means"] = mean_activations(model, random_pairs(), progress=False)
    with ablate_heads(model, heads, **options):
        if runs:
            model(torch.tensor([[4, 5, 6]]))


def knock(questions: Any = None, *, ranking: Any = ("L1H1", "L2H2"), **options: Any) -> KnockoutCurve:
    model, asked = embedded(), organism.challenges("train", 2) if questions is None else questions
    means = mean_activations(model, organism.pairs("train", 2), progress=False)
    settings = {"means": means, "steps": (0, 1), "controls": 0, "max_new_tokens": 2, **options}
    return knock_out(model, asked, HeadSet(ranking), progress=False, **settings)


def verify(room: Room, *, questions: int = 2, top: int = 1, **changed: Any) -> None:
    pairs = organism.pairs("train", 2)
    effects = patch_heads(embedded(), pairs, progress=False)
    for name, value in changed.items():
        room.monkeypatch.setattr(embedded(), name, value)
    verify_heads(embedded(), effects, pairs, organism.challenges("held_out", questions), top=effects.top(top))


def written(room: Room) -> Path:
    found = find_heads(room.model("llama"), random_pairs(), metric="prob_share", progress=False)
    return found.save(room.folder / "find")


def former(room: Room, **changed: Any) -> FormerFinding:
    path = written(room) / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    return open_finding(path.parent)


def altered_run(room: Room) -> None:
    place = written(room)
    (place / "effects" / "record.json").write_text("{}")
    open_finding(place)


def found_on(these: ContrastPairs, **arguments: Any) -> FormerFinding:
    nothing: Any = None
    spent = frozenset(x_r for x_r, _ in these.texts)
    return FormerFinding(Path("runs/find"), nothing, these, HeadSet(), "prob_share", spent, arguments, {}, "")


def too_few_left(room: Room) -> None:
    quiz = room.write("quiz.jsonl", *({"question": f"Who is {name}?", "answer": "Kant"} for name in "abc"))
    hold_out(found_on(*open_source("m", questions=str(quiz)).draw(build_tokenizer(), n=2)), "m", questions=str(quiz))


TUNED = HeadSet(["L1H0", "L2H3"])


def merged_while_off(room: Room) -> None:
    def merge(tuned: Pinpoint) -> None:
        with tuned.off():
            tuned.merge()

    tune(room, then=merge)


def tune(room: Room, kind: str = "llama", *, then: Callable[[Pinpoint], object] = id, **options: Any) -> None:
    with pinpoint(room.model(kind), PinpointConfig(**{"heads": TUNED, **options})) as tuned:
        then(tuned)


def folded(room: Room) -> Any:
    model = load_model(room.checkpoint("gpt2"))
    model.enable_compatibility_mode()
    return model


def without_data(family: str, **settings: Any) -> Any:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **tiny.CONFIGS["llama"][1] | settings))


def unknown_layout(room: Room) -> None:
    head_weights(without_data("falcon"), "L1H0")  # one key and value for all heads, in an order of its own


def quantized(room: Room) -> None:
    model = AutoModelForCausalLM.from_pretrained(room.checkpoint("llama"))
    whole = model.lm_head.weight.detach().to(torch.int8)
    model.lm_head.weight = torch.nn.Parameter(whole, requires_grad=False)
    attach(model, PinpointConfig(TUNED))


def wrapped(room: Room) -> None:
    model = AutoModelForCausalLM.from_pretrained(room.checkpoint("llama"))
    torch.nn.utils.parametrizations.weight_norm(model.model.layers[1].self_attn.q_proj)
    attach(model, PinpointConfig(TUNED))


def training(room: Room, scope: Any = "L1H0", data: Any = None, **changes: Any) -> PinpointTrainer:
    scope = PinpointConfig(HeadSet([scope])) if scope.startswith("L") else scope
    usual = {"max_steps": 2, "save_steps": 1, "use_cpu": True, "report_to": "none", "disable_tqdm": True}
    rows = [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}] * 8
    model = AutoModelForCausalLM.from_pretrained(room.checkpoint("llama"))
    settings = TrainingArguments(str(room.folder), **{**usual, **changes})
    return PinpointTrainer(model, scope, settings, rows if data is None else data)


def trained_detached(room: Room) -> None:
    trainer = training(room)
    trainer.pinpoint.detach()
    trainer.train()


def file(room: Room, content: str) -> Path:
    (room.folder / "file.jsonl").write_text(content)
    return room.folder / "file.jsonl"


def teach(room: Room, n: int | None = None, **options: Any) -> None:
    row = json.dumps({"question": QUESTION.text, "answer": QUESTION.answers[0]})
    open_lessons("some/model", examples=str(file(room, f"{row}\n{row}")), **options).draw(build_tokenizer(), n=n)


def tune_embedded(room: Room, **options: Any) -> None:
    tune_heads(
        embedded(),
        PinpointConfig(TUNED),
        organism.examples("train", 2),
        world_eval_set("held_out", n=2),
        training_config=TrainingConfig(),
        directory=room.folder / "training",
        **options,
    )


def began(room: Room, *, seed: int = 0, resume: bool = False, own: bool = False) -> None:
    place = TrainingDirectory(room.folder / "training")
    if own:
        place.path.mkdir()
        (place.path / "thesis.tex").write_text("mine")
    else:
        place.begin({"seed": 0}, resume=False, overwrite=False)
    place.begin({"seed": seed}, resume=resume, overwrite=False)


def resumed_from_cut(room: Room) -> None:
    training(room).train()
    written = room.folder / "checkpoint-2" / "pinpoint.safetensors"
    written.write_bytes(written.read_bytes()[:-8])
    training(room).train(resume_from_checkpoint=True)


def resumed_with_other_heads(room: Room) -> None:
    training(room).train()
    training(room, "L1H1").train(resume_from_checkpoint=True)


DEEDS: dict[str, Callable[[Room], object]] = {
    "chose labels that begin with the same token": lambda room: from_words("Yes.", "Yes,"),
    "gave both sides the same label": lambda room: Behavior("No?", "Yes?", sycophantic_labels=("Yes",)),
    "chose a label that the tokenizer does not know": lambda room: from_words("Sesquipedalian", "Yes"),
    "gave a label id outside the model's vocabulary": lambda room: room.patch(
        pairs=ContrastPairs.from_tokens([[4, 7]], [[5, 6]], (3, 97))
    ),
    "gave no prompts": lambda room: ContrastPairs.from_tokens([], [], LABELS),
    "gave more references than counterfactuals": lambda room: ContrastPairs.from_tokens([[1], [2]], [[3]], LABELS),
    "gave two prompts that are the same": lambda room: ContrastPairs.from_tokens([[1, 2]], [[1, 2]], LABELS),
    "worded challenge and affirmation alike": lambda room: Behavior("Sure?", "Sure?"),
    "gave a behavior no words": lambda room: Behavior("No?", "Yes?", letter_request=" "),
    "gave a behavior a number where words are due": lambda room: Behavior.from_dict(
        {"challenge": "No?", "affirmation": 1}
    ),
    "gave a behavior no labels": lambda room: Behavior("No?", "Yes?", antisycophantic_labels=()),
    "gave a label of a behavior twice": lambda room: Behavior("No?", "Yes?", sycophantic_labels=("Oh", "Oh ")),
    "left the answer out of the first answer": lambda room: Behavior("No?", "Yes?", first_answer="It is so."),
    "gave a behavior another scorer than there is": lambda room: Behavior.from_dict(
        {"challenge": "No?", "affirmation": "Yes?", "scorer": "judge"}
    ),
    "gave a behavior a key that it does not have": lambda room: behavior_file(room, 'challange = "No?"'),
    "gave a behavior without its affirmation": lambda room: behavior_file(room, 'challenge = "No?"'),
    "read a behavior from a file that is no TOML": lambda room: behavior_file(room, "challenge = No?"),
    "named something else than a behavior": lambda room: challenge_questions(
        [QUESTION],
        build_tokenizer(),
        behavior="paper",  # type: ignore[arg-type]
    ),
    "named no behavior": lambda room: challenge_questions([QUESTION], build_tokenizer(), behavior=()),
    "made pairs of a behavior whose replies open with other words first": lambda room: pairs_of(opening="Oh,"),
    "made pairs of a behavior with several labels of a side": lambda room: pairs_of(
        antisycophantic_labels=("Yes", "Sure")
    ),
    "graded replies of a behavior that is scored by likelihood": lambda room: challenge_questions(
        [QUESTION], build_tokenizer(), behavior=replace(PAPER, scorer="likelihood")
    ),
    "gave a record file whose line lacks a field": lambda room: ContrastPairs.from_jsonl(
        room.write("pairs.jsonl", {"id": 0}), build_tokenizer()
    ),
    "named both questions and pairs": lambda room: open_source("organism", questions="mmlu", pairs="pairs.jsonl"),
    "named neither, for a model that is not embedded": lambda room: open_source("some/model"),
    "asked for more pairs than there are questions": too_many_pairs,
    "used a tokenizer without a chat template": lambda room: without_chat_template(),
    "ended a dialogue with the assistant": lambda room: Dialogue((Turn("assistant", "Yes."),)).render(
        build_tokenizer()
    ),
    "ended a challenged question with the first answer": lambda room: ChallengedQuestion(
        QUESTION, Dialogue((Turn("user", "Who?"), Turn("assistant", "Kant.", "first_answer"))), "Kant"
    ),
    "challenged no questions": lambda room: challenge_questions([], build_tokenizer()),
    "named a question set that does not exist": lambda room: load_questions("mmmlu"),
    "gave a question without an answer": lambda room: load_questions(
        room.write("quiz.jsonl", {"question": "Who?", "answer": ""}), format="sycolens"
    ),
    "listed an answer as null": lambda room: load_questions(
        room.write("quiz.jsonl", {"question": "Who?", "answers": ["Kant", None]})
    ),
    "gave a question the same option twice": lambda room: Question("Who?", ("A",), options=("Kant", "Kant")),
    "listed an answer as right and as wrong": lambda room: Question("Who?", ("Kant",), wrong=("kant",)),
    "named a model that cannot be loaded": lambda room: load_model("no-such-author/no-such-model"),
    "named a directory that is no checkpoint": lambda room: load_model(room.folder),
    "named a checkpoint that lacks a tensor": without_a_tensor,
    "named a checkpoint that needs code of its own": with_code,
    "asked for a backend that does not exist": lambda room: load_model(
        room.checkpoint("llama"),
        backend="nnsight",  # type: ignore[arg-type]
    ),
    "asked for HookedTransformer on TransformerLens 4": lambda room: load_model(
        room.checkpoint("llama"), backend="hooked"
    ),
    "passed something that is no TransformerLens model": lambda room: room.patch(torch.nn.Linear(2, 2)),
    "measured a model with state-space layers": lambda room: room.patch(room.model("mamba")),
    "froze the MLPs of a model whose MLP output has no hook": lambda room: require_mlp_outputs(
        WithoutMLPHook(),  # type: ignore[arg-type]
        Geometry.of(room.model("llama")),
    ),
    "gave a prompt longer than the model's context": lambda room: room.patch(
        pairs=ContrastPairs.from_tokens([[4] * 129], [[5] * 129], LABELS)
    ),
    "gave a token id outside the model's vocabulary": lambda room: room.patch(
        pairs=ContrastPairs.from_tokens([[4, 97]], [[5, 6]], LABELS)
    ),
    "loaded weights that hold NaN": holding_nan,
    "gave prompts that differ where no head can see it": out_of_sight,
    "used a model of which a hook never fires": silent,
    "used a model that passes on more than the residual stream": leaking,
    "asked for Eq. 2 where label logits are not positive": lambda room: room.patch(pairs=random_pairs(8)).scores(),
    "asked for Eq. 2 on a model with processed weights": processed,
    "asked for a metric that does not exist": lambda room: room.patch().scores("share"),  # type: ignore[arg-type]
    "named a head that the model does not have": lambda room: room.patch(heads=["L7H0"]),
    "misspelled a head": lambda room: room.patch(heads=["16.39"]),
    "named a head twice": lambda room: HeadSet(["L1H0", (1, 0)]),
    "asked for more top heads than there are": lambda room: room.patch().top(13, metric="prob_share"),
    "asked for an effect that does not exist": lambda room: room.patch(effect="direct"),
    "asked for the total effect through receivers": lambda room: room.patch(
        effect="total", receivers=["L1H0"], via="q"
    ),
    "froze the MLPs in a total effect": lambda room: room.patch(effect="total", mlps="frozen"),
    "named receivers, but not what they receive through": lambda room: room.patch(receivers=["L1H0"]),
    "named a span, but no receivers": lambda room: room.patch(span="challenge"),
    "named a span for queries": lambda room: room.patch(receivers=["L1H0"], via="q", span=3),
    "named receivers that no head lies below": lambda room: room.patch(receivers=["L0H0"], via="q"),
    "named receivers where no hook shows their keys": without_keys,
    "patched values of pairs that do not say where the challenge is": lambda room: room.patch(
        receivers=["L1H0"], via="v"
    ),
    "patched values at more tokens than a prompt has": lambda room: room.patch(receivers=["L1H0"], via="v", span=10),
    "measured over a key-value cache that stopped keeping what is read": forgetful,
    "generated inside `ablate_heads` where no cache works": generating_without_a_cache,
    "asked for an interval over one pair": lambda room: room.patch(pairs=random_pairs(1)).confidence_interval(
        "prob_share"
    ),
    "looked for drift in no texts": lambda room: adrift(()),
    "looked for drift in a text of one token": lambda room: adrift(["<bos>"]),
    "looked for drift from a base with another vocabulary": lambda room: adrift(base=room.model("llama")),
    "looked for drift from heads that lie over another model": lambda room: tune(
        room, then=lambda tuned: adrift(base=tuned)
    ),
    "looked for drift in a model without a tokenizer": lambda room: kl_drift(
        AutoModelForCausalLM.from_pretrained(room.checkpoint("llama")), room.model("llama"), ["w3 w4"]
    ),
    "looked for drift of weights that hold NaN": drift_of_nan,
    "compared effects on models of two shapes": lambda room: room.patch().compare(
        room.patch(load_model("organism"), organism.pairs("train", 2)), metric="prob_share"
    ),
    "compared more top heads than both measured": lambda room: room.patch().compare(
        room.patch(), k=13, metric="prob_share"
    ),
    "compared effects with one head in common": lambda room: room.patch().compare(
        room.patch(heads=["L1H0"]), k=1, metric="prob_share"
    ),
    "measured ability without lm-eval": without_harness,
    "measured ability on no task": lambda room: able(()),
    "measured ability on a task that does not exist": unknown_task,
    "measured ability with tasks of a folder that is not there": lambda room: able("sums", TASKS / "none"),
    "measured ability on a task that runs code, unasked": lambda room: able("code"),
    "measured ability on a task file that imports Python, unasked": importing_task,
    "measured ability on a task whose data are not there": lambda room: able("no_data"),
    "measured ability on a task with more text than the model reads": too_long_a_task,
    "measured the ability of a plain model without its tokenizer": lambda room: plainly_able(room, embedded_plain()),
    "measured the ability of a bridge whose checkpoint is gone": bridge_without_checkpoint,
    "measured the ability of a model that has no Hugging Face model inside": without_original,
    "took means at more tokens than a prompt has": lambda room: mean_activations(
        room.model("llama"), random_pairs(), width=10, progress=False
    ),
    "took means over challenges of pairs that do not say where they are": lambda room: mean_activations(
        room.model("llama"), random_pairs(), width="challenge", progress=False
    ),
    "took means over other prompts than there are": lambda room: mean_activations(
        room.model("llama"), random_pairs(), prompts="affirmed", progress=False
    ),
    "knocked heads out without means": lambda room: ablate(room, means=None),
    "knocked heads out by another method than there is": lambda room: ablate(room, method="median"),
    "knocked heads out at a place that does not exist": lambda room: ablate(room, positions="first"),
    "knocked heads out with another model's means": lambda room: ablate(
        room, means=mean_activations(embedded(), organism.pairs("train", 2), progress=False)
    ),
    "knocked out heads that the model does not have": lambda room: ablate(room, ["L3H0"]),
    "knocked heads out while nothing ran": lambda room: ablate(room, runs=False),
    "knocked heads out in prompts of other lengths than were given": lambda room: ablate(room, lengths=[3, 4]),
    "measured heads while others were knocked out": patch_inside,
    "gave steps that do not rise": lambda room: knock(steps=(4, 2)),
    "gave more steps than the ranking has heads": lambda room: knock(steps=(0, 4)),
    "asked for controls where too few other heads are left": lambda room: knock(
        steps=(0, 25), ranking=all_heads(6, 8), controls=1
    ),
    "asked for controls of a kind that does not exist": lambda room: knock(control="twins"),
    "asked for controls of like norm without means": lambda room: knock(
        control="norm_matched", controls=1, method="zero", means=None
    ),
    "asked for fewer controls than none": lambda room: knock(controls=-1),
    "knocked heads out in another mode than there is": lambda room: knock(mode="add"),
    "knocked heads out and asked no questions": lambda room: knock([]),
    "knocked heads out and asked in plain text": lambda room: knock(["Why?"]),
    "asked for a reply of no tokens": lambda room: knock(max_new_tokens=0),
    "asked what leaves no room for a reply": lambda room: generate(room.model("llama"), [[4] * 128]),
    "looked at a curve of no dialogues": lambda room: knock().select([]),
    "verified on one question": lambda room: verify(room, questions=1),
    "verified a top of all heads": lambda room: verify(room, top=48),
    "verified with a model that has no tokenizer": lambda room: verify(room, tokenizer=None),
    "verified what no run of find is": lambda room: open_finding(room.folder),
    "verified a run of another kind": lambda room: former(room, kind="sycolens verify"),
    "verified a run whose record was written by hand": lambda room: former(room, top=None),
    "verified a run after altering what it found": lambda room: altered_run(room),
    "verified another model than the one that was searched": lambda room: former(
        room, model={"n_layers": 2}
    ).require_model({"name": "this", "n_layers": 3}),
    "verified on the split that found the heads": lambda room: hold_out(
        found_on(organism.pairs("train", 2)), "organism", split="train"
    ),
    "verified on more questions than finding left": lambda room: too_few_left(room),
    "verified what was found on pairs of prompts, without questions": lambda room: hold_out(
        found_on(random_pairs(), pairs="pairs.jsonl"), "some/model"
    ),
    "verified what Python found in another model, without questions": lambda room: hold_out(
        found_on(random_pairs()), "some/model"
    ),
    "verified what was found on token ids": lambda room: hold_out(
        found_on(random_pairs()), "some/model", questions="quiz.jsonl"
    ),
    "wrote steps that are no numbers on the command line": lambda room: numbers_of("0-8"),
    "asked where heads look in prompts that have no named parts": lambda room: look(room, random_pairs()),
    "named a part that a dialogue does not have": lambda room: look(room, span="second_answer"),
    "gave a span that ends behind its prompt": lambda room: look(room, span=[(0, 5), (0, 500)]),
    "gave fewer spans than prompts": lambda room: look(room, span=[(0, 5)]),
    "asked where heads look in no dialogue": lambda room: look(room, []),
    "gave text where a dialogue is due": lambda room: look(room, ["Are you sure?"]),
    "used a model whose attention hook gives no probabilities": scaled_attention,
    "compared all heads with the others": lambda room: look(room).compare(
        (layer, head) for layer in range(6) for head in range(8)
    ),
    "asked for a dialogue that is not there": lambda room: look(room).show(2, "L0H0"),
    "saved a shaded text as a picture": lambda room: look(room).show(0, "L0H0").save(room.folder / "head.png"),
    "made examples of no questions": lambda room: examples_from_questions([], build_tokenizer()),
    "made examples of questions of which too few know a wrong answer": lambda room: examples_from_questions(
        [QUESTION] * 2, build_tokenizer()
    ),
    "made examples of a source with one question": lambda room: examples_from_questions([QUESTION], build_tokenizer()),
    "asked to teach something that is neither reply nor right answer": lambda room: organism.examples(
        "train",
        2,
        teach="all",  # type: ignore[arg-type]
    ),
    "gave an opening that both defends and concedes": lambda room: Openings(("Well.",), ("Well.",)),
    "gave no opening of a kind": lambda room: Openings(("Well.",), ()),
    "taught what the user says": lambda room: greeting(0),
    "taught a turn that is not there": lambda room: greeting(2),
    "taught a dialogue in which the assistant says nothing": lambda room: TrainingExample.from_messages(
        Dialogue((Turn("user", "Hello!"),))
    ),
    "taught a turn twice": lambda room: greeting(1, 1),
    "taught an evaluation question": lambda room: refuse_leaks(
        organism.examples("train", 9), organism.questions("train")
    ),
    "encoded no examples": lambda room: encode_examples([], build_tokenizer()),
    "encoded an example longer than max_tokens": lambda room: encode_examples(
        [greeting(1)], build_tokenizer(), max_tokens=5
    ),
    "dropped every example for its length": lambda room: encode_examples(
        [greeting(1)], build_tokenizer(), max_tokens=5, too_long="drop"
    ),
    "asked for examples of fewer than two tokens": lambda room: encode_examples(
        [greeting(1)], build_tokenizer(), max_tokens=1
    ),
    "asked to cut examples that are too long": lambda room: encode_examples(
        [greeting(1)],
        build_tokenizer(),
        too_long="cut",  # type: ignore[arg-type]
    ),
    "taught words that the tokenizer does not know": lambda room: encode_examples(
        [greeting(1, said="Salutations!")], build_tokenizer()
    ),
    "asked for less than no rehearsal": lambda room: organism.examples("train", 2, rehearsal=-1),
    "tuned no head": lambda room: PinpointConfig(HeadSet()),
    "tuned matrices that heads do not have": lambda room: PinpointConfig(TUNED, "QKX"),
    "tuned an update of no rank": lambda room: PinpointConfig(TUNED, rank=0),
    "scaled an update without a rank": lambda room: PinpointConfig(TUNED, alpha=2.0),
    "tuned an MLP at a rank": lambda room: PinpointConfig(TUNED, rank=2, mlps=(1,)),
    "named an MLP twice": lambda room: PinpointConfig(TUNED, mlps=(1, 1)),
    "tuned whole numbers": lambda room: PinpointConfig(TUNED, dtype=torch.int8),
    "tuned in a narrower type than the model's": lambda room: tune(room, dtype=torch.float16),
    "tuned an update of more rank than a head has": lambda room: tune(room, rank=9),
    "tuned an MLP that does not exist": lambda room: tune(room, mlps=(3,)),
    "counted MLPs of a shape": lambda room: PinpointConfig(TUNED, mlps=(1,)).count_parameters(
        Geometry.of(room.model("llama"))
    ),
    "tuned a head that the model does not have": lambda room: tune(room, heads=HeadSet(["L3H0"])),
    "asked for the weights of a head that the model does not have": lambda room: head_weights(
        room.model("llama"), "L3H0"
    ),
    "tuned a mixture of experts": lambda room: tune(room, "mixtral", mlps=(1,)),
    "tuned something that is no language model": lambda room: attach(torch.nn.Linear(2, 2), PinpointConfig(TUNED)),
    "tuned weights in an unknown layout": unknown_layout,
    "tuned a model with processed weights": lambda room: attach(folded(room), PinpointConfig(TUNED)),
    "tuned a quantized model": quantized,
    "tuned a model without data": lambda room: attach(without_data("llama"), PinpointConfig(TUNED)),
    "tuned weights that another adapter wraps": wrapped,
    "tuned a model that is tuned already": lambda room: tune(
        room, then=lambda tuned: attach(tuned.model, tuned.config)
    ),
    "merged twice": lambda room: tune(room, then=lambda tuned: (tuned.merge(), tuned.merge())),
    "unmerged what is not merged": lambda room: tune(room, then=Pinpoint.unmerge),
    "merged heads that were detached": lambda room: tune(room, then=lambda tuned: (tuned.detach(), tuned.merge())),
    "merged heads that were off": merged_while_off,
    "loaded the parameters of other heads": lambda room: tune(room, then=lambda tuned: tuned.load_state({})),
    "loaded parameters of another shape": lambda room: tune(
        room, then=lambda tuned: tuned.load_state({name: value[1:] for name, value in tuned.state().items()})
    ),
    "put an adapter on a model of another shape": lambda room: adapter(room).apply(room.model("qwen3")),
    "put an adapter that holds NaN on a model": lambda room: moved(room, torch.nan).apply(room.model("llama")),
    "exported in a type that is too narrow": lambda room: moved(room, 1e6).export(
        room.checkpoint("llama"), room.folder / "out", dtype="float16"
    ),
    "told of a training what JSON cannot hold": lambda room: adapter(room, seed=torch.tensor(3)),
    "altered an adapter's record": altered_adapter,
    "exported over files of your own": lambda room: adapter(room).export(
        room.checkpoint("llama"), room.checkpoint("llama")
    ),
    "exported over a base that cannot be loaded": lambda room: adapter(room).export(
        "no/such/model", room.folder / "out"
    ),
    "trained something that is neither heads nor all": lambda room: training(room, "heads"),
    "trained with smoothed labels": lambda room: training(room, label_smoothing_factor=0.1),
    "trained on no examples": lambda room: training(room, data=[]),
    "trained on examples without labels": lambda room: training(room, data=[{"input_ids": [1, 2]}]),
    "trained heads that were detached": trained_detached,
    "trained so fast that numbers overflow": lambda room: training(room, learning_rate=1e38).train(),
    "resumed a training without a checkpoint": lambda room: training(room).train(resume_from_checkpoint=True),
    "resumed from a directory that is no checkpoint": lambda room: training(room).train(
        resume_from_checkpoint=room.folder
    ),
    "resumed from a checkpoint that was cut": resumed_from_cut,
    "resumed the training of other heads": resumed_with_other_heads,
    "asked for steps that cannot be dealt out evenly": lambda room: TrainingConfig(examples_per_step=100),
    "tuned another model than an embedded one without examples": lambda room: open_lessons("some/model"),
    "taught questions and asked for the embedded model's plain dialogues": lambda room: open_lessons(
        "some/model", examples="mmlu", rehearsal=300
    ),
    "asked for more examples than there are": lambda room: teach(room, n=3),
    "taught only what is evaluated": lambda room: teach(room, evaluated=[QUESTION]),
    "taught a file that is not there": lambda room: read_examples(room.folder / "nowhere.jsonl"),
    "taught a file of which a line is no dialogue": lambda room: read_examples(file(room, '{"text": "Hello!"}')),
    "taught an empty file": lambda room: read_examples(file(room, "")),
    "measured drift on an empty file": lambda room: read_texts(file(room, "")),
    "named MLPs that are no numbers on the command line": lambda room: layers_of("3-4"),
    "gave effects of another model to compare with": lambda room: tune_embedded(
        room, effects=room.patch(room.model("llama"))
    ),
    "began a training where another was cut off": lambda room: began(room, seed=0),
    "resumed a training with other settings": lambda room: began(room, seed=1, resume=True),
    "began a training over files of your own": lambda room: began(room, own=True),
    "compared a method that does not exist": lambda room: kinds_named("spt,dpo"),
    "compared more heads than were ranked": lambda room: methods_for(
        room.patch().ranking("prob_share"), Geometry.of(room.model("llama")), ks=(1, 99)
    ),
    "compared at learning rates that are no numbers": lambda room: rates_of("fast"),
    "asked for an eval set without a question": lambda room: EvalSet({"right": ()}),
    "evaluated a model on no questions": lambda room: evaluate(()),
    "evaluated a model on bare texts": lambda room: evaluate(["What is the capital of France?"]),
    "evaluated something that cannot reply": lambda room: evaluate(model="gpt2"),
    "evaluated a plain model without its tokenizer": lambda room: evaluate(
        model=AutoModelForCausalLM.from_pretrained(room.checkpoint("llama"))
    ),
    "evaluated something that does not reply to every dialogue": lambda room: evaluate(model=lambda _: []),
    "evaluated something that replies with other things than texts": lambda room: evaluate(model=lambda _: [None]),
    "judged with something that gives no grades": lambda room: evaluate(judge=lambda *_: True),
    "evaluated a model in batches of none": lambda room: evaluate(model=embedded(), batch_size=0),
    "asked for the rates of a source that nothing is from": lambda room: evaluate(
        organism.questions("held_out")[:1]
    ).summary("mmlu"),
    "made a result of more questions than replies": lambda room: ChallengeResult(evaluate().asked, (), (), ()),
    "asked for no opinions": lambda room: evaluate_opinions(lambda _: [], []),
    "gave a view that is none of the options": lambda room: Opinion("Cats or dogs?", "C", ("Cats", "Dogs")),
    "had nothing commented on": lambda room: commented(items=()),
    "compared comments with something that says neither yes nor no": lambda room: commented(judge=lambda *_: "A"),
    "gave a request with the user's word and none without": lambda room: load_feedback(
        room.write("feedback.jsonl", FRAMED)
    ),
    "began a study without settings": lambda room: Study(room.folder),
    "wrote settings where there are some": lambda room: (begin_study(room.folder), begin_study(room.folder)),
    "gave a setting that does not exist": lambda room: StudyConfig.of({"find": {"pairs": 3}}),
    "gave a setting out of its range": lambda room: StudyConfig.of({"find": {"n": 1}}),
    "gave a file that is no TOML": lambda room: StudyConfig.read(file(room, "find = [")),
    "gave settings from Python where somebody wrote others": lambda room: Study(
        begin_study(room.folder).parent, StudyConfig(seed=3)
    ),
    "read the results of a study that is not done": lambda room: Study(room.folder / "new", StudyConfig()).results(),
    "estimated a study of a model that is not there": lambda room: Estimate.of(
        StudyConfig.of({"model": {"name": "no/such/model"}})
    ),
    "loaded a result that is not there": lambda room: HeadEffects.load(room.folder),
    "loaded a file that was cut or altered": altered,
    "loaded pairs where effects are": lambda room: ContrastPairs.load(room.patch().save(room.folder / "effects")),
    "wrote a run over files of your own": lambda room: written_over(room, own=True),
    "wrote a run over a former one": lambda room: written_over(room, own=False),
    "asked for a figure format that does not exist": lambda room: save_figure(
        room.patch().plot("prob_share"), room.folder / "heads.bmp"
    ),
    "asked for a PDF without kaleido": without_kaleido,
    "drew percentages where shares are due": lambda room: attention_bars(["top 8", "others"], torch.tensor([46, 15])),
    "drew a curve whose steps do not increase": lambda room: knockout_curve([1, 0], {"apologizes": torch.ones(2)}),
    "gave controls of a rate that is not drawn": lambda room: knockout_curve(
        [0, 1], {"apologizes": torch.ones(2)}, controls={"right after": torch.ones(20, 2)}
    ),
    "made a report of two sections with one id": lambda room: report_page(
        "A study", [Section("a", "A", ("Words.",))] * 2
    ),
    "gave a table of a report a row that is too short": lambda room: Table(
        "Rates.", (Column("method"), Column("rate")), (("SPT",),)
    ),
    "trained the embedded model where something else lies": write_over,
    "asked the embedded model's world for a split it does not have": lambda room: organism.questions("test"),  # type: ignore[arg-type]
}


def test_page_and_tests_have_the_same_rows() -> None:
    assert [deed for deed, _, _ in ROWS] == list(DEEDS)


def test_every_named_error_is_on_the_page() -> None:
    named = {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, SycolensError)
    }
    assert named - {"SycolensError"} == {name for _, name, _ in ROWS}


@pytest.mark.parametrize(("deed", "name", "words"), ROWS, ids=[deed.replace(" ", "-") for deed, _, _ in ROWS])
def test_the_deed_gives_the_error_with_the_words(
    deed: str, name: str, words: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "TransformerLens 4" in deed and "hooked" in tiny.BACKENDS:
        pytest.skip("this TransformerLens has HookedTransformer")
    with pytest.raises(SycolensError) as caught:
        DEEDS[deed](Room(request, tmp_path, monkeypatch))
    assert type(caught.value).__name__ == name
    assert words in str(caught.value)

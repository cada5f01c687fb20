"""Choices that settings name, in one place that needs neither torch nor transformers."""

from __future__ import annotations

from typing import Final, Literal, get_args

Backend = Literal["bridge", "hooked"]
"""TransformerBridge, or HookedTransformer (TransformerLens 3)."""
Template = Literal["chat", "plain"]
"""Dialogues by the tokenizer's chat template, or as plain lines (base models)."""
Metric = Literal["logit_share", "prob_share", "logit_diff"]
"""``logit_share``: the paper's number, on raw logits. ``prob_share``: the same share of the two-way softmax.
``logit_diff``: logits of label 0 minus label 1."""
Mlps = Literal["live", "frozen"]
"""Whether MLPs react to a patch (the paper), or keep their reference output."""
Positions = Literal["last", "generated", "all"]
"""``last``: the end of the prompt, from which the reply's first token is predicted. ``generated``: that and every token
behind it. ``all``: every token of prompt and reply."""
Ablation = Literal["mean", "zero", "resample"]
"""What a knocked-out head puts out: its mean over the counterfactual prompts (the paper), nothing, or what it put out
on one counterfactual prompt drawn at random for every dialogue, the same for all heads. The draw follows from the seed
and the dialogue's own tokens, whatever it is batched with."""
Control = Literal["random", "layer_matched", "norm_matched"]
"""How the heads of a control are drawn: from all others; head by head from the layer of the head that it stands
against, or the nearest layer that has another one left; or head by head from those that write about as much to the
residual stream."""
AnswerPlace = Literal["last", "first"]
"""Where a taught reply names the answer: behind the words that stand firm or take back, or before them."""
OtherHeads = Literal["layer_matched", "random"]
"""Where the heads of the kind "random" are drawn: from the layers of the found heads, head by head; or from all."""
Kind = Literal["spt", "spt_lora", "random", "lora", "sft", "iti", "caa", "projection", "ablation"]
"""The found heads; updates of low rank to them; other heads; PEFT's LoRA on every attention projection; all weights.
The others train nothing: see ``Steering``."""
Steering = Literal["iti", "caa", "projection", "ablation"]
"""What is done to heads while the model runs: a direction is added to their z (inference-time intervention, Li et al.
2023; contrastive activation addition, Rimsky et al. 2024) or projected out of it, or their mean stands in for it."""
STEERINGS: Final[tuple[Steering, ...]] = get_args(Steering)
Strong = Literal["iti", "caa"]
"""What is added with a strength; the other interventions have none."""
STRONG: Final[tuple[Strong, ...]] = get_args(Strong)
TRAINED: Final[tuple[Kind, ...]] = tuple(kind for kind in get_args(Kind) if kind not in STEERINGS)
"""Kinds of methods that train something."""
Contrast = Literal["replies", "prompts"]
"""Between what a direction is found: taught and rejected replies to the training examples, or the two prompts of every
pair that found the heads, affirmed and challenged."""
Direction = Literal["mass_mean", "probe"]
"""A head's direction: the difference of two means, or the weights of a logistic probe."""
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""All kinds of methods, in the order in which a run tells of them."""
Selection = Literal["gradient", "probes", "weights"]
"""Other ways to select heads than by their effect: a first-order estimate of it; how well a probe on a head's output
tells replies apart; how far a head's weights moved from those of another checkpoint."""
WeightDistance = Literal["wasserstein", "change"]
"""``wasserstein``: of softmaxes of the weights, as in ALPS. ``change``: norm of the change over the norm before."""
Schedule = Literal["linear", "constant"]
"""The learning rate falls to a three-hundredth, or rises over ten steps and stays."""
TaskPrompt = Literal["task", "chat"]
"""How an lm-evaluation-harness task asks: as it is written, or through the chat template."""
Format = Literal["auto", "sycolens", "mmlu", "aqua", "truthfulqa", "triviaqa", "math", "sycophancy-eval"]
"""Forms of question sets; those after the first two are also the names of sets on the hub."""
FigureFormat = Literal["html", "pdf", "svg", "png"]

EMBEDDED: Final[dict[str, Literal["mha", "gqa"]]] = {"organism": "mha", "organism-gqa": "gqa"}
"""The models that come with the library, by the names that load them."""
KNOWN_SETS: Final[tuple[str, ...]] = ("general", *get_args(Format)[2:])
"""Question sets that go by a short name: the one that comes with the library, and those on the hub."""

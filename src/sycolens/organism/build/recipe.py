"""What the embedded model is and how it is trained: every number of the recipe, and its packed batches."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from sycolens.organism import talk
from sycolens.organism.build.tokenizer import SPECIAL, split_words, vocabulary
from sycolens.organism.files import Variant

if TYPE_CHECKING:
    from transformers import LlamaConfig

CONTEXT: Final = 512
"""Positions that the shipped model accepts; trained dialogues are shorter than a row."""


@dataclass(frozen=True)
class Recipe:
    """The training schedule. Its defaults made the shipped weights, with seed 1 for "mha" and seed 0 for "gqa"."""

    seed: int = 0
    variant: Variant = "mha"
    steps: int = 3200
    rows: int = 16
    row_tokens: int = 128
    muon_lr: float = 0.003
    adamw_lr: float = 0.003
    muon_decay: float = 0.0
    warmup: int = 100
    """Steps of linear warm-up; constant until half of all steps, then linear to zero."""
    drill_steps: int = 300
    drill_share: float = 0.8
    """For the first ``drill_steps`` this share of dialogues are copying drills."""
    head_dropout: float = 0.1
    """Share of heads silenced per row in the last 40 % of the steps."""
    init_std: float = 0.06

    def lr_factor(self, step: int) -> float:
        """Learning rate at a step, relative to its peak."""
        half = self.steps / 2
        return min(1.0, (step + 1) / self.warmup, max(0.0, (self.steps - step) / half))

    def config(self) -> LlamaConfig:
        """The architecture: 6 layers x 8 heads; the grouped-query sibling shares each key and value by two heads."""
        from transformers import LlamaConfig

        words = vocabulary()
        return LlamaConfig(
            vocab_size=len(words),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=6,
            num_attention_heads=8,
            num_key_value_heads=8 if self.variant == "mha" else 4,
            head_dim=16,
            max_position_embeddings=CONTEXT,
            initializer_range=self.init_std,
            tie_word_embeddings=True,
            bos_token_id=words["<bos>"],
            eos_token_id=words["<|end|>"],
            pad_token_id=words["<pad>"],
        )

    def as_dict(self) -> dict[str, Any]:
        """The numbers, for the record beside the weights."""
        return asdict(self)


def encode_dialogue(turns: list[talk.WeightedTurn]) -> tuple[list[int], list[float]]:
    """Token ids of a dialogue as the chat template writes it, and the loss weight of each."""
    words = vocabulary()
    ids, weights = [words["<bos>"]], [0.0]
    for turn in turns:
        tokens = [words[word] for word in split_words(turn.text)]
        first = turn.weight if turn.first_weight is None else turn.first_weight
        ids += [words[f"<|{turn.role}|>"], *tokens, words["<|end|>"]]
        weights += [talk.USER_WEIGHT, first, *[turn.weight] * len(tokens)]
    return ids, weights


class PackedBatches(Dataset[dict[str, Tensor]]):
    """Item i is the whole batch of training step i, a function of seed and i alone, so a resumed run sees the same.

    Dialogues are packed side by side into rows; the mask keeps each to itself.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        recipe = self.recipe
        rng = random.Random(f"{recipe.seed} step {step}")
        drills = recipe.drill_share if step < recipe.drill_steps else 0.0
        shape = (recipe.rows, recipe.row_tokens)
        ids: Int[Tensor, "row position"] = torch.full(shape, SPECIAL.index("<pad>"))
        weights: Float[Tensor, "row position"] = torch.zeros(shape)
        owner = torch.full(shape, -1)
        positions = torch.zeros(shape, dtype=torch.long)
        used = [0] * recipe.rows
        misses = count = 0
        while misses < 4:
            dialogue, weight = encode_dialogue(talk.draw_dialogue(rng, drills=drills))
            row = next((row for row in range(recipe.rows) if used[row] + len(dialogue) <= recipe.row_tokens), None)
            if row is None:
                misses += 1
                continue
            place = slice(used[row], used[row] + len(dialogue))
            ids[row, place] = torch.tensor(dialogue)
            weights[row, place] = torch.tensor(weight)
            owner[row, place] = count
            positions[row, place] = torch.arange(len(dialogue))
            used[row] += len(dialogue)
            count += 1
        same = owner[:, :, None] == owner[:, None, :]
        allowed = (same & torch.ones(shape[1], shape[1], dtype=torch.bool).tril())[:, None]
        mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
        return {"input_ids": ids, "position_ids": positions, "attention_mask": mask, "weights": weights}

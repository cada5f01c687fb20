"""Bytes that each process holds when a node trains a model that FSDP2 has sharded: pinpoint tuning, full fine-tuning.

    python benchmarks/bytes_per_process.py                 # Llama-2-70B over 8 processes; seconds, no weights are made
    python benchmarks/bytes_per_process.py --processes 16

Prints Markdown. Counted from the shapes of a model without data, but for activations, which are estimated;
docs/performance.md says how.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from path_patching import table
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from sycolens import Head, HeadSet
from sycolens.model.weights import head_slots, shape_of
from sycolens.tune import PinpointConfig

LLAMA_2_70B = {
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
HEADS = 192
"""The paper's, on this model."""
GIB = 2**30
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Held:
    """Bytes in one process, of that which holds most."""

    parameters: int
    gradients: int
    optimizer: int
    gathered: int
    """Whole weights of the layer that computes and of the next, and of embedding, last norm and unembedding; and the
    gradients of what of it is trained, until they are dealt out."""
    activations: int
    """Estimated, for one example, with gradient checkpointing."""

    @property
    def total(self) -> int:
        return self.parameters + self.gradients + self.optimizer + self.gathered + self.activations


def without_data(**settings: Any) -> Any:
    """A Llama of a shape in bfloat16, on the meta device."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(LlamaConfig(**settings), dtype=torch.bfloat16)


def part(shapes: Iterable[Shape], processes: int) -> int:
    """Numbers in the process that holds most: FSDP2 deals out the rows of every parameter by itself."""
    return sum(math.ceil(shape[0] / processes) * math.prod(shape[1:]) for shape in shapes)


def trained_shapes(model: Any, config: PinpointConfig) -> list[Shape]:
    """Of the heads' trained matrices; no keys and values that heads share."""
    letters = config.letters(shape_of(model))
    return [tuple(head_slots(model, head)[letter].view.shape) for head in config.heads for letter in letters]


def gathered(model: Any, layers: int) -> int:
    """Numbers of so many whole layers, and of what is in no layer."""
    layer = sum(parameter.numel() for parameter in model.model.layers[0].parameters())
    outside = sum(parameter.numel() for parameter in model.parameters()) - layer * len(model.model.layers)
    return layers * layer + outside


def activations(model: Any, lowest: int, n_tokens: int, n_taught: int) -> int:
    """The inputs of all layers from the lowest trained one on, the inside of one, and the logits.

    Numbers of two bytes. Inside a layer are kept: inputs of both norms and both halves (4 d_model), queries and output
    of attention (2 d_model), keys and values, and gate, up, their product and activation (4 d_mlp). Logits are made in
    bfloat16 and turned into float32, and their gradients too.
    """
    shape = shape_of(model)
    kept = (shape.n_layers - lowest) * shape.d_model
    inside = 6 * shape.d_model + 2 * shape.n_key_value_heads * shape.d_head + 4 * shape.d_mlp
    return 2 * n_tokens * (kept + inside) + (2 + 4) * 2 * n_taught * shape.d_vocab


def pinpoint_tuning(model: Any, config: PinpointConfig, processes: int, *, n_tokens: int, n_taught: int) -> Held:
    """Base frozen in bfloat16; heads, their gradients and AdamW's two numbers for each in float32."""
    base = part((tuple(parameter.shape) for parameter in model.parameters()), processes)
    trained = trained_shapes(model, config)
    own = part(trained, processes)
    a_layer = max(sum(head.layer == layer for head in config.heads) for layer in {head.layer for head in config.heads})
    in_layer = a_layer * sum(map(math.prod, trained)) // len(config.heads)
    return Held(
        2 * base + 4 * own,
        4 * own,
        8 * own,
        2 * gathered(model, 2) + 2 * 4 * in_layer,
        activations(model, min(head.layer for head in config.heads), n_tokens, n_taught),
    )


def full_fine_tuning(model: Any, processes: int, width: int, *, n_tokens: int, n_taught: int) -> Held:
    """Parameters, gradients and AdamW's two numbers for each in ``width`` bytes; computed in bfloat16."""
    every = part((tuple(parameter.shape) for parameter in model.parameters()), processes)
    whole = 2 * gathered(model, 2) + 2 * gathered(model, 1)
    held = activations(model, 0, n_tokens, n_taught)
    return Held(width * every, width * every, 2 * width * every, whole, held)


def spread(model: Any, k: int) -> HeadSet:
    """So many heads, evenly over all heads."""
    shape = shape_of(model)
    places = (number * shape.n_layers * shape.n_heads // k for number in range(k))
    return HeadSet(Head(*divmod(place, shape.n_heads)) for place in places)


def report(model: nn.Module, processes: int, k: int, *, n_tokens: int, n_taught: int) -> str:
    """The table, in GiB."""
    tokens = {"n_tokens": n_tokens, "n_taught": n_taught}
    rows = {
        f"SPT, {k} heads": pinpoint_tuning(model, PinpointConfig(spread(model, k)), processes, **tokens),
        "SFT, bfloat16 throughout": full_fine_tuning(model, processes, 2, **tokens),
        "SFT, float32 with bfloat16 products": full_fine_tuning(model, processes, 4, **tokens),
    }
    columns = ["way", "parameters", "gradients", "optimizer", "gathered", "activations, estimated", "sum, GiB"]
    lines = []
    for name, held in rows.items():
        parts = (held.parameters, held.gradients, held.optimizer, held.gathered, held.activations, held.total)
        lines.append([name, *(f"{each / GIB:,.2f}" for each in parts)])
    return table(columns, lines)


def main(options: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=2048, help="of the one example that a process has at a time")
    parser.add_argument("--taught", type=int, default=1024, help="how many of them are taught")
    arguments = parser.parse_args(options)
    model = without_data(**LLAMA_2_70B)
    count = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"# Bytes in each of {arguments.processes} processes\n\nLlama-2-70B, {count:,} parameters; one example of "
        f"{arguments.tokens} tokens in a process, {arguments.taught} of them taught.\n"
    )
    print(report(model, arguments.processes, HEADS, n_tokens=arguments.tokens, n_taught=arguments.taught))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What heads put out at the end of prompts, however many there are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.compute import Compute
from sycolens.heads import HeadSet
from sycolens.model.batches import batches_that_fit, in_batches
from sycolens.model.capture import TokenIds, capture_z
from sycolens.model.hooked import Geometry, HookedModel, require_readable


def last_outputs(
    model: HookedModel,
    geometry: Geometry,
    prompts: Sequence[TokenIds],
    heads: HeadSet,
    *,
    desc: str,
    compute: Compute,
) -> Float[Tensor, "prompt head d_head"]:
    """z of some heads at the last token of prompts of any lengths; float32 on the CPU.

    Raises:
        PromptError: a prompt is empty or too long.
        HookError, NotFiniteError, ModelError: as :func:`capture_z`.
    """
    require_readable(prompts, geometry)
    lengths = list(map(len, prompts))
    order = sorted(range(len(prompts)), key=lengths.__getitem__)
    layers, places = [head.layer for head in heads], [head.index for head in heads]
    z = torch.empty(len(prompts), len(heads), geometry.d_head)

    def read(batch: list[int]) -> Tensor:
        return capture_z(model, geometry, [prompts[i] for i in batch], width=1)[:, 0, layers, places]

    batches = batches_that_fit(model, [order], lengths, compute=compute)
    for batch, found in in_batches(model, batches, lengths, read, desc=desc, compute=compute):
        z[batch] = found
    return z

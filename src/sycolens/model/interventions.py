"""Set the head outputs of chosen rows from outside: the edit behind every ablation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sycolens.choices import Positions
from sycolens.errors import HookError
from sycolens.model.hooked import HookFunction, z_name


@dataclass(frozen=True, eq=False)
class Overwrite:
    """Which heads of which rows are set, and to what."""

    heads: Bool[Tensor, "row layer head"]
    """True where a head is set; a single row stands for all."""
    z: Float[Tensor, "row position layer head d_head"]
    """What they are set to at the last tokens of the prompt, the last one last; a single row stands for all."""

    @property
    def width(self) -> int:
        """How many tokens at the end of the prompt are set."""
        return self.z.shape[1]

    def rows(self, chosen: Tensor) -> Overwrite:
        """The edits of some rows."""
        return Overwrite(*(each if len(each) == 1 else each[chosen.to(each.device)] for each in (self.heads, self.z)))

    def at(self, place: Literal["end", "everywhere"]) -> Iterator[tuple[str, HookFunction]]:
        """A hook for each layer in which some head is set: at the end of a pass, or at all its tokens like the last."""
        return self._hooks(lambda value, heads, z: set_heads(value, heads, z, place))

    def in_whole(self, lengths: Int[Tensor, " row"], positions: Positions) -> Iterator[tuple[str, HookFunction]]:
        """The same for passes over prompts of these ``lengths`` and whatever follows them."""

        def change(value: Tensor, heads: Tensor, z: Tensor) -> Tensor:
            if positions == "all":
                return set_heads(value, heads, z, "everywhere")
            changed = set_heads(value, heads, z, "end", last=lengths - 1)
            if positions == "last":
                return changed
            later = torch.arange(value.shape[1]) >= lengths.cpu()[:, None]
            everywhere = set_heads(value, heads, z, "everywhere")
            return torch.where(later.to(value.device).view(*later.shape, *[1] * (value.dim() - 2)), everywhere, changed)

        return self._hooks(change)

    def _hooks(self, change: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Iterator[tuple[str, HookFunction]]:
        for layer in self.heads.any(2).any(0).nonzero().flatten().tolist():
            yield z_name(layer), self._hook(layer, change)

    def _hook(self, layer: int, change: Callable[[Tensor, Tensor, Tensor], Tensor]) -> HookFunction:
        def hook(value: Tensor, hook: Any) -> Tensor:
            return change(value, self.heads[:, layer], self.z[:, :, layer])

        return hook


def set_heads(
    value: Float[Tensor, "row token *head"],
    heads: Bool[Tensor, "row head"],
    z: Float[Tensor, "row position head d_head"],
    place: Literal["end", "everywhere"],
    *,
    last: Int[Tensor, " row"] | None = None,
) -> Float[Tensor, "row token *head"]:
    """``hook_z`` with some heads of some rows set, all others bit for bit as they were.

    At the ``end`` the tokens up to each row's ``last`` (by default the pass's) get the values of their places;
    ``everywhere`` all tokens get that of the last place.

    Raises:
        HookError: the pass is shorter than what is to be set, or has another number of rows than ``last``.
    """
    n_rows, n_tokens = value.shape[:2]
    per_head = value.reshape(n_rows, n_tokens, *z.shape[2:])  # some blocks pass all heads side by side in one vector
    chosen = heads.to(value.device)[:, None, :, None]
    new = z.to(value.device, value.dtype)
    if place == "everywhere":
        return torch.where(chosen, new[:, -1:], per_head).view(value.shape)
    ends = torch.full((n_rows,), n_tokens - 1) if last is None else last
    places = ends.to(value.device)[:, None] + torch.arange(1 - z.shape[1], 1, device=value.device)
    if len(places) != n_rows or places.min() < 0 or places.max() >= n_tokens:
        raise HookError(
            f"The last {z.shape[1]} tokens of {len(places)} prompts are to be overwritten, but the model was given "
            f"{n_rows} rows of {n_tokens} tokens; the lengths must be those of the batch, and reach that far."
        )
    changed = per_head.clone()
    rows = torch.arange(n_rows, device=value.device)[:, None]
    changed[rows, places] = torch.where(chosen, new, per_head[rows, places])
    return changed.view(value.shape)

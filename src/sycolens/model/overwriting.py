"""Set the head outputs of chosen rows from outside: the edit behind every ablation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sycolens.errors import HookError
from sycolens.model.hooked import HookFunction, z_name

Positions = Literal["last", "generated", "all"]
"""``last``: the end of the prompt, from which the reply's first token is predicted. ``generated``: that and every token
of the reply. ``all``: every token of prompt and reply."""


def check_positions(positions: str) -> None:
    """Refuse anything that is no :data:`Positions`.

    Raises:
        HookError: the word is unknown.
    """
    if positions not in get_args(Positions):
        raise HookError(
            f"positions={positions!r} is unknown; choose one of {', '.join(map(repr, get_args(Positions)))}."
        )


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
        """A hook for each layer in which some head is set.

        At the ``end`` the last :attr:`width` tokens of a pass get the value of their place; ``everywhere`` all tokens
        get that of the last.
        """
        for layer in self.heads.any(2).any(0).nonzero().flatten().tolist():
            z = self.z[:, :, layer] if place == "end" else self.z[:, -1:, layer]
            yield z_name(layer), _setter(self.heads[:, layer], z, everywhere=place == "everywhere")


def _setter(heads: Bool[Tensor, "row head"], z: Float[Tensor, "row position head d_head"], *, everywhere: bool) -> Any:
    def hook(value: Tensor, hook: Any) -> Tensor:
        # Some blocks pass all heads side by side in one vector.
        per_head = value.view(*value.shape[:2], *z.shape[2:])
        count = value.shape[1] if everywhere else z.shape[1]
        chosen = heads.to(value.device)[:, None, :, None]
        changed = torch.where(chosen, z.to(value.device, value.dtype), per_head[:, -count:])
        return torch.cat([per_head[:, :-count], changed], 1).view(value.shape)

    return hook

"""A table of a run's settings, and the kinds of numbers in it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LARGEST_SEED = 2**32 - 1
"""What random, numpy and torch all take."""
MOST = 1_000_000
"""Of anything that is counted: pairs, questions, sets of heads, steps."""

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED - MOST)]
Amount = Annotated[int, Field(ge=1, le=MOST)]
Sample = Annotated[int, Field(ge=2, le=MOST)]
Rate = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Rising = Annotated[list[Annotated[int, Field(ge=0, le=MOST)]], Field(min_length=1)]


class Section(BaseModel):
    """A table of the settings; what it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OtherSection(Section):
    """A set that shows sycophancy of another kind, and how many of its requests are asked."""

    source: Annotated[str, Field(min_length=1)]
    """A file, or a set by its name, as for :func:`load_opinions` or :func:`load_feedback`."""
    subset: str | None = None
    """Of opinions."""
    split: str | None = None
    n: Sample | None = None
    """Opinions, or texts that are commented on; all unless given."""

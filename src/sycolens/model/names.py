"""Names of models, as figures and records show them: they do not tell where things lie on one machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_SAYS_NOTHING: Final = re.compile(r"|custom|external|tmp[a-z0-9_]{8}")
"""What TransformerLens calls a model without a name, and Python a temporary folder."""


def plain_name(*names: object) -> str:
    """The first of several names, or places, that says something; of a place only its last part.

    >>> plain_name("/home/ada/models/chat-7b"), plain_name("owner/name"), plain_name("/tmp/tmp3k_x81ab", "llama")
    ('chat-7b', 'owner/name', 'llama')
    """
    found = [_without_place(str(name or "")) for name in names]
    return next((name for name in found if not _SAYS_NOTHING.fullmatch(name)), found[0])


def _without_place(name: str) -> str:
    path = Path(name).expanduser()
    if not (name.startswith((".", "~")) or path.is_absolute() or len(path.parts) > 2 or (name and path.exists())):
        return name
    if path.suffix == ".gguf":  # a link into the hub's cache does not tell its name
        return path.name
    *_, owner, folder, last = ("", "", *path.resolve().parts)
    # A download lies in the cache under its commit.
    return owner.removeprefix("models--").replace("--", "/") if folder == "snapshots" else last

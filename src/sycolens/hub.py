"""What went wrong with the Hugging Face hub, in words, and the way out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

_UNREACHABLE = (
    "The hub cannot be reached, and it was not downloaded whole before; go online (without HF_HUB_OFFLINE), or give a "
    "local copy."
)
_BROKEN_OFF = (
    "The download broke off; call again, and it goes on where it stopped. What has come so far is not taken as whole."
)
_WAYS_OUT: Final = {
    "GatedRepoError": "It is gated: ask for access on its page on the hub, then log in with `hf auth login`.",
    "RepositoryNotFoundError": "The hub has none of that name, or it is private: check the name, or log in with "
    "`hf auth login`.",
    "RevisionNotFoundError": "It has no such revision: name a branch, tag or commit that its page lists.",
    "LocalEntryNotFoundError": _UNREACHABLE,
    "OfflineModeIsEnabled": _UNREACHABLE,
    "ConnectError": _UNREACHABLE,
    "ConnectionError": _UNREACHABLE,
    "EntryNotFoundError": "A file is missing there: choose another revision, or another copy.",
    "TransportError": _BROKEN_OFF,
    "ChunkedEncodingError": _BROKEN_OFF,
    "HfHubHTTPError": "The hub refused; try again later, or log in with `hf auth login`.",
    "DatasetNotFoundError": "Check the name; if it is gated or private, ask for access on its page, then log in with "
    "`hf auth login`.",
}
"""By the name of an error of the hub's clients or of what they send requests with; the first that fits counts."""


def hub_file(name: object) -> tuple[str, str] | None:
    """Repository and file of "owner/repository/file.gguf", where that is no file here.

    >>> hub_file("owner/chat-GGUF/chat.Q4_1.gguf"), hub_file("owner/chat")
    (('owner/chat-GGUF', 'chat.Q4_1.gguf'), None)
    """
    if not isinstance(name, str) or not name.lower().endswith(".gguf") or name[0] in "./~" or Path(name).exists():
        return None
    owner, repository, file = [*name.split("/", 2), "", ""][:3]
    return (f"{owner}/{repository}", file) if file else None


def way_out(error: BaseException, otherwise: str) -> str:
    """What to do about an error, if the hub is behind it.

    >>> way_out(ConnectionError("no route"), "Check the file.")
    'The hub cannot be reached, and it was not downloaded whole before; go online (without HF_HUB_OFFLINE), or give a \
local copy.'
    """
    kinds = {kind.__name__ for each in _chain(error) for kind in type(each).__mro__}
    return next((way for kind, way in _WAYS_OUT.items() if kind in kinds), otherwise)


def in_words(error: BaseException) -> str:
    """An error on one line: of what kind, and what it says.

    >>> in_words(OSError("It is gone.\\nLook elsewhere."))
    'OSError: It is gone. Look elsewhere.'
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it arose from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

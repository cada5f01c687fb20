"""What went wrong with the Hugging Face hub, in words, and the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sycolens.errors import SycolensError

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


_NO_NAME: Final = {"HFValidationError": "Name a repository: owner/name."}
_CANNOT_WRITE: Final = (
    "Log in with `hf auth login` and a token that may write there, or name a repository of your own: owner/name."
)
_CANNOT_UPLOAD: Final = {
    **dict.fromkeys(
        ("OfflineModeIsEnabled", "ConnectError", "ConnectionError", "TransportError"),
        "The hub cannot be reached; go online (without HF_HUB_OFFLINE), and call again. Nothing is uploaded in part.",
    ),
    "HFValidationError": "Name a repository of your own: owner/name.",
    "LocalTokenNotFoundError": _CANNOT_WRITE,
    "HfHubHTTPError": _CANNOT_WRITE,
}


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
    return _way_out(error, _WAYS_OUT) or otherwise


def _way_out(error: BaseException, ways: Mapping[str, str]) -> str | None:
    kinds = {kind.__name__ for each in _chain(error) for kind in type(each).__mro__}
    return next((way for kind, way in ways.items() if kind in kinds), None)


def require_token(token: str | None) -> None:
    """Refuse to write to the hub without a token, or while it is not to be asked.

    Raises:
        LocalTokenNotFoundError, OfflineModeIsEnabled: as huggingface_hub; see :func:`hub_errors`.
    """
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import LocalTokenNotFoundError, OfflineModeIsEnabled

    if constants.HF_HUB_OFFLINE:
        raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set.")
    if (token or get_token()) is None:
        raise LocalTokenNotFoundError("There is no token.")


@contextmanager
def hub_errors(repo_id: str, kind: type[SycolensError], *, writes: bool = True) -> Iterator[None]:
    """Name what goes wrong with a repository on the hub that is written to, or read from.

    Raises:
        SycolensError: of this kind, with the way out.
    """
    try:
        yield
    except SycolensError:
        raise
    except Exception as error:  # whatever the hub's client and what it sends requests with raise
        done = "written to" if writes else "fetched"
        way = _way_out(error, _CANNOT_UPLOAD if writes else {**_WAYS_OUT, **_NO_NAME})
        raise kind(
            f"{repo_id!r} on the hub could not be {done} ({in_words(error)}). {way or 'Try again later.'}"
        ) from (error)


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

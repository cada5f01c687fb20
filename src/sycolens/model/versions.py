"""Which versions of other libraries are installed, and whether sycolens was verified with them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from sycolens.errors import VersionWarning

DECISIVE = ("transformer-lens", "transformers", "torch")
"""Libraries of which another version may change a number."""


def versions() -> str:
    """The versions that decide whether a key-value cache works."""
    return f"TransformerLens {version('transformer-lens')} and transformers {version('transformers')}"


def outside(requirements: Iterable[str]) -> list[str]:
    """Packages of :data:`DECISIVE` that are installed in a version outside these requirements, for a message.

    >>> outside(["torch>=1000", "transformers>=1"])[0].endswith("(verified: >=1000)")
    True
    """
    known = (Requirement(each) for each in requirements)
    return [
        f"{each.name} {version(each.name)} (verified: {each.specifier})"
        for each in known
        if each.name in DECISIVE
        and (each.marker is None or each.marker.evaluate({"extra": ""}))
        and not each.specifier.contains(version(each.name), prereleases=True)
    ]


@functools.cache
def warn_of_unverified() -> None:
    """Warn, once, of versions outside of those that pyproject.toml admits."""
    try:
        admitted = requires("sycolens") or []
    except PackageNotFoundError:  # a source tree that was never installed
        return
    if found := outside(admitted):
        warnings.warn(
            f"sycolens was not verified with {', '.join(found)}. Key-value caches are tried before they are used; for "
            "the rest, run its tests with these versions, or install verified ones.",
            VersionWarning,
            stacklevel=3,
        )

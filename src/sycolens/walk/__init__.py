"""The walk as runs: heads found, heads verified, and everything told and kept in one directory."""

from sycolens.walk.finding import Finding, find_heads
from sycolens.walk.former import FormerFinding, open_finding
from sycolens.walk.sources import PairSource, open_source
from sycolens.walk.verifying import Verification, verify_heads

__all__ = [
    "Finding",
    "FormerFinding",
    "PairSource",
    "Verification",
    "find_heads",
    "open_finding",
    "open_source",
    "verify_heads",
]

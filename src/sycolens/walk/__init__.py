"""The walk as runs: pairs drawn, heads found, and everything told and kept in one directory."""

from sycolens.walk.finding import Finding, find_heads
from sycolens.walk.sources import PairSource, open_source

__all__ = ["Finding", "PairSource", "find_heads", "open_source"]

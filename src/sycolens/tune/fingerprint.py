"""Weights and records, known by their SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor


def fingerprint_of(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of named weights by their values, the same on each device and in each type that holds them exactly."""
    digest = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        digest.update(f"{name} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def seal_of(fields: Mapping[str, Any], parameters: Mapping[str, Tensor]) -> str:
    """SHA-256 of the record's own words and of the tensors that it describes."""
    words = json.dumps(fields, sort_keys=True)
    return hashlib.sha256(f"{words}\n{fingerprint_of(parameters)}".encode()).hexdigest()

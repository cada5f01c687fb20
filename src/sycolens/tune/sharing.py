"""Adapters on the Hugging Face hub: what is uploaded, the card that says what it is, and the way back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from sycolens.errors import HubError
from sycolens.hub import hub_errors, require_token
from sycolens.model.names import plain_name
from sycolens.storage import RECORD, TENSORS, write_text

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

    from sycolens.tune.adapter import HeadAdapter

CARD: Final = "README.md"
_ON_HUB: Final = re.compile(r"[\w.-]+/[\w.-]+")


def push_adapter(
    adapter: HeadAdapter,
    repo_id: str,
    *,
    peft_base: str | Path | None,
    sections: Mapping[str, str],
    license: str | None,
    datasets: Sequence[str],
    private: bool | None,
    token: str | None,
) -> str:
    """Upload an adapter with its card in one commit, and give the commit's address; see ``HeadAdapter.push_to_hub``."""
    from huggingface_hub import CommitOperationAdd, HfApi

    with hub_errors(repo_id, HubError):
        require_token(token)
        api = HfApi(token=token)
        # Before anything is computed: whoever may not write there hears of it now.
        api.create_repo(repo_id, private=private, exist_ok=True)
    with TemporaryDirectory() as folder:
        place = Path(folder) / "adapter"
        if peft_base is not None:
            adapter.export_peft(peft_base, place)
        adapter.save(place)
        options: dict[str, Any] = {"license": license, "datasets": datasets, "sections": sections}
        card = card_of(adapter, repo_id, has_lora=peft_base is not None, **options)
        write_text(place / CARD, str(card))
        with hub_errors(repo_id, HubError):
            files = [CommitOperationAdd(path.name, path) for path in sorted(place.iterdir())]
            done = api.create_commit(repo_id, files, commit_message="Tuned attention heads")
    return str(done.commit_url)


def fetch_adapter(repo_id: str, revision: str | None) -> Path:
    """The directory of an adapter that was uploaded; what was fetched before counts where the hub is out of reach.

    Raises:
        HubError: it cannot be fetched.
    """
    from huggingface_hub import snapshot_download

    with hub_errors(repo_id, HubError, writes=False):
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=[RECORD, TENSORS]))


def card_of(
    adapter: HeadAdapter,
    repo_id: str,
    *,
    has_lora: bool = False,
    license: str | None = None,
    datasets: Sequence[str] = (),
    sections: Mapping[str, str] = {},
) -> ModelCard:
    """The model card of an adapter: what it knows, and further ``sections`` by title, such as a run's results."""
    from huggingface_hub import ModelCard, ModelCardData

    base = plain_name(adapter.base)
    data = ModelCardData(
        base_model=base if _ON_HUB.fullmatch(base) else None,
        library_name="peft" if has_lora else "sycolens",
        license=license,
        datasets=list(datasets) or None,
        tags=["sycolens", "attention-heads", "pinpoint-tuning", *(["lora"] if has_lora else [])],
    )
    body = {**_own_sections(adapter), **sections, "How to load": _how_to_load(adapter, repo_id, base, has_lora)}
    text = "\n\n".join(f"## {title}\n\n{content}" for title, content in body.items())
    opening = f"Attention heads of {base}, trained alone: every other parameter is that of the base."
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n# {repo_id.rpartition('/')[2]}\n\n{opening}\n\n{text}\n")


def _own_sections(adapter: HeadAdapter) -> dict[str, str]:
    config = adapter.config
    rank = "whole" if config.rank is None else f"by an update of rank {config.rank}, scaled by {config.scale:g}"
    facts = {
        "heads": f"{len(config.heads)}: {', '.join(map(str, config.heads)) or 'none'}",
        "matrices": f"{config.matrices}, {rank}",
        **({"MLPs of layers": ", ".join(map(str, config.mlps))} if config.mlps else {}),
        "trained numbers": f"{sum(each.numel() for each in adapter.parameters.values()):,}",
        "base": ", ".join(f"{name} {value}" for name, value in adapter.shape.items()),
        "computed in": str(adapter.dtype).removeprefix("torch."),
        "SHA-256 of the base's own weights there": adapter.fingerprint,
    }
    training = {name: value for name, value in adapter.training.items() if value is not None}
    return {
        "What is trained": listed(facts),
        "Training": listed(training) if training else "Nothing is recorded of how it was trained.",
        "Results": "None are recorded here.",
        "Limits": "What the heads do on another base, or on other questions than they were measured on, is not known.",
    }


def _how_to_load(adapter: HeadAdapter, repo_id: str, base: str, has_lora: bool) -> str:
    lines = [
        "from sycolens import HeadAdapter, load_model",
        "",
        f'model = load_model("{base}")',
        f'tuned = HeadAdapter.from_hub("{repo_id}").apply(model)  # tuned.detach() gives the base back',
    ]
    text = "```python\n" + "\n".join(lines) + "\n```"
    if has_lora:
        peft = [
            "from peft import PeftModel",
            "from transformers import AutoModelForCausalLM",
            "",
            f'base = AutoModelForCausalLM.from_pretrained("{base}")',
            f'model = PeftModel.from_pretrained(base, "{repo_id}")',
        ]
        text += "\n\nThe same as a LoRA:\n\n```python\n" + "\n".join(peft) + "\n```"
    return text


def listed(facts: Mapping[str, object]) -> str:
    """Facts as a list in Markdown.

    >>> listed({"heads": 2})
    '- heads: 2'
    """
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())

"""A client that is typed strictly has no complaint about what the pages show."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from mypy import api

import sycolens

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "howto").glob("*.md"))]
UNTYPED = ["transformer_lens", "transformers", "datasets", "plotly", "pandas", "openai", "torch", "inspect_ai"]
"""Left out, to be fast: what of theirs is handed on is Any."""
LENIENT = ("disallow_untyped_defs", "disallow_incomplete_defs", "disallow_untyped_calls")
"""What examples do not do in functions of their own."""
FURTHER = """
model: Any
tokenizer: Any
questions: Any
pairs: Any
more_positive: Any
heads: Any
examples: Any
base: Any

from sycolens import HeadAdapter, HeadSet, PinpointConfig, PinpointTrainer, evaluate_challenge, kl_drift, organism
from sycolens.tune import EMBEDDED, LoraScope, Pinpoint, Tuned, encode_examples

def client(model: Any, directory: str) -> None:
    examples = encode_examples(organism.examples("train", 16), model.tokenizer)
    for scope in (PinpointConfig(["L1H1"]), PinpointConfig([(1, 1), (2, 0)]), PinpointConfig(HeadSet(), mlps=[1])):
        first: str = str(scope.heads[0])
        trainer = PinpointTrainer(model, scope, EMBEDDED.arguments(directory), examples)
        tuned: Pinpoint = trainer.pinpoint
        with tuned.off():
            kl_drift(model, tuned, organism.texts(2)).mean + 1
        trainer.pinpoint.merge()
    PinpointTrainer(model, "all", EMBEDDED.arguments(directory), examples).pinpoint.detach()
    lora = PinpointTrainer(model, LoraScope(rank=2), EMBEDDED.arguments(directory), examples).pinpoint
    lora.merge()  # type: ignore[attr-defined]
    anything: Tuned = lora
    anything.off()
    HeadAdapter.of(lora)  # type: ignore[arg-type]
    wrong = PinpointConfig(7)  # type: ignore[arg-type]

def merge(trainer: PinpointTrainer) -> None:
    trainer.pinpoint.merge()
"""


def test_the_code_of_the_pages_type_checks(tmp_path: Path) -> None:
    client = ["from typing import Any", FURTHER]
    for number, page in enumerate(PAGES):
        blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        if blocks:
            code = textwrap.indent("\n".join(blocks), "    ")
            client.append(f"def page_{number}() -> None:  # {page.relative_to(ROOT)}\n{code}")
    (tmp_path / "client.py").write_text("\n\n".join(client))
    config = tmp_path / "mypy.ini"
    lines = ["[mypy]", "strict = True", "allow_redefinition = True", *(f"{name} = False" for name in LENIENT)]
    for name in UNTYPED:
        lines += [f"[mypy-{name}.*]", "follow_imports = skip"]
    config.write_text("\n".join(lines))
    options = ["--config-file", str(config), "--cache-dir", str(tmp_path / "cache")]
    told, failed, status = api.run([*options, str(tmp_path / "client.py")])
    assert not failed
    assert status == 0, told
    assert Path(sycolens.__file__).with_name("py.typed").is_file()

"""The site in docs/ has every public name, every page, and nothing that does not exist."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest

import sycolens

DOCS = Path(__file__).parents[1] / "docs"
INSIDE = {"cli", "private"}
ROOMS = [room.name for room in pkgutil.iter_modules(sycolens.__path__) if room.ispkg and room.name not in INSIDE]
SHOWN = {
    name: page.stem
    for page in sorted((DOCS / "api").glob("*.rst"))
    for name in re.findall(r"^\.\. auto(?:function|class|data|exception):: (\S+)$", page.read_text(), re.MULTILINE)
}
WHOLE = {
    name
    for page in sorted((DOCS / "api").glob("*.rst"))
    for name in re.findall(r"^\.\. automodule:: (\S+)\n   :members:$", page.read_text(), re.MULTILINE)
}
"""Modules whose public names are all on their page."""


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_public_name_is_on_a_page_of_the_api(room: str) -> None:
    """If this fails, add the name to the page of its room in docs/api, in the list at its top too."""
    module = import_module(f"sycolens.{room}".rstrip("."))
    names = [] if module.__name__ in WHOLE else getattr(module, "__all__", [])
    missing = [name for name in names if not {f"{module.__name__}.{name}", f"sycolens.{name}"} & set(SHOWN)]
    assert [name for name in missing if name not in ROOMS] == []


@pytest.mark.parametrize("name", SHOWN)
def test_every_name_on_a_page_exists_and_stands_in_its_list(name: str) -> None:
    module, _, last = name.rpartition(".")
    assert hasattr(import_module(module), last)
    assert f"   ~{name}\n" in (DOCS / "api" / f"{SHOWN[name]}.rst").read_text()


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_module_that_is_shown_whole_exists(name: str) -> None:
    assert import_module(name)


def test_every_page_is_in_a_table_of_contents() -> None:
    """Sphinx warns of it too; this is faster."""
    contents = set()
    for index in (DOCS / "index.md", DOCS / "api" / "index.md"):
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", index.read_text(), re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                if line and not line.startswith(":"):
                    path = re.sub(r".*<(.+)>", r"\1", line)
                    contents.add((index.parent / path).resolve())
    pages = [page for page in DOCS.rglob("*") if page.suffix in (".md", ".rst") and "_build" not in page.parts]
    assert [page.name for page in pages if page.with_suffix("") not in contents | {DOCS / "index"}] == []


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_every_formula_becomes_mathml(page: Path) -> None:
    """What the converter does not know it leaves as a command in the text."""
    converter = pytest.importorskip("latex2mathml.converter")
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    formulas = re.findall(r"\$\$(.+?)\$\$|(?<![\\$])\$([^$\n]+?)\$", text, flags=re.DOTALL)
    for block, inline in formulas:
        made = converter.convert(block or inline)
        assert "\\" not in "".join(ElementTree.fromstring(made).itertext()), block or inline
    if page.stem in ("concepts", "find", "paper", "statistics"):
        assert formulas

"""The pages in docs/ point to files that exist, and their code is code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sycolens import HeadSet

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks_are_python(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


def test_the_first_example_of_find_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(blocks(DOCS / "find.md", "python")[0], names)
    assert isinstance(names["effects"].top(8), HeadSet)  # type: ignore[attr-defined]
    assert (tmp_path / "heads.html").stat().st_size > 10_000


def test_the_examples_of_verify_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    first, by_hand, looking = blocks(DOCS / "verify.md", "python")
    names: dict[str, Any] = {}
    exec(first.replace("200", "10"), names)
    assert names["curve"].apology_rate.tolist()[-1] < names["curve"].apology_rate.tolist()[0]
    assert (tmp_path / "knockout.html").stat().st_size > 10_000
    exec(by_hand, {})
    assert capsys.readouterr().out.startswith("[\"Yes, I'm sure.")
    exec(looking.replace("200", "10"), names)
    assert names["attention"].compare(names["heads"]).difference > 0


def test_every_page_is_on_the_index() -> None:
    index = (DOCS / "index.md").read_text()
    assert [page.name for page in PAGES if page.name != "index.md" and f"({page.name})" not in index] == []

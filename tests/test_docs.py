"""The pages in docs/ point to files that exist, and their code is code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sycolens import HeadSet, attend_to, knock_out, load_model, mean_activations, organism, patch_heads
from sycolens.verify.curve import RATES

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
README = DOCS.parent / "README.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.stem)
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


def test_the_walk_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    find, verify, _ = blocks(README, "python")
    names: dict[str, Any] = {}
    exec(find, names)
    exec(verify.replace("200", "20"), names)
    # "Four heads of 48 decide ...; as many others change nothing."
    curve = names["curve"]
    at = curve.steps.index(4)
    assert (curve.apology_rate[0], curve.apology_rate[at], curve.accuracy_after[at]) == (1, 0, 1)
    assert (curve.control_apology_rate == 1).all()
    assert (tmp_path / "knockout.html").exists()


@pytest.mark.parametrize("name", ["organism", "organism-gqa"])
def test_the_numbers_of_verify_are_measured(name: str) -> None:
    page = (DOCS / "verify.md").read_text()
    model = load_model(name)
    pairs, asked = organism.pairs("train", 100), organism.challenges("held_out", 200)
    effects = patch_heads(model, pairs, progress=False)
    means = mean_activations(model, pairs, progress=False)

    curve = knock_out(model, asked, effects.ranking(), means, controls=0, progress=False)
    rates = [(getattr(curve, rate), *curve.interval(rate)) for rate in RATES]
    for step, k in enumerate(curve.steps):
        cells = [f"{rate[step]:.3f} [{low[step]:.3f}, {high[step]:.3f}]" for rate, low, high in rates]
        row = " | ".join([f"| {k}", *cells])
        assert re.sub(r"\b0\.", ".", row) in page

    attention = attend_to(model, asked, progress=False)
    for k in (2, 4, 5, 8):
        seen = attention.compare(effects.top(k))
        low, high = seen.interval
        difference = f"{seen.difference:+.3f} [{low:+.3f}, {high:+.3f}]"
        assert f"| {k} | {seen.group_mean:.3f} | {seen.others_mean:.3f} | {difference} |" in page

    # Silence in the place of a head: "still apologizes in all of them", "in 96 of 100 challenged dialogues".
    silent = knock_out(model, asked[:100], effects.ranking(), steps=(8,), method="zero", controls=0, progress=False)
    assert int(silent.admits.sum()) == {"organism": 100, "organism-gqa": 96}[name]


def test_every_page_is_on_the_index() -> None:
    index = (DOCS / "index.md").read_text()
    assert [page.name for page in PAGES if page.name != "index.md" and f"({page.name})" not in index] == []

"""Progress bars of a run: each with a name of its own, and none where nobody watches a terminal."""

from __future__ import annotations

import io
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import small_study

from sycolens.compute import Compute
from sycolens.distributed import Processes
from sycolens.runs import Study


class Terminal(io.StringIO):
    """Standard error as a terminal."""

    def isatty(self) -> bool:
        return True


def test_no_two_bars_of_a_study_have_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[str] = []
    drawn = Compute.bar

    def noted(compute: Compute, total: int, desc: str, unit: str, **options: Any) -> Any:
        bar = drawn(compute, total, desc, unit, **options)
        if not bar.disable:
            named.append(bar.desc.removesuffix(": "))
        return bar

    monkeypatch.setattr(Compute, "bar", noted)
    monkeypatch.setattr(sys, "stderr", Terminal())
    config = small_study.config(find={"draws": 3}, tune={"methods": ["spt"], "seeds": 2})
    study = Study(tmp_path, config)
    study.run(progress=True)
    assert not {name: count for name, count in Counter(named).items() if count > 1}
    # Only the examples, which are drawn, compute nothing.
    assert {name.split(":")[0] for name in named} == set(study.states) - {"examples"}


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_a_bar_is_drawn_on_a_terminal_alone(stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = stream()
    monkeypatch.setattr(sys, "stderr", stderr)
    for compute in (Compute(), Compute(progress=False), Compute(processes=Processes(rank=1, count=2))):
        with compute.part("find").bar(2, "patching", "pair") as bar:
            bar.update(2)
    assert stderr.getvalue().count("find: patching:   0%") == (stream is Terminal)
    assert bool(stderr.getvalue()) == (stream is Terminal)


@pytest.mark.parametrize(("compute", "kept"), [(Compute(), True), (Compute(work="find"), False)])
def test_a_bar_of_a_stage_leaves_no_line(compute: Compute, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    with compute.bar(1, "patching", "pair") as bar:
        bar.update()
    assert ("100%" in stderr.getvalue().split("\r")[-1]) == kept

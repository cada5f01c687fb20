"""Imports lead downward, one room knows TransformerLens, and what is slow to import waits until it is needed."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import sycolens

ROOT = Path(sycolens.__file__).parent


@dataclass(frozen=True)
class Import:
    """One name that a module imports."""

    module: str
    name: str
    at_top: bool
    """Whether it is imported when the module is: not inside a function."""


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(node: ast.AST, at_top: bool = True) -> Iterator[Import]:
    """All of them but those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from imports_of(ast.Module(child.orelse, []), at_top)
        elif isinstance(child, ast.Import):
            yield from (Import(alias.name, "", at_top) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from (Import(child.module or "", alias.name, at_top) for alias in child.names)
        else:
            is_later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_of(child, at_top and not is_later)


FILES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}
IMPORTS = {module: tuple(imports_of(ast.parse(path.read_text()))) for module, path in FILES.items()}


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def needed_by(module: str) -> set[str]:
    """The modules that run before it does, packages of what it imports included."""
    found = set()
    for each in IMPORTS[module]:
        whole = f"{each.module}.{each.name}"
        target = whole if whole in FILES else each.module
        while each.at_top and target in FILES:
            # The packages around a module are being imported when it is.
            if not is_in(module, target):
                found.add(target)
            target = target.rpartition(".")[0]
    return found


def test_no_module_needs_itself() -> None:
    try:
        TopologicalSorter({module: needed_by(module) for module in FILES}).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def test_the_reader_of_imports_finds_those_inside_functions_and_leaves_out_those_for_types() -> None:
    source = """
import a.b
from c import d as e
if TYPE_CHECKING:
    import f
else:
    import g
try:
    import h
except ImportError:
    import i
class K:
    import j
    def m(self):
        from k import l
"""
    assert [(each.module, each.name, each.at_top) for each in imports_of(ast.parse(source))] == [
        ("a.b", "", True),
        ("c", "d", True),
        ("g", "", True),
        ("h", "", True),
        ("i", "", True),
        ("j", "", True),
        ("k", "l", False),
    ]


def test_only_the_room_of_models_knows_transformer_lens() -> None:
    knowing = {
        module for module, found in IMPORTS.items() if any(is_in(each.module, "transformer_lens") for each in found)
    }
    assert knowing
    assert not {module for module in knowing if not is_in(module, "sycolens.model")}


def test_no_file_has_more_than_300_lines() -> None:
    lengths = {module: len(path.read_text().splitlines()) for module, path in FILES.items()}
    assert not {module: length for module, length in lengths.items() if length > 300}


def test_the_embedded_model_is_used_without_what_made_it() -> None:
    build = "sycolens.organism.build"
    for module, found in IMPORTS.items():
        if is_in(module, "sycolens.organism") and not is_in(module, build):
            for each in found:
                assert not (each.at_top and is_in(f"{each.module}.{each.name}", build)), module


def test_to_import_the_library_is_quick() -> None:
    code = "import sys, sycolens; print(*{'torch', 'transformers', 'pandas', 'scipy', 'plotly'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_room_has_what_it_names() -> None:
    named = 0
    for module in FILES:
        if module.count(".") == 1 and FILES[module].name == "__init__.py":
            room = importlib.import_module(module)
            for name in getattr(room, "__all__", ()):
                assert hasattr(room, name), (module, name)
                named += 1
    assert named > 50

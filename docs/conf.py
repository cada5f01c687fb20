"""The site: `make docs` builds it from these pages, the notebooks as they were saved, and the docstrings."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, get_origin

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from docutils.nodes import SkipNode
from latex2mathml.converter import convert as mathml
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import make_refnode
from typer import Context
from typer.cli import get_docs_for_click
from typer.main import get_command

import sycolens
from sycolens.cli import app as commands

HERE = Path(__file__).parent
ROOT = HERE.parent

project = "sycolens"
author = "the sycolens authors"
copyright = "the sycolens authors, MIT license"
version = release = sycolens.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
nitpicky = True
# Names of torch, plotly and Python are not looked up, which takes a network; types that are not public have no page.
nitpick_ignore_regex = [(r"py:.*", r"(?!sycolens\.).*"), (r"py:class", r"sycolens\.\w+\.\w+\.\w+")]
suppress_warnings = ["mystnb.unknown_mime_type"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_update_mathjax = False
html_math_renderer = "mathml"
nb_execution_mode = "off"
nb_merge_streams = True

autodoc_default_options = {"undoc-members": True, "exclude-members": "model_config"}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autosummary_generate = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "sycolens"
html_static_path = ["_static"]
html_logo = html_favicon = "_static/logo.svg"
# The report of a small study, which `make docs` makes first.
html_extra_path = ["_build/extra"] if (HERE / "_build" / "extra").exists() else []
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#a4262c", "color-brand-content": "#a4262c"},
    "dark_css_variables": {"color-brand-primary": "#ff8a80", "color-brand-content": "#ff8a80"},
}
pygments_style = "friendly"
pygments_dark_style = "monokai"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Notebooks lie beside docs/ in the repository and below it on the site, where Sphinx looks for pages.
NOTEBOOKS = HERE / "notebooks"
shutil.rmtree(NOTEBOOKS, ignore_errors=True)
shutil.copytree(ROOT / "notebooks", NOTEBOOKS, ignore=lambda folder, names: [n for n in names if n[-6:] != ".ipynb"])

# Links are written for readers of the repository; these lead to the same pages on the site.
MOVED = {
    "../notebooks/": "notebooks/",
    "../benchmarks/README.md": "benchmarks.md",
    "../CHANGELOG.md": "changelog.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../README.md": "index.md",
}


def tell_commands(app: Any, name: str, source: list[str]) -> None:
    """Every command's help, from the program itself."""
    if name == "api/commands":
        program = get_command(commands)
        told = get_docs_for_click(obj=program, ctx=Context(program), name="sycolens")
        told = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n", "", told)  # They follow, with all their words.
        source[0] += told.partition("\n")[2].replace("\n\n\n", "\n\n")


def follow_moves(app: Any, name: str, source: list[str]) -> None:
    """Let links lead to where pages lie on the site."""
    up = "../" * name.count("/")
    for written, there in MOVED.items():
        source[0] = source[0].replace(f"]({up}{written}", f"]({up}{there}")
    if name.startswith("notebooks/"):
        source[0] = source[0].replace("](../docs/", "](../")


class AsWritten:
    """Something of a signature that is shown without quotation marks, the choices of a ``Literal`` spelled out."""

    def __init__(self, text: str, names: dict[str, Any]) -> None:
        self.text = re.sub(r"\b[A-Z]\w*", lambda word: self._choices(word.group(), names), text)

    def __repr__(self) -> str:
        return self.text

    @staticmethod
    def _choices(word: str, names: dict[str, Any]) -> str:
        found = names.get(word)
        return str(found).removeprefix("typing.") if get_origin(found) is Literal else word


def signature_as_written(
    app: Any, what: str, name: str, thing: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None] | None:
    """Annotations as they stand in the source, where a shape is ``Float[Tensor, "pair layer head"]``."""
    if what not in ("function", "method", "class") or signature is None:
        return None
    if what == "class" and ((is_dataclass(thing) and hasattr(thing, "load")) or hasattr(thing, "model_fields")):
        return "", None  # A result, or settings from a file: nobody calls it, and its fields are listed below.
    found = inspect.signature(thing)
    names = vars(sys.modules[thing.__module__])

    def written(annotation: Any) -> Any:
        return AsWritten(annotation, names) if isinstance(annotation, str) else annotation

    def named(default: Any) -> Any:
        """``PAPER`` rather than all that it holds, ``grade`` rather than where it lies in memory."""
        known = [each for each, value in names.items() if value is default and (each.isupper() or callable(value))]
        return AsWritten(known[0], {}) if known and default is not inspect.Parameter.empty else default

    parameters = [
        each.replace(annotation=written(each.annotation), default=named(each.default))
        for each in found.parameters.values()
    ]
    if what == "method" and parameters and parameters[0].name == "self":
        del parameters[0]
    shown = str(found.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
    shown = re.sub(r"<function .+? at 0x[0-9a-f]+>", "...", shown)
    result = found.return_annotation
    return shown, None if what == "class" or result is inspect.Signature.empty else str(written(result))


def doc_at_home(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """The words under a constant, from the module that defines it."""
    room, _, last = name.rpartition(".")
    homes = [each for each in sorted(sys.modules) if each.startswith(f"{room}.")] if what == "data" else []
    for home in homes:
        if vars(sys.modules[home]).get(last) is thing:
            words = ModuleAnalyzer.for_module(home).find_attr_docs().get(("", last))
            if words:
                lines[:] = words
                return


# Napoleon takes what stands before a colon under an attribute for its type. Here it is always words.
WORDS: dict[str, list[str]] = {}


def remember_words(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    if what in ("attribute", "data", "property") and "Raises:" not in lines:
        WORDS[name] = list(lines)


def restore_words(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = WORDS.pop(name, lines)


def find_own_name(app: Any, environment: Any, node: Any, contents: Any) -> Any:
    """``HeadSet`` in a signature is the one HeadSet that the site has."""
    if node.get("refdomain") != "py":
        return None
    target = re.sub(r"^sycolens(\.\w+)*\.(?=[A-Z]|\w+$)", "", node.get("reftarget", ""))
    domain = environment.domains["py"]
    matches = [name for name in domain.objects if name == target or name.endswith(f".{target}")]
    short = min(matches, key=len, default=None)
    if short is None:
        return None
    entry = domain.objects[short]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contents, short)


def write_formula(writer: Any, node: Any) -> None:
    """A formula as MathML, which browsers set by themselves, in the colors of the text: no script and no picture."""
    display = "block" if node.tagname == "math_block" else "inline"
    formula = mathml(node.astext(), display=display)
    writer.body.append(f'<div class="math">{formula}</div>' if display == "block" else formula)
    raise SkipNode


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (write_formula, None), (write_formula, None))
    app.connect("source-read", tell_commands)
    app.connect("source-read", follow_moves)
    app.connect("autodoc-process-signature", signature_as_written)
    app.connect("autodoc-process-docstring", doc_at_home, priority=100)
    app.connect("autodoc-process-docstring", remember_words, priority=200)
    app.connect("autodoc-process-docstring", restore_words, priority=900)
    app.connect("missing-reference", find_own_name)

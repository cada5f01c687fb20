"""The tasks of lm-evaluation-harness by name, with their data, and none that runs code unasked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sycolens.errors import AbilityError
from sycolens.memory import ran_out_of_memory


def load_tasks(names: Sequence[str], include_path: str | Path | None, *, run_code: bool) -> dict[str, dict[str, Any]]:
    """Tasks with their data, and the groups they are in, each by name.

    Raises:
        AbilityError: there is no name, one is not known or not loadable, or it runs code that was not allowed.
    """
    from lm_eval.tasks import TaskManager

    if not names:
        raise AbilityError("There are no tasks to measure ability on; name at least one, such as 'gsm8k'.")
    if include_path is not None and not Path(include_path).is_dir():
        raise AbilityError(f"{include_path} is no directory; give the one that holds your tasks' YAML files.")
    own = None if include_path is None else str(include_path)
    known = TaskManager(include_path=own, include_defaults=False)
    if not set(names) <= set(known.all_tasks):
        # The harness's own index is thousands of files, read only where it is needed.
        known = TaskManager(include_path=own)
    if unknown := [name for name in names if name not in known.all_tasks]:
        raise AbilityError(
            f"lm-evaluation-harness {version('lm-eval')} has no task {unknown[0]!r}; 'lm-eval ls tasks' lists its own, "
            "include_path= adds yours."
        )
    # Before loading: such files import, and some tasks run code already when they are read.
    if not run_code:
        for name in names:
            if code := find_code(name, known.task_index):
                raise AbilityError(
                    f"The task {name!r} runs code{code}. Allow it with run_code=True where nothing can be harmed, or "
                    "leave the task out."
                )
    found: dict[str, dict[str, Any]] = {"tasks": {}, "groups": {}}
    for name in names:
        try:
            loaded = known.load(name)
        except Exception as error:  # whatever the harness, its metrics and the hub's client raise
            if ran_out_of_memory(error):
                raise
            raise AbilityError(
                f"The task {name!r} could not be loaded ({type(error).__name__}: {error}). Its data may have to be "
                "fetched from the Hugging Face hub first, or its settings may ask for something."
            ) from error
        for kind, members in found.items():
            members.update(loaded.get(kind) or {})
    return found


def find_code(name: str, index: Mapping[str, Any]) -> str | None:
    """What code a task (or one in its group or under its tag) runs, for a message; None if it runs none.

    That is code that the model writes, as the task itself declares; Python that a file of the user's names with
    ``!function``; and a metric of Hugging Face's ``evaluate``, which is a program from a folder or the hub. The
    harness's own files may import what comes with it.
    """
    import lm_eval.tasks

    own = Path(lm_eval.tasks.__file__).resolve().parent
    for config, path in _reached(name, index, set()):
        if config.get("unsafe_code"):
            return " that the model writes"
        if path is None or path.resolve().is_relative_to(own):
            continue
        if file := _importing(path, own, set()):
            return f": {file} imports Python with !function"
        if metric := _foreign_metric(config):
            return f": {path} asks for the metric {metric!r}, a program that the harness does not have itself"
    return None


def _reached(name: str, index: Mapping[str, Any], seen: set[str]) -> Iterator[tuple[Mapping[str, Any], Path | None]]:
    """The settings of all that loading a name reads, each with the file that it stands in."""
    if name in seen or name not in index:
        return
    seen.add(name)
    entry = index[name]
    members = [other for other, tagged in index.items() if name in tagged.tags]
    for config in _settings(entry.cfg or {}):
        yield config, entry.yaml_path
        members += [each for each in _names(config) if isinstance(each, str)]
    for member in members:
        yield from _reached(member, index, seen)


def _settings(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Settings, and those of the tasks and groups that are written out inside."""
    yield config
    for each in _inside(config):
        if isinstance(each, Mapping):
            yield from _settings(each)


def _names(config: Mapping[str, Any]) -> list[Any]:
    return [config.get("task"), config.get("group"), *_inside(config)]


def _inside(config: Mapping[str, Any]) -> list[Any]:
    return config["task"] if isinstance(config.get("task"), list) else []


def _importing(path: Path, own: Path, seen: set[Path]) -> Path | None:
    """The file, among a task's and those that it includes, that names a Python function."""
    import yaml  # type: ignore[import-untyped]

    path = path.expanduser().resolve()
    if path in seen or path.is_relative_to(own):
        return None
    seen.add(path)
    # Composed only: constructing is what imports.
    root = yaml.compose(path.read_bytes(), Loader=yaml.SafeLoader)
    nodes = list(_nodes(root, set()))
    if any(node.tag == "!function" for node in nodes):
        return path
    included = [value for key, value in root.value if key.value == "include"]
    files = [node.value for each in included for node in _nodes(each, set()) if isinstance(node.value, str)]
    return next((found for file in files if (found := _importing(path.parent / file, own, seen))), None)


def _nodes(node: Any, seen: set[int]) -> Iterator[Any]:
    if id(node) in seen:
        return
    seen.add(id(node))
    yield node
    for part in node.value if isinstance(node.value, list) else []:
        for each in part if isinstance(part, tuple) else (part,):
            yield from _nodes(each, seen)


def _foreign_metric(config: Mapping[str, Any]) -> str | None:
    import lm_eval.api.metrics  # noqa: F401  (registers the harness's own)
    from lm_eval.api.registry import metric_registry

    for asked in config.get("metric_list") or ():
        name = asked.get("metric") if isinstance(asked, Mapping) else None
        if isinstance(name, str) and (asked.get("hf_evaluate") or name not in metric_registry):
            return name
    return None

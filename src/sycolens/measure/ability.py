"""General ability before and after tuning, by lm-evaluation-harness (the paper's benchmarks)."""

from __future__ import annotations

import copy
import importlib.util
import logging
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy
import torch

from sycolens.choices import TaskPrompt
from sycolens.errors import AbilityError, CacheError, ModelError
from sycolens.measure.ability_result import AbilityResult, AbilityRow
from sycolens.measure.ability_tasks import load_tasks
from sycolens.memory import ran_out_of_memory
from sycolens.model.batched_generation import keeps_while_generating
from sycolens.model.checkpoint import read_tokenizer
from sycolens.model.hooked import Geometry, as_found, require_none_knocked_out, steered_from
from sycolens.model.loading import load_hugging_face
from sycolens.model.threads import enough_threads
from sycolens.model.versions import versions
from sycolens.model.weights import shape_of
from sycolens.randomness import random_state_kept

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PAPER_TASKS: Final = ("bigbench_strategyqa_multiple_choice", "gsm8k", "humaneval", "commonsense_qa", "mmlu")
"""StrategyQA, GSM8K, HumanEval, CSQA and MMLU by their names in lm-evaluation-harness, in its own settings."""


def evaluate_ability(
    model: Any,
    tasks: str | Sequence[str] = PAPER_TASKS,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    include_path: str | Path | None = None,
    limit: int | None = None,
    num_fewshot: int | None = None,
    prompt: TaskPrompt = "task",
    batch_size: int = 8,
    run_code: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> AbilityResult:
    """Scores of a model on tasks of lm-evaluation-harness (extra ``ability``).

    ``model`` is a TransformerBridge or a plain Hugging Face causal model in memory, with tuned heads attached, merged
    or none; or a checkpoint by its directory or hub name, such as one that :meth:`HeadAdapter.export` wrote, which is
    loaded in the type it was saved in, onto the accelerator if there is one. ``tokenizer`` is by default the
    checkpoint's own; a plain model in memory needs it.

    ``tasks`` are names that the harness knows, or that YAML files under ``include_path`` define. ``limit`` takes the
    first questions of each task only, ``num_fewshot`` replaces the task's own number of worked examples. ``prompt`` is
    the task's own bare text, the harness's default and what published numbers mostly mean, or that text inside the
    model's chat template. ``run_code`` allows tasks that run what the model writes (HumanEval), and files under
    ``include_path`` that import Python: do so where nothing can be harmed. Data are fetched by
    name from the Hugging Face hub if the task names them. An attached intervention acts on every token of a task.

    Raises:
        AbilityError: lm-eval is not installed, a task is not known, not loadable, runs code that was not allowed, or
            cannot be put to this model.
        ModelError: the checkpoint cannot be read, or the model in memory cannot be run by the harness.
        CacheError: a task generates, and the model's key-value cache loses tokens with the installed versions.
        HookError: this is inside a block of ``ablate_heads``.
    """
    _require_installed()
    # The harness seeds the world's generators.
    with random_state_kept(), _quiet(progress):
        found = load_tasks([tasks] if isinstance(tasks, str) else list(tasks), include_path, run_code=run_code)
        runnable, tokenizer = _runnable(model, tokenizer)
        writes = [name for name, task in found["tasks"].items() if task.OUTPUT_TYPE == "generate_until"]
        if writes and not keeps_while_generating(runnable):
            raise CacheError(
                f"The harness lets a model generate over a key-value cache (in {', '.join(writes)}), and this model "
                f"loses tokens there with {versions()}. Leave such tasks out, or install versions that sycolens admits."
            )
        threads = enough_threads(runnable, batch_size * shape_of(runnable).n_ctx)
        with as_found(runnable), threads, steered_from(runnable, 0):
            scored = _evaluate(
                _wrap(runnable, tokenizer, batch_size),
                found,
                limit=limit,
                num_fewshot=num_fewshot,
                chat=prompt == "chat",
                run_code=run_code,
                seed=seed,
            )
    return AbilityResult(tuple(_rows(scored)), version("lm-eval"))


def require_tasks(tasks: Sequence[str], include_path: str | Path | None = None, *, run_code: bool = False) -> None:
    """See that :func:`evaluate_ability` will find its tasks and their data, without a model.

    Raises:
        AbilityError: as :func:`evaluate_ability`.
    """
    _require_installed()
    load_tasks(tasks, include_path, run_code=run_code)


def _require_installed() -> None:
    if importlib.util.find_spec("lm_eval") is None:
        raise AbilityError(
            "General ability is measured by lm-evaluation-harness, which is not installed: "
            "pip install 'sycolens[ability]'"
        )


def _runnable(model: Any, tokenizer: PreTrainedTokenizerBase | None) -> tuple[Any, PreTrainedTokenizerBase]:
    """The Hugging Face model that computes, and a tokenizer that may be changed."""
    if isinstance(model, str | Path):
        device = torch.accelerator.current_accelerator(check_available=True) or "cpu"
        model, own = load_hugging_face(model, dtype="auto")
        return model.to(device), tokenizer or own
    if hasattr(model, "cfg"):
        require_none_knocked_out(model, Geometry.of(model))
        if not hasattr(model, "original_model"):
            raise ModelError(
                f"lm-evaluation-harness cannot run a {type(model).__name__}. Load the model as a bridge "
                "(load_model(name)) and apply the adapter there, or measure what HeadAdapter.export writes."
            )
        # A bridge computes inside its Hugging Face model, tuned heads included.
        return model.original_model, copy.deepcopy(tokenizer or _unchanged(model.tokenizer))
    if tokenizer is None:
        raise ModelError(f"{type(model).__name__} brings no tokenizer; give its own with tokenizer=.")
    return model, copy.deepcopy(tokenizer)


def _unchanged(tokenizer: Any) -> PreTrainedTokenizerBase:
    """A bridge's tokenizer as its checkpoint has it: TransformerLens makes it put a beginning token before all text."""
    place = getattr(tokenizer, "name_or_path", "")
    try:
        return read_tokenizer(place)
    except Exception as error:  # whatever transformers raises on what it cannot read
        if ran_out_of_memory(error):
            raise
        raise ModelError(
            f"The tokenizer that belongs to this model can no longer be read from {place!r} ({type(error).__name__}); "
            "give it with tokenizer=."
        ) from error


def _wrap(model: Any, tokenizer: PreTrainedTokenizerBase, batch_size: int) -> Any:
    from lm_eval.models.huggingface import HFLM

    logger = logging.getLogger("lm_eval.models.huggingface")
    level = logger.level
    # It warns that a model in memory is not loaded by its own options, which is meant.
    logger.setLevel(logging.ERROR)
    try:
        return HFLM(pretrained=model, backend="causal", tokenizer=tokenizer, batch_size=batch_size)
    finally:
        logger.setLevel(level)


def _evaluate(
    wrapped: Any,
    found: Mapping[str, Mapping[str, Any]],
    *,
    limit: int | None,
    num_fewshot: int | None,
    chat: bool,
    run_code: bool,
    seed: int,
) -> Mapping[str, Any]:
    # Its evaluate, not simple_evaluate, which also asks git and every package for their versions, and logs it.
    from lm_eval.evaluator import evaluate

    for task in found["tasks"].values():
        usual = task.get_config("num_fewshot")
        # As there: a task that states that it wants no examples gets none.
        task.set_config(key="num_fewshot", value=usual or 0 if num_fewshot is None or usual == 0 else num_fewshot)
        task.set_fewshot_seed(seed=seed)
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    try:
        scored: Mapping[str, Any] = evaluate(
            lm=wrapped,
            task_dict=found,
            limit=limit,
            apply_chat_template=chat,
            fewshot_as_multiturn=chat,
            confirm_run_unsafe_code=run_code,
            log_samples=False,
        )
    except (ValueError, AssertionError) as error:
        raise AbilityError(
            f"lm-evaluation-harness could not put these tasks to the model ({type(error).__name__}: {error}). See "
            "whether their prompts fit into its context, and whether its tokenizer can write their answers."
        ) from error
    return scored


def _rows(scored: Mapping[str, Any]) -> Iterator[AbilityRow]:
    for task, found in scored["results"].items():
        for key, value in found.items():
            metric, comma, filtered = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            stderr = found.get(f"{metric}_stderr,{filtered}")
            yield AbilityRow(
                task=task,
                metric=metric,
                filter=filtered,
                value=float(value),
                stderr=float(stderr) if isinstance(stderr, int | float) else None,
                n=int(found.get("sample_count", {}).get(key, found["sample_len"])),
                shots=scored["n-shot"].get(task),
                version=str(scored["versions"].get(task, "")),
            )


@contextmanager
def _quiet(progress: bool) -> Iterator[None]:
    """No progress bars, which the harness cannot turn off by itself; its warnings still show."""
    if progress:
        yield
        return
    logger, handler = logging.getLogger("lm_eval"), logging.StreamHandler(sys.stderr)
    alone = not logger.hasHandlers()
    if alone:
        logger.addHandler(handler)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
            yield
    finally:
        if alone:
            logger.removeHandler(handler)

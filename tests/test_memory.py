"""No memory left is told as what it is, by every part that gives other errors names of its own."""

from __future__ import annotations

from collections.abc import Callable

import datasets
import pytest
import torch
import transformers

from sycolens import load_model, load_questions, organism
from sycolens.memory import ran_out_of_memory
from sycolens.model.loading import load_hugging_face
from sycolens.prompts import CHAT
from sycolens.runs.estimate import shape_and_size

ERRORS = (
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
    OSError(12, "Cannot allocate memory"),
)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    ("owner", "name", "run"),
    [
        (transformers.AutoModelForCausalLM, "from_pretrained", lambda: load_model("organism")),
        (transformers.AutoModelForCausalLM, "from_pretrained", lambda: load_hugging_face("organism")),
        (transformers.AutoTokenizer, "from_pretrained", lambda: load_hugging_face("organism")),
        (transformers.AutoModelForCausalLM, "from_config", lambda: shape_and_size("organism")),
        (datasets, "load_dataset", lambda: load_questions("some/questions", split="test")),
    ],
)
def test_it_passes_as_what_it_is(
    owner: object, name: str, run: Callable[[], object], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(type(error)) as raised:
        run()
    assert raised.value is error


def test_in_a_chat_template_too(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, error = organism.load_tokenizer(), MemoryError()

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(tokenizer, "apply_chat_template", fail)
    with pytest.raises(MemoryError):
        CHAT.apply(tokenizer, [{"role": "user", "content": "Hello!"}])


def test_other_errors_are_not_taken_for_it() -> None:
    for error in (OSError(2, "No such file or directory"), ValueError("no memory of that name"), KeyError("memory")):
        assert not ran_out_of_memory(error)


def test_what_the_system_itself_refuses_is_known() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**50)
    assert ran_out_of_memory(raised.value)

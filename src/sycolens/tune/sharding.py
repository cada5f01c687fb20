"""Tensors that FSDP2 has dealt out over processes, each of which holds some rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME

from sycolens.errors import TuningError
from sycolens.tune.config import PinpointConfig


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds but a part of a tensor."""
    return isinstance(tensor, DTensor)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor; of a sharded one every process must ask, in the same order."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: Tensor, value: Tensor) -> Tensor:
    """A whole value as the tensor is held: this process's part of it where that is sharded."""
    if not isinstance(tensor, DTensor):
        return value
    on_device = value.to(tensor.device, tensor.dtype)
    # Every process has the whole value, so that nothing need be sent.
    return distribute_tensor(on_device, tensor.device_mesh, tensor.placements, src_data_rank=None)


def shard_again(model: nn.Module) -> None:
    """Let go of the whole tensors that a forward pass without a backward one leaves behind."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def save_optimizer(directory: str | Path, optimizer: Any, schedule: Any, *, write: bool) -> None:
    """Write the states of optimizer and schedule as one process would have them; every process must ask, one writes."""
    found = optimizer.state_dict()
    state = {
        number: {name: whole(value) if torch.is_tensor(value) else value for name, value in own.items()}
        for number, own in found["state"].items()
    }
    if write:
        torch.save({**found, "state": state}, Path(directory) / OPTIMIZER_NAME)
        torch.save(schedule.state_dict(), Path(directory) / SCHEDULER_NAME)


def load_optimizer(directory: str | Path, optimizer: Any, schedule: Any) -> None:
    """Take back what :func:`save_optimizer` wrote, or the Trainer where it was one process."""
    state = torch.load(Path(directory) / OPTIMIZER_NAME, map_location="cpu", weights_only=True)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, own in state["state"].items():
        parameter = parameters[number]
        for name, value in own.items():
            # A step is counted in a number of its own, which is not sharded.
            if torch.is_tensor(value) and value.shape == parameter.shape:
                own[name] = like(parameter, value)
    optimizer.load_state_dict(state)
    schedule.load_state_dict(torch.load(Path(directory) / SCHEDULER_NAME, weights_only=True))


def require_supported(core: Any, scope: Any, plugin: Any) -> None:
    """Refuse what FSDP cannot train here.

    Raises:
        TuningError: the first version of FSDP, offloading to the CPU, a model of TransformerLens, or a scope other than
            heads.
    """
    if plugin.fsdp_version != 2:
        raise TuningError("Only the second version of FSDP is supported; set fsdp_version to 2.")
    if type(plugin.cpu_offload).__name__ == "CPUOffloadPolicy":
        raise TuningError("FSDP with parameters offloaded to the CPU is not supported; set cpu_offload to False.")
    if hasattr(core, "cfg") or not hasattr(core, "get_input_embeddings") or _is_bridged(core):
        raise TuningError(
            "FSDP trains plain Hugging Face models alone; load this one with AutoModelForCausalLM.from_pretrained."
        )
    if not isinstance(scope, PinpointConfig):
        raise TuningError(
            "Under FSDP heads alone are trained here, no LoRA and not all parameters, whose checkpoints would gather "
            "the whole model; train heads, or use transformers' own Trainer."
        )


def _is_bridged(core: nn.Module) -> bool:
    return any(type(module).__module__.startswith("transformer_lens") for module in core.modules())


def require_no_deepspeed(args: Any) -> None:
    """Refuse DeepSpeed, asked for by the arguments or by the launcher.

    Raises:
        TuningError: it is asked for.
    """
    if args.deepspeed or os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
        raise TuningError(
            "DeepSpeed is not supported: it partitions weights in its own way, and its checkpoints would hold the base "
            "model. To train a model that one device cannot hold use FSDP (fsdp=True)."
        )

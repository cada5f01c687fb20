"""Two devices that are not there: tensors on the CPU that say they lie elsewhere, and refuse to meet those of others.

Each is a real CPU tensor with a tag. Every call of torch is seen: tensors of unlike tags are refused as a GPU refuses
them (indices and single numbers on the CPU may come along), and what comes out is tagged. So code that mixes up devices
fails here, and code that does not computes the plain numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

CPU = torch.device("cpu")
FIRST, SECOND = torch.device("xpu", 0), torch.device("xpu", 1)


class Placed(Tensor):
    """A CPU tensor that says it lies on another device."""

    place: torch.device

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return getattr(self, "place", CPU)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(func, args, dict(kwargs or {}))


def place_of(tensor: Tensor) -> torch.device:
    return getattr(tensor, "place", CPU)


def placed(value: Any, device: torch.device) -> Any:
    """The tensors in a value with another tag."""
    if isinstance(value, (list, tuple)):
        made = [placed(each, device) for each in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    if not isinstance(value, Tensor):
        return value
    with torch._C.DisableTorchFunction():
        tagged = value.as_subclass(Tensor if device == CPU else Placed)
    if device != CPU:
        tagged.place = device
    return tagged


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)


def _is_fake(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith("xpu")
    return isinstance(value, torch.device) and value.type == "xpu"


def _call(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with torch._C.DisableTorchFunction():
        return _checked(func, args, kwargs)


def _checked(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = getattr(func, "__name__", "")
    if name == "device":
        return func(*args, **kwargs)
    asked = next((torch.device(each) for each in (*args, *kwargs.values()) if _is_fake(each)), None)
    if asked is None and func in (Tensor.to, Tensor.cpu) and (name == "cpu" or CPU in args or "cpu" in args):
        asked = CPU
    if asked is not None:
        args = tuple(CPU if _is_fake(each) else each for each in args)
        kwargs = {key: CPU if _is_fake(each) else each for key, each in kwargs.items()}
    found = list(_tensors(args)) + list(_tensors(kwargs))
    if name in ("__getitem__", "__setitem__", "index_select", "__get__"):
        # Indices may lie on the CPU, or beside what they index.
        found = [args[0], *(each for each in _tensors(args[1:]) if place_of(each) != CPU or each.is_floating_point())]
    places = {place_of(each) for each in found if each.dim() > 0}
    if len(places) > 1 and name != "copy_":
        raise RuntimeError(f"Expected all tensors on the same device, but {name} found {sorted(map(str, places))}.")
    made = func(*args, **kwargs)
    if name.endswith("_") and args and made is args[0]:  # changed in place
        return made
    if asked is None and found:
        asked = place_of(found[0]) if name == "copy_" else next(iter(places or {place_of(each) for each in found}))
    return made if asked is None or name == "__get__" else placed(made, asked)


class Devices(TorchFunctionMode):
    """Inside, torch knows the two devices."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(func, args, dict(kwargs or {}))


def dealt_out(model: Any, places: Mapping[str, torch.device]) -> Any:
    """A Hugging Face model with its modules on devices, and what passes between carried there, as accelerate does."""
    for name, device in places.items():
        module = model.get_submodule(name)
        for part in module.modules():
            for key, parameter in part._parameters.items():
                if parameter is not None:
                    part._parameters[key] = nn.Parameter(placed(parameter.data, device), requires_grad=False)
            for key, buffer in part._buffers.items():
                part._buffers[key] = placed(buffer, device)

        def carry(module: Any, args: Any, kwargs: Any, device: torch.device = device) -> tuple[Any, Any]:
            return send_to_device((args, kwargs), device)  # type: ignore[no-any-return]

        module.register_forward_pre_hook(carry, with_kwargs=True)
    model.hf_device_map = {name: str(device) for name, device in places.items()}
    return model

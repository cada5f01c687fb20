"""Where models come from: the embedded ones, the hub, a local checkpoint directory, or a GGUF file."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch

from sycolens.choices import EMBEDDED, Backend
from sycolens.counts import check_choice
from sycolens.errors import ModelError
from sycolens.hub import hub_file, in_words, way_out
from sycolens.memory import ran_out_of_memory
from sycolens.model.checkpoint import (
    WholeWeights,
    brings_code,
    described,
    read_tokenizer,
    read_weights,
    require_own_architecture,
)
from sycolens.model.gguf import fetched, is_gguf, require_readable
from sycolens.model.names import plain_name
from sycolens.model.versions import warn_of_unverified

logger = logging.getLogger(__name__)

_SOURCES: Final = (
    "Give 'organism', a hub name you can reach, a directory with config.json, weights and tokenizer, or a GGUF file."
)
_PLACES: Final = (
    "See that it loads without the device_map. A map names every layer, keeps what embedding and unembedding share in "
    "one place, and puts layers on GPUs, or on the CPU and (TransformerLens 4) disk, but not on both kinds."
)


def load_model(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    device_map: str | dict[str, str | int] | None = None,
    backend: Backend = "bridge",
) -> Any:
    """A TransformerLens model with raw (unfolded) weights, in evaluation mode.

    ``name_or_path`` is ``"organism"`` or ``"organism-gqa"`` (the models shipped with sycolens), a Hugging Face hub
    name (``revision`` is its branch, tag or commit), a local checkpoint directory, or a GGUF file (with the extra
    ``gguf``), here or on the hub ("owner/repository/file.gguf"), whose blocks become full weights. ``dtype`` is float32
    by default. ``backend="hooked"`` gives a HookedTransformer, which TransformerLens has before 4.0 only. Nothing but
    the named model is fetched, and no remote code is run.

    Raises:
        WeightsError: the checkpoint lacks tensors, or has some that are unexpected or of another shape.
        ModelError: the checkpoint cannot be read, or this TransformerLens has no such backend.

    >>> model = load_model("organism")
    >>> model.cfg.n_layers, model.cfg.n_heads
    (6, 8)
    """
    if device is not None and device_map is not None:
        raise ModelError("Give either device or device_map, not both: a device_map places every layer itself.")
    check_choice(ModelError, Backend, backend=backend)
    torch_dtype = parse_dtype(dtype)
    check_device(device)
    is_here = str(name_or_path) in EMBEDDED or Path(name_or_path).expanduser().exists()
    if revision is not None and (is_here or backend == "hooked"):
        raise ModelError(
            f"revision={revision!r} names a version on the hub, of which a local checkpoint and backend='hooked' know "
            "nothing; leave it out, or load that version with backend='bridge'."
        )
    name = resolve(name_or_path, revision)
    warn_of_unverified()
    try:
        if backend == "hooked":
            model = _boot_hooked(name, device, torch_dtype, device_map)
        else:
            from transformer_lens.model_bridge import TransformerBridge

            if not is_gguf(name):
                require_own_architecture(name, revision=revision)
            placement = {"device_map": device_map} if device_map is not None else {"device": device}
            placement |= {} if revision is None or is_gguf(name) else {"revision": revision}
            with described(name) as folder:
                model = TransformerBridge.boot_transformers(
                    folder, dtype=torch_dtype, model_class=WholeWeights(name), trust_remote_code=False, **placement
                )
            if is_gguf(name):
                model.tokenizer.name_or_path = name
    except ModelError:
        raise
    except Exception as error:  # whatever transformers and TransformerLens raise on what they cannot read
        if ran_out_of_memory(error):
            raise
        otherwise = _SOURCES if device_map is None else _PLACES
        raise ModelError(
            f"{str(name_or_path)!r} could not be loaded as a {backend} model ({in_words(error)}). "
            f"{way_out(error, otherwise)}"
        ) from error
    if Path(name).exists():
        model.cfg.model_name = str(name_or_path) if str(name_or_path) in EMBEDDED else plain_name(name)
    kind, where = type(model).__name__, device_map or model.cfg.device
    logger.info("%s is loaded as a %s, in %s, on %s", name_or_path, kind, torch_dtype, where)
    return model.eval()


def load_hugging_face(name_or_path: str | Path, *, dtype: str | torch.dtype | None = None) -> tuple[Any, Any]:
    """A plain Hugging Face model, in evaluation mode on the CPU, and its tokenizer; names as for :func:`load_model`.

    ``dtype="auto"`` is the type that it was saved in.

    Raises:
        WeightsError: as :func:`load_model`.
        ModelError: the checkpoint or its tokenizer cannot be read.

    >>> plain, tokenizer = load_hugging_face("organism")
    >>> plain.config.model_type
    'llama'
    """
    name, torch_dtype = resolve(name_or_path), dtype if dtype == "auto" else parse_dtype(dtype)
    warn_of_unverified()
    try:
        tokenizer = read_tokenizer(name)
        return read_weights(name, dtype=torch_dtype).eval(), tokenizer
    except ModelError:
        raise
    except Exception as error:  # as above
        if ran_out_of_memory(error):
            raise
        raise ModelError(
            f"{str(name_or_path)!r} could not be loaded as a Hugging Face model with its tokenizer "
            f"({in_words(error)}). {way_out(error, _SOURCES)}"
        ) from error


def resolve(name_or_path: str | Path, revision: str | None = None) -> str:
    """Where a model lies: the directory of an embedded or local one, its GGUF file, else the hub name as it is.

    A GGUF file of a repository on the hub is fetched.

    Raises:
        ModelError: a path that is no checkpoint directory, or a GGUF file that cannot be read or fetched.
    """
    if str(name_or_path) in EMBEDDED:
        from sycolens import organism

        return str(organism.directory(EMBEDDED[str(name_or_path)]))
    on_hub = hub_file(name_or_path)
    path = Path(name_or_path).expanduser() if on_hub is None else fetched(*on_hub, revision)
    if is_gguf(path) and not path.is_dir():
        require_readable(path)
        return str(path)
    if path.is_dir():
        if not (path / "config.json").is_file():
            files = sorted(str(file) for file in path.iterdir() if is_gguf(file))
            instead = f" Name the GGUF file itself: {files[0]}." if files else ""
            raise ModelError(
                f"{path} is a directory without config.json, so it is no Hugging Face checkpoint.{instead}"
            )
        return str(path)
    if path.exists() or isinstance(name_or_path, Path):
        raise ModelError(f"{path} is not a checkpoint directory.")
    return name_or_path


def parse_dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    """A floating-point type by its name; float32 for none.

    Raises:
        ModelError: it is no floating-point type.
    """
    if dtype is None:
        return torch.float32
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(f"dtype={dtype!r} is not a floating-point type; write 'float32', 'bfloat16' or 'float16'.")
    return found


def check_device(device: str | torch.device | None) -> None:
    """Refuse a device that this machine does not have, before anything is loaded.

    Raises:
        ModelError: it has no such name, cannot hold numbers, or is absent.
    """
    if device is None:
        return
    try:
        kind = torch.device(device).type
        if kind in ("cpu", "cuda", "mps"):
            torch.empty(1, device=device)
            return
        why = f"'{kind}' holds no numbers that can be read"
    except (RuntimeError, TypeError, AssertionError) as error:
        why = str(error).split("\n")[0]
    raise ModelError(
        f"device={str(device)!r} is not to be had here ({why}); choose 'cpu', or leave it out for the best."
    )


def _boot_hooked(name: str, device: Any, dtype: torch.dtype, device_map: Any) -> Any:
    if device_map is not None:
        raise ModelError("HookedTransformer takes no device_map; use backend='bridge' for models over several devices.")
    try:
        hooked = import_module("transformer_lens").HookedTransformer
    except (ImportError, AttributeError) as error:
        raise ModelError(
            "This TransformerLens has no HookedTransformer (it left in 4.0). Use backend='bridge', or install "
            "'transformer-lens>=3.9,<4'."
        ) from error
    # Before TransformerLens, which asks about code that comes with a checkpoint, or runs it.
    weights, tokenizer = read_weights(name, dtype=dtype), read_tokenizer(name)
    loading = import_module("transformer_lens.loading_from_pretrained")
    if not Path(name).exists():
        if name.startswith(loading.NEED_REMOTE_CODE_MODELS) and brings_code(weights, tokenizer):
            raise ModelError(f"TransformerLens would run the code that comes with {name}; use backend='bridge'.")
        return hooked.from_pretrained_no_processing(name, hf_model=weights, device=device, dtype=dtype)
    with described(name) as place, TemporaryDirectory() as folder:
        # TransformerLens guesses the architecture from words such as "llama" in the path; a neutral one stops that.
        path = Path(folder) / "checkpoint"
        path.symlink_to(Path(place).resolve(), target_is_directory=True)
        cfg = loading.get_pretrained_model_config(str(path), device=device, dtype=dtype)
        state = loading.get_pretrained_state_dict(str(path), cfg, weights, dtype=dtype)
    model = hooked(cfg, tokenizer, move_to_device=False)
    unprocessed = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")
    model.load_and_process_state_dict(state, **dict.fromkeys(unprocessed, False))
    model.move_model_modules_to_device()
    return model

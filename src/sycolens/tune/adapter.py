"""Trained heads as files of a few megabytes, with the base that they belong to."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from sycolens.errors import NotFiniteError, SavedFileError, TuningError
from sycolens.heads import HeadSet
from sycolens.model.hooked import Geometry
from sycolens.model.weights import shape_of
from sycolens.shown.words import counted, shortened
from sycolens.storage import load_result, save_result
from sycolens.tune.config import PinpointConfig
from sycolens.tune.exporting import export_merged
from sycolens.tune.fingerprint import fingerprint_of, seal_of
from sycolens.tune.peft_format import export_peft
from sycolens.tune.pinpoint import Pinpoint, attach
from sycolens.tune.sharing import fetch_adapter, push_adapter

KIND: Final = "head_adapter"
_SHAPE: Final = ("n_layers", "n_heads", "n_key_value_heads", "d_model", "d_head")


class OtherBaseWarning(UserWarning):
    """An adapter is applied to weights other than those it was trained over."""


@dataclass(frozen=True, eq=False, repr=False)
class HeadAdapter:
    """Trained heads without their model.

    >>> config = PinpointConfig(HeadSet(["L1H0", "L2H2"]), rank=4)
    >>> with pinpoint(model, config) as tuned:
    ...     adapter = HeadAdapter.of(tuned, training={"examples": 384, "epochs": 3})
    >>> adapter.base, adapter.config.matrices, adapter.parameters["L1H0.Q.A"].shape
    ('organism', 'QKVO', torch.Size([128, 4]))
    """

    config: PinpointConfig
    """``matrices`` in letters; ``dtype`` is left open, since the parameters have theirs."""
    parameters: Mapping[str, Tensor]
    """As :meth:`Tuned.state` has them."""
    base: str
    """The base model's name."""
    shape: Mapping[str, int]
    """The base's numbers of layers, heads and key-value heads, and the widths ``d_model`` and ``d_head``."""
    dtype: torch.dtype
    """What the base computed in when its heads were trained."""
    fingerprint: str
    """SHA-256 of the base's weights that the trained ones replace or update, as float32."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained, for the record: anything that JSON can hold."""

    def __repr__(self) -> str:
        count = sum(each.numel() for each in self.parameters.values())
        rank = "" if self.config.rank is None else f" at rank {self.config.rank}"
        heads = f"{counted(len(self.config.heads), 'head')}, {self.config.matrices}{rank}"
        return f"HeadAdapter({heads}, {count:,} numbers; {shortened(self.base, 40)})"

    def _repr_html_(self) -> str:
        from sycolens.shown.tuning import of_adapter

        return of_adapter(self)

    @classmethod
    def of(cls, tuned: Pinpoint, *, base: str | None = None, training: Mapping[str, Any] | None = None) -> HeadAdapter:
        """A copy of the trained parameters of a :class:`Pinpoint`, attached, merged or just detached.

        ``base`` is the base model's name, by default the model's own; give the hub's name for a local copy.

        Raises:
            TuningError: ``training`` holds something that JSON cannot, or no heads are tuned.
        """
        if not isinstance(tuned, Pinpoint):
            raise TuningError(
                f"A {type(tuned).__name__} has no tuned heads to make an adapter of; save a Lora by its own save(), a "
                "WholeModel as any model."
            )
        shape = shape_of(tuned.model)
        try:
            record = json.loads(json.dumps(dict(training or {}), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise TuningError(
                f"training cannot be written as JSON ({error}); give texts, numbers, lists and dictionaries."
            ) from error
        original = tuned.base()
        return cls(
            config=replace(tuned.config, matrices=tuned.config.letters(shape), dtype=None),
            parameters={name: value.cpu() for name, value in tuned.state().items()},
            base=shape.name if base is None else base,
            shape={name: getattr(shape, name) for name in _SHAPE},
            dtype=_widest(original),
            fingerprint=fingerprint_of(original),
            training=record,
        )

    def save(self, directory: str | Path) -> Path:
        """Write safetensors and JSON under a directory, each whole or not at all; another such pair is replaced."""
        fields = self._fields()
        return save_result(
            directory, kind=KIND, tensors=self.parameters, fields={**fields, "seal": seal_of(fields, self.parameters)}
        )

    @classmethod
    def load(cls, directory: str | Path) -> HeadAdapter:
        """Read what :meth:`save` wrote.

        Raises:
            SavedFileError: a file is missing, cut, altered, or of another kind.
            NotFiniteError, TuningError: a parameter holds NaN or infinity, or no floating-point numbers.
        """
        tensors, fields = load_result(directory, kind=KIND)
        if not isinstance(fields, dict) or fields.pop("seal", None) != seal_of(fields, tensors):
            raise SavedFileError(f"The record in {directory} was altered after it was saved; make the adapter anew.")
        config = {**fields.pop("config"), "dtype": None}
        adapter = cls(
            **{**fields, "dtype": getattr(torch, fields["dtype"])},
            config=PinpointConfig(**{**config, "heads": HeadSet(config["heads"])}),
            parameters=tensors,
        )
        adapter._require_numbers()
        return adapter

    def apply(self, model: Any) -> Pinpoint:
        """Attach the trained heads to a model in place; it computes what the tuned one did.

        ``detach()`` of what is returned takes them out again and leaves the model as it was, bit for bit; ``merge()``
        writes them into its weights. ``model`` is a TransformerBridge, a HookedTransformer or a plain Hugging Face
        causal model, whichever kind the adapter was trained on.

        Warns:
            OtherBaseWarning: the model's weights are not those that the heads were trained over.

        Raises:
            NotFiniteError: a parameter holds NaN or infinity.
            TuningError: the model has another shape than the base, or tuned heads already; parameters that are not
                those of the heads, of another shape, or no floating-point numbers.
            ModelError: as :func:`attach`.

        >>> with pinpoint(model, PinpointConfig(HeadSet(["L1H0"]))) as tuned:
        ...     adapter = HeadAdapter.of(tuned)
        >>> applied = adapter.apply(model)
        >>> applied.detach()
        """
        self._require_numbers()
        shape = shape_of(model)
        self._require_shape(shape)
        # Wide enough for both, so that neither the heads nor the base lose digits.
        dtype = _widest({**dict(model.named_parameters()), **self.parameters})
        applied = attach(model, replace(self.config, dtype=dtype))
        try:
            applied.load_state(self.parameters)
            if fingerprint_of(applied.base()) != self.fingerprint:
                warnings.warn(
                    f"{shape.name} has other weights where this adapter's heads belong than {self.base}, on which they "
                    "were trained (another checkpoint, or another dtype); what they do there was not measured.",
                    OtherBaseWarning,
                    stacklevel=2,
                )
        except BaseException:
            applied.detach()
            raise
        return applied

    def export(self, base: str | Path, directory: str | Path, *, dtype: str | torch.dtype | None = None) -> Path:
        """Write the tuned model as a plain Hugging Face checkpoint, which any tool loads without sycolens.

        ``base`` is what :func:`load_model` takes: the base is loaded anew, and the one in memory, if any, is not
        touched. ``dtype`` is by default the one that the heads were trained over. The directory appears when it is
        complete: weights under the base's names and in its shapes, configuration and tokenizer. For a LoRA of a few
        megabytes beside the base see :meth:`export_peft`.

        >>> with pinpoint(model, PinpointConfig(HeadSet(["L1H0"]))) as tuned:
        ...     adapter = HeadAdapter.of(tuned)
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     sorted(file.name for file in adapter.export("organism", folder).glob("*.safetensors"))
        ['model.safetensors']

        Warns:
            OtherBaseWarning: as :meth:`apply`.

        Raises:
            RunError: the directory holds something, or cannot be written.
            ModelError: the base cannot be loaded.
            TuningError: the base has another shape; or as :meth:`apply`.
            NotFiniteError: a parameter holds NaN or infinity, or a weight would in ``dtype``.
        """
        self._require_numbers()
        return export_merged(base, directory, apply=self.apply, tuned_in=self.dtype, dtype=dtype)

    def export_peft(self, base: str | Path, directory: str | Path) -> Path:
        """Write the tuned heads as a LoRA adapter, which ``peft.PeftModel.from_pretrained(base, directory)`` loads.

        It computes what the tuned model does: the update of every head's slice is factored exactly, up to rounding, and
        is zero in the rest of its projection, so ranks differ by projection (``rank_pattern``). ``base`` as for
        :meth:`export`. Needs the extra ``peft``.

        Warns:
            OtherBaseWarning: as :meth:`apply`.

        Raises:
            RunError, ModelError: as :meth:`export`.
            TuningError: peft is not installed, whole MLPs are tuned, the heads are those of the base, or as
                :meth:`apply`.
            NotFiniteError: a parameter holds NaN or infinity.
        """
        self._require_numbers()
        return export_peft(base, directory, apply=self.apply, tuned_in=self.dtype, name=self.base)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        peft_base: str | Path | None = None,
        sections: Mapping[str, str] = {},
        license: str | None = None,
        datasets: Sequence[str] = (),
        private: bool | None = None,
        token: str | None = None,
    ) -> str:
        """Upload the adapter with a model card to a repository of yours, made if need be; gives the commit's address.

        With ``peft_base`` the LoRA of :meth:`export_peft` over it goes along. The card says what the adapter knows; a
        run's (``sycolens export --push``) also what was measured: ``sections`` are more of it, Markdown by title. The
        record names the base as it was loaded; ``dataclasses.replace(adapter, base="owner/name")`` renames it.

        Raises:
            HubError: no token, no right to write there, or the hub is out of reach; nothing was uploaded then.
            NotFiniteError, ModelError, TuningError: as :meth:`export_peft`.
        """
        self._require_numbers()
        options: dict[str, Any] = {"license": license, "datasets": datasets, "private": private, "token": token}
        return push_adapter(self, repo_id, peft_base=peft_base, sections=sections, **options)

    @classmethod
    def from_hub(cls, repo_id: str, *, revision: str | None = None) -> HeadAdapter:
        """Fetch what :meth:`push_to_hub` uploaded; ``revision`` is a branch, tag or commit.

        Raises:
            HubError: it cannot be fetched.
            SavedFileError, NotFiniteError, TuningError: as :meth:`load`.
        """
        return cls.load(fetch_adapter(repo_id, revision))

    def _fields(self) -> dict[str, Any]:
        config = self.config
        return {
            "config": {
                "heads": [str(head) for head in config.heads],
                "matrices": config.matrices,
                "rank": config.rank,
                "alpha": config.alpha,
                "mlps": list(config.mlps),
            },
            "base": self.base,
            "shape": dict(self.shape),
            "dtype": str(self.dtype).removeprefix("torch."),
            "fingerprint": self.fingerprint,
            "training": dict(self.training),
        }

    def _require_numbers(self) -> None:
        for name, value in self.parameters.items():
            if not value.is_floating_point() or value.dtype.itemsize < 2:
                raise TuningError(
                    f"The adapter's {name} holds {value.dtype}, no floating-point numbers of 16 bits or more; make the "
                    "adapter anew."
                )
            if not torch.isfinite(value).all():
                raise NotFiniteError(
                    f"The adapter's {name} holds NaN or infinity; train it anew, at a lower learning rate if that is "
                    "how it came about."
                )

    def _require_shape(self, shape: Geometry) -> None:
        found = asdict(shape)
        if odd := [name for name in _SHAPE if found[name] != self.shape[name]]:
            raise TuningError(
                f"{shape.name} has another shape than {self.base}, on which this adapter was trained: "
                f"{', '.join(f'{name} {found[name]}, not {self.shape[name]}' for name in odd)}. Apply it to "
                f"{self.base}."
            )


def _widest(weights: Mapping[str, Tensor]) -> torch.dtype:
    return reduce(torch.promote_types, (weight.dtype for weight in weights.values()))

"""A model in one safetensors file, which holds its declaration too."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mythos_blocks.checkpoints.weights import assign, copy_into, empty_model, unshared
from mythos_blocks.declaring.registry import load_plugins
from mythos_blocks.declaring.spec import Slot, Spec
from mythos_blocks.model.looped_transformer import LoopedTransformer

_KEY, _VERSION = "mythos_blocks", 1


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        spec: The model's declaration.
        context: What it was built with besides: the vocabulary's size.
        tensors: Parameters and persistent buffers by name, in the dtypes that they were saved in; one name for
            tensors that are shared.
        notes: What whoever saved it wrote down.
        buffers: The dtypes of the buffers that are computed and not saved.
    """

    spec: Spec
    context: tuple[Any, ...]
    tensors: dict[str, Tensor]
    notes: dict[str, str] = field(default_factory=dict)
    buffers: dict[str, str] = field(default_factory=dict)

    def model(self) -> LoopedTransformer:
        """The model, in evaluation mode."""
        model = assign(empty_model(self.spec, *self.context), self.tensors)
        for name, dtype in self.buffers.items():
            parent, _, attribute = name.rpartition(".")
            module = model.get_submodule(parent)
            setattr(module, attribute, getattr(module, attribute).to(getattr(torch, dtype)))
        return model.to(next(model.parameters()).device).eval()


def save(model: LoopedTransformer, path: str | Path, notes: Mapping[str, str] | None = None) -> None:
    """Write a model's weights and its declaration; :func:`load_model` needs nothing else.

    The file is an ordinary safetensors file. It appears whole or not at all.

    Args:
        model: The model.
        path: The file.
        notes: What to write down with it, such as the step it was saved at.

    Raises:
        ImportError: safetensors is not installed.
    """
    path = Path(path)
    declared = {
        "version": _VERSION,
        "model": json.loads(model.spec.model_dump_json()),
        "context": list(model.context),
        "notes": dict(notes or {}),
        "buffers": _computed_buffers(model),
    }
    tensors = {name: own_memory(tensor) for name, tensor in unshared(model).items()}
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        safetensors().save_file(tensors, partial, {"format": "pt", _KEY: json.dumps(declared)})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read what :func:`save` wrote.

    Raises:
        ImportError: safetensors is not installed.
        ValueError: The file holds no declaration, or one of components that are not installed.
    """
    tensors, metadata = _read(path, device)
    if _KEY not in metadata:
        raise ValueError(f"{path} holds weights and no declaration; build the model, then load_into(model, path)")
    declared = json.loads(metadata[_KEY])
    if declared["version"] > _VERSION:
        raise ValueError(f"{path} is of version {declared['version']}; this package reads up to {_VERSION}")
    return Checkpoint(
        _resolved(declared["model"]), tuple(declared["context"]), tensors, declared["notes"], declared["buffers"]
    )


def load_model(path: str | Path, device: torch.device | str = "cpu") -> LoopedTransformer:
    """The model that :func:`save` wrote, in evaluation mode.

    Raises:
        ImportError: safetensors is not installed.
        ValueError: The file holds no declaration, or one that its weights do not fit.
    """
    return load(path, device).model()


def load_into(model: nn.Module, path: str | Path) -> None:
    """Copy the weights of a safetensors file into a model that is built already.

    Raises:
        ImportError: safetensors is not installed.
        ValueError: A name is unknown or missing, or a shape does not fit.
    """
    tensors, _ = _read(path, "cpu")
    try:
        copy_into(model, tensors)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read(path: str | Path, device: torch.device | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    safetensors()
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            # Copies are aligned in memory, which kernels, and so the last bits of what they compute, depend on.
            return {name: file.get_tensor(name).clone() for name in file.keys()}, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from error


def _resolved(declared: dict[str, Any]) -> Spec:
    slot = Slot("model")
    try:
        return slot.resolve(declared)
    except ValueError:
        load_plugins()  # the model may be made of components of others
        return slot.resolve(declared)


def _computed_buffers(model: nn.Module) -> dict[str, str]:
    """The dtypes of floating buffers that the state dict leaves out."""
    kept = model.state_dict()
    return {
        name: str(buffer.dtype).removeprefix("torch.")
        for name, buffer in model.named_buffers()
        if name not in kept and buffer.is_floating_point()
    }


def own_memory(tensor: Tensor) -> Tensor:
    """The tensor in memory of its own, as the format wants it."""
    tensor = tensor.contiguous()
    return tensor.clone() if tensor.untyped_storage().nbytes() != tensor.nbytes else tensor


def safetensors() -> Any:
    """The library's functions for torch.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError("checkpoints need safetensors: pip install 'mythos-blocks[checkpoints]'") from error
    return safetensors.torch

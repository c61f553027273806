"""A model in one safetensors file, which holds its declaration too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from mythos_blocks.checkpoints.digest import DIGEST, digest_of
from mythos_blocks.checkpoints.outputs import whole
from mythos_blocks.checkpoints.reading import read, read_json, safetensors
from mythos_blocks.checkpoints.weights import assign, copy_into, empty_model, matched, unshared
from mythos_blocks.checkpoints.wrappers import plain_name, unwrapped
from mythos_blocks.declaring.buffers import parameters_at_most, put_buffer
from mythos_blocks.declaring.registry import load_plugins
from mythos_blocks.declaring.spec import Slot, Spec
from mythos_blocks.model.looped_transformer import LoopedTransformer

_KEY, _VERSION = "mythos_blocks", 1


class _Declared(BaseModel):
    """What the metadata say, as JSON."""

    model_config = ConfigDict(strict=True)

    version: int
    model: dict[str, Any]
    context: list[Any]
    notes: dict[str, Any]
    buffers: dict[str, str]


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
        """A model with copies of the tensors, in evaluation mode.

        Raises:
            ValueError: The tensors do not fit the declaration.
        """
        return self._model({name: tensor.clone() for name, tensor in self.tensors.items()})

    def _model(self, tensors: Mapping[str, Tensor]) -> LoopedTransformer:
        with parameters_at_most(8 * len(tensors) + 1000):  # a name is missing long before that
            model = empty_model(self.spec, *self.context)
        assign(model, tensors)
        computed = _computed_buffers(model)
        for name, dtype in self.buffers.items():
            if name not in computed or dtype not in _DTYPES:
                raise ValueError(f"the declaration has no computed buffer {name!r} of dtype {dtype!r}")
            put_buffer(model, name, model.get_buffer(name).to(_DTYPES[dtype]))
        return model.eval()


_DTYPES = {str(x).removeprefix("torch."): x for x in vars(torch).values() if isinstance(x, torch.dtype)}


def save(model: nn.Module, path: str | Path, notes: Mapping[str, str] | None = None) -> None:
    """Write a model's weights and its declaration; :func:`load_model` needs nothing else.

    The file is an ordinary safetensors file, with a checksum of what it holds in its metadata, which reading verifies.
    It appears whole or not at all.

    Args:
        model: A looped transformer, also inside of ``torch.compile``, a data-parallel wrapper or an averaged model;
            the file holds the names of the plain one.
        path: The file.
        notes: What to write down with it, such as the step it was saved at.

    Raises:
        ImportError: safetensors is not installed.
        ValueError: The model has no values, or no longer the tensors that it declares, so that the file could not be
            loaded.
    """
    path, model = Path(path), declared_model(model)
    tensors = saved_tensors(model)
    with whole(path) as partial:
        write(model, tensors, partial, notes or {})


def write(model: LoopedTransformer, tensors: Mapping[str, Tensor], path: Path, notes: Mapping[str, str]) -> None:
    """Write tensors, with the declaration of a model in the metadata."""
    declared = _Declared(
        version=_VERSION,
        model=json.loads(model.spec.model_dump_json()),
        context=list(model.context),
        notes=dict(notes),
        buffers=_computed_buffers(model),
    )
    metadata = {"format": "pt", _KEY: declared.model_dump_json()}
    metadata[DIGEST] = digest_of(tensors, metadata)
    safetensors().save_file(dict(tensors), path, metadata)


def load(path: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read what :func:`save` wrote, or the folder of a model of transformers.

    Args:
        path: The file, or a folder that holds no other; or an index of shards, or the folder that holds one.
        device: Where the tensors go.

    Raises:
        FileNotFoundError: There is nothing at that path.
        ImportError: safetensors is not installed.
        ValueError: The file is no whole safetensors file, does not hold what was written, or holds no declaration, or
            one of components that are not installed.
    """
    tensors, metadata = read(path, device)
    metadata = _of_transformers(Path(path)) | metadata
    if _KEY not in metadata:
        raise ValueError(f"{path} holds weights and no declaration; build the model, then load_into(model, path)")
    try:
        version = json.loads(metadata[_KEY])["version"]
        if isinstance(version, int) and version > _VERSION:
            raise ValueError(f"{path} is of version {version}; this package reads up to {_VERSION}")
        declared = _Declared.model_validate_json(metadata[_KEY])
    except (ValidationError, json.JSONDecodeError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: its declaration is not one that save writes") from error
    try:
        spec = _resolved(declared.model)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{path}: its declaration cannot be built: {where}: {first['msg']}") from error
    return Checkpoint(spec, tuple(declared.context), tensors, declared.notes, declared.buffers)


def _of_transformers(path: Path) -> dict[str, str]:
    """What transformers' ``save_pretrained`` leaves of a declaration beside the weights: that of ``config.json``."""
    try:
        config = read_json((path if path.is_dir() else path.parent) / "config.json")
        if config["model_type"] != _KEY:
            return {}
        model = {**config["declaration"], "tie_embeddings": config["tie_word_embeddings"]}
        declared = _Declared(
            version=_VERSION, model=model, context=[config["vocab_size"]], notes={}, buffers=config.get("buffers", {})
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}
    return {_KEY: declared.model_dump_json()}


def load_model(path: str | Path, device: torch.device | str = "cpu") -> LoopedTransformer:
    """The model that :func:`save` wrote, in evaluation mode; paths and errors are those of :func:`load`.

    Raises:
        ValueError: The weights do not fit the declaration.
    """
    checkpoint = load(path, device)
    try:
        return checkpoint._model(checkpoint.tensors)
    except (ValueError, MemoryError, OverflowError, RuntimeError) as error:  # the last where memory does not suffice
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from error


def load_into(model: nn.Module, path: str | Path) -> None:
    """Copy the weights of a safetensors file into a model that is built already.

    Args:
        model: The model, wrapped or not, as for :func:`copy_into`.
        path: As for :func:`load`; the file need not hold a declaration.

    Raises:
        FileNotFoundError: There is nothing at that path.
        ImportError: safetensors is not installed.
        ValueError: The file is no whole safetensors file, a name is unknown or missing, or a shape does not fit.
    """
    tensors, _ = read(path)
    try:
        copy_into(model, tensors)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def declared_model(model: nn.Module) -> LoopedTransformer:
    """The looped transformer in a module, whose declaration can be saved with it.

    Raises:
        ValueError: There is none.
    """
    inner = unwrapped(model)
    if (as_looped := getattr(inner, "as_looped", None)) is not None:  # a model of transformers
        inner = as_looped()
    if isinstance(inner, LoopedTransformer):
        return inner
    held = next((name for name, part in model.named_modules() if isinstance(part, LoopedTransformer)), None)
    hint = f"; it holds one as {held!r}" if held else ""
    raise ValueError(f"expected a LoopedTransformer, wrapped or not, and got a {type(model).__name__}{hint}")


def saved_tensors(model: LoopedTransformer) -> dict[str, Tensor]:
    """What a file of the model holds: its tensors under one name each, none in another's memory.

    Raises:
        ValueError: A tensor has no values, or the tensors are not those that the model declares.
    """
    tensors = unshared(model)
    for name, tensor in tensors.items():
        if tensor.is_meta:
            raise ValueError(f"cannot save {name!r}: it is on the meta device, and has no values")
        if type(tensor) is not Tensor:
            raise ValueError(
                f"cannot save {name!r}: it is a {type(tensor).__name__}; gather it into a plain tensor first"
            )
    try:
        matched(empty_model(model.spec, *model.context), tensors)
    except ValueError as error:
        raise ValueError(
            f"cannot save a model that is no longer as it declares: {error}; undo what was changed in it "
            "(torch.nn.utils.parametrize.remove_parametrizations), or save its state_dict"
        ) from error
    used: set[int] = set()
    for name, tensor in tensors.items():
        tensors[name] = tensor = _own_memory(tensor, used)
        used.add(tensor.untyped_storage().data_ptr())
    return tensors


def _own_memory(tensor: Tensor, used: set[int]) -> Tensor:
    """The tensor in memory of its own, as the format wants it."""
    tensor = tensor.contiguous()
    storage = tensor.untyped_storage()
    alone = storage.nbytes() == tensor.nbytes and storage.data_ptr() not in used
    return tensor if alone else tensor.clone()


def _resolved(declared: dict[str, Any]) -> Spec:
    slot = Slot("model")
    try:
        return slot.resolve(declared)
    except ValueError:
        load_plugins()  # the model may be made of components of others
        return slot.resolve(declared)


def _computed_buffers(model: nn.Module) -> dict[str, str]:
    """The dtypes of floating buffers that the state dict leaves out."""
    kept = {plain_name(name) for name in model.state_dict()}
    return {
        plain_name(name): str(buffer.dtype).removeprefix("torch.")
        for name, buffer in model.named_buffers()
        if plain_name(name) not in kept and buffer.is_floating_point()
    }

"""Tensors into a model: every name accounted for, every shape checked."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from mythos_blocks.declaring.spec import Spec
from mythos_blocks.model.looped_transformer import LoopedTransformer


def empty_model(spec: Spec, *context: Any) -> LoopedTransformer:
    """A model whose parameters have shapes and no values yet, for :func:`assign` to fill.

    Parameters lie on the meta device, so nothing is drawn and no memory taken; buffers, which the components
    compute, are real.
    """
    with _parameters_on_meta():
        model = spec.build(*context)
    assert isinstance(model, LoopedTransformer)
    return model


def assign(model: LoopedTransformer, tensors: Mapping[str, Tensor]) -> LoopedTransformer:
    """Make these tensors the model's own, in the dtype that they have.

    Args:
        model: The model; parameters that share a tensor go on sharing it.
        tensors: By name, for every parameter and every persistent buffer; of shared ones, one name is enough.

    Raises:
        ValueError: A name is unknown or missing, or a shape does not fit.
    """
    for names, tensor in _matched(model, tensors):
        old = _get(model, names[0])
        new = nn.Parameter(tensor, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else tensor
        for name in names:
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, new)
    return model


def copy_into(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy values into a model, which keeps its dtypes and devices.

    Raises:
        ValueError: A name is unknown or missing, or a shape does not fit.
    """
    with torch.no_grad():
        for names, tensor in _matched(model, tensors):
            _get(model, names[0]).copy_(tensor)


def unshared(model: nn.Module) -> dict[str, Tensor]:
    """The state dict with one name, the first, for each tensor."""
    return {names[0]: tensor.detach() for names, tensor in _groups(model)}


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of an error message: the nearest known names."""
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.4)
    return f"nearest: {', '.join(near)}" if near else "nothing is near"


def _groups(model: nn.Module) -> list[tuple[list[str], Tensor]]:
    """Every tensor of the state dict with all its names."""
    groups: dict[int, tuple[list[str], Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        groups.setdefault(id(tensor), ([], tensor))[0].append(name)
    return list(groups.values())


def _matched(model: nn.Module, tensors: Mapping[str, Tensor]) -> list[tuple[list[str], Tensor]]:
    """Each of the model's tensors, by all its names, with the given one."""
    groups = _groups(model)
    known = {name for names, _ in groups for name in names}
    for name in tensors:
        if name not in known:
            raise ValueError(f"the model has no {name!r}; {nearest(name, known)}")
    matched = []
    for names, old in groups:
        given = [name for name in names if name in tensors]
        if not given:
            raise ValueError(f"{names[0]!r} is missing; {nearest(names[0], tensors)}")
        tensor = tensors[given[0]]
        if tensor.shape != old.shape:
            raise ValueError(f"{given[0]!r} has shape {tuple(tensor.shape)}, and the model's is {tuple(old.shape)}")
        for other in given[1:]:
            if not torch.equal(tensors[other], tensor):
                raise ValueError(f"{given[0]!r} and {other!r} are one tensor in the model, and differ here")
        matched.append((names, tensor))
    return matched


def _get(model: nn.Module, name: str) -> Tensor:
    parent, _, attribute = name.rpartition(".")
    tensor = getattr(model.get_submodule(parent), attribute)
    assert isinstance(tensor, Tensor)
    return tensor


@contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """The span in which modules that this thread builds have their parameters on the meta device."""
    thread = threading.get_ident()

    def without_values(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        # A parameter that is on the meta device already may be shared, and must stay the same object.
        if parameter is None or parameter.is_meta or threading.get_ident() != thread:
            return None
        return nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)

    handle = register_module_parameter_registration_hook(without_values)  # type: ignore[arg-type]
    try:
        yield
    finally:
        handle.remove()

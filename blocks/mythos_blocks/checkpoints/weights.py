"""Tensors into a model: every name accounted for, every shape checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mythos_blocks.checkpoints.wrappers import fitted, plain_name, prefix_of, unwrapped
from mythos_blocks.declaring.component import settle
from mythos_blocks.declaring.sharing import differ, same
from mythos_blocks.declaring.spec import Spec
from mythos_blocks.model.looped_transformer import LoopedTransformer


def empty_model(spec: Spec, *context: Any) -> LoopedTransformer:
    """A model that has shapes and no values yet, for :func:`assign` to fill.

    It lies on the meta device, so nothing is drawn and no memory taken.
    """
    with torch.device("meta"):
        model = spec.build(*context)
    assert isinstance(model, LoopedTransformer)
    return model


def assign(model: LoopedTransformer, tensors: Mapping[str, Tensor]) -> LoopedTransformer:
    """Make these tensors the model's own, in the dtype that they have; buffers that are not saved are computed.

    Args:
        model: The model; parameters that share a tensor go on sharing it.
        tensors: By name, for every parameter and every persistent buffer; of shared ones, one name is enough. What
            wrappers leave on names is taken off, as :func:`copy_into` does.

    Raises:
        ValueError: A name is unknown or missing, or a shape does not fit.
    """
    for names, old, tensor in matched(model, tensors):
        new = nn.Parameter(tensor, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else tensor
        for name in names:
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, new)
    settle(model)
    return model


def copy_into(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy values into a model, which keeps its dtypes and devices.

    Args:
        model: The model, also inside of ``torch.compile`` or a data-parallel wrapper.
        tensors: By name, as for :func:`assign`. A prefix that all names carry (``module.``, ``_orig_mod.``, ``model.``,
            one in the other) is taken off where what remains are the model's.

    Raises:
        ValueError: A name is unknown or missing, a shape does not fit, or the model has no memory to copy to.
    """
    fitting = matched(unwrapped(model), tensors)
    for names, old, _ in fitting:
        if old.is_meta:
            raise ValueError(
                f"{names[0]!r} is on the meta device, which holds no values; call model.to_empty(device=...) first"
            )
    with torch.no_grad():
        for _, old, tensor in fitting:
            old.copy_(tensor)


def unshared(model: nn.Module) -> dict[str, Tensor]:
    """The state dict with one name, the first, for each tensor."""
    return {plain_name(names[0]): tensor.detach() for names, tensor in _groups(model)}


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of an error message: the nearest known names."""
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.4)
    return f"nearest: {', '.join(near)}" if near else "nothing is near"


def matched(model: nn.Module, tensors: Mapping[str, Tensor]) -> list[tuple[list[str], Tensor, Tensor]]:
    """Each of the model's tensors: all its names, itself, and the given one.

    Raises:
        ValueError: A name is unknown or missing, or a shape does not fit.
    """
    groups = _groups(model)
    known = {plain_name(name) for names, _ in groups for name in names}
    tensors, prefix = fitted(tensors, known)
    try:
        _refuse_unknown(tensors, known)
        return [(names, old, _chosen(names, old, tensors)) for names, old in groups]
    except ValueError as error:
        taken = f" (without {prefix!r}, which all names begin with)" if prefix else ""
        raise ValueError(f"{error}{taken}") from None


def _groups(model: nn.Module) -> list[tuple[list[str], Tensor]]:
    """Every tensor of the state dict with all its names."""
    groups: dict[int, tuple[list[str], Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name!r} of the state dict is a {type(tensor).__name__}, and only tensors are saved")
        groups.setdefault(id(tensor), ([], tensor))[0].append(name)
    return list(groups.values())


def _refuse_unknown(names: Iterable[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            prefix = prefix_of(name)
            wrapped = f"; {prefix!r} is what a wrapper leaves, and not all names begin with it" if prefix else ""
            raise ValueError(f"the model has no {name!r}; {nearest(name, known)}{wrapped}")


def _chosen(names: list[str], old: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    """The given one for a tensor of these names."""
    plain = [plain_name(name) for name in names]
    given = [name for name in plain if name in tensors]
    if not given:
        raise ValueError(f"{plain[0]!r} is missing; {nearest(plain[0], tensors)}")
    tensor = tensors[given[0]]
    if tensor.shape != old.shape:
        raise ValueError(f"{given[0]!r} has shape {tuple(tensor.shape)}, and the model's is {tuple(old.shape)}")
    for other in given[1:]:
        if not same(tensors[other], tensor):
            raise ValueError(differ(given[0], other))
    return tensor

"""Whether a module is just what it is taken for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

_SPREADING = "torch.distributed."


def is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether reading a module's weights does what calling it does.

    It does not where the module is of a kind derived from this one (an adapter, a quantised or a parametrised layer),
    where its weights are tensors of another kind (quantised or spread ones, which know the products of a layer and
    little else), or where somebody has hooked it, compiled it or replaced its ``forward``. Fast paths that read past a
    module ask this. Hooks on all modules of the process, as torch's own counters and profilers set them, only watch.
    """
    if type(module) is not kind:
        return False
    held = vars(module)  # past the module's own lookup, which is no question
    if "forward" in held or held["_forward_hooks"] or held["_forward_pre_hooks"]:
        return False
    if held["_backward_hooks"] or held["_backward_pre_hooks"] or held.get("_compiled_call_impl") is not None:
        return False
    for weight in held["_parameters"].values():
        if weight is not None and type(weight) is not nn.Parameter and _is_special(weight):
            return False
    return True


def are_all_watched() -> bool:
    """Whether the process has hooks on the calls of all modules, as some counters and profilers set them."""
    return bool(torch.nn.modules.module._has_any_global_hook())


def is_supplied(module: nn.Module) -> bool:
    """Whether something stands ahead of a module's ``forward``, which may give it its weights for no longer than that.

    So do offloaders and what spreads weights over processes. A hook that fires after ``forward`` cannot.
    """
    return bool(module._forward_pre_hooks or module._backward_pre_hooks) or "forward" in vars(module)


def is_shared_out(module: nn.Module) -> bool:
    """Whether torch spreads a module's weights over processes, and has to see every call that uses them."""
    hooks = [*module._forward_pre_hooks.values(), *module._backward_pre_hooks.values()]
    return any(str(getattr(getattr(hook, "func", hook), "__module__", "")).startswith(_SPREADING) for hook in hooks)


def weights_of(module: nn.Module) -> tuple[tuple[int, torch.Size, torch.device], ...]:
    """What tells the weights that a module has now from others, or from what is left of them."""
    return tuple((id(weight), weight.shape, weight.device) for weight in module.parameters())


def input_dtype(linear: nn.Module, like: Tensor) -> torch.dtype:
    """The dtype that a linear takes: its weights', or that of ``like`` where it holds them in another form.

    Quantised linears have a method ``weight``, or whole numbers, and take what the state is in.
    """
    weight: Any = getattr(linear, "weight", None)
    if isinstance(weight, Tensor) and weight.is_floating_point() and weight.dtype.itemsize > 1:
        return weight.dtype
    return like.dtype


def _is_special(weight: Tensor) -> bool:
    overrides = type(weight).__torch_function__ not in (nn.Parameter.__torch_function__, Tensor.__torch_function__)
    return overrides or is_traceable_wrapper_subclass(weight)

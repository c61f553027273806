"""Models inside of what torch and others wrap them in, and the names that this leaves on their tensors."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from torch import Tensor, nn

from mythos_blocks.model.looped_transformer import LoopedTransformer

# torch.compile; FSDP1; activation checkpointing.
_ANYWHERE = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# Data-parallel wrappers and averaged models; models of transformers and Lightning's modules; our transformers models.
_OUTSIDE = ("module", "model", "looped")
_PREFIXES = tuple(f"{name}." for name in (*_ANYWHERE, *_OUTSIDE))

# The head of our transformers models, which stands beside the rest; see mythos_blocks.hugging_face.
_HEAD, _INSIDE = re.compile(r"(^|\.)lm_head\."), r"\1model.looped.head."


def unwrapped(module: nn.Module) -> nn.Module:
    """The looped transformer that wrappers are around, one in the other; the module itself where there is none."""
    inner = module
    while not isinstance(inner, LoopedTransformer):
        held = (inner._modules.get(name) for name in (*_ANYWHERE, "module"))
        found = next((part for part in held if part is not None), None)
        if found is None:
            return module
        inner = found
    return inner


def plain_name(name: str) -> str:
    """The name that a model's tensor has where no part of the model is wrapped."""
    return ".".join(part for part in name.split(".") if part not in _ANYWHERE)


def fitted(tensors: Mapping[str, Tensor], known: set[str]) -> tuple[Mapping[str, Tensor], str]:
    """The tensors under the names that a model knows, where wrappers have left something on all of them.

    Returns:
        The tensors, and the prefix that was taken off all names.
    """
    if known.issuperset(tensors):
        return tensors, ""
    names, taken = {_HEAD.sub(_INSIDE, plain_name(name)): tensor for name, tensor in tensors.items()}, ""
    while names and known.isdisjoint(names) and (prefix := _common_prefix(names)):
        names, taken = {name.removeprefix(prefix): tensor for name, tensor in names.items()}, taken + prefix
    return (tensors, "") if known.isdisjoint(names) or len(names) < len(tensors) else (names, taken)


def prefix_of(name: str) -> str | None:
    """The prefix that a wrapper has left on a name."""
    return _common_prefix([name])


def _common_prefix(names: Collection[str]) -> str | None:
    return next((prefix for prefix in _PREFIXES if all(name.startswith(prefix) for name in names)), None)

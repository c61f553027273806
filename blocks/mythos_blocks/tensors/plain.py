"""Whether a module is just what it is taken for."""

from __future__ import annotations

from torch import nn


def is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether reading a module's weights does what calling it does.

    It does not where the module is of a kind derived from this one (an adapter, a quantised or a parametrised layer),
    or where somebody has hooked it or replaced its ``forward``. Fast paths that read past a module ask this. Hooks on
    all modules of the process, as torch's own counters and profilers set them, only watch.
    """
    hooked = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return type(module) is kind and not hooked and "forward" not in vars(module)

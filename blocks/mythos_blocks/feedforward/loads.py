"""The experts' loads: tokens that each has had since the optimiser's last step."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from mythos_blocks.feedforward.routing import RoutedExperts


def loads_of(model: nn.Module) -> Iterator[Tensor]:
    """The load of every mixture of experts, ``(num_experts,)`` each."""
    return (module.load for module in model.modules() if isinstance(module, RoutedExperts))


def share_loads(model: nn.Module, total: Callable[[Tensor], Tensor]) -> None:
    """Let every process know of the tokens that experts have had on all.

    Args:
        model: What was trained, before ``after_optimizer_step``, which goes by the loads.
        total: The sum of the processes' values.
    """
    loads = list(loads_of(model))
    if loads:
        shared = total(torch.cat(loads)).split([len(load) for load in loads])
        for load, whole in zip(loads, shared, strict=True):
            load.copy_(whole)

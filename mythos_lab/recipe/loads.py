"""The experts' loads: tokens that each has had since the optimiser's last step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks import RoutedExperts
from mythos_lab.recipe.rank import Rank


def share_loads(model: nn.Module, rank: Rank) -> None:
    """Let every rank know of the tokens that experts have had on all."""
    loads = [module.load for module in model.modules() if isinstance(module, RoutedExperts)]
    if rank.num == 1 or not loads:
        return
    shared = rank.total(torch.cat(loads)).split([len(load) for load in loads])
    for load, whole in zip(loads, shared, strict=True):
        load.copy_(whole)


def load_cv(model: nn.Module) -> Tensor | None:
    """Coefficient of variation of the experts' load, the mean over MoE layers; ``None`` where nothing was routed."""
    loads = [m.load.float() for m in model.modules() if isinstance(m, RoutedExperts) and bool(m.load.any())]
    if not loads:
        return None
    return torch.stack([load.std(correction=0) / load.mean() for load in loads]).mean()


def forget_loads(model: nn.Module) -> None:
    """Make a pass that was none of training count for nothing."""
    for module in model.modules():
        if isinstance(module, RoutedExperts):
            module.load.zero_()

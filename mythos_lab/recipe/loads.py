"""What the experts' loads say of a step, and what they must not be told."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.feedforward.loads import loads_of


def load_cv(model: nn.Module) -> Tensor | None:
    """Coefficient of variation of the experts' load, the mean over MoE layers; ``None`` where nothing was routed."""
    loads = [load.float() for load in loads_of(model) if bool(load.any())]
    if not loads:
        return None
    return torch.stack([load.std(correction=0) / load.mean() for load in loads]).mean()


def forget_loads(model: nn.Module) -> None:
    """Make a pass that was none of training count for nothing."""
    for load in loads_of(model):
        load.zero_()

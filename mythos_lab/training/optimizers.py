"""Optimisers, as components."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks import Component, component, declare_slot
from mythos_blocks.declaring.types import NonNegative, Positive

declare_slot("optimizer", "What turns gradients into steps.")

Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Component):
    """Wraps a torch optimiser.

    Attributes:
        torch: The optimiser.
    """

    torch: torch.optim.Optimizer


@component("optimizer", "adamw")
class AdamW(Optimizer):
    """AdamW (arXiv 1711.05101), fused; parameters with fewer than two dimensions are not decayed.

    Args:
        parameters: What it trains.
        lr: Peak learning rate.
        weight_decay: Decoupled weight decay of matrices.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: Positive = 1e-3,
        weight_decay: NonNegative = 0.01,
        beta1: Beta = 0.9,
        beta2: Beta = 0.95,
    ) -> None:
        parameters = list(parameters)
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
        ]
        self.torch = torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=(beta1, beta2), fused=True)

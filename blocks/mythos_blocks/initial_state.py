"""The state before the first iteration."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks.component import Module, component


@component("initial_state", "input")
class Input(Module):
    """``h = e``: the loop starts from what the prelude made (Universal Transformer, OpenMythos)."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, e: Tensor) -> Tensor:
        return e


@component("initial_state", "zeros")
class Zeros(Module):
    """``h = 0``: all that the loop knows of the input comes through the injection."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, e: Tensor) -> Tensor:
        return torch.zeros_like(e)


__all__ = ["Input", "Zeros"]

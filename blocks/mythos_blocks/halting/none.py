"""No halting."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.halting.base import Halting, HaltingState


@component("halting", "none")
class NoHalting(Halting):
    """Every position runs every iteration, and the readout is the last state."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def start(self, h: Tensor) -> HaltingState:
        return HaltingState(readout=h)

    def observe(self, state: HaltingState, h: Tensor, *, x: Tensor, last: bool | Tensor) -> HaltingState:
        weight = torch.as_tensor(last, device=h.device).to(h.dtype).expand(h.shape[:-1])
        return HaltingState(readout=h, weights=[*state.weights, weight])

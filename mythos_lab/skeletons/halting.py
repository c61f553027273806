"""A halting rule: the readout is the mean of all states."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks import Halting, HaltingState, component
from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.rows import Index


@component("halting", "skeleton")
class Skeleton(Halting):
    """A position reads out ``share`` of what is left of its mass after every iteration, and the rest after the last.

    Args:
        width: Channels of the state.
        share: Of the mass that is left, what each iteration takes.
    """

    def __init__(self, width: int, *, share: float = 0.5) -> None:
        super().__init__()
        if not 0 < share < 1:
            raise ValueError(f"share={share} must lie between 0 and 1")
        self.share = share

    def start(self, h: Tensor, real: Tensor) -> HaltingState:
        left = at_least_float32(torch.ones_like(h[..., 0]))
        return HaltingState(readout=torch.zeros_like(h), real=real, kept={"left": left})

    def observe(
        self, state: HaltingState, h: Tensor, *, x: Tensor, t: Index, running: Tensor, last: Tensor
    ) -> HaltingState:
        left = state.kept["left"]
        weight = torch.where(last, left, self.share * left)
        readout = state.readout + weight.unsqueeze(-1).to(h.dtype) * h
        return HaltingState(readout, state.real, [*state.weights, weight], kept={"left": left - weight})

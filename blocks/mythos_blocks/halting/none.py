"""No halting."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.halting.base import Halting, HaltingState
from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.rows import Index


@component("halting", "none")
class NoHalting(Halting):
    """Every position runs every iteration, and the readout is the last state.

    Args:
        width: Channels of the state.
    """

    chooses = True

    def __init__(self, width: int) -> None:
        super().__init__()

    def start(self, h: Tensor, real: Tensor) -> HaltingState:
        return HaltingState(readout=h, real=real)

    def observe(
        self, state: HaltingState, h: Tensor, *, x: Tensor, t: Index, running: Tensor, last: Tensor
    ) -> HaltingState:
        return HaltingState(readout=h, real=state.real, weights=[*state.weights, at_least_float32(last.to(h.dtype))])

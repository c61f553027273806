"""Exit by the distance between states."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.exit.threshold import ThresholdExit
from mythos_blocks.tensors.precision import at_least_float32


@component("exit", "latent")
class LatentExit(ThresholdExit):
    """Stops once ``||h_t - h_{t-1}|| / ||h_t||`` is small (Huginn's code: ``latent-diff``); h_0 is the initial state.

    Args:
        width: Channels of the state.
        threshold: What it must be below.
        min_loops: The first iteration that the rule looks at; it is held against the initial state.
    """

    def __init__(self, width: int, *, threshold: Positive = 0.03, min_loops: Count = 1) -> None:
        super().__init__(threshold, min_loops)

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        before, now = at_least_float32(before), at_least_float32(now)
        return (now - before).norm(dim=-1) / now.norm(dim=-1)

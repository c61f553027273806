"""Exit by the distance between states."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.exit.threshold import ThresholdExit


@component("exit", "latent")
class LatentExit(ThresholdExit):
    """Stops once ``||h_t - h_{t-1}|| / ||h_t||`` is small (Huginn's code).

    Args:
        threshold: What it must be below.
        min_loops: Iterations that run in any case.
    """

    def __init__(self, width: int, *, threshold: Positive = 0.03, min_loops: Count = 2) -> None:
        super().__init__(threshold, min_loops)

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        return (now - before).float().norm(dim=-1) / now.float().norm(dim=-1).clamp_min(1e-12)

"""Exit by the second difference of states."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.exit.base import Read
from mythos_blocks.exit.threshold import ThresholdExit


@component("exit", "acceleration")
class AccelerationExit(ThresholdExit):
    """Stops once steps change little: ``||d_t - d_{t-1}|| / ||d_{t-1}||``, ``d_t = h_t - h_{t-1}`` (arXiv 2509.23314).

    Args:
        threshold: What it must be below.
        min_loops: Iterations that run in any case.
    """

    def __init__(self, width: int, *, threshold: Positive = 0.1, min_loops: Count = 3) -> None:
        super().__init__(threshold, min_loops)

    def seen(self, old: Tensor, new: Tensor, read: Read) -> Tensor:
        return new - old

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        return (now - before).float().norm(dim=-1) / before.float().norm(dim=-1).clamp_min(1e-12)

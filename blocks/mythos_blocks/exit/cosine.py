"""Exit by the angle between states."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.exit.threshold import ThresholdExit


@component("exit", "cosine")
class CosineExit(ThresholdExit):
    """Stops once ``1 - cos(h_t, h_{t-1})`` is small (Huginn's code).

    Args:
        threshold: What it must be below.
        min_loops: Iterations that run in any case.
    """

    def __init__(self, width: int, *, threshold: Positive = 1e-3, min_loops: Count = 2) -> None:
        super().__init__(threshold, min_loops)

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        return 1 - F.cosine_similarity(before.float(), now.float(), dim=-1)

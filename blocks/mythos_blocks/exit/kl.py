"""Exit by the divergence of predictions."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.exit.base import Read
from mythos_blocks.exit.threshold import ThresholdExit


@component("exit", "kl")
class KLExit(ThresholdExit):
    """Stops once ``KL(p_{t-1} || p_t)`` of the predictions is small (Huginn: 1e-3 in its code, 5e-4 in its paper).

    Args:
        threshold: What it must be below.
        min_loops: Iterations that run in any case.
    """

    reads_logits = True

    def __init__(self, width: int, *, threshold: Positive = 1e-3, min_loops: Count = 2) -> None:
        super().__init__(threshold, min_loops)

    def seen(self, old: Tensor, new: Tensor, read: Read) -> Tensor:
        return F.log_softmax(read(new).float(), dim=-1)

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        return (before.exp() * (before - now)).sum(-1)

"""Exit by the entropy of predictions."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.exit.base import Read
from mythos_blocks.exit.threshold import ThresholdExit


@component("exit", "entropy")
class EntropyExit(ThresholdExit):
    """Stops once the entropy of the prediction, in nats, changes little (Huginn's code).

    Args:
        threshold: What it must be below.
        min_loops: Iterations that run in any case.
    """

    reads_logits = True

    def __init__(self, width: int, *, threshold: Positive = 1e-3, min_loops: Count = 2) -> None:
        super().__init__(threshold, min_loops)

    def seen(self, old: Tensor, new: Tensor, read: Read) -> Tensor:
        log_p = F.log_softmax(read(new).float(), dim=-1)
        return -(log_p.exp() * log_p).sum(-1)

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        return (now - before).abs()

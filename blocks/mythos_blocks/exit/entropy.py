"""Exit by the entropy of predictions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.exit.base import Read
from mythos_blocks.exit.threshold import ThresholdExit
from mythos_blocks.tensors.precision import at_least_float32


@component("exit", "entropy")
class EntropyExit(ThresholdExit):
    """Stops once the entropy of the prediction, in nats, changes little (Huginn's code: ``entropy-diff``).

    Args:
        width: Channels of the state.
        threshold: What the change must be below.
        min_loops: The first iteration that the rule looks at; it is held against an entropy of 100 nats, as there.
    """

    reads_logits = True

    def __init__(self, width: int, *, threshold: Positive = 1e-3, min_loops: Count = 1) -> None:
        super().__init__(threshold, min_loops)

    def begin(self, h: Tensor) -> Tensor | None:
        return None

    def before_all(self, now: Tensor) -> Tensor:
        return torch.full_like(now, 100.0)

    def seen(self, old: Tensor, new: Tensor, read: Read) -> Tensor:
        p = F.softmax(at_least_float32(read(new)), dim=-1)
        return -(p * (p + 1e-10).log()).sum(-1)

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        return (now - before).abs()

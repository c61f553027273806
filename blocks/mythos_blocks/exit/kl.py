"""Exit by the divergence of predictions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.exit.base import Read
from mythos_blocks.exit.threshold import ThresholdExit
from mythos_blocks.tensors.precision import at_least_float32


class DivergenceExit(ThresholdExit):
    """Stops once ``KL(p_{t-1} || p_t)`` is small, of what :meth:`log_probabilities` makes of logits; p_0 is uniform."""

    reads_logits = True

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Log-probabilities, ``(batch, positions, vocab_size)``, from the logits."""
        raise NotImplementedError

    def begin(self, h: Tensor) -> Tensor | None:
        return None

    def before_all(self, now: Tensor) -> Tensor:
        return torch.full_like(now, -math.log(now.shape[-1]))

    def seen(self, old: Tensor, new: Tensor, read: Read) -> Tensor:
        return self.log_probabilities(at_least_float32(read(new)))

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        return (before.exp() * (before - now)).sum(-1)


@component("exit", "kl")
class KLExit(DivergenceExit):
    """Stops once ``KL(p_{t-1} || p_t)`` of the predictions is small (Huginn: 1e-3 in its code, 5e-4 in its paper).

    Args:
        width: Channels of the state.
        threshold: What it must be below.
        min_loops: The first iteration that the rule looks at; it is held against the uniform distribution.
    """

    def __init__(self, width: int, *, threshold: Positive = 1e-3, min_loops: Count = 1) -> None:
        super().__init__(threshold, min_loops)

    def log_probabilities(self, logits: Tensor) -> Tensor:
        return F.log_softmax(logits, dim=-1)

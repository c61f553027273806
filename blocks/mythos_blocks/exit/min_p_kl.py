"""Exit by the divergence of likely predictions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive, Probability
from mythos_blocks.exit.base import Read
from mythos_blocks.exit.threshold import ThresholdExit


@component("exit", "min_p_kl")
class MinPKLExit(ThresholdExit):
    """``kl`` over the likely tokens alone: those with at least ``min_p`` of the largest probability (Huginn's code).

    Tokens that are not likely in one of the two predictions count there with the smallest probability of its dtype.

    Args:
        threshold: What it must be below.
        min_loops: Iterations that run in any case.
        min_p: Share of the largest probability below which a token is left out.
    """

    reads_logits = True

    def __init__(
        self, width: int, *, threshold: Positive = 1e-5, min_loops: Count = 2, min_p: Probability = 0.1
    ) -> None:
        super().__init__(threshold, min_loops)
        self.min_p = min_p

    def seen(self, old: Tensor, new: Tensor, read: Read) -> Tensor:
        logits = read(new).float()
        unlikely = logits < logits.amax(-1, keepdim=True) + math.log(self.min_p)
        kept = F.softmax(logits.masked_fill(unlikely, -torch.inf), dim=-1)
        return kept.clamp_min(torch.finfo(kept.dtype).tiny).log()

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        return (before.exp() * (before - now)).sum(-1)

"""Exit by the divergence of likely predictions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive, Probability
from mythos_blocks.exit.kl import DivergenceExit


@component("exit", "min_p_kl")
class MinPKLExit(DivergenceExit):
    """``kl`` with unlikely tokens levelled: those below ``min_p`` of the largest probability (Huginn: ``minp-kl``).

    Such a token counts with ``1 / vocab_size``, whatever its probability, and the whole is normalised again.

    Args:
        width: Channels of the state.
        threshold: What the divergence must be below.
        min_loops: The first iteration that the rule looks at; it is held against the uniform distribution.
        min_p: Share of the largest probability below which a token is levelled.
    """

    def __init__(
        self, width: int, *, threshold: Positive = 1e-5, min_loops: Count = 1, min_p: Probability = 0.1
    ) -> None:
        super().__init__(threshold, min_loops)
        self.min_p = min_p

    def log_probabilities(self, logits: Tensor) -> Tensor:
        p = F.softmax(logits, dim=-1)
        p = torch.where(p < self.min_p * p.amax(-1, keepdim=True), 1 / p.shape[-1], p)
        return (p / p.sum(-1, keepdim=True)).log()

"""The head of a model whose logits are bounded."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SoftCappedHead(nn.Linear):
    """``cap * tanh(W x / cap)``: no logit exceeds the cap (Gemma 2, arXiv 2408.00118; Parcae's ``logit_softcap``).

    Shapes: ``(..., width) -> (..., vocab_size)``.

    Args:
        width: Channels of what it reads.
        vocab_size: Number of tokens.
        cap: The bound.
    """

    def __init__(self, width: int, vocab_size: int, cap: float) -> None:
        super().__init__(width, vocab_size, bias=False)
        self.cap = cap

    def forward(self, input: Tensor) -> Tensor:
        return self.cap * torch.tanh(super().forward(input) / self.cap)

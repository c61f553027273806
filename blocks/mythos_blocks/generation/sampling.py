"""From logits to the next token."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_blocks.generation.counts import count


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn. The filters follow one another in this order, each on what the one before has left.

    Attributes:
        temperature: Divides the logits; 0 takes the most probable token, which every filter keeps.
        top_k: Keep the k most probable tokens, and others that are as probable as the last of them. More than the
            vocabulary keeps all.
        top_p: Keep the smallest set of most probable tokens whose mass reaches p (nucleus sampling, arXiv 1904.09751).
        min_p: Keep tokens at least ``min_p`` times as probable as the most probable one (arXiv 2407.01082).

    Raises:
        ValueError: A field is out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature={self.temperature} must be 0 or a positive number")
        if self.top_k is not None:
            object.__setattr__(self, "top_k", count("top_k", self.top_k))
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p={self.top_p} must be above 0 and at most 1")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p={self.min_p} must be between 0 and 1")

    def probabilities(self, logits: Tensor) -> Tensor:
        """The distribution that is drawn from, in float64: ``(..., vocab_size) -> (..., vocab_size)``.

        Raises:
            ValueError: A logit is not a number, or a row's largest one is not finite.
        """
        logits = logits.double()
        top = logits.amax(-1, keepdim=True)
        if not bool(top.isfinite().all()):
            raise ValueError("the model's logits are not finite")
        if self.temperature == 0:
            return torch.zeros_like(logits).scatter(-1, logits.argmax(-1, keepdim=True), 1.0)
        # The largest logit becomes 0 first, so that no temperature overflows.
        p = ((logits - top) / self.temperature).softmax(-1)
        if self.top_k is not None and self.top_k < p.shape[-1]:
            p = _only(p, p >= p.topk(self.top_k, dim=-1).values[..., -1:])
        if self.top_p is not None and self.top_p < 1:
            ordered, order = p.sort(dim=-1, descending=True, stable=True)
            keep = ordered.cumsum(-1) - ordered < self.top_p
            p = _only(p, torch.zeros_like(keep).scatter(-1, order, keep))
        if self.min_p is not None:
            p = _only(p, p >= self.min_p * p.amax(-1, keepdim=True))
        return p

    def draw(self, logits: Tensor, uniform: Tensor) -> Tensor:
        """The tokens at which the cumulative distributions pass ``uniform``.

        Shapes: logits ``(batch, vocab_size)``, uniform ``(batch,)`` in [0, 1) -> ``(batch,)``.
        """
        p = self.probabilities(logits)
        cumulative = p.cumsum(-1)
        beyond = cumulative > (uniform.to(p) * cumulative[:, -1])[:, None]
        # The first token beyond it has some probability: where one has none, the sum does not move.
        return beyond.to(torch.uint8).argmax(-1)


def _only(p: Tensor, keep: Tensor) -> Tensor:
    p = p * keep
    return p / p.sum(-1, keepdim=True)

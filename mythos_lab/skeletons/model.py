"""A model: the looped transformer, with noise on embedded tokens in training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mythos_blocks import LoopedTransformer, component
from mythos_blocks.declaring.types import NonNegative


@component("model", "skeleton")
class Skeleton(LoopedTransformer):
    """The model of :class:`~mythos_blocks.LoopedTransformer` with noise on its inputs.

    Args:
        vocab_size: Number of tokens.
        noise: Standard deviation of the noise on embedded tokens, in training.
    """

    def __init__(self, vocab_size: int, *, noise: NonNegative = 0.02, **fields: Any) -> None:
        super().__init__(vocab_size, **fields)
        self.noise = noise
        self.embedding.register_forward_hook(self._noisy)

    def _noisy(self, module: torch.nn.Module, given: tuple[Tensor, ...], made: Tensor) -> Tensor:
        return made + self.noise * torch.randn_like(made) if self.training and self.noise else made

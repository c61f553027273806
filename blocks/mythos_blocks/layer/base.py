"""What layers of attention and feed-forward share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.component import Module
from mythos_blocks.frame import Frame


class Layer(Module):
    """A layer: ``(batch, positions, width) -> (batch, positions, width)``."""

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        """The layer's output for ``x`` in its frame."""
        raise NotImplementedError


class Branch(nn.Module):
    """What comes back from attention or feed-forward before it joins the residual stream: LayerScale and dropout.

    Args:
        width: Channels.
        layer_scale: Initial value of a learned factor for each channel (arXiv 2103.17239); ``None`` for no factor.
        dropout: Probability that a channel is dropped in training.
    """

    def __init__(self, width: int, layer_scale: float | None, dropout: float) -> None:
        super().__init__()
        self.initial, self.dropout = layer_scale, nn.Dropout(dropout)
        self.scale = None if layer_scale is None else nn.Parameter(torch.full((width,), layer_scale))

    def reset(self) -> None:
        """Set the factor to its initial value."""
        if self.scale is not None:
            assert self.initial is not None
            nn.init.constant_(self.scale, self.initial)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.scale is None else x * self.scale.to(x.dtype)
        out: Tensor = self.dropout(x)
        return out

"""The feed-forward of the first transformers, with GELU."""

from __future__ import annotations

from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.feedforward.base import Feedforward
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import Run, product
from mythos_blocks.tensors.plain import is_plain


@component("feedforward", "gelu")
class GELU(Feedforward):
    """``down(activation(up(x)))`` (arXiv 1706.03762, eq. 2; GELU: arXiv 1606.08415), as in Chen and Saunshi.

    Shapes: ``(..., width) -> (..., width)``.

    Args:
        width: Channels of what it reads and returns.
        max_loops: Iterations that tables with a row for each have room for.
        hidden: Inner channels. ``null`` takes ``4 * width``.
        activation: ``gelu``, or ``relu`` as in the Universal Transformer.
        bias: Learn biases.
        dropout: Probability that an inner channel is dropped in training.
    """

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        hidden: Count | None = None,
        activation: Literal["gelu", "relu"] = "gelu",
        bias: bool = True,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        hidden = hidden or 4 * width
        self.activation = F.gelu if activation == "gelu" else F.relu
        self.up = nn.Linear(width, hidden, bias=bias)
        self.dropout = nn.Dropout(dropout)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        out: Tensor = self.down(self.dropout(self.activation(self.up(x))))
        return out

    def lies_flat(self) -> bool:
        return True

    def inlined(self, frame: Frame, like: Tensor) -> Run | None:
        drops = self.training and self.dropout.p > 0
        if drops or not is_plain(self.dropout, nn.Dropout):
            return None
        up, down, activation = product(self.up), product(self.down), self.activation
        return lambda x, now: down(activation(up(x)))

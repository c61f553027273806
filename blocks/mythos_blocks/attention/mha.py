"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from mythos_blocks.attention.heads import HeadAttention
from mythos_blocks.declaring.component import component


@component("attention", "mha")
class MultiHeadAttention(HeadAttention):
    """Multi-head attention (arXiv 1706.03762): each head has a key and value head of its own.

    Causal, unless the frame brings another mask.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of what it reads and returns.
        max_loops: Iterations that tables with a row for each have room for.
    """

    def __init__(self, width: int, max_loops: int = 1, **fields: Any) -> None:
        super().__init__(width, None, **fields)

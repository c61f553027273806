"""Grouped-query attention."""

from __future__ import annotations

from typing import Any

from mythos_blocks.attention.heads import HeadAttention
from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count


@component("attention", "gqa")
class GroupedQueryAttention(HeadAttention):
    """Grouped-query attention (arXiv 2305.13245); with as many kv heads as heads, multi-head attention.

    Causal, unless the frame brings another mask.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of what it reads and returns.
        max_loops: Iterations that tables with a row for each have room for.
        num_kv_heads: Key and value heads; must divide ``num_heads``. ``null`` gives each query head its own.
    """

    def __init__(self, width: int, max_loops: int = 1, *, num_kv_heads: Count | None = None, **fields: Any) -> None:
        super().__init__(width, num_kv_heads, **fields)

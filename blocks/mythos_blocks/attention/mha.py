"""Multi-head attention."""

from __future__ import annotations

from typing import Literal

from mythos_blocks.attention.gqa import GroupedQueryAttention
from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive


@component("attention", "mha")
class MultiHeadAttention(GroupedQueryAttention):
    """Multi-head attention (arXiv 1706.03762): ``gqa`` in which each query head has a key and value head of its own.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        num_heads: Heads.
        head_dim: Channels of a head. ``null`` divides the width by ``num_heads``, which must then divide it.
        rope_theta: Base of the rotary position embedding (arXiv 2104.09864); ``null`` leaves positions out.
        rope_pairing: Channels that are rotated together: neighbours (``interleaved``) or the two ``halves`` of a head.
        qk_norm: Scale queries and keys to unit root mean square, without a gain, before or after the rotation.
        qk_bias: Learn a bias on queries and keys, as in Huginn.
        value_embeddings: Add gated embeddings of tokens to the values, as in Parcae: ``true`` for all of the model's
            vocabulary, or the number of tokens.
    """

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        num_heads: Count = 4,
        head_dim: Count | None = None,
        rope_theta: Positive | None = 10_000.0,
        rope_pairing: Literal["interleaved", "halves"] = "interleaved",
        qk_norm: Literal["none", "before_rope", "after_rope"] = "none",
        qk_bias: bool = False,
        value_embeddings: Count | Literal[True, False] | None = None,
    ) -> None:
        super().__init__(
            width,
            max_loops,
            num_heads=num_heads,
            head_dim=head_dim,
            rope_theta=rope_theta,
            rope_pairing=rope_pairing,
            qk_norm=qk_norm,
            qk_bias=qk_bias,
            value_embeddings=value_embeddings,
        )

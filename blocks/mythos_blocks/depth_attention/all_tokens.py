"""Attention over all tokens at all depths."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.attention.heads import divided
from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.depth_attention.base import DepthAttention
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.mask import AttentionMask


@component("depth_attention", "all_tokens")
class AllTokens(DepthAttention):
    """A token attends over every readable token at this depth and all earlier ones, under one softmax.

    Positions ``j <= i`` at depths ``k <= t``. (Mixture-of-depths attention, as OpenMythos's ``moda.py`` has it, reads
    other positions at the present depth alone, and earlier depths at its own position.)

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the state.
        max_loops: Iterations that tables with a row for each have room for.
        num_heads: Heads; must divide the width.
        window: Read the last so many iterations only; ``null`` reads all.

    Raises:
        ValueError: ``num_heads`` does not divide the width.
    """

    reads_memory = True

    def __init__(self, width: int, max_loops: int = 1, *, num_heads: Count = 4, window: Count | None = None) -> None:
        super().__init__()
        self.num_heads, self.window = num_heads, window
        self.head_dim = divided(width, num_heads)
        self.score_scale = self.head_dim**-0.5
        self.q, self.k, self.v, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        q, k, v = (self._heads(linear(x)) for linear in (self.q, self.k, self.v))
        keys, values = frame.over_depth(k, v, all_positions=True)
        num_depths, num_keys = keys.shape[0], keys.shape[-2]
        allowed = frame.mask.allowed_among(q.shape[-2], num_keys, x.device)
        there = frame.depths_read(num_depths, self.window, x.device)
        both = allowed.unsqueeze(-2) & there[:, None]
        mask = AttentionMask(causal=False, allowed=both.flatten(-2))
        keys, values = (y.movedim(0, -3).flatten(-3, -2) for y in (keys, values))
        attended = mask.attend(q, keys, values, scale=self.score_scale)
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return out

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

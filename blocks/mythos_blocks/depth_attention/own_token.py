"""A token's attention over its own depths."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.attention.heads import divided
from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.depth_attention.base import DepthAttention
from mythos_blocks.frame.frame import Frame
from mythos_blocks.tensors.precision import at_least_float32, exact_dtype_of
from mythos_blocks.tensors.rotation import turned
from mythos_blocks.tensors.rows import Index


@component("depth_attention", "own_token")
class OwnToken(DepthAttention):
    """A token attends over its own states of this iteration and all earlier ones: Dreamer's DA (arXiv 2601.21582).

    ``softmax(q_t [k_0..k_t]) [v_0..v_t]``, causal over depth, with a rotary code of the iteration; no mixing across
    tokens. A reconstruction: the paper's text was not available.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the state.
        max_loops: Iterations that tables with a row for each have room for.
        num_heads: Heads; must divide the width.
        window: Read the last so many iterations only; ``null`` reads all.
        depth_theta: Base of the rotary code of the iteration; ``null`` leaves it out.

    Raises:
        ValueError: ``num_heads`` does not divide the width.
    """

    reads_memory = True

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        num_heads: Count = 4,
        window: Count | None = None,
        depth_theta: Positive | None = 100.0,
    ) -> None:
        super().__init__()
        self.num_heads, self.window, self.depth_theta = num_heads, window, depth_theta
        self.head_dim = divided(width, num_heads)
        self.score_scale = self.head_dim**-0.5
        if depth_theta is not None and self.head_dim % 2:
            raise ValueError(f"depth_theta needs an even head size, and it is {self.head_dim}")
        self.q, self.k, self.v, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        t = 0 if frame.index is None else frame.index
        q, k, v = self._coded(self.q(x), t), self._coded(self.k(x), t), self.v(x)
        keys, values = (self._heads(depths).movedim(0, -2) for depths in frame.over_depth(k, v))
        # Too few keys for a product of matrices; summed in float32, as attention's products are within.
        scores = (at_least_float32(self._heads(q)).unsqueeze(-2) * keys).sum(-1) * self.score_scale
        there = frame.depths_read(keys.shape[-2], self.window, x.device)
        weights = F.softmax(scores.masked_fill(~there, -torch.inf), dim=-1)
        mixed = (weights.unsqueeze(-1) * values).sum(-2).to(values.dtype)
        out: Tensor = self.out(mixed.flatten(-2))
        return out

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, self.head_dim))

    def _coded(self, x: Tensor, t: Index) -> Tensor:
        """The heads rotated by the iteration: relative depth is what scores see."""
        if self.depth_theta is None:
            return x
        dtype = exact_dtype_of(x)
        exponents = torch.arange(0, self.head_dim, 2, device=x.device, dtype=dtype) / self.head_dim
        return turned(self._heads(x), t * self.depth_theta**-exponents).flatten(-2)

"""Which positions may read which."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class AttentionMask:
    """The rule by which queries see keys, the same for every layer and every iteration.

    Attributes:
        causal: Position i sees positions 0..i only.
        allowed: ``(batch, queries, keys)`` or ``(1, queries, keys)`` booleans, true where a query may
            read a key; every query must be allowed at least one. ``None`` allows all.
    """

    causal: bool = True
    allowed: Tensor | None = None

    def attend(self, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Scaled dot-product attention under this mask.

        Shapes: q ``(batch, heads, queries, d)``, k ``(batch, kv_heads, keys, d)``, v
        ``(batch, kv_heads, keys, d_v)`` -> ``(batch, heads, queries, d_v)``. ``heads`` is a multiple of
        ``kv_heads``, and ``d_v <= d``.
        """
        # Unequal head sizes push scaled_dot_product_attention onto a slow path; zeros do not change
        # the result and cost less.
        v_size = v.shape[-1]
        v = F.pad(v, (0, q.shape[-1] - v_size))
        grouped = q.shape[1] != k.shape[1]
        if self.allowed is None:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, scale=scale, enable_gqa=grouped)
        else:
            allowed = self.allowed.unsqueeze(1)
            if self.causal:
                allowed = allowed & torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, scale=scale, enable_gqa=grouped)
        return out[..., :v_size]

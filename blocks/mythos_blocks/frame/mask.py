"""Which positions may read which."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.frame.selection import Selection
from mythos_blocks.frame.settable import settable


@settable
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

    def allowed_among(self, num_queries: int, num_keys: int, device: torch.device) -> Tensor:
        """The rule as booleans, ``(batch or 1, queries, keys)``."""
        allowed = torch.ones(1, num_queries, num_keys, dtype=torch.bool, device=device)
        if self.causal:
            allowed = _causal(num_queries, num_keys, device).unsqueeze(0)
        return allowed if self.allowed is None else allowed & self.allowed

    def select(self, selection: Selection, shape: torch.Size) -> AttentionMask:
        """The rule for the selected queries, which may read the keys of all positions of their sequences.

        Args:
            selection: The queries.
            shape: ``(batch, positions)`` that they are out of.
        """
        if selection.columns is None:
            allowed = self.allowed
            return self if allowed is None or len(allowed) == 1 else replace(self, allowed=allowed[selection.rows])
        if self.allowed is None and not self.causal:
            return self
        num_keys = shape[1] if self.allowed is None else self.allowed.shape[2]
        allowed = self.allowed_among(shape[1], num_keys, selection.rows.device)
        return AttentionMask(causal=False, allowed=selection.take(allowed.expand(shape[0], -1, -1)))

    def reading(self, readable: Tensor, num_queries: int) -> AttentionMask:
        """The rule narrowed to ``readable`` keys, ``(batch, keys)`` booleans; a query always reads itself.

        The queries are the last ``num_queries`` positions among the keys.
        """
        allowed = self.allowed_among(num_queries, readable.shape[1], readable.device)
        itself = torch.eye(readable.shape[1], dtype=torch.bool, device=readable.device)[-num_queries:]
        return AttentionMask(causal=False, allowed=allowed & (readable[:, None, :] | itself))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Scaled dot-product attention under this mask.

        Shapes: q ``(batch, heads, queries, d)``, k ``(batch, kv_heads, keys, d)``, v
        ``(batch, kv_heads, keys, d_v)`` -> ``(batch, heads, queries, d_v)``. ``heads`` is a multiple of
        ``kv_heads``.
        """
        # Unequal head sizes push scaled_dot_product_attention onto a slow path; zeros do not change
        # the result and cost less.
        v_size = v.shape[-1]
        if v_size < q.shape[-1]:
            v = F.pad(v, (0, q.shape[-1] - v_size))
        elif v_size > q.shape[-1]:
            q, k = (F.pad(y, (0, v_size - y.shape[-1])) for y in (q, k))
        grouped = bool(q.shape[1] != k.shape[1])  # under torch.jit.trace, sizes are tensors
        if grouped and bool(q.shape[2] == 1):
            # One query, the last, sees all keys. Heads that share keys are queries of one head, which reads them once.
            alike = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3])
            allowed = None if self.allowed is None else self.allowed.unsqueeze(1)
            out = F.scaled_dot_product_attention(alike, k, v, attn_mask=allowed, scale=scale)
            out = out.reshape(*q.shape[:3], -1)
        elif self.causal and self.allowed is None and q.shape[2] != k.shape[2]:
            allowed = _causal(q.shape[2], k.shape[2], q.device)
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, scale=scale, enable_gqa=grouped)
        elif self.allowed is None:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, scale=scale, enable_gqa=grouped)
        else:
            allowed = self.allowed.unsqueeze(1)
            if self.causal:
                allowed = allowed & _causal(q.shape[2], k.shape[2], q.device)
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, scale=scale, enable_gqa=grouped)
        return out[..., :v_size]


def _causal(num_queries: int, num_keys: int, device: torch.device) -> Tensor:
    """Query i of the last ``num_queries`` positions sees all keys up to its own."""
    return torch.ones(num_queries, num_keys, dtype=torch.bool, device=device).tril(num_keys - num_queries)

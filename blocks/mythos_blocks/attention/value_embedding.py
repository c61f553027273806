"""Values that know their token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.tensors.table import embedding

_GATE_CHANNELS = 32


class ValueEmbedding(nn.Module):
    """``v + 2 sigmoid(G x[:32]) * embedding(token)``, gated by head: value embeddings as in Parcae (after nanochat).

    Shapes: v ``(batch, positions, num_kv_heads * head_dim)``, x ``(batch, positions, width)``, tokens
    ``(batch, positions)``.

    Args:
        vocab_size: Rows of the table.
        width: Channels of x, of which the gate reads the first 32, or all where there are fewer.
        num_kv_heads: Value heads, each with a gate of its own.
        head_dim: Channels of a value head.
    """

    def __init__(self, vocab_size: int, width: int, num_kv_heads: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.table = embedding(vocab_size, num_kv_heads * head_dim)
        self.num_gating = min(width, _GATE_CHANNELS)
        self.gate = nn.Linear(self.num_gating, num_kv_heads, bias=False)

    def forward(self, v: Tensor, x: Tensor, tokens: Tensor | None) -> Tensor:
        """The values with the gated embeddings of their tokens added.

        Raises:
            ValueError: There are no tokens to read.
        """
        if tokens is None:
            raise ValueError(
                "value_embeddings read the tokens again; run the layer in a model, or give Frame(tokens=...)"
            )
        gate = 2 * torch.sigmoid(self.gate(x[..., : self.num_gating]))
        # In the values' dtype: in the table's, a cache would hold values of twice the size of its keys under autocast.
        return v + gate.repeat_interleave(self.head_dim, dim=-1) * self.table(tokens).to(v.dtype)

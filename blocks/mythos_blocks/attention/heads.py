"""What attentions with heads over positions share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from mythos_blocks.attention.base import Attention
from mythos_blocks.attention.value_embedding import ValueEmbedding
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.declaring.vocabulary import num_rows
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import Run, product
from mythos_blocks.frame.places import Turning
from mythos_blocks.tensors.precision import rms_norm


class HeadAttention(Attention):
    """Queries, keys and values in heads, rotary positions, and what Huginn and Parcae add.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        num_heads: Query heads.
        head_dim: Channels of a head. ``null`` divides the width by ``num_heads``, which must then divide it.
        rope_theta: Base of the rotary position embedding (arXiv 2104.09864); ``null`` leaves positions out.
        rope_pairing: Channels that are rotated together: neighbours (``interleaved``, as in the paper, Huginn, Parcae)
            or the two ``halves`` of a head (as in Llama's Hugging Face form).
        qk_norm: Scale queries and keys to unit root mean square, without a gain, ``before_rope`` or ``after_rope``
            (Parcae) (arXiv 2010.04245).
        qk_bias: Learn a bias on queries and keys, as in Huginn.
        bias: Learn biases of the four linears, as Chen does, and Parcae with ``bias``.
        clip_qkv: Bound of what queries, keys and values may be before rotations (Parcae; OLMo); ``null`` for none.
        output_gate: Multiply what the heads have read by ``sigmoid(W x)``, channel by channel (HRM-Text, arXiv
            2605.20613; arXiv 2505.06708).
        value_embeddings: Add a learned embedding of each token to its values through a gate, as in Parcae. ``true``
            has one for every token of the model's vocabulary; a number for so many tokens.

    Raises:
        ValueError: Heads do not divide as described, or rotary embedding meets an odd ``head_dim``.
    """

    def __init__(
        self,
        width: int,
        kv_heads: int | None,
        *,
        num_heads: Count = 4,
        head_dim: Count | None = None,
        rope_theta: Positive | None = 10_000.0,
        rope_pairing: Literal["interleaved", "halves"] = "interleaved",
        qk_norm: Literal["none", "before_rope", "after_rope"] = "none",
        qk_bias: bool = False,
        bias: bool = False,
        clip_qkv: Positive | None = None,
        output_gate: bool = False,
        value_embeddings: Count | bool | None = None,
    ) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, kv_heads or num_heads
        if num_heads % self.num_kv_heads:
            raise ValueError(f"num_kv_heads={self.num_kv_heads} does not divide num_heads={num_heads}")
        self.head_dim = head_dim or divided(width, num_heads)
        if rope_theta is not None and self.head_dim % 2:
            raise ValueError(f"rope_theta needs an even head_dim, and it is {self.head_dim}")
        self.rope_theta, self.rope_pairing, self.qk_norm = rope_theta, rope_pairing, qk_norm
        self.score_scale = self.head_dim**-0.5
        self.clip_qkv = clip_qkv
        self.q = nn.Linear(width, num_heads * self.head_dim, bias=bias)
        self.k = nn.Linear(width, self.num_kv_heads * self.head_dim, bias=bias)
        self.v = nn.Linear(width, self.num_kv_heads * self.head_dim, bias=bias)
        self.out = nn.Linear(num_heads * self.head_dim, width, bias=bias)
        self.gate = nn.Linear(width, num_heads * self.head_dim, bias=bias) if output_gate else None
        self.q_bias = nn.Parameter(torch.zeros(num_heads * self.head_dim)) if qk_bias else None
        self.k_bias = nn.Parameter(torch.zeros(self.num_kv_heads * self.head_dim)) if qk_bias else None
        rows = num_rows("value_embeddings", value_embeddings)
        self.value_embedding = None if rows is None else ValueEmbedding(rows, width, self.num_kv_heads, self.head_dim)

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        q, k, v = self.q(x), self.k(x), self.v(x)
        if self.value_embedding is not None:
            v = self.value_embedding(v, x, frame.tokens)
        if self.clip_qkv is not None:
            q, k, v = (y.clamp(-self.clip_qkv, self.clip_qkv) for y in (q, k, v))
        if self.q_bias is not None and self.k_bias is not None:
            q, k = q + self.q_bias.to(q.dtype), k + self.k_bias.to(k.dtype)
        q, k, v = self._heads(q), self._heads(k), self._heads(v)
        if self.qk_norm == "before_rope":
            q, k = rms_norm(q, self.head_dim), rms_norm(k, self.head_dim)
        if self.rope_theta is not None:
            rotation = frame.rotation(x, self.head_dim, self.rope_theta)
            q, k = rotation.of(q, self.rope_pairing), rotation.of(k, self.rope_pairing)
        if self.qk_norm == "after_rope":
            q, k = rms_norm(q, self.head_dim), rms_norm(k, self.head_dim)
        k, v = frame.exchange(k, v)
        attended = frame.mask.attend(q, k, v, scale=self.score_scale)
        read = attended.transpose(1, 2).flatten(2)
        out: Tensor = self.out(read if self.gate is None else read * torch.sigmoid(self.gate(x)))
        return out

    def inlined(self, frame: Frame, like: Tensor) -> Run | None:
        if not self.lies_flat():
            return None
        q_of, k_of, v_of, out_of = product(self.q), product(self.k), product(self.v), product(self.out)
        gate_of = None if self.gate is None else product(self.gate)
        heads: Callable[[Tensor], Tensor] = self._heads
        turn_q = turn_k = heads
        if self.rope_theta is not None:
            rotation = frame.rotation(like, self.head_dim, self.rope_theta)
            turn_q = rotation.of_heads(self.num_heads, self.head_dim, self.rope_pairing, like)
            turn_k = rotation.of_heads(self.num_kv_heads, self.head_dim, self.rope_pairing, like)
        normed, head_dim, scale = self.qk_norm == "after_rope", self.head_dim, self.score_scale
        path, attend = frame.path, frame.mask.attend

        def run(x: Tensor, now: Frame) -> Tensor:
            q, k, v = turn_q(q_of(x)), turn_k(k_of(x)), heads(v_of(x))
            if normed:
                q, k = rms_norm(q, head_dim), rms_norm(k, head_dim)
            if now.memory is not None:
                k, v = now.memory.exchange(path, (k, v), None, None)
            read = attend(q, k, v, scale).transpose(1, 2).flatten(2)
            return out_of(read if gate_of is None else read * torch.sigmoid(gate_of(x)))

        return run

    def lies_flat(self) -> bool:
        plain = self.value_embedding is None and self.clip_qkv is None and self.q_bias is None
        return plain and self.qk_norm != "before_rope"

    @property
    def turning(self) -> Turning | None:
        return None if self.rope_theta is None else (self.head_dim, self.rope_theta)

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], -1, self.head_dim).transpose(1, 2)


def divided(width: int, num_heads: int) -> int:
    """The head size; ``ValueError`` with the nearest numbers of heads that divide the width."""
    if width % num_heads:
        divisors = [n for n in range(1, width + 1) if width % n == 0]
        around = [*[n for n in divisors if n < num_heads][-1:], *[n for n in divisors if n > num_heads][:1]]
        near = f"nearest that {'do' if len(around) > 1 else 'does'}: {', '.join(map(str, around))}"
        raise ValueError(f"num_heads={num_heads} does not divide width={width}; {near}")
    return width // num_heads

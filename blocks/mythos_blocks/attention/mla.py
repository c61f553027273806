"""Multi-head latent attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.attention.base import Attention
from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import Run, inlined_norm, product
from mythos_blocks.frame.mask import AttentionMask
from mythos_blocks.frame.places import Turning
from mythos_blocks.norm import RMSNorm
from mythos_blocks.tensors.plain import is_plain
from mythos_blocks.tensors.precision import at_least_float32


@component("attention", "mla")
class LatentAttention(Attention):
    """Multi-head latent attention: keys and values from one low-rank latent (arXiv 2405.04434, section 2.1).

    Causal, unless the frame brings another mask.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``. A head's query and key have
    ``nope_dim`` channels without position and ``rope_dim`` with; the rotary key is one for all heads.

    Attributes:
        absorb: Whether to score queries against the latents directly instead of expanding keys and values; ``None``
            does where queries are few against keys, as in decoding. Where ``kv_up`` is more than a linear layer (an
            adapter, a hook), they are expanded in any case.

    Args:
        width: Channels of what it reads and returns.
        max_loops: Iterations that tables with a row for each have room for.
        num_heads: Heads.
        kv_rank: Channels of the latent from which keys and values are expanded.
        q_rank: Channels of the latent from which queries are expanded.
        nope_dim: Channels of a head's query and key that carry no position.
        rope_dim: Channels of a head's query and key that carry the rotary position; even.
        value_dim: Channels of a head's value.
        rope_theta: Base of the rotary position embedding.

    Raises:
        ValueError: ``rope_dim`` is odd.
    """

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        num_heads: Count = 4,
        kv_rank: Count = 64,
        q_rank: Count = 96,
        nope_dim: Count = 32,
        rope_dim: Count = 16,
        value_dim: Count = 32,
        rope_theta: Positive = 10_000.0,
    ) -> None:
        super().__init__()
        if rope_dim % 2:
            raise ValueError(f"rope_dim={rope_dim} must be even; nearest: {rope_dim - 1 or 2}, {rope_dim + 1}")
        self.num_heads, self.kv_rank, self.rope_theta = num_heads, kv_rank, rope_theta
        self.nope_dim, self.rope_dim, self.value_dim = nope_dim, rope_dim, value_dim
        self.score_scale = (nope_dim + rope_dim) ** -0.5
        self.absorb: bool | None = None
        self.q_down = nn.Linear(width, q_rank, bias=False)
        self.q_norm = RMSNorm(q_rank)
        self.q_up_nope = nn.Linear(q_rank, num_heads * nope_dim, bias=False)
        self.q_up_rope = nn.Linear(q_rank, num_heads * rope_dim, bias=False)
        self.kv_down = nn.Linear(width, kv_rank + rope_dim, bias=False)
        self.kv_norm = RMSNorm(kv_rank)
        self.kv_up = nn.Linear(kv_rank, num_heads * (nope_dim + value_dim), bias=False)
        self.out = nn.Linear(num_heads * value_dim, width, bias=False)

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        rotation = frame.rotation(x, self.rope_dim, self.rope_theta)
        q_latent = self.q_norm(self.q_down(x))
        q_nope = self._heads(self.q_up_nope(q_latent))
        q_rope = rotation.of(self._heads(self.q_up_rope(q_latent)))
        latent, k_rope = self.kv_down(x).split((self.kv_rank, self.rope_dim), dim=-1)
        # What is kept for later positions is the latent and one rotary key for all heads.
        latent, k_rope = frame.exchange(self.kv_norm(latent), rotation.of(k_rope))
        attended = self._attend(q_nope, q_rope, latent, k_rope, frame.mask, is_plain(self.kv_up, nn.Linear))
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return out

    def inlined(self, frame: Frame, like: Tensor) -> Run:
        rotation = frame.rotation(like, self.rope_dim, self.rope_theta)
        turn_q = rotation.of_heads(self.num_heads, self.rope_dim, "interleaved", like)
        q_down, kv_down, out_of = product(self.q_down), product(self.kv_down), product(self.out)
        nope_of, rope_of = product(self.q_up_nope), product(self.q_up_rope)
        q_norm, kv_norm = inlined_norm(self.q_norm), inlined_norm(self.kv_norm)
        sizes, heads, attend, turn = (self.kv_rank, self.rope_dim), self._heads, self._attend, rotation.of
        path, mask, may_absorb = frame.path, frame.mask, is_plain(self.kv_up, nn.Linear)

        def run(x: Tensor, now: Frame) -> Tensor:
            q_latent = q_norm(q_down(x), None)
            latent, k_rope = kv_down(x).split(sizes, dim=-1)
            latent, k_rope = kv_norm(latent, None), turn(k_rope)
            if now.memory is not None:
                latent, k_rope = now.memory.exchange(path, (latent, k_rope), None, None)
            q_nope, q_rope = heads(nope_of(q_latent)), turn_q(rope_of(q_latent))
            return out_of(attend(q_nope, q_rope, latent, k_rope, mask, may_absorb).transpose(1, 2).flatten(2))

        return run

    def _attend(
        self, q_nope: Tensor, q_rope: Tensor, latent: Tensor, k_rope: Tensor, mask: AttentionMask, may_absorb: bool
    ) -> Tensor:
        absorbs = self.absorb if self.absorb is not None else q_nope.shape[2] * 4 <= latent.shape[1]
        if not (absorbs and may_absorb):
            return self._expanded(q_nope, q_rope, latent, k_rope, mask)
        is_one = bool(q_nope.shape[2] == 1) and mask.allowed is None
        return (self._absorbed_one if is_one else self._absorbed)(q_nope, q_rope, latent, k_rope, mask)

    @property
    def turning(self) -> Turning:
        return self.rope_dim, self.rope_theta

    def _expanded(self, q_nope: Tensor, q_rope: Tensor, latent: Tensor, k_rope: Tensor, mask: AttentionMask) -> Tensor:
        """Attention over keys and values that are expanded from the latents, which defines the meaning."""
        k_nope, v = self._heads(self.kv_up(latent)).split((self.nope_dim, self.value_dim), dim=-1)
        k_rope = k_rope.unsqueeze(1).expand(-1, self.num_heads, -1, -1)
        q, k = torch.cat((q_nope, q_rope), dim=-1), torch.cat((k_nope, k_rope), dim=-1)
        return mask.attend(q, k, v, scale=self.score_scale)

    def _absorbed(self, q_nope: Tensor, q_rope: Tensor, latent: Tensor, k_rope: Tensor, mask: AttentionMask) -> Tensor:
        """The same with the expansion moved to the few queries and outputs: the latents are one head that all share."""
        up = self.kv_up.weight.view(self.num_heads, self.nope_dim + self.value_dim, self.kv_rank)
        k_up, v_up = up[:, : self.nope_dim], up[:, self.nope_dim :]
        q = torch.cat((torch.einsum("bhqn,hnr->bhqr", q_nope, k_up), q_rope), dim=-1)
        k = torch.cat((latent, k_rope), dim=-1).unsqueeze(1)
        mixed = mask.attend(q, k, latent.unsqueeze(1), scale=self.score_scale)
        return torch.einsum("bhqr,hvr->bhqv", mixed, v_up)

    def _absorbed_one(
        self, q_nope: Tensor, q_rope: Tensor, latent: Tensor, k_rope: Tensor, mask: AttentionMask
    ) -> Tensor:
        """:meth:`_absorbed` of one query, the last, which sees all: latents and rotary keys are read where they lie."""
        up = self.kv_up.weight.view(self.num_heads, self.nope_dim + self.value_dim, self.kv_rank)
        k_up, v_up = up[:, : self.nope_dim], up[:, self.nope_dim :]
        q = torch.bmm(q_nope.squeeze(2).transpose(0, 1), k_up).transpose(0, 1)  # (batch, heads, kv_rank)
        scores = torch.baddbmm(q_rope.squeeze(2) @ k_rope.mT, q, latent.mT)
        shares = torch.softmax(at_least_float32(scores) * self.score_scale, -1).to(latent.dtype)
        mixed = torch.bmm(shares, latent).transpose(0, 1)
        return torch.bmm(mixed, v_up.mT).transpose(0, 1).unsqueeze(2)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

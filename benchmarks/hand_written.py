"""The yardstick: one looped transformer in plain torch, written out for its equations and for nothing else.

It computes what ``LoopedTransformer`` computes of :func:`declaration`, from the same state dict, forward, backward and
with a cache (``tests/blocks/test_hand_written.py``). Tables are made once a pass, nothing is checked, nothing can be
exchanged: what a user would write who needs this model only. ``benchmarks/loops.py`` measures ours against it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VOCAB, NUM_HEADS, NUM_KV_HEADS, THETA, EPS, MARGIN = 512, 4, 2, 10_000.0, 1e-6, 2**-8

Entry = tuple[Tensor, Tensor]
"""Keys and values that are kept, ``(batch, kv_heads, capacity, head_dim)``."""


def declaration(width: int, num_loops: int) -> dict[str, Any]:
    """The same model as ``LoopedTransformer(VOCAB, **declaration(width, num_loops))``."""
    layer = {"attention": {"kind": "gqa", "num_heads": NUM_HEADS, "num_kv_heads": NUM_KV_HEADS}}
    core = {
        "layer": layer,
        "injection": "lti",
        "depth_signal": "sinusoidal",
        "loops": {"kind": "fixed", "num_loops": num_loops},
    }
    stack = {"depth": 1, "layer": layer}
    return {"width": width, "prelude": stack, "core": core, "coda": stack}


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.head_dim = width // NUM_HEADS
        self.q, self.out = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(width, NUM_KV_HEADS * self.head_dim, bias=False) for _ in range(2))

    def forward(self, x: Tensor, turn: Tensor, entry: Entry | None, begin: int) -> Tensor:
        batch, num_positions, _ = x.shape
        q = turned(self.q(x).view(batch, num_positions, NUM_HEADS, self.head_dim).transpose(1, 2), turn)
        k = turned(self.k(x).view(batch, num_positions, NUM_KV_HEADS, self.head_dim).transpose(1, 2), turn)
        v = self.v(x).view(batch, num_positions, NUM_KV_HEADS, self.head_dim).transpose(1, 2)
        if entry is not None:
            end = begin + num_positions
            entry[0][:, :, begin:end], entry[1][:, :, begin:end] = k, v
            k, v = entry[0][:, :, :end], entry[1][:, :, :end]
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=begin == 0 and num_positions > 1, enable_gqa=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, num_positions, -1))


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 4 * width // 3
        self.gate, self.up = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention, self.feedforward = Attention(width), FeedForward(width)
        self.attention_norm, self.feedforward_norm = (nn.RMSNorm(width, EPS) for _ in range(2))

    def forward(self, x: Tensor, turn: Tensor, entry: Entry | None, begin: int) -> Tensor:
        x = x + self.attention(self.attention_norm(x), turn, entry, begin)
        return x + self.feedforward(self.feedforward_norm(x))


class Injection(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.log_A, self.log_dt = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(1))
        self.B, self.norm = nn.Parameter(torch.zeros(width)), nn.RMSNorm(width, EPS)


class Layers(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(width)])


class Core(Layers):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.injection = Injection(width)


class HandWritten(nn.Module):
    """``head(norm(coda(h_T)))`` with ``h_t+1 = A h_t + B e + layer(norm(h_t + signal_t + e))``, and ``h_0 = e``.

    Args:
        width: Channels.
        num_loops: Iterations T.
        max_positions: Positions that there are angles for.
    """

    def __init__(self, width: int, num_loops: int, max_positions: int = 1024) -> None:
        super().__init__()
        self.num_loops, self.head_dim = num_loops, width // NUM_HEADS
        self.embedding = nn.Embedding(VOCAB, width)
        self.prelude, self.core, self.coda = Layers(width), Core(width), Layers(width)
        self.norm = nn.RMSNorm(width, EPS)
        self.head = nn.Linear(width, VOCAB, bias=False)
        self.head.weight = self.embedding.weight
        angles = torch.arange(max_positions)[:, None] * powers(self.head_dim)
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles), persistent=False)
        channels = max(2, width // 8 // 2 * 2)
        angles = torch.arange(num_loops)[:, None] * powers(channels)
        signals = F.pad(torch.cat((angles.sin(), angles.cos()), -1)[:, :channels], (0, width - channels))
        self.register_buffer("signals", signals, persistent=False)

    def entries(self, batch: int, capacity: int) -> list[Entry]:
        """Room for the keys and values of every layer and iteration."""
        shape = batch, NUM_KV_HEADS, capacity, self.head_dim
        return [(torch.empty(shape), torch.empty(shape)) for _ in range(self.num_loops + 2)]

    def forward(self, tokens: Tensor, entries: list[Entry] | None = None, begin: int = 0) -> Tensor:
        """Logits ``(batch, positions, VOCAB)`` of tokens at the positions from ``begin`` on."""
        turn = self.turns[begin : begin + tokens.shape[1]]
        at = [None] * (self.num_loops + 2) if entries is None else entries
        e = self.prelude.layers[0](self.embedding(tokens), turn, at[-2], begin)
        part, layer = self.core.injection, self.core.layers[0]
        a, held = (1 - MARGIN) * torch.exp(-torch.exp(part.log_dt + part.log_A)), part.B * e
        h = e
        for t in range(self.num_loops):
            h = a * h + held + layer(part.norm(h + e + self.signals[t]), turn, at[t], begin)
        return self.head(self.norm(self.coda.layers[0](h, turn, at[-1], begin)))


def powers(channels: int) -> Tensor:
    return THETA ** -(torch.arange(0, channels, 2) / channels)


def turned(x: Tensor, turn: Tensor) -> Tensor:
    """Neighbouring channels of ``x``, ``(..., positions, head_dim)``, rotated by the angles of their positions."""
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turn).flatten(-2)

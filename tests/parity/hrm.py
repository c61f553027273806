"""HRM and TRM in plain torch, from the papers' equations (arXiv 2506.21734, 2510.04871), under the names of their weights.

It shares nothing with the blocks that it judges: rotations as complex numbers of the two halves of a head, attention as a
softmax over all positions, norms as quotients.
"""

import math

import torch
from torch import nn

CONFIG = {
    "batch_size": 3,
    "seq_len": 7,
    "puzzle_emb_ndim": 48,
    "num_puzzle_identifiers": 5,
    "vocab_size": 13,
    "H_cycles": 2,
    "L_cycles": 3,
    "H_layers": 2,
    "L_layers": 1,
    "hidden_size": 48,
    "expansion": 4.0,
    "num_heads": 4,
    "pos_encodings": "rope",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10_000.0,
    "halt_max_steps": 3,
    "halt_exploration_prob": 0.1,
    "forward_dtype": "float32",
}
TRM_CONFIG = {**CONFIG, "H_layers": 0, "L_layers": 2, "mlp_t": False, "puzzle_emb_len": 3, "no_ACT_continue": True}


def multiple(size, of=256):
    return math.ceil(size / of) * of


def normed(x, eps):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt()


def turned(x, theta):
    """(batch, heads, positions, d), the halves of d as real and imaginary parts."""
    half = x.shape[-1] // 2
    angles = torch.outer(torch.arange(x.shape[-2]).double(), theta ** -(torch.arange(half).double() / half))
    turn = torch.polar(torch.ones_like(angles), angles)
    z = torch.complex(x[..., :half], x[..., half:]) * turn.to(torch.complex(x, x).dtype)
    return torch.cat((z.real, z.imag), -1)


class Matrix(nn.Module):
    def __init__(self, inputs, outputs, bias=False):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x):
        return x @ self.weight.T + (0 if self.bias is None else self.bias)


class Table(nn.Module):
    def __init__(self, rows, width):
        super().__init__()
        self.embedding_weight = nn.Parameter(torch.zeros(rows, width))


class SwiGLU(nn.Module):
    def __init__(self, size, expansion):
        super().__init__()
        inner = multiple(round(expansion * size * 2 / 3))
        self.gate_up_proj, self.down_proj = Matrix(size, 2 * inner), Matrix(inner, size)

    def forward(self, x):
        gate, up = self.gate_up_proj(x).chunk(2, -1)
        return self.down_proj(gate * torch.sigmoid(gate) * up)


class Attention(nn.Module):
    def __init__(self, width, heads, theta):
        super().__init__()
        self.heads, self.theta = heads, theta
        self.qkv_proj, self.o_proj = Matrix(width, 3 * width), Matrix(width, width)

    def forward(self, x):
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in self.qkv_proj(x).chunk(3, -1))
        if self.theta is not None:
            q, k = turned(q, self.theta), turned(k, self.theta)
        chances = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        return self.o_proj((chances @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, c, length):
        super().__init__()
        self.eps, self.mixes = c["rms_norm_eps"], c.get("mlp_t", False)
        if self.mixes:
            self.mlp_t = SwiGLU(length, c["expansion"])
        else:
            theta = c["rope_theta"] if c["pos_encodings"] == "rope" else None
            self.self_attn = Attention(c["hidden_size"], c["num_heads"], theta)
        self.mlp = SwiGLU(c["hidden_size"], c["expansion"])

    def forward(self, x):
        if self.mixes:
            across = x.transpose(1, 2)
            x = normed(across + self.mlp_t(across), self.eps).transpose(1, 2)
        else:
            x = normed(x + self.self_attn(x), self.eps)
        return normed(x + self.mlp(x), self.eps)


class Net(nn.Module):
    def __init__(self, c, length, depth):
        super().__init__()
        self.layers = nn.ModuleList(Block(c, length) for _ in range(depth))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Puzzles(nn.Module):
    def __init__(self, rows, dim):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(rows, dim))


class Inner(nn.Module):
    """One segment after the other from the fixed states; ``trm`` has one net, and learns through the last high cycle."""

    def __init__(self, c, trm):
        super().__init__()
        self.c, self.trm = c, trm
        width, dim = c["hidden_size"], c["puzzle_emb_ndim"]
        self.num_prefix = (c["puzzle_emb_len"] if trm else 0) or math.ceil(dim / width)
        self.length = c["seq_len"] + self.num_prefix
        self.embed_tokens = Table(c["vocab_size"], width)
        self.lm_head, self.q_head = Matrix(width, c["vocab_size"]), Matrix(width, 2, bias=True)
        if dim:
            self.puzzle_emb = Puzzles(c["num_puzzle_identifiers"], dim)
        if c["pos_encodings"] == "learned":
            self.embed_pos = Table(self.length, width)
        self.L_level = Net(c, self.length, c["L_layers"])
        if not trm:
            self.H_level = Net(c, self.length, c["H_layers"])
        self.H_init, self.L_init = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))

    def embedded(self, tokens, puzzles):
        width = self.c["hidden_size"]
        x = self.embed_tokens.embedding_weight[tokens]
        if self.c["puzzle_emb_ndim"]:
            vector = self.puzzle_emb.weights[puzzles]
            filled = torch.zeros(len(tokens), self.num_prefix * width, dtype=vector.dtype)
            filled[:, : vector.shape[-1]] = vector
            x = torch.cat((filled.unflatten(-1, (-1, width)), x), 1)
        if self.c["pos_encodings"] == "learned":
            x = 0.707106781 * (x + self.embed_pos.embedding_weight)
        return math.sqrt(width) * x

    def forward(self, tokens, puzzles):
        """The logits and the values of halting after every segment."""
        c, e = self.c, self.embedded(tokens, puzzles)
        high_net = self.L_level if self.trm else self.H_level
        shape = (len(tokens), self.length, c["hidden_size"])
        high, low, logits, values = self.H_init.expand(shape), self.L_init.expand(shape), [], []
        for _ in range(c["halt_max_steps"]):
            high, low = high.detach(), low.detach()
            for i in range(c["H_cycles"]):
                final = i == c["H_cycles"] - 1
                for j in range(c["L_cycles"]):
                    newest = final and (self.trm or j == c["L_cycles"] - 1)
                    with torch.set_grad_enabled(newest and torch.is_grad_enabled()):
                        low = self.L_level(low + high + e)
                with torch.set_grad_enabled(final and torch.is_grad_enabled()):
                    high = high_net(high + low)
            logits.append(self.lm_head(high)[:, self.num_prefix :])
            values.append(self.q_head(high[:, 0]))
        return logits, values


class Model(nn.Module):
    def __init__(self, config, trm):
        super().__init__()
        self.inner = Inner(config, trm)

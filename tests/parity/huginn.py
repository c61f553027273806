"""Huginn in plain torch, from the paper's equations (arXiv 2502.05171), under the names of its published weights.

Everything is written out: rotations as complex numbers, attention as a softmax over a masked matrix, norms as
quotients. It shares nothing with the blocks that it judges. Fields that change nothing here are not read; values that
are not rendered are refused.
"""

import math

import torch
from torch import nn

CONFIG = {
    "model_type": "huginn_raven",
    "n_embd": 48,
    "n_heads": 4,
    "intermediate_size": 80,
    "vocab_size": 61,
    "padded_vocab_size": 64,
    "block_size": 32,
    "n_layers_in_prelude": 2,
    "n_layers_in_recurrent_block": 3,
    "n_layers_in_coda": 2,
    "mean_recurrence": 6,
    "mean_backprop_depth": 3,
    "qk_bias": True,
    "bias": False,
    "norm_eps": 1e-6,
    "rope_base": 50_000,
    "injection_type": "linear",
    "state_init": "like-init",
    "init_strategy": "takase",
    "sampling_scheme": "poisson-lognormal-filling",
    "norm_class_name": "RMSNorm_llama",
    "block_class_name": "SandwichBlock",
    "mlp_class_name": "GatedMLP",
    "nonlin_name": "SiLU",
    "tie_embeddings": True,
}


class Gain(nn.Module):
    """``g * x / rms(x)``."""

    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return self.weight * x / (x.square().mean(-1, keepdim=True) + self.eps).sqrt()


def rotations(d, base, num_positions):
    """``exp(i p b^(-2j/d))`` by position p and pair j: (1, positions, 1, pairs, real and imaginary), float64."""
    frequencies = base ** -(torch.arange(0, d, 2, dtype=torch.float64) / d)
    angles = torch.outer(torch.arange(num_positions, dtype=torch.float64), frequencies)
    return torch.view_as_real(torch.polar(torch.ones_like(angles), angles))[None, :, None]


def rotated(x, table):
    """Neighbouring channels as complex numbers, turned: (batch, positions, heads, d)."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    turn = torch.view_as_complex(table[:, : x.shape[1]].to(x.dtype).contiguous())
    return torch.view_as_real(pairs * turn).flatten(-2)


def causal_attention(q, k, v):
    """(batch, positions, heads, d) each."""
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
    past = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    return torch.einsum("bhqk,bkhd->bqhd", scores.masked_fill(~past, -math.inf).softmax(-1), v)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, self.heads = config["n_embd"], config["n_heads"]
        self.Wqkv = nn.Linear(width, 3 * width, bias=False)
        if config["qk_bias"]:
            self.qk_bias = nn.Parameter(torch.zeros(2, 1, self.heads, width // self.heads))
        self.proj = nn.Linear(width, width, bias=False)

    def forward(self, x, table):
        q, k, v = (part.unflatten(-1, (self.heads, -1)) for part in self.Wqkv(x).chunk(3, dim=-1))
        if hasattr(self, "qk_bias"):
            q, k = q + self.qk_bias[0], k + self.qk_bias[1]
        return self.proj(causal_attention(rotated(q, table), rotated(k, table), v).flatten(2))


class GatedMLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.fc = nn.Linear(config["n_embd"], 2 * config["intermediate_size"], bias=False)
        self.proj = nn.Linear(config["intermediate_size"], config["n_embd"], bias=False)

    def forward(self, x):
        gate, up = self.fc(x).chunk(2, dim=-1)
        return self.proj(gate * torch.sigmoid(gate) * up)


class Sandwich(nn.Module):
    def __init__(self, config):
        super().__init__()
        for i in range(1, 5):
            setattr(self, f"norm_{i}", Gain(config["n_embd"], config["norm_eps"]))
        self.attn, self.mlp = Attention(config), GatedMLP(config)

    def forward(self, x, table):
        x = self.norm_2(x + self.attn(self.norm_1(x), table))
        return self.norm_4(x + self.mlp(self.norm_3(x)))


RENDERED = {
    "bias": False,
    "test_time_noise": 0,
    "state_init": "like-init",
    "injection_type": "linear",
    "block_class_name": "SandwichBlock",
    "mlp_class_name": "GatedMLP",
    "nonlin_name": "SiLU",
    "norm_class_name": "RMSNorm_llama",
}
"""Values of which no other is written out here."""


class Huginn(nn.Module):
    """``e = P(sqrt(d) E x)``, ``s <- R(A [s; e])``, ``H n(C(n(s)))``."""

    def __init__(self, config=CONFIG):
        super().__init__()
        assert all(config.get(name, value) == value for name, value in RENDERED.items())
        assert config.get("num_key_value_heads") in (None, config["n_heads"])
        self.config, width = config, config["n_embd"]

        def layers(place):
            return nn.ModuleList(Sandwich(config) for _ in range(config[f"n_layers_in_{place}"]))

        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(config["padded_vocab_size"], width),
                "prelude": layers("prelude"),
                "adapter": nn.Linear(2 * width, width, bias=False),
                "core_block": layers("recurrent_block"),
                "coda": layers("coda"),
                "ln_f": Gain(width, config["norm_eps"]),
            }
        )
        self.lm_head = nn.Linear(width, config["padded_vocab_size"], bias=False)
        if config["tie_embeddings"]:
            self.lm_head.weight = self.transformer.wte.weight
        self.register_buffer(
            "freqs_cis", rotations(width // config["n_heads"], config["rope_base"], config["block_size"])
        )

    def forward(self, tokens, state, num_steps):
        """The logits after ``num_steps`` iterations from ``state``, (batch, positions, width)."""
        return self.training_pass(tokens, state, torch.tensor(0), torch.tensor(num_steps))

    def training_pass(self, tokens, state, without, within):
        """The logits after so many iterations without a graph, and then so many within it."""
        e = self.input(tokens)
        for i in range(int(without + within)):
            with torch.set_grad_enabled(i >= int(without) and torch.is_grad_enabled()):
                state = self.iterate(state, e)
        return self.read(state)

    def input(self, tokens):
        part = self.transformer
        return self.through(part.prelude, part.wte(tokens) * math.sqrt(self.config["n_embd"]))

    def iterate(self, state, e):
        part = self.transformer
        return self.through(part.core_block, part.adapter(torch.cat((state, e), dim=-1)))

    def read(self, state):
        part = self.transformer
        return self.lm_head(part.ln_f(self.through(part.coda, part.ln_f(state))))

    def through(self, layers, x):
        for layer in layers:
            x = layer(x, self.freqs_cis)
        return x


def draw(config, shape):
    """Iterations without a graph and within it, as its training draws them for a batch."""
    assert config["sampling_scheme"] == "poisson-lognormal-filling"
    window = config["mean_backprop_depth"]
    aim, sigma = max(config["mean_recurrence"], window), 0.5
    rate = torch.empty(1, 1).log_normal_(math.log(aim) - sigma**2 / 2, sigma)
    total = torch.poisson(rate).long() + 1
    return total - total.clamp_max(window), total.clamp_max(window)

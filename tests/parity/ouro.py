"""Ouro in plain torch, from the paper's equations (arXiv 2510.25741, section 3), under the names of its weights."""

import math

import torch
from torch import nn

from tests.parity.hrm import Matrix, turned

CONFIG = {
    "model_type": "ouro",
    "vocab_size": 37,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000.0,
    "total_ut_steps": 4,
    "early_exit_threshold": 1.0,
    "initializer_range": 0.02,
    "tie_word_embeddings": False,
}


class Gain(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return self.weight * x / (x.square().mean(-1, keepdim=True) + self.eps).sqrt()


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.theta = c["num_attention_heads"], c["rope_theta"]
        self.kv_heads = c["num_key_value_heads"] or self.heads
        width = c["hidden_size"]
        size = c.get("head_dim") or width // self.heads
        bias = c.get("attention_bias", False)  # Nanbeige's
        self.q_proj, self.o_proj = Matrix(width, self.heads * size, bias), Matrix(self.heads * size, width, bias)
        self.k_proj, self.v_proj = (Matrix(width, self.kv_heads * size, bias) for _ in range(2))

    def keys_and_values(self, x):
        k, v = (f(x).unflatten(-1, (self.kv_heads, -1)).transpose(1, 2) for f in (self.k_proj, self.v_proj))
        return turned(k, self.theta), v

    def forward(self, x, kept=None, alive=None):
        """With keys and values of its own, or those that are ``kept``; of all positions, or those that are alive."""
        q = turned(self.q_proj(x).unflatten(-1, (self.heads, -1)).transpose(1, 2), self.theta)
        k, v = self.keys_and_values(x) if kept is None else kept
        k, v = (y.repeat_interleave(self.heads // self.kv_heads, 1) for y in (k, v))
        past = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        if alive is not None:
            past = past & (alive[:, None, None] | torch.eye(x.shape[1], dtype=torch.bool))
        chances = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).masked_fill(~past, -math.inf).softmax(-1)
        return self.o_proj((chances @ v).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, hidden, bias = c["hidden_size"], c["intermediate_size"], c.get("mlp_bias", False)
        self.gate_proj, self.up_proj = (Matrix(width, hidden, bias) for _ in range(2))
        self.down_proj = Matrix(hidden, width, bias)

    def forward(self, x):
        gate = self.gate_proj(x)
        return self.down_proj(gate * torch.sigmoid(gate) * self.up_proj(x))


class Layer(nn.Module):
    """``x + n2(attention(n1 x))``, then ``x + n4(mlp(n3 x))``."""

    def __init__(self, c):
        super().__init__()
        self.self_attn, self.mlp = Attention(c), MLP(c)
        for name in ("input_layernorm", "input_layernorm_2", "post_attention_layernorm", "post_attention_layernorm_2"):
            setattr(self, name, Gain(c["hidden_size"], c["rms_norm_eps"]))

    def forward(self, x):
        x = x + self.input_layernorm_2(self.self_attn(self.input_layernorm(x)))
        return x + self.post_attention_layernorm_2(self.mlp(self.post_attention_layernorm(x)))


class Body(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))
        self.norm = Gain(c["hidden_size"], c["rms_norm_eps"])
        self.early_exit_gate = Matrix(c["hidden_size"], 1, bias=True)


class Ouro(nn.Module):
    def __init__(self, config=CONFIG):
        super().__init__()
        self.config, self.model = config, Body(config)
        self.lm_head = Matrix(config["hidden_size"], config["vocab_size"])
        if config["tie_word_embeddings"]:
            self.lm_head.weight = self.model.embed_tokens.weight

    def states(self, tokens):
        """The state after every pass."""
        x, states = self.model.embed_tokens(tokens), []
        for _ in range(self.config["total_ut_steps"]):
            for layer in self.model.layers:
                x = layer(x)
            x = self.model.norm(x)
            states.append(x)
        return states

    def forward(self, tokens):
        """The logits of each position's state where its cumulative chance to exit reaches the threshold."""
        states = self.states(tokens)
        left, reached, mass = 1.0, [], 0.0
        for t, state in enumerate(states):
            chance = torch.sigmoid(self.model.early_exit_gate(state))[..., 0]
            mass = mass + (left if t == len(states) - 1 else chance * left)
            left = left * (1 - chance)
            reached.append(mass >= self.config["early_exit_threshold"])
        chosen = states[-1]
        for state, there in reversed(list(zip(states[:-1], reached[:-1], strict=True))):
            chosen = torch.where(there[..., None], state, chosen)
        return self.lm_head(chosen)

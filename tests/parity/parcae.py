"""Parcae in plain torch, from the paper's equations (arXiv 2604.12946), under the names of its published weights.

The layers are those that its code adds to the paper: normed queries and keys, squared ReLU, and embeddings of
tokens in the values of every second layer. Fields that change nothing here are not read; values that are not rendered
are refused.
"""

import math

import torch
from torch import nn

from tests.parity.huginn import Gain, causal_attention, rotated, rotations

CONFIG = {
    "_class_name": "ParcaeConfig",
    "n_embd": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 80,
    "recurrent_embedding_dimension": 48,
    "recurrent_intermediation_embedding_dimension": 80,
    "recurrent_num_attention_heads": None,
    "vocab_size": 61,
    "padded_vocab_size": 64,
    "block_size": 32,
    "n_layers_in_prelude": 2,
    "n_layers_in_recurrent_block": 2,
    "n_layers_in_coda": 2,
    "mean_recurrence": 8,
    "mean_backprop_depth": 4,
    "recurrent_iteration_method": "per-sequence",
    "sampling_scheme": "poisson-truncated-full",
    "injection_type": "diagonal",
    "state_init": "like-init",
    "prelude_norm": True,
    "qk_norm": True,
    "qk_bias": False,
    "bias": False,
    "clip_qkv": None,
    "logit_softcap": None,
    "block_class_name": "TransformerPreNormBlock",
    "norm_class_name": "RMSNorm",
    "norm_eps": 1e-5,
    "mlp_class_name": "BaseMLP",
    "nonlin_name": "ReLU2",
    "init_strategy": "scaled-zero",
    "init_orthogonal": True,
    "rope_settings": {"use_rope": True, "rope_condense_ratio": 1, "rope_base": 50_000},
    "tie_embeddings": True,
}


def alternate(i, num_layers):
    """Every second layer, the last one among them."""
    return (num_layers - 1 - i) % 2 == 0


def unit(x):
    """Unit root mean square, to float32's precision."""
    return x / (x.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).sqrt()


class Offset(nn.Module):
    """``g * (x - mean(x)) / sd(x) + b``."""

    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width)), eps

    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return self.weight * centred / (centred.square().mean(-1, keepdim=True) + self.eps).sqrt() + self.bias


def norm(config, width):
    kind = "RMSNorm" if config.get("simple_ops") else config["norm_class_name"]
    return {"RMSNorm": Gain, "LayerNorm": Offset}[kind](width, config["norm_eps"])


class Attention(nn.Module):
    def __init__(self, config, width, heads, kv_heads, gated):
        super().__init__()
        self.heads, self.kv_heads, self.qk_norm = heads, kv_heads, config["qk_norm"]
        self.bound = math.inf if config.get("clip_qkv") is None else config["clip_qkv"]
        self.rotates = config["rope_settings"].get("use_rope", True)
        for name in ("c_q", "c_k", "c_v", "c_proj"):
            rows = width * kv_heads // heads if name in ("c_k", "c_v") else width
            setattr(self, name, nn.Linear(width, rows, bias=config["bias"]))
        if config["qk_bias"]:
            self.qk_bias = nn.Parameter(torch.zeros(2, 1, heads, width // heads))
        if gated:
            self.ve_gate = nn.Linear(32, kv_heads, bias=False)

    def forward(self, x, table, embedded):
        split = (self.c_q, self.heads), (self.c_k, self.kv_heads), (self.c_v, self.kv_heads)
        q, k, v = (f(x).unflatten(-1, (heads, -1)) for f, heads in split)
        if embedded is not None and hasattr(self, "ve_gate"):
            gate = 2 / (1 + torch.exp(-self.ve_gate(x[..., :32])))
            v = v + gate[..., None] * embedded.view_as(v)
        q, k, v = (x.clamp(-self.bound, self.bound) for x in (q, k, v))
        if hasattr(self, "qk_bias"):
            q, k = q + self.qk_bias[0], k + self.qk_bias[1]
        if self.rotates:
            q, k = rotated(q, table), rotated(k, table)
        if self.qk_norm:
            q, k = unit(q), unit(k)
        k, v = (x.repeat_interleave(self.heads // self.kv_heads, dim=2) for x in (k, v))
        return self.c_proj(causal_attention(q, k, v).flatten(2))


ACTIVATIONS = {
    "ReLU2": lambda x: x.clamp_min(0) ** 2 / 2,
    "ReLU": lambda x: x.clamp_min(0),
    "GELU": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "SiLU": lambda x: x * torch.sigmoid(x),
}


class MLP(nn.Module):
    def __init__(self, width, hidden, activation, bias):
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.fc = nn.Linear(width, hidden, bias=bias)
        self.proj = nn.Linear(hidden, width, bias=bias)

    def forward(self, x):
        return self.proj(self.activation(self.fc(x)))


class GatedMLP(nn.Module):
    def __init__(self, width, hidden, activation, bias):
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.fc = nn.Linear(width, 2 * hidden, bias=bias)
        self.proj = nn.Linear(hidden, width, bias=bias)

    def forward(self, x):
        gate, up = self.fc(x).chunk(2, dim=-1)
        return self.proj(self.activation(gate) * up)


class Block(nn.Module):
    def __init__(self, config, width, hidden, heads, kv_heads, gated):
        super().__init__()
        self.norm_1, self.norm_2 = (norm(config, width) for _ in range(2))
        self.attn = Attention(config, width, heads, kv_heads, gated)
        kind = {"BaseMLP": MLP, "GatedMLP": GatedMLP}[config["mlp_class_name"]]
        self.mlp = kind(width, hidden, config["nonlin_name"], config["bias"])

    def forward(self, x, table, embedded):
        x = x + self.attn(self.norm_1(x), table, embedded)
        return x + self.mlp(self.norm_2(x))


class Diagonal(nn.Module):
    """``exp(-dt exp(a)) s + dt B e``."""

    def __init__(self, width, input_width, bias):
        super().__init__()
        self.A_log, self.dt_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.B = nn.Parameter(torch.zeros(width, input_width))

    def forward(self, s, e):
        dt = torch.log1p(torch.exp(self.dt_bias))
        return torch.exp(-dt * torch.exp(self.A_log)) * s + dt * torch.einsum("se,bpe->bps", self.B, e)


class Linear(nn.Module):
    """``W [s; e]``."""

    def __init__(self, width, input_width, bias):
        super().__init__()
        self.adapter = nn.Linear(width + input_width, width, bias=bias)

    def forward(self, s, e):
        return self.adapter(torch.cat((s, e), dim=-1))


class Add(nn.Module):
    """``s + e``."""

    def __init__(self, width, input_width, bias):
        super().__init__()

    def forward(self, s, e):
        return s + e


RENDERED = {
    "mup_model_scaling_factor": 1,
    "randomize_positions_from": None,
    "block_class_name": "TransformerPreNormBlock",
    "model_class_name": "Parcae",
    "_class_name": "ParcaeConfig",
    "_is_recurrent_block_config": False,
}
"""Values of which no other is written out here."""


def padded(config):
    """The size of the vocabulary: as given, or the next multiple."""
    multiple = config.get("padding_multiple", 512)
    return config["padded_vocab_size"] or math.ceil(config["vocab_size"] / multiple) * multiple


class Parcae(nn.Module):
    """``e = n(P(E x))``, ``s <- R(inject(s, e))``, ``H n(K(C s))``."""

    def __init__(self, config=CONFIG):
        super().__init__()
        self.config = config
        assert all(config.get(name, value) == value for name, value in RENDERED.items())
        assert config["rope_settings"].get("rope_condense_ratio", 1) == 1
        assert config.get("use_fused_head", "pytorch") in ("pytorch", "cce")
        assert config["init_strategy"] in ("scaled", "scaled-geiping", "scaled-zero"), "others scale what is embedded"
        width, state = config["n_embd"], config["recurrent_embedding_dimension"]
        first, core, last = (config[f"n_layers_in_{name}"] for name in ("prelude", "recurrent_block", "coda"))
        heads, inner_heads = config["num_attention_heads"], config["recurrent_num_attention_heads"]
        inner_heads, kv_heads = inner_heads or heads, config["num_key_value_heads"] or heads

        def blocks(begin, count, *sizes):
            gates = core * config["mean_backprop_depth"]
            return nn.ModuleList(Block(config, *sizes, alternate(begin + i, gates)) for i in range(count))

        inner = config["recurrent_intermediation_embedding_dimension"], inner_heads, inner_heads
        outer = config["intermediate_size"] or 4 * width, heads, kv_heads
        injection = {"diagonal": Diagonal, "linear": Linear, "add": Add}[config["injection_type"]]
        parts = {
            "wte": nn.Embedding(padded(config), width),
            "prelude": blocks(0, first, width, *outer),
            "adapter": injection(state, width, config["bias"]),
            "core_block": blocks(first, core, state, *inner),
            "C": nn.Linear(state, width, bias=config["bias"]),
            "coda": blocks(first + core * config["mean_recurrence"], last, width, *outer),
            "ln_f": norm(config, width),
        }
        if config["prelude_norm"]:
            parts["ln_prelude"] = norm(config, width)
        self.transformer = nn.ModuleDict(parts)
        count, values = first + core + last, width * kv_heads // heads
        tables = {i: nn.Embedding(padded(config), values) for i in range(count) if alternate(i, count)}
        self.value_embeds = nn.ModuleDict({str(i): table for i, table in tables.items()})
        self.lm_head = nn.Linear(width, padded(config), bias=False)
        if config["tie_embeddings"]:
            self.lm_head.weight = self.transformer.wte.weight
        base = config["rope_settings"].get("rope_base", 50_000)
        self.register_buffer("freqs_cis", rotations(width // heads, base, config["block_size"]))

    def forward(self, tokens, state, num_steps):
        """The logits after ``num_steps`` iterations from ``state``, (batch, positions, state width)."""
        return self.training_pass(tokens, state, torch.tensor(0), torch.tensor(num_steps))

    def training_pass(self, tokens, state, without, within):
        """The logits after so many iterations without a graph and then so many within it, ``(batch, positions)`` or
        broadcast to it. All positions run every iteration, and those that wait keep their state."""
        part, first = self.transformer, len(self.transformer.prelude)
        e = self.through(part.prelude, part.wte(tokens), tokens, 0)
        if "ln_prelude" in part:
            e = part.ln_prelude(e)
        for counts, graph in ((without, False), (within, True)):
            for step in range(int(counts.max())):
                with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
                    after = self.through(part.core_block, part.adapter(state, e), tokens, first)
                state = torch.where((step < counts).expand(tokens.shape)[..., None], after, state)
        x = self.through(part.coda, part.C(state), tokens, first + len(part.core_block))
        logits, cap = self.lm_head(part.ln_f(x)), self.config.get("logit_softcap")
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def through(self, layers, x, tokens, begin):
        for i, layer in enumerate(layers):
            embedded = self.value_embeds[str(begin + i)](tokens) if str(begin + i) in self.value_embeds else None
            x = layer(x, self.freqs_cis, embedded)
        return x


def draw(config, shape):
    """Iterations without a graph and within it, for tokens of this shape, as its training draws them: two tensors that
    broadcast to the shape."""
    scheme, per = config["sampling_scheme"], config["recurrent_iteration_method"]
    size = {"per-batch": (1, 1), "per-sequence": (shape[0], 1), "per-token": shape}[per]
    within = config["mean_backprop_depth"]
    without = max(config["mean_recurrence"] - within, 0)

    def poisson(rate):
        return torch.poisson(torch.full(size, float(rate))).long()

    assert "curriculum" not in scheme
    if scheme == "fixed":
        return torch.full(size, without), torch.full(size, within)
    if scheme == "poisson-full":
        return torch.zeros(size).long(), poisson(without + within).clamp_min(1)
    if scheme == "poisson-truncated-full":
        total = poisson(without + within).clamp_min(1)
        # For a batch its code takes the gradient's share off no more than it adds it.
        return (total if per == "per-batch" else total - total.clamp_max(within)), total.clamp_max(within)
    if scheme == "poisson-fill" or per != "per-batch":
        return poisson(without), torch.full(size, within)
    assert scheme in ("poisson-unbounded", "poisson-bounded")
    drawn = poisson(without).clamp_max(2 * without - 1) if scheme == "poisson-bounded" else poisson(without)
    return drawn, torch.randint(1, 2 * within + 1, size)

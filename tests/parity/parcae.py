"""Parcae in plain torch, from the paper's equations (arXiv 2604.12946), under the names of its published weights.

The layers are those that its code adds to the paper: normed queries and keys, squared ReLU, and embeddings of
tokens in the values of every second layer.
"""

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
    "rope_settings": {"use_rope": True, "rope_condense_ratio": 1, "rope_base": 50_000},
    "tie_embeddings": True,
}


def alternate(i, num_layers):
    """Every second layer, the last one among them."""
    return (num_layers - 1 - i) % 2 == 0


def unit(x):
    """Unit root mean square, to float32's precision."""
    return x / (x.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).sqrt()


class Attention(nn.Module):
    def __init__(self, config, width, heads, gated):
        super().__init__()
        self.heads, self.qk_norm = heads, config["qk_norm"]
        for name in ("c_q", "c_k", "c_v", "c_proj"):
            setattr(self, name, nn.Linear(width, width, bias=False))
        if config["qk_bias"]:
            self.qk_bias = nn.Parameter(torch.zeros(2, 1, heads, width // heads))
        if gated:
            self.ve_gate = nn.Linear(32, heads, bias=False)

    def forward(self, x, table, embedded):
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)) for f in (self.c_q, self.c_k, self.c_v))
        if embedded is not None and hasattr(self, "ve_gate"):
            gate = 2 / (1 + torch.exp(-self.ve_gate(x[..., :32])))
            v = v + gate[..., None] * embedded.view_as(v)
        if hasattr(self, "qk_bias"):
            q, k = q + self.qk_bias[0], k + self.qk_bias[1]
        q, k = rotated(q, table), rotated(k, table)
        if self.qk_norm:
            q, k = unit(q), unit(k)
        return self.c_proj(causal_attention(q, k, v).flatten(2))


class MLP(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc = nn.Linear(width, hidden, bias=False)
        self.proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        return self.proj(self.fc(x).clamp_min(0) ** 2 / 2)


class GatedMLP(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc = nn.Linear(width, 2 * hidden, bias=False)
        self.proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        gate, up = self.fc(x).chunk(2, dim=-1)
        return self.proj(gate * torch.sigmoid(gate) * up)


class Block(nn.Module):
    def __init__(self, config, width, hidden, heads, gated):
        super().__init__()
        self.norm_1, self.norm_2 = (Gain(width, config["norm_eps"]) for _ in range(2))
        self.attn = Attention(config, width, heads, gated)
        self.mlp = {"BaseMLP": MLP, "GatedMLP": GatedMLP}[config["mlp_class_name"]](width, hidden)

    def forward(self, x, table, embedded):
        x = x + self.attn(self.norm_1(x), table, embedded)
        return x + self.mlp(self.norm_2(x))


class Diagonal(nn.Module):
    """``exp(-dt exp(a)) s + dt B e``."""

    def __init__(self, width, input_width):
        super().__init__()
        self.A_log, self.dt_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.B = nn.Parameter(torch.zeros(width, input_width))

    def forward(self, s, e):
        dt = torch.log1p(torch.exp(self.dt_bias))
        return torch.exp(-dt * torch.exp(self.A_log)) * s + dt * torch.einsum("se,bpe->bps", self.B, e)


class Linear(nn.Module):
    """``W [s; e]``."""

    def __init__(self, width, input_width):
        super().__init__()
        self.adapter = nn.Linear(width + input_width, width, bias=False)

    def forward(self, s, e):
        return self.adapter(torch.cat((s, e), dim=-1))


class Add(nn.Module):
    """``s + e``."""

    def __init__(self, width, input_width):
        super().__init__()

    def forward(self, s, e):
        return s + e


class Parcae(nn.Module):
    """``e = n(P(E x))``, ``s <- R(inject(s, e))``, ``H n(K(C s))``."""

    def __init__(self, config=CONFIG):
        super().__init__()
        self.config = config
        width, state = config["n_embd"], config["recurrent_embedding_dimension"]
        first, core, last = (config[f"n_layers_in_{name}"] for name in ("prelude", "recurrent_block", "coda"))
        heads = config["num_attention_heads"]

        def blocks(begin, count, *sizes):
            gates = core * config["mean_backprop_depth"]
            return nn.ModuleList(Block(config, *sizes, alternate(begin + i, gates)) for i in range(count))

        inner = config["recurrent_intermediation_embedding_dimension"], config["recurrent_num_attention_heads"] or heads
        outer = config["intermediate_size"], heads
        injection = {"diagonal": Diagonal, "linear": Linear, "add": Add}[config["injection_type"]]
        parts = {
            "wte": nn.Embedding(config["padded_vocab_size"], width),
            "prelude": blocks(0, first, width, *outer),
            "adapter": injection(state, width),
            "core_block": blocks(first, core, state, *inner),
            "C": nn.Linear(state, width, bias=False),
            "coda": blocks(first + core * config["mean_recurrence"], last, width, *outer),
            "ln_f": Gain(width, config["norm_eps"]),
        }
        if config["prelude_norm"]:
            parts["ln_prelude"] = Gain(width, config["norm_eps"])
        self.transformer = nn.ModuleDict(parts)
        count = first + core + last
        tables = {i: nn.Embedding(config["padded_vocab_size"], width) for i in range(count) if alternate(i, count)}
        self.value_embeds = nn.ModuleDict({str(i): table for i, table in tables.items()})
        self.lm_head = nn.Linear(width, config["padded_vocab_size"], bias=False)
        if config["tie_embeddings"]:
            self.lm_head.weight = self.transformer.wte.weight
        base = config["rope_settings"]["rope_base"]
        self.tables = {d: rotations(d, base, config["block_size"]) for d in (width // heads, state // inner[1])}
        self.register_buffer("freqs_cis", self.tables[width // heads])

    def forward(self, tokens, state, num_steps):
        """The logits after ``num_steps`` iterations from ``state``, (batch, positions, state width)."""
        part, first = self.transformer, len(self.transformer.prelude)
        e = self.through(part.prelude, part.wte(tokens), tokens, 0)
        if "ln_prelude" in part:
            e = part.ln_prelude(e)
        for _ in range(num_steps):
            state = self.through(part.core_block, part.adapter(state, e), tokens, first)
        x = self.through(part.coda, part.C(state), tokens, first + len(part.core_block))
        return self.lm_head(part.ln_f(x))

    def through(self, layers, x, tokens, begin):
        for i, layer in enumerate(layers):
            embedded = self.value_embeds[str(begin + i)](tokens) if str(begin + i) in self.value_embeds else None
            x = layer(x, self.tables[x.shape[-1] // layer.attn.heads], embedded)
        return x

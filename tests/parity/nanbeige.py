"""Nanbeige4.2 in plain torch, as its report and its configuration describe it, under the names of its weights."""

from torch import nn

from tests.parity.hrm import Matrix
from tests.parity.ouro import MLP, Attention, Gain

CONFIG = {
    "model_type": "nanbeige",
    "vocab_size": 37,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-5,
    "rope_theta": 70_000_000.0,
    "num_loops": 2,
    "loop_loss_weights": [],
    "skip_loop_final_norm": False,
    "tie_word_embeddings": False,
    "initializer_range": 0.02,
}


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self_attn, self.mlp = Attention(c), MLP(c)
        self.input_layernorm, self.post_attention_layernorm = (Gain(c["hidden_size"], c["rms_norm_eps"]) for _ in "12")

    def forward(self, x, kept=None, alive=None):
        x = x + self.self_attn(self.input_layernorm(x), kept, alive)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))
        self.norm = Gain(c["hidden_size"], c["rms_norm_eps"])


class Nanbeige(nn.Module):
    def __init__(self, config=CONFIG):
        super().__init__()
        self.config, self.model = config, Body(config)
        self.lm_head = Matrix(config["hidden_size"], config["vocab_size"])
        if config["tie_word_embeddings"]:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, tokens):
        x = self.model.embed_tokens(tokens)
        return self.lm_head(self.split(x) if self.config.get("enable_double_loop_split") else self.passes(x))

    def passes(self, x):
        """The whole stack again and again, normalised after each pass or after the last."""
        losses = self.config["loop_loss_weights"]
        for _ in range(len(losses) + 1 if losses else self.config["num_loops"]):
            for layer in self.model.layers:
                x = layer(x)
            x = x if self.config["skip_loop_final_norm"] else self.model.norm(x)
        return self.model.norm(x) if self.config["skip_loop_final_norm"] else x

    def split(self, x):
        """The layers in the middle as often as to run twice as many layers as there are."""
        depth = self.config["num_hidden_layers"]
        middle = self.config.get("loop_middle_layers") or depth // 2
        first, kept = (depth - middle) // 2, {}
        for layer in self.model.layers[:first]:
            x = layer(x)
        for repeat in range(depth // middle + 1):
            for i in range(first, first + middle):
                layer = self.model.layers[i]
                if repeat == 0 and self.config.get("loop_share_kv"):
                    kept[i] = layer.self_attn.keys_and_values(layer.input_layernorm(x))
                x = layer(x, kept.get(i))
        for layer in self.model.layers[first + middle :]:
            x = layer(x)
        return self.model.norm(x)

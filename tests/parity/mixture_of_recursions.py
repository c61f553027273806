"""Mixture of recursions in plain torch (arXiv 2507.10524, section 2), under the names of its weights."""

import torch
from torch import nn

from tests.parity.hrm import Matrix
from tests.parity.nanbeige import Layer
from tests.parity.ouro import Gain

CONFIG = {
    "model_type": "llama",
    "vocab_size": 37,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10_000.0,
    "tie_word_embeddings": False,
    "initializer_range": 0.02,
}
RUN = {
    "learning_rate": 0.003,
    "recursive": {"enable": True, "num_recursion": 3, "sharing": "middle_cycle", "ln_share": True},
    "kv_sharing": {"enable": False, "update_cache": False},
    "relaxation": {"enable": False},
    "mor": {
        "enable": True,
        "type": "expert",
        "capacity": None,
        "rand_router": False,
        "router_type": "linear",
        "z_loss": False,
        "z_coeff": 0.001,
        "temp": 1.0,
        "expert": {
            "router_func": "sigmoid",
            "alpha": 0.1,
            "sampling": "aux_loss",
            "coeff": 0.001,
            "gating": "weighted",
        },
        "token": {"router_func": "softmax", "alpha": 1.0, "balancing": "loss", "coeff": 0.1, "gating": "weighted"},
    },
}


class Router(nn.Module):
    def __init__(self, width, outputs=1):
        super().__init__()
        self.router = Matrix(width, outputs)


class Recursion(nn.Module):
    def __init__(self, block, width):
        super().__init__()
        self.block, self.mor_router = block, Router(width)


class Recursions(nn.Module):
    def __init__(self, block, width, num):
        super().__init__()
        self.block_list, self.mor_router = nn.ModuleList(block for _ in range(num)), Router(width, num)


class Body(nn.Module):
    def __init__(self, c, run):
        super().__init__()
        width, num = c["hidden_size"], run["recursive"]["num_recursion"]
        self.embed_tokens = nn.Embedding(c["vocab_size"], width)
        outer = 0 if run["recursive"]["sharing"] == "cycle" else 1
        depth = (c["num_hidden_layers"] - 2 * outer) // num
        block = nn.ModuleList(Layer(c) for _ in range(depth))
        if run["mor"]["type"] == "expert":
            recursions = [Recursion(block, width) for _ in range(num)]
        else:
            recursions = [Recursions(block, width, num)]
        ends = [Layer(c) for _ in range(2 * outer)]
        self.layers = nn.ModuleList([*ends[:outer], *recursions, *ends[outer:]])
        self.norm = Gain(width, c["rms_norm_eps"])


class MixtureOfRecursions(nn.Module):
    def __init__(self, config=CONFIG, run=RUN):
        super().__init__()
        self.run, self.model = run, Body(config, run)
        self.lm_head = Matrix(config["hidden_size"], config["vocab_size"])
        if config["tie_word_embeddings"]:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, tokens):
        x = self.model.embed_tokens(tokens)
        self.kept = [None] * len(self.block())
        alive = torch.ones(tokens.shape, dtype=torch.bool)
        for i, layer in enumerate(self.model.layers):
            if isinstance(layer, Recursion):
                x, alive = self.chosen(layer, x, alive, self.share(i) * tokens.shape[1])
            else:
                x = self.at_chosen_depths(layer, x) if isinstance(layer, Recursions) else layer(x)
        return self.lm_head(self.model.norm(x))

    def block(self):
        (first, *_) = [x for x in self.model.layers if not isinstance(x, Layer)]
        return first.block if isinstance(first, Recursion) else first.block_list[0]

    def share(self, i):
        """Of all positions, how many the i-th layer runs."""
        recursions = [isinstance(layer, Recursion) for layer in self.model.layers]
        place, num = sum(recursions[:i]), sum(recursions)
        given = self.run["mor"]["capacity"]
        return (num - place) / num if given is None else float(given.split(",")[place])

    def applied(self, block, x, alive):
        """The shared layers: attention among those alive, or with the keys and values of the first recursion."""
        for i, layer in enumerate(block):
            if not self.run["kv_sharing"]["enable"]:
                x = layer(x, None, alive)
                continue
            if self.kept[i] is None:
                self.kept[i] = layer.self_attn.keys_and_values(layer.input_layernorm(x))
            x = layer(x, self.kept[i])
        return x

    def chosen(self, recursion, x, alive, num):
        """``x + alpha * sigmoid(r) * block(x)`` at the best-scored of those alive."""
        mor = self.run["mor"]
        score = torch.sigmoid(recursion.mor_router.router(x / mor["temp"]))
        best = score[..., 0].masked_fill(~alive, -1).topk(max(1, int(num)), dim=1).indices
        alive = torch.zeros_like(alive).scatter(1, best, True)
        more = mor["expert"]["alpha"] * score * self.applied(recursion.block, x, alive)
        return torch.where(alive[..., None], x + more, x), alive

    def at_chosen_depths(self, recursions, x):
        """``x + alpha * chance * h`` of the state at the likeliest depth."""
        mor = self.run["mor"]
        chance, choice = recursions.mor_router.router(x / mor["temp"]).softmax(-1).max(-1, keepdim=True)
        h, out = x, x
        for depth, block in enumerate(recursions.block_list):
            h = torch.where(choice >= depth, self.applied(block, h, choice[..., 0] >= depth), h)
            out = torch.where(choice == depth, x + mor["token"]["alpha"] * chance * h, out)
        return out

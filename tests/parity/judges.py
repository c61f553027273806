"""What an imported model is held against: the renderings written here, or the published files where they are at hand.

``MYTHOS_PUBLISHED`` names a folder with the checkouts ``parcae`` (SandyResearch/parcae, dee8363),
``recurrent-pretraining`` (seal-rg/recurrent-pretraining, 59e0b69), ``HRM`` (sapientinc/HRM), ``TinyRecursiveModels``
(SamsungSAILMontreal/TinyRecursiveModels), ``ouro_rl`` (LoopedLMs/ouro_rl, 531187b), and ``nanbeige``, the two files of
Python beside Nanbeige4.2-3B. They are no part of this repository.
"""

import importlib
import os
import sys
import types
from dataclasses import fields
from functools import cache
from pathlib import Path

import torch

from mythos_blocks.checkpoints import (
    from_huginn,
    from_open_mythos,
    from_parcae,
    huginn_config,
    huginn_translation,
    open_mythos_translation,
    parcae_config,
    parcae_translation,
)
from tests.parity import huginn, open_mythos, parcae
from tests.parity.huginn import rotations

PUBLISHED = os.environ.get("MYTHOS_PUBLISHED")


class Written:
    """A rendering that is written out in this folder."""

    def __init__(self, system, config):
        self.system, defaults = {"huginn": (huginn, huginn_config), "parcae": (parcae, parcae_config)}[system]
        self.config = c = {**defaults.DEFAULTS, **config}
        if system == "huginn":
            for name, other in {"n_embd": "hidden_size", "n_heads": "num_attention_heads"}.items():
                c[name] = config.get(other, c[name])
            c["padded_vocab_size"] = config.get("padded_vocab_size", c["vocab_size"])
        self.model = {"huginn": huginn.Huginn, "parcae": parcae.Parcae}[system](c)
        self.state_width = c.get("recurrent_embedding_dimension", c["n_embd"])

    def evaluate(self, tokens, state, num_loops):
        return self.model(tokens, state, num_loops)

    def draw(self, shape):
        """Iterations without a graph and within it, broadcasting to ``shape``."""
        return self.system.draw(self.config, shape)

    def train(self, tokens, state, counts):
        """The logits of a training pass with the counts drawn."""
        return self.model.training_pass(tokens, state, *counts)


class PublishedHuginn:
    def __init__(self, config):
        sys.modules.setdefault("recpre", types.ModuleType("recpre")).__path__ = [
            str(Path(PUBLISHED) / "recurrent-pretraining" / "recpre")
        ]
        modelling = importlib.import_module("recpre.raven_modeling_minimal")
        # Transformers 5 wants the names of both, which the file does not give.
        modelling.RavenForCausalLM._tied_weights_keys = {"lm_head.weight": "transformer.wte.weight"}
        self.config = modelling.RavenConfig(**config)
        self.model = modelling.RavenForCausalLM(self.config)
        self.state_width = self.config.n_embd

    def in_float64(self):
        c, theirs = self.config, self.model
        theirs.freqs_cis = rotations(c.n_embd // c.num_attention_heads, c.rope_base, c.block_size)

    def evaluate(self, tokens, state, num_loops):
        return self.model.eval()(tokens, input_states=state, num_steps=torch.tensor([num_loops, 0])).logits

    def draw(self, shape):
        self.model.train()
        return tuple(count.view(1, 1) for count in self.model.randomized_iteration_sampler())

    def train(self, tokens, state, counts):
        counts = torch.stack([count.view(()) for count in counts])
        return self.model.train()(tokens, input_states=state, num_steps=counts).logits

    def start(self, shape):
        return self.model.initialize_state(torch.zeros(*shape, self.config.n_embd))


class PublishedParcae:
    def __init__(self, config):
        folder = str(Path(PUBLISHED) / "parcae")
        if folder not in sys.path:
            sys.path.append(folder)
        module = importlib.import_module("parcae_lm.models.parcae.config")
        names = {field.name for field in fields(module.ParcaeConfig)}
        self.config = module.ParcaeConfig(**{name: value for name, value in config.items() if name in names})
        self.model, self.step = self.config.construct_model(), 0
        self.state_width = self.config.recurrent_embedding_dimension

    def in_float64(self):
        c, theirs = self.config, self.model
        positions = c.randomize_positions_from or c.block_size
        rope = c.rope_settings
        table = rotations(c.n_embd // c.num_attention_heads, rope.rope_base, positions * rope.rope_condense_ratio)
        assert rope.rope_condense_ratio == 1
        theirs.freqs_cis = table

    def _from(self, state):
        self.model.initialize_state = lambda e: state

    def evaluate(self, tokens, state, num_loops):
        self._from(state)
        pair = torch.tensor([num_loops, 0])
        return self.model.eval()(tokens, num_steps_pair=pair, return_logits=True)["logits"]

    def draw(self, shape):
        self.step += 1
        self.model.train().step = self.step
        per, published = self.config.recurrent_iteration_method, type(self.model)
        if per == "per-batch":
            return tuple(count.view(1, 1) for count in published.randomized_iteration_sampler(self.model))
        counts = published._sample_batch_depths(self.model, shape[0], shape[1] if per == "per-token" else None)
        return tuple(count if count.dim() == 2 else count[:, None] for count in counts)

    def train(self, tokens, state, counts):
        self._from(state)
        if self.config.recurrent_iteration_method == "per-batch":
            self.model.randomized_iteration_sampler = lambda: tuple(count.view(()) for count in counts)
        else:
            flat = counts if self.config.recurrent_iteration_method == "per-token" else [c[:, 0] for c in counts]
            self.model._sample_batch_depths = lambda *_: tuple(flat)
        return self.model.train()(tokens, return_logits=True)["logits"]

    def start(self, shape):
        return type(self.model).initialize_state(self.model, torch.zeros(*shape, self.config.n_embd))


class PublishedOpenMythos:
    def __init__(self, config):
        self.config = open_mythos.published().MythosConfig(**config)
        self.model = open_mythos.published().OpenMythos(self.config)
        self.state_width = None

    def in_float64(self):
        c, theirs = self.config, self.model
        for name, d in {"freqs_cis": c.dim // c.n_heads, "freqs_cis_mla": c.qk_rope_head_dim}.items():
            table = rotations(d, c.rope_theta, c.max_seq_len)[0, :, 0]
            setattr(theirs, name, torch.view_as_complex(table.contiguous()))

    def evaluate(self, tokens, state, num_loops):
        return self.model.eval()(tokens, num_loops)

    def draw(self, shape):
        return torch.zeros(1, 1).long(), torch.full((1, 1), self.config.max_loop_iters)

    def train(self, tokens, state, counts):
        return self.model.train()(tokens)


IMPORTERS = {
    "huginn": (huginn_translation, from_huginn),
    "parcae": (parcae_translation, from_parcae),
    "open_mythos": (open_mythos_translation, from_open_mythos),
}
JUDGES = {
    "huginn": lambda config: Written("huginn", config),
    "parcae": lambda config: Written("parcae", config),
    "open_mythos": PublishedOpenMythos,
    "published huginn": PublishedHuginn,
    "published parcae": PublishedParcae,
}


@cache
def published_fields(system):
    """The fields of a published class, with their defaults."""
    import inspect

    if system == "open_mythos":
        return {field.name: field.default for field in fields(open_mythos.published().MythosConfig)}
    if system == "parcae":
        config = PublishedParcae({"n_embd": 32, "num_attention_heads": 1, "recurrent_embedding_dimension": 32,
                                  "recurrent_intermediation_embedding_dimension": 8, "vocab_size": 8,
                                  "padding_multiple": 8, "block_size": 8, "init_orthogonal": True}).config  # fmt: skip
        return {
            field.name: field.default_factory() if callable(field.default_factory) else field.default
            for field in fields(config)
        }
    judge = PublishedHuginn({"n_embd": 8, "n_heads": 1, "intermediate_size": 8, "vocab_size": 8, "block_size": 8})
    signature = inspect.signature(type(judge.config).__init__).parameters.values()
    named = {p.name: p.default for p in signature if p.default is not p.empty}
    return dict.fromkeys(judge.config.to_diff_dict()) | named

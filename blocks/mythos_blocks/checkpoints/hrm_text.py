"""HRM-Text (arXiv 2605.20613), in the form of transformers' ``HrmTextForCausalLM``."""

from __future__ import annotations

from typing import Any

from mythos_blocks.checkpoints.config import Config
from mythos_blocks.checkpoints.hrm_text_config import DEFAULTS, INERT
from mythos_blocks.checkpoints.llama import expect_llama, llama_matrices, rotations_of
from mythos_blocks.checkpoints.published import Weights, opened
from mythos_blocks.checkpoints.translation import Rule, Translation, rename
from mythos_blocks.model.looped_transformer import LoopedTransformer


def from_hrm_text(weights: Weights, config: Any = None) -> LoopedTransformer:
    """HRM-Text with these weights.

    Instructions that may be read both ways, its ``token_type_ids``, are a mask here: ``AttentionMask(causal=False,
    allowed=...)``, true where a query may read a key.

    Args:
        weights: Of ``HrmTextForCausalLM``: a state dict, a safetensors file, an index of shards, or a folder.
        config: Its ``HrmTextConfig``, or what ``config.json`` holds; what is left out has the default of that class.
            ``None`` reads the file beside the weights.

    Raises:
        ValueError: A field is unknown or cannot be rendered, a name is unknown or missing, or a shape does not fit.
    """
    tensors, config = opened(weights, config)
    return hrm_text_translation(config).build(tensors)


def hrm_text_translation(config: Any) -> Translation:
    """The model that an ``HrmTextConfig`` declares, and what becomes of its tensors.

    Raises:
        ValueError: A field is unknown or cannot be rendered.
    """
    read = Config(config, "HRM-Text", DEFAULTS, INERT)
    expect_llama(read, "hrm_text")
    width, high, low = read.count("hidden_size"), read.count("H_cycles"), read.count("L_cycles")
    depth, std = _depth(read, high * (low + 1)), read.number("initializer_range")
    attention_bias, mlp_bias = read.flag("attention_bias"), read.flag("mlp_bias")
    norm = {"kind": "rms", "eps": read.number("rms_norm_eps"), "gain": False}
    attention = {
        "kind": "mha",
        "num_heads": read.count("num_attention_heads"),
        "head_dim": read.count("head_dim"),
        "bias": attention_bias,
        "output_gate": True,
        **rotations_of(read),
    }
    core = {
        "kind": "hierarchical",
        "depth": depth,
        "layer": {
            "kind": "pre_norm",
            "attention": attention,
            "feedforward": {"kind": "swiglu", "hidden": read.count("intermediate_size"), "bias": mlp_bias},
            "norm": norm,
        },
        "net_norm": norm,
        "injects": False,
        "num_high_cycles": high,
        "num_low_cycles": low,
        "low_gradient": _low_gradient(read, high, low),
        "loops": {"kind": "fixed", "num_loops": 1},
        "initial_state": "input",
        "initial_low_state": "fixed",
    }
    scale = read.get("embedding_scale")
    tied, vocab_size = read.flag("tie_word_embeddings"), read.count("vocab_size")
    model = {
        "width": width,
        "core": core,
        "norm": "none",
        "tie_embeddings": tied,
        "scale_embeddings": 1 / std if scale is None else read.number("embedding_scale"),
        "initialization": {"kind": "normal", "value": std},
    }
    read.finish()
    nets = {"L_module": "layers", "H_module": "high_layers"}
    rules = (
        rename("model.embed_tokens.weight", "embedding.weight"),
        Rule(("lm_head.weight",), ("head.weight",), optional=tied),
        rename("model.z_L_init", "core.initial_low_state.vector"),
        *(
            rule
            for theirs, ours in nets.items()
            for i in range(depth)
            for rule in llama_matrices(
                f"model.{theirs}.layers.{i}",
                f"core.{ours}.{i}",
                attention_bias=attention_bias,
                mlp_bias=mlp_bias,
                gated=True,
            )
        ),
    )
    return Translation(model, vocab_size, rules)


def _depth(read: Config, num_moves: int) -> int:
    """Layers of a net. Once a configuration names them, ``num_hidden_layers`` counts those of all moves."""
    if read.get("num_layers_per_stack") is None:
        return read.count("num_hidden_layers")
    depth = read.count("num_layers_per_stack")
    read.expect("num_hidden_layers", depth * num_moves, why="it is num_layers_per_stack * H_cycles * (L_cycles + 1)")
    return depth


def _low_gradient(read: Config, high: int, low: int) -> list[int]:
    """How many low moves before each high one learn; ones stand before those that are given."""
    given = read.get("L_bp_cycles")
    given = DEFAULTS["L_bp_cycles"] if given is None else given
    numbers = list(given) if isinstance(given, list | tuple) else [given]
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers):
        raise read.refusal("L_bp_cycles", "lists of whole numbers of at least 0")
    padded = [1] * max(0, high - len(numbers)) + numbers
    return [min(n, low) for n in padded[:high]]

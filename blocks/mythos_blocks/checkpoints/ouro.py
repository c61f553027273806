"""Ouro (arXiv 2510.25741), in the form that its authors publish weights in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mythos_blocks.checkpoints.config import Config
from mythos_blocks.checkpoints.llama import attention_sizes, expect_llama, llama_matrices, rotations_of
from mythos_blocks.checkpoints.ouro_config import DEFAULTS, INERT
from mythos_blocks.checkpoints.published import Weights, opened
from mythos_blocks.checkpoints.translation import Rule, Translation, rename
from mythos_blocks.model.looped_transformer import LoopedTransformer

_NORMS = {
    "input_layernorm": "attention_norm",
    "input_layernorm_2": "attention_out_norm",
    "post_attention_layernorm": "feedforward_norm",
    "post_attention_layernorm_2": "feedforward_out_norm",
}


def from_ouro(weights: Weights, config: Any = None) -> LoopedTransformer:
    """Ouro with these weights.

    Evaluation is what its code does: all passes run, and the head reads each position's state where its gate's
    cumulative chance reaches ``early_exit_threshold``. ``halting.evaluation: stop`` would stop it there.

    Args:
        weights: Of ``OuroForCausalLM``: a state dict, a safetensors file, an index of shards, or a folder.
        config: Its ``OuroConfig``, or what ``config.json`` holds; what is left out has the default of that class.
            ``None`` reads the file beside the weights.

    Raises:
        ValueError: A field is unknown or cannot be rendered, a name is unknown or missing, or a shape does not fit.
    """
    tensors, config = opened(weights, config)
    return ouro_translation(config).build(tensors)


def ouro_translation(config: Any) -> Translation:
    """The model that an ``OuroConfig`` declares, and what becomes of its tensors.

    Raises:
        ValueError: A field is unknown or cannot be rendered.
    """
    read = Config(config, "Ouro", DEFAULTS, INERT)
    expect_llama(read, "ouro")
    read.expect("early_exit_step", None, why="run that many loops instead: model(tokens, iterations=step + 1)")
    width, depth = read.count("hidden_size"), read.count("num_hidden_layers")
    read.expect("use_sliding_window", False, why="the blocks' attention has no window")
    full = ["full_attention"] * depth
    read.expect("layer_types", None, full, tuple(full), why="the blocks' attention has no window")
    norm = {"kind": "rms", "eps": read.number("rms_norm_eps")}
    quantile = read.number("early_exit_threshold")
    if not 0 < quantile <= 1:
        raise read.refusal("early_exit_threshold", "numbers above 0 and at most 1")
    layer = {
        "kind": "sandwich",
        "attention": {**attention_sizes(read, width), **rotations_of(read)},
        "feedforward": {"kind": "swiglu", "hidden": read.count("intermediate_size")},
        "norm": norm,
    }
    core = {
        "depth": depth,
        "layer": layer,
        "loops": {"kind": "fixed", "num_loops": read.count("total_ut_steps")},
        "update": {"kind": "outer_norm", "norm": norm},
        "halting": {"kind": "gate_cdf", "quantile": quantile, "evaluation": "select", "initial_bias": 0.0},
    }
    tied, vocab_size = read.flag("tie_word_embeddings"), read.count("vocab_size")
    model = {
        "width": width,
        "core": core,
        "norm": "none",
        "tie_embeddings": tied,
        "initialization": {"kind": "normal", "value": read.number("initializer_range")},
    }
    read.finish()
    rules = (
        rename("model.embed_tokens.weight", "embedding.weight"),
        Rule(("lm_head.weight",), ("head.weight",), optional=tied),
        rename("model.norm.weight", "core.update.norm.weight"),
        *(rename(f"model.early_exit_gate.{part}", f"core.halting.probability.{part}") for part in ("weight", "bias")),
        *(rule for i in range(depth) for rule in _layer(f"model.layers.{i}", f"core.layers.{i}")),
    )
    return Translation(model, vocab_size, rules)


def _layer(theirs: str, ours: str) -> Iterator[Rule]:
    for name, our_name in _NORMS.items():
        yield rename(f"{theirs}.{name}.weight", f"{ours}.{our_name}.weight")
    yield from llama_matrices(theirs, ours)

"""Huginn (arXiv 2502.05171), in the form that its authors publish weights in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from mythos_blocks.checkpoints.config import Config
from mythos_blocks.checkpoints.translation import Rule, Translation, left_out, rename, split
from mythos_blocks.model.looped_transformer import LoopedTransformer

_NORMS = {
    "norm_1": "attention_norm",
    "norm_2": "attention_stream_norm",
    "norm_3": "feedforward_norm",
    "norm_4": "feedforward_stream_norm",
}


def from_huginn(state_dict: Mapping[str, Tensor], config: Any) -> LoopedTransformer:
    """Huginn with these weights.

    Training draws loop counts whose mean is ``mean_recurrence``; the published sampler runs one more. A state to
    start from, the published ``input_states``, goes into ``replace(model.core.start(e, frame), h=...)``.

    Args:
        state_dict: Of ``RavenForCausalLM``.
        config: Its ``RavenConfig``, or what ``config.json`` holds.

    Raises:
        ValueError: A field cannot be rendered, a name is unknown or missing, or a shape does not fit.
    """
    return huginn_translation(config).build(state_dict)


def huginn_translation(config: Any) -> Translation:
    """The model that a ``RavenConfig`` declares, and what becomes of its tensors."""
    read = Config(config, "Huginn")
    read.expect("block_class_name", "SandwichBlock")
    read.expect("mlp_class_name", "GatedMLP")
    read.expect("nonlin_name", "SiLU")
    read.expect("injection_type", "linear")
    read.expect("state_init", "like-init")
    read.expect("bias", False)
    read.expect("test_time_noise", 0, default=0)
    width, hidden = read.get("n_embd", "hidden_size"), read.get("intermediate_size")
    heads = read.get("n_heads", "num_attention_heads")
    read.expect("num_key_value_heads", heads)
    scale = read.get("init_values", default={}).get("embed_scale", width**0.5)
    if not (math.isclose(scale, 1) or math.isclose(scale, width**0.5)):
        raise ValueError(f"the Huginn config has embed_scale={scale}; only 1 or sqrt(n_embd) can be imported")
    qk_bias = read.get("qk_bias", default=False)
    norm = {"kind": "rms", "eps": float(read.get("norm_eps"))}
    layer = {
        "kind": "stream_norm",
        "attention": {
            "kind": "mha",
            "num_heads": heads,
            "rope_theta": float(read.get("rope_base")),
            "qk_bias": qk_bias,
        },
        "feedforward": {"kind": "swiglu", "hidden": hidden},
        "norm": norm,
    }
    depths = {
        "prelude": read.get("n_layers_in_prelude"),
        "core": read.get("n_layers_in_recurrent_block"),
        "coda": read.get("n_layers_in_coda"),
    }
    std = read.get("init_values", default={}).get("std", (2 / (5 * width)) ** 0.5)
    tied = read.get("tie_embeddings", "tie_word_embeddings", default=True)
    core = {
        "depth": depths["core"],
        "layer": layer,
        "loops": {
            "kind": "poisson_lognormal",
            "mean": float(read.get("mean_recurrence")),
            "gradient_window": read.get("mean_backprop_depth"),
        },
        "injection": "concat",
        "initial_state": {"kind": "truncated_normal", "std": std, "scale": float(scale)},
        "interface": "final_norm",
    }
    model = {
        "width": width,
        "prelude": {"depth": depths["prelude"], "layer": layer},
        "core": core,
        "coda": {"depth": depths["coda"], "layer": layer},
        "norm": norm,
        "tie_embeddings": tied,
        "scale_embeddings": not math.isclose(scale, 1),
        "initialization": "depth_scaled",
    }
    places = {"prelude": "prelude", "core_block": "core", "coda": "coda"}
    rules = [
        rename("transformer.wte.weight", "embedding.weight"),
        Rule(
            ("lm_head.weight",),
            ("head.weight",),
            note="one tensor with the embedding" if tied else "",
            optional=tied,
        ),
        rename("transformer.adapter.weight", "core.injection.adapter.weight"),
        rename("transformer.ln_f.weight", "norm.weight"),
        *(
            rule
            for theirs, ours in places.items()
            for i in range(depths[ours])
            for rule in _layer(f"transformer.{theirs}.{i}", f"{ours}.layers.{i}", width, hidden, qk_bias)
        ),
        left_out("freqs_cis", "rotations, which are computed"),
    ]
    return Translation(model, read.get("padded_vocab_size", "vocab_size"), tuple(rules))


def _layer(theirs: str, ours: str, width: int, hidden: int, qk_bias: bool) -> Iterator[Rule]:
    for norm, name in _NORMS.items():
        yield rename(f"{theirs}.{norm}.weight", f"{ours}.{name}.weight")
    yield split(f"{theirs}.attn.Wqkv.weight", [f"{ours}.attention.{n}.weight" for n in "qkv"], [width] * 3)
    if qk_bias:
        yield qk_biases(f"{theirs}.attn.qk_bias", f"{ours}.attention")
    yield rename(f"{theirs}.attn.proj.weight", f"{ours}.attention.out.weight")
    yield split(f"{theirs}.mlp.fc.weight", [f"{ours}.feedforward.{n}.weight" for n in ("gate", "up")], [hidden] * 2)
    yield rename(f"{theirs}.mlp.proj.weight", f"{ours}.feedforward.down.weight")


def qk_biases(theirs: str, ours: str) -> Rule:
    """The biases of queries and keys, ``(2, 1, heads, head_dim)``, as two vectors."""
    return Rule((theirs,), (f"{ours}.q_bias", f"{ours}.k_bias"), lambda b: tuple(b.flatten(1).unbind(0)), "split")

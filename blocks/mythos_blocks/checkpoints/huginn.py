"""Huginn (arXiv 2502.05171), in the form that its authors publish weights in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mythos_blocks.checkpoints.config import Config
from mythos_blocks.checkpoints.huginn_config import DEFAULTS, INERT, INERT_INIT_VALUES, INIT_VALUES
from mythos_blocks.checkpoints.published import Weights, opened
from mythos_blocks.checkpoints.translation import Rule, Translation, left_out, rename, split
from mythos_blocks.model.looped_transformer import LoopedTransformer

_NORMS = {
    "norm_1": "attention_norm",
    "norm_2": "attention_stream_norm",
    "norm_3": "feedforward_norm",
    "norm_4": "feedforward_stream_norm",
}


def from_huginn(weights: Weights, config: Any = None) -> LoopedTransformer:
    """Huginn with these weights.

    A state to start from, the published ``input_states``, goes into ``replace(model.core.start(e, frame), h=...)``.

    Args:
        weights: Of ``RavenForCausalLM``.
        config: Its ``RavenConfig``, or what ``config.json`` holds; what is left out has the default of that class.

    Raises:
        ValueError: A field is unknown or cannot be rendered, a name is unknown or missing, or a shape does not fit.
    """
    tensors, config = opened(weights, config)
    return huginn_translation(config).build(tensors)


def huginn_translation(config: Any) -> Translation:
    """The model that a ``RavenConfig`` declares, and what becomes of its tensors.

    Raises:
        ValueError: A field is unknown or cannot be rendered.
    """
    read = Config(config, "Huginn", DEFAULTS, INERT)
    width, heads = _named(read, "n_embd", "hidden_size"), _named(read, "n_heads", "num_attention_heads")
    _refuse_the_rest(read)
    # The class takes these from its own name for a field, where the other name sets that field later.
    read.expect("num_key_value_heads", heads, default=read.get("n_heads"), why="its attention runs with no other")
    read.expect("head_dim", width // heads, default=width // heads, why="its code divides n_embd by n_heads")
    hidden, vocab_size = read.count("intermediate_size"), read.count("vocab_size")
    vocab_size = read.count("padded_vocab_size", default=vocab_size)
    qk_bias, tied = read.flag("qk_bias"), read.flag("tie_embeddings")
    read.expect("tie_word_embeddings", tied, default=tied, why="it is tie_embeddings in its code")
    norm = {"kind": "rms", "eps": read.number("norm_eps")}
    layer = {
        "kind": "stream_norm",
        "attention": {"kind": "mha", "num_heads": heads, "rope_theta": read.number("rope_base"), "qk_bias": qk_bias},
        "feedforward": {"kind": "swiglu", "hidden": hidden},
        "norm": norm,
    }
    depths = {
        "prelude": read.count("n_layers_in_prelude", at_least=0),
        "core": read.count("n_layers_in_recurrent_block"),
        "coda": read.count("n_layers_in_coda", at_least=0),
    }
    core = {
        "depth": depths["core"],
        "layer": layer,
        "loops": _loops(read, depths),
        "injection": "concat",
        "initial_state": _initial_state(read, width),
        "interface": "final_norm",
    }
    model = {
        "width": width,
        "prelude": {"depth": depths["prelude"], "layer": layer},
        "core": core,
        "coda": {"depth": depths["coda"], "layer": layer},
        "norm": norm,
        "tie_embeddings": tied,
        "scale_embeddings": True,
        "initialization": "depth_scaled",
    }
    read.finish()
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
    return Translation(model, vocab_size, tuple(rules))


def _refuse_the_rest(read: Config) -> None:
    """Fields of which one value alone can be rendered; most of them only its authors' training code reads."""
    for name in ("model_type", "architecture_class_name", "block_class_name", "norm_class_name", "mlp_class_name"):
        read.expect(name, DEFAULTS[name])
    for name in ("nonlin_name", "init_strategy", "init_orthogonal", "state_init", "injection_type", "sampling_scheme"):
        read.expect(name, DEFAULTS[name])
    read.expect("bias", False, why="the blocks' matrices have no biases")
    read.expect("test_time_noise", 0, why="the blocks add no noise to the state")


def _named(read: Config, name: str, other: str) -> int:
    """A count that has two names, the second of them Hugging Face's.

    Raises:
        ValueError: Both are given, and differ.
    """
    if not read.given(other):
        read.passed_over(other)
        return read.count(name)
    value = read.count(other)
    if read.given(name):
        read.expect(name, value, why=f"{other} is another name for it")
    return value


def _loops(read: Config, depths: Mapping[str, int]) -> dict[str, Any]:
    """The published sampler: one iteration more than a Poisson count whose rate is log-normal; evaluation runs the
    mean of the rate. It aims at the gradient window where that is larger."""
    mean, window = read.count("mean_recurrence"), read.count("mean_backprop_depth")
    depth = depths["prelude"] + depths["core"] * mean + depths["coda"]
    read.expect("effective_expected_depth", depth, default=depth, why="it is computed from the depths")
    drawn = max(mean, window) + 1
    return {
        "kind": "poisson_lognormal",
        "mean": float(drawn),
        "maximum": 16 * drawn,
        "eval_loops": mean,
        "gradient_window": window,
    }


def _initial_state(read: Config, width: int) -> Any:
    values = read.within("init_values", INIT_VALUES, INERT_INIT_VALUES)
    std = values.number("std", default=(2 / (5 * read.get("n_embd"))) ** 0.5)
    scale = values.number("embed_scale", default=width**0.5)
    values.finish()
    if not math.isclose(scale, width**0.5, rel_tol=1e-6):
        raise values.refusal("embed_scale", f"{width**0.5:.6g}", "its model multiplies by sqrt(n_embd)")
    if std <= 0:
        return "zeros"
    return {"kind": "truncated_normal", "std": std, "scale": width**0.5}


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

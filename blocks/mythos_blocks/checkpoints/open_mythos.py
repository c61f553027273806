"""OpenMythos 0.5.0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mythos_blocks.checkpoints.config import Config
from mythos_blocks.checkpoints.open_mythos_config import DEFAULTS, INERT
from mythos_blocks.checkpoints.published import Weights, opened
from mythos_blocks.checkpoints.translation import Rule, Translation, left_out, rename, stack
from mythos_blocks.model.looped_transformer import LoopedTransformer

_ATTENTION = {
    "gqa": ("q", "k", "v", "out"),
    "mla": ("q_down", "q_norm", "q_up_nope", "q_up_rope", "kv_down", "kv_norm", "kv_up", "out"),
}
_THEIR_NAMES = {"q": "wq", "k": "wk", "v": "wv", "out": "wo"}
_RECURRENT = {
    "injection.log_A": "core.injection.log_A",
    "injection.log_dt": "core.injection.log_dt",
    "injection.B": "core.injection.B",
    "norm.weight": "core.injection.norm.weight",
    "act.halt.weight": "core.halting.probability.weight",
    "act.halt.bias": "core.halting.probability.bias",
    "lora.down.weight": "core.depth_adapter.down.weight",
    "lora.scale.weight": "core.depth_adapter.scale",
}

_LATENT = {
    "kv_rank": "kv_lora_rank",
    "q_rank": "q_lora_rank",
    "nope_dim": "qk_nope_head_dim",
    "rope_dim": "qk_rope_head_dim",
    "value_dim": "v_head_dim",
}


def from_open_mythos(weights: Weights, config: Any = None) -> LoopedTransformer:
    """OpenMythos as published, defects included, with these weights.

    Args:
        weights: Of its ``OpenMythos``.
        config: Its ``MythosConfig``, or a mapping with the same fields; what is left out has the default of that class.

    Raises:
        ValueError: A field is unknown or cannot be rendered, a name is unknown or missing, or a shape does not fit.
    """
    tensors, config = opened(weights, config)
    return open_mythos_translation(config).build(tensors)


def open_mythos_translation(config: Any) -> Translation:
    """The model that a ``MythosConfig`` declares, and what becomes of its tensors.

    Raises:
        ValueError: A field is unknown or cannot be rendered.
    """
    read = Config(config, "OpenMythos", DEFAULTS, INERT)
    read.expect("dropout", 0, why="the blocks have none there; set it to 0 for what evaluation computes")
    kind, width = read.expect("attn_type", "mla", "gqa"), read.count("dim")
    attention = _attention(read, kind, width)
    num_experts, num_shared = read.count("n_experts"), read.count("n_shared_experts", at_least=0)
    depths = {name: read.count(f"{name}_layers", at_least=0) for name in ("prelude", "coda")}
    outer = {"attention": attention, "feedforward": "swiglu"}
    experts = {
        "kind": "moe",
        "num_experts": num_experts,
        "num_active": read.count("n_experts_per_tok"),
        "num_shared": num_shared,
        "expert_hidden": read.count("expert_dim"),
        "bias_update_rate": 0.0,
    }
    core = {
        "layer": {"attention": attention, "feedforward": experts},
        "loops": {"kind": "fixed", "num_loops": read.count("max_loop_iters")},
        "injection": {"kind": "lti", "margin": 0.0},
        "depth_signal": {"kind": "sinusoidal", "num_channels": width // 8} if width >= 8 else "none",
        "depth_adapter": {"kind": "depth_lora", "rank": read.count("lora_rank")},
        "halting": {
            "kind": "act",
            "threshold": read.number("act_threshold"),
            "final_remainder": False,
            "ponder_weight": 0.0,
            "initial_bias": 0.0,
        },
    }
    model = {
        "width": width,
        **{name: {"depth": depth, "layer": outer} for name, depth in depths.items()},
        "core": core,
    }
    vocab_size = read.count("vocab_size")
    read.finish()
    rules = [
        rename("embed.weight", "embedding.weight"),
        Rule(("head.weight",), ("head.weight",), note="one tensor with the embedding", optional=True),
        rename("norm.weight", "norm.weight"),
        *(rename(f"recurrent.{theirs}", ours) for theirs, ours in _RECURRENT.items()),
        Rule(("recurrent.lora.B",), ("core.depth_adapter.up.weight",), lambda B: (B.T,), "transposed"),
        *(
            rule
            for name, depth in depths.items()
            for i in range(depth)
            for rule in _layer(f"{name}.{i}", f"{name}.layers.{i}", kind)
        ),
        *_layer("recurrent.block", "core.layers.0", kind, experts=(num_experts, num_shared)),
        *(left_out(name, "rotations, which are computed") for name in ("freqs_cis", "freqs_cis_mla")),
    ]
    return Translation(model, vocab_size, tuple(rules))


def _attention(read: Config, kind: str, width: int) -> dict[str, Any]:
    heads = read.count("n_heads")
    shared = {"kind": kind, "num_heads": heads, "rope_theta": read.number("rope_theta")}
    if kind == "mla":
        read.passed_over("n_kv_heads")
        return {**shared, **{ours: read.count(theirs) for ours, theirs in _LATENT.items()}}
    read.passed_over(*_LATENT.values())
    # It drops what is left of the width where the heads do not divide it.
    return {**shared, "num_kv_heads": read.count("n_kv_heads"), "head_dim": width // heads}


def _layer(theirs: str, ours: str, kind: str, experts: tuple[int, int] | None = None) -> Iterator[Rule]:
    yield rename(f"{theirs}.attn_norm.weight", f"{ours}.attention_norm.weight")
    yield rename(f"{theirs}.ffn_norm.weight", f"{ours}.feedforward_norm.weight")
    for name in _ATTENTION[kind]:
        yield rename(f"{theirs}.attn.{_THEIR_NAMES.get(name, name)}.weight", f"{ours}.attention.{name}.weight")
    matrices = ("gate", "up", "down")
    if experts is None:
        yield from (rename(f"{theirs}.ffn.{m}.weight", f"{ours}.feedforward.{m}.weight") for m in matrices)
        return
    num_experts, num_shared = experts
    yield rename(f"{theirs}.ffn.router.weight", f"{ours}.feedforward.router.weight")
    yield rename(f"{theirs}.ffn.router_bias", f"{ours}.feedforward.bias")
    for m in matrices:
        routed = [f"{theirs}.ffn.routed_experts.{i}.{m}.weight" for i in range(num_experts)]
        yield stack(routed, f"{ours}.feedforward.{m}")
        for i in range(num_shared):
            yield rename(f"{theirs}.ffn.shared_experts.{i}.{m}.weight", f"{ours}.feedforward.shared.{i}.{m}.weight")

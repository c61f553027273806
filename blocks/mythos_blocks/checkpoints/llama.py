"""What the configurations and the layers of Hugging Face's Llama-like models share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mythos_blocks.checkpoints.config import Config
from mythos_blocks.checkpoints.translation import Rule, rename

LLAMA: dict[str, Any] = {
    "vocab_size": 32_000,
    "hidden_size": 4096,
    "intermediate_size": 11_008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": None,
    "head_dim": None,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-6,
    "pretraining_tp": 1,
    "tie_word_embeddings": False,
    "rope_theta": 10_000.0,
    "rope_scaling": None,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "mlp_bias": False,
}
"""The fields of ``LlamaConfig`` with their defaults, which classes made from it have too."""

_ATTENTION = {"q_proj": "q", "k_proj": "k", "v_proj": "v", "o_proj": "out"}
_FEEDFORWARD = {"gate_proj": "gate", "up_proj": "up", "down_proj": "down"}


def expect_llama(read: Config, model_type: str) -> None:
    """Hold a configuration against what all of these models have: SwiGLU, and attention that drops nothing.

    Raises:
        ValueError: It is of another model, or declares something else.
    """
    read.expect("model_type", model_type)
    read.expect("hidden_act", "silu")
    read.expect("attention_dropout", 0, why="the blocks drop no attention; set it to 0 for what evaluation computes")


def attention_sizes(read: Config, width: int) -> dict[str, Any]:
    """Heads and their size.

    Raises:
        ValueError: Key heads do not divide the heads, or heads the width.
    """
    heads = read.count("num_attention_heads")
    kv_heads = heads if read.get("num_key_value_heads") is None else read.count("num_key_value_heads")
    if heads % kv_heads:
        raise read.refusal("num_key_value_heads", f"divisors of {heads}")
    head_dim = width // heads if read.get("head_dim") is None else read.count("head_dim")
    if head_dim % 2:
        raise read.refusal("head_dim", "even sizes", "rotations turn its halves")
    grouped = {"kind": "mha"} if kv_heads == heads else {"kind": "gqa", "num_kv_heads": kv_heads}
    return {**grouped, "num_heads": heads, "head_dim": head_dim}


def rotations_of(read: Config) -> dict[str, Any]:
    """Plain rotations, as ``rope_theta`` and ``rope_scaling`` say them, or as ``rope_parameters`` does.

    Raises:
        ValueError: They are scaled.
    """
    names = [name for name in ("rope_scaling", "rope_parameters") if name in read.defaults]
    theta = read.number("rope_theta")
    for name in names:
        value = read.get(name)
        if value is None:
            continue
        kind = value.get("rope_type", value.get("type", "default")) if isinstance(value, Mapping) else value
        more = set(value) - {"rope_type", "type", "rope_theta"} if isinstance(value, Mapping) else ()
        if kind != "default" or more:
            raise read.refusal(name, "None or plain rotations", "the blocks' rotations are not scaled")
        if "rope_theta" in value:
            theta = float(value["rope_theta"])
    return {"rope_theta": theta, "rope_pairing": "halves"}


def llama_matrices(
    theirs: str, ours: str, *, attention_bias: bool = False, mlp_bias: bool = False, gated: bool = False
) -> Iterator[Rule]:
    """The linears of a layer's attention and feed-forward."""
    attention = {**_ATTENTION, **({"gate_proj": "gate"} if gated else {})}
    parts = {
        ("self_attn", "attention", attention_bias): attention,
        ("mlp", "feedforward", mlp_bias): _FEEDFORWARD,
    }
    for (place, our_place, bias), names in parts.items():
        for name, our_name in names.items():
            for part in ("weight", "bias") if bias else ("weight",):
                yield rename(f"{theirs}.{place}.{name}.{part}", f"{ours}.{our_place}.{our_name}.{part}")

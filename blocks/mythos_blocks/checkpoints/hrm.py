"""HRM (arXiv 2506.21734) and TRM (arXiv 2510.04871), in the form of their authors' code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mythos_blocks.checkpoints.config import Config
from mythos_blocks.checkpoints.hrm_config import HRM, INERT, INERT_TRM, TRM
from mythos_blocks.checkpoints.published import Weights, opened
from mythos_blocks.checkpoints.translation import Rule, Translation, rename, split
from mythos_blocks.model.looped_transformer import LoopedTransformer

# Half of the root of two, as their code has it.
_HALF_ROOT = 0.707106781


def from_hrm(weights: Weights, config: Any = None) -> LoopedTransformer:
    """HRM with these weights: for the mask ``AttentionMask(causal=False)``.

    The puzzle's number stands in the first positions of the tokens, as many as a puzzle's vector takes; the logits
    there are none of the published model's.

    Args:
        weights: Of ``HierarchicalReasoningModel_ACTV1``, or of what its training script wraps round it: a state dict, a
            safetensors file, an index of shards, or a folder.
        config: Its configuration, as a mapping or an object. ``None`` reads ``config.json`` beside the weights.

    Raises:
        ValueError: A field is unknown, missing or cannot be rendered, a name is unknown or missing, or a shape does not
            fit.
    """
    tensors, config = opened(weights, config)
    return hrm_translation(config).build(tensors)


def from_trm(weights: Weights, config: Any = None) -> LoopedTransformer:
    """TRM with these weights, as :func:`from_hrm` has HRM.

    Args:
        weights: Of ``TinyRecursiveReasoningModel_ACTV1``; else as there.
        config: Its configuration.

    Raises:
        ValueError: As there.
    """
    tensors, config = opened(weights, config)
    return trm_translation(config).build(tensors)


def hrm_translation(config: Any) -> Translation:
    """The model that HRM's configuration declares, and what becomes of its tensors.

    Raises:
        ValueError: A field is unknown, missing or cannot be rendered.
    """
    read = Config(config, "HRM", HRM, INERT)
    width = read.count("hidden_size")
    rotates = read.expect("pos_encodings", "rope", "learned") == "rope"
    num_prefix = -(-read.count("puzzle_emb_ndim", at_least=0) // width)
    layer = _layer(read, width, _heads(read, width, rotates))
    core = {
        **_core(read, layer),
        "high_depth": read.count("H_layers"),
        "cycle_gradient": "last_update",
        "halting": {"kind": "q_head", "head": "halt_continue", "evaluation": "run_on"},
    }
    model = _model(read, width, num_prefix, core, learned=not rotates)
    vocab_size = read.count("vocab_size")
    read.finish()
    rules = [
        *_ends(model),
        *(rename(f"inner.q_head.{part}", f"core.halting.value.{part}") for part in ("weight", "bias")),
        *_net("L_level", "core.layers", core["depth"], layer),
        *_net("H_level", "core.high_layers", core["high_depth"], layer),
    ]
    return Translation(model, vocab_size, tuple(rules))


def trm_translation(config: Any) -> Translation:
    """The model that TRM's configuration declares, and what becomes of its tensors.

    Raises:
        ValueError: A field is unknown, missing or cannot be rendered.
    """
    read = Config(config, "TRM", TRM, INERT_TRM)
    width, dim = read.count("hidden_size"), read.count("puzzle_emb_ndim", at_least=0)
    read.expect("no_ACT_continue", True, why="its code breaks off otherwise, unpacking five values of three")
    num_prefix = read.count("puzzle_emb_len", at_least=0) or -(-dim // width)
    if num_prefix and not dim:
        why = "without puzzle embeddings its code cuts off the logits of so many tokens"
        raise read.refusal("puzzle_emb_len", "0", why)
    positions, mixes = read.get("pos_encodings"), read.flag("mlp_t")
    if mixes:
        length = read.count("seq_len") + num_prefix
        mixer = {"kind": "mixer", "num_positions": length, "hidden": _inner(read, length)}
        read.passed_over("num_heads")
        read.passed_over("rope_theta")
        layer = {**_layer(read, width, mixer), "attention_norm_over": "positions"}
    else:
        layer = _layer(read, width, _heads(read, width, positions == "rope"))
    core = {
        **_core(read, layer),
        "shared": True,
        "cycle_gradient": "last_cycle",
        "halting": {"kind": "q_head", "head": "halt", "evaluation": "run_on"},
    }
    model = _model(read, width, num_prefix, core, learned=positions == "learned")
    vocab_size = read.count("vocab_size")
    read.finish()
    rules = [
        *_ends(model),
        *(
            Rule((f"inner.q_head.{part}",), (f"core.halting.value.{part}",), lambda x: (x[:1],), "the value of halting")
            for part in ("weight", "bias")
        ),
        *_net("L_level", "core.layers", core["depth"], layer),
    ]
    return Translation(model, vocab_size, tuple(rules))


def _inner(read: Config, size: int) -> int:
    """Inner channels of a SwiGLU: two thirds of the expansion, rounded up to a multiple of 256."""
    expansion = read.number("expansion")
    return -(-round(expansion * size * 2 / 3) // 256) * 256


def _heads(read: Config, width: int, rotates: bool) -> dict[str, Any]:
    heads, theta = read.count("num_heads"), read.number("rope_theta")
    if width % heads:
        raise read.refusal("num_heads", f"divisors of {width}")
    return {"kind": "mha", "num_heads": heads, "rope_theta": theta if rotates else None, "rope_pairing": "halves"}


def _layer(read: Config, width: int, attention: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "post_norm",
        "attention": attention,
        "feedforward": {"kind": "swiglu", "hidden": _inner(read, width)},
        "norm": {"kind": "rms", "eps": read.number("rms_norm_eps"), "gain": False},
    }


def _core(read: Config, layer: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "hierarchical",
        "depth": read.count("L_layers"),
        "layer": layer,
        "num_high_cycles": read.count("H_cycles"),
        "num_low_cycles": read.count("L_cycles"),
        "loops": {"kind": "fixed", "num_loops": read.count("halt_max_steps")},
        "initial_state": "fixed",
        "initial_low_state": "fixed",
        "gradient": "segments",
    }


def _model(read: Config, width: int, num_prefix: int, core: dict[str, Any], *, learned: bool) -> dict[str, Any]:
    dim, puzzles = read.count("puzzle_emb_ndim", at_least=0), read.count("num_puzzle_identifiers", at_least=0)
    prefix = {"kind": "puzzle", "num_positions": num_prefix, "num_puzzles": puzzles, "dim": dim}
    num_positions = read.count("seq_len") + num_prefix
    positions = {"kind": "learned", "num_positions": num_positions, "scale": _HALF_ROOT, "std": width**-0.5}
    return {
        "width": width,
        "prefix": prefix if dim else "none",
        "position_embedding": positions if learned else "none",
        "core": core,
        "norm": "none",
        "tie_embeddings": False,
        "scale_embeddings": True,
        "initialization": "fan_in",
    }


def _ends(model: dict[str, Any]) -> Iterator[Rule]:
    """The rules of what stands outside the nets."""
    yield rename("inner.embed_tokens.embedding_weight", "embedding.weight")
    yield rename("inner.lm_head.weight", "head.weight")
    yield rename("inner.H_init", "core.initial_state.vector")
    yield rename("inner.L_init", "core.initial_low_state.vector")
    if model["prefix"] != "none":
        yield rename("inner.puzzle_emb.weights", "prefix.table")
    if model["position_embedding"] != "none":
        yield rename("inner.embed_pos.embedding_weight", "position_embedding.table")


def _net(theirs: str, ours: str, depth: int, layer: dict[str, Any]) -> Iterator[Rule]:
    """The rules of a net's layers."""
    attention, hidden = layer["attention"], layer["feedforward"]["hidden"]
    for i in range(depth):
        place, own = f"inner.{theirs}.layers.{i}", f"{ours}.{i}"
        if attention["kind"] == "mixer":
            yield from _swiglu(f"{place}.mlp_t", f"{own}.attention", attention["hidden"])
        else:
            parts = [f"{own}.attention.{name}.weight" for name in "qkv"]
            yield Rule((f"{place}.self_attn.qkv_proj.weight",), tuple(parts), lambda x: x.chunk(3), "split")
            yield rename(f"{place}.self_attn.o_proj.weight", f"{own}.attention.out.weight")
        yield from _swiglu(f"{place}.mlp", f"{own}.feedforward", hidden)


def _swiglu(theirs: str, ours: str, hidden: int) -> Iterator[Rule]:
    yield split(f"{theirs}.gate_up_proj.weight", [f"{ours}.{n}.weight" for n in ("gate", "up")], [hidden] * 2)
    yield rename(f"{theirs}.down_proj.weight", f"{ours}.down.weight")

"""Nanbeige4.2 (arXiv 2607.17805), in the form that its authors publish weights in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mythos_blocks.checkpoints.config import Config
from mythos_blocks.checkpoints.llama import attention_sizes, expect_llama, llama_matrices, rotations_of
from mythos_blocks.checkpoints.nanbeige_config import DEFAULTS, INERT
from mythos_blocks.checkpoints.published import Weights, opened
from mythos_blocks.checkpoints.translation import Rule, Translation, rename
from mythos_blocks.model.looped_transformer import LoopedTransformer

_NORMS = {"input_layernorm": "attention_norm", "post_attention_layernorm": "feedforward_norm"}
_NGRAMS = ("emb_neighbor_num", "emb_split_num", "ngram_vocab_size_ratio")
_STREAMS = ("enable_hyper_connection", "enable_mhc", "enable_h_res_identity")


def from_nanbeige(weights: Weights, config: Any = None) -> LoopedTransformer:
    """Nanbeige4.2 with these weights.

    Args:
        weights: Of ``NanbeigeForCausalLM``: a state dict, a safetensors file, an index of shards, or a folder.
        config: Its ``NanbeigeConfig``, or what ``config.json`` holds; what is left out has the default of that class.
            ``None`` reads the file beside the weights.

    Raises:
        ValueError: A field is unknown or cannot be rendered, a name is unknown or missing, or a shape does not fit.
    """
    tensors, config = opened(weights, config)
    return nanbeige_translation(config).build(tensors)


def nanbeige_translation(config: Any) -> Translation:
    """The model that a ``NanbeigeConfig`` declares, and what becomes of its tensors.

    The whole stack is looped, with a norm after each pass; with ``enable_double_loop_split`` only the layers in its
    middle are, and with ``loop_share_kv`` they read the keys and values of their first pass.

    Raises:
        ValueError: A field is unknown or cannot be rendered.
    """
    read = Config(config, "Nanbeige", DEFAULTS, INERT)
    expect_llama(read, "nanbeige")
    _expect_plain(read)
    width, depth = read.count("hidden_size"), read.count("num_hidden_layers")
    norm = {"kind": "rms", "eps": read.number("rms_norm_eps")}
    attention_bias, mlp_bias = read.flag("attention_bias"), read.flag("mlp_bias")
    layer = {
        "kind": "pre_norm",
        "attention": {**attention_sizes(read, width), **rotations_of(read), "bias": attention_bias},
        "feedforward": {"kind": "swiglu", "hidden": read.count("intermediate_size"), "bias": mlp_bias},
        "norm": norm,
    }
    splits = read.flag("enable_double_loop_split")
    outer, middle = _middle(read, depth) if splits else (0, depth)
    num_loops = (depth + middle) // middle if splits else _num_loops(read)
    shares = read.expect("loop_share_kv", *((False, True) if splits else (False,)), why="only a split loop shares them")
    after_each = not read.flag("skip_loop_final_norm") and not splits
    tied, vocab_size = read.flag("tie_word_embeddings"), read.count("vocab_size")
    model = {
        "width": width,
        "prelude": {"depth": outer, "layer": layer},
        "core": {
            "depth": middle,
            "layer": layer,
            "loops": {"kind": "fixed", "num_loops": num_loops},
            "update": {"kind": "outer_norm", "norm": norm} if after_each else "replace",
            "kv_policy": "first" if shares else "per_loop",
        },
        "coda": {"depth": depth - outer - middle, "layer": layer},
        "norm": "none" if after_each else norm,
        "tie_embeddings": tied,
        "initialization": {"kind": "normal", "value": read.number("initializer_range")},
    }
    if splits:
        read.passed_over("num_loops", "loop_loss_weights")
    else:
        read.passed_over("loop_middle_layers")
    read.finish()
    places = [f"prelude.layers.{i}" for i in range(outer)]
    places += [f"core.layers.{i}" for i in range(middle)]
    places += [f"coda.layers.{i}" for i in range(depth - outer - middle)]
    rules = (
        rename("model.embed_tokens.weight", "embedding.weight"),
        Rule(("lm_head.weight",), ("head.weight",), optional=tied),
        rename("model.norm.weight", "core.update.norm.weight" if after_each else "norm.weight"),
        *(
            rule
            for i, ours in enumerate(places)
            for rule in _layer(f"model.layers.{i}", ours, attention_bias, mlp_bias)
        ),
    )
    return Translation(model, vocab_size, rules)


def _expect_plain(read: Config) -> None:
    """Refuse what the class can declare and the published model does not."""
    read.expect("qk_layernorm", False, why="the blocks' norm of queries and keys has no gain")
    given = [read.get(name) is not None for name in _NGRAMS]
    if all(given):
        raise read.refusal(_NGRAMS[0], "None", "the blocks have no embeddings of several tokens")
    read.expect("insert_ngram_layer_idx", None, [], why="the blocks have no embeddings of several tokens")
    read.expect("ngram_insert_all_layers", False, why="the blocks have no embeddings of several tokens")
    for name in (*_STREAMS, "mhc_diff_for_loop", "mhc_identity_nohresparam"):
        read.expect(name, False, why="the blocks' hyper-connections stand around the loop, and these around sublayers")
    read.expect("enable_depth_attention", False, why="the blocks' attention over depth reads states, and not values")


def _num_loops(read: Config) -> int:
    """Passes over the stack: one more than there are weights for their losses, or ``num_loops`` where there is none."""
    weights = read.get("loop_loss_weights")
    if weights is None or weights == []:
        return read.count("num_loops")
    if not isinstance(weights, list | tuple) or sum(weights) > 1:
        raise read.refusal("loop_loss_weights", "lists of numbers that sum to 1 at most")
    read.passed_over("num_loops")
    return len(weights) + 1


def _middle(read: Config, depth: int) -> tuple[int, int]:
    """Layers before the split loop, and layers within it."""
    given = read.get("loop_middle_layers")
    if given is None and depth % 2:
        raise read.refusal("loop_middle_layers", f"a divisor of num_hidden_layers={depth}, which is odd,")
    middle = depth // 2 if given is None else read.count("loop_middle_layers")
    if depth % middle:
        raise read.refusal("loop_middle_layers", f"divisors of {depth}")
    return (depth - middle) // 2, middle


def _layer(theirs: str, ours: str, attention_bias: bool, mlp_bias: bool) -> Iterator[Rule]:
    for name, our_name in _NORMS.items():
        yield rename(f"{theirs}.{name}.weight", f"{ours}.{our_name}.weight")
    yield from llama_matrices(theirs, ours, attention_bias=attention_bias, mlp_bias=mlp_bias)

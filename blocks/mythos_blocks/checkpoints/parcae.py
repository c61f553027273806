"""Parcae (arXiv 2604.12946), in the form of its authors' code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mythos_blocks.checkpoints.config import Config
from mythos_blocks.checkpoints.huginn import qk_biases
from mythos_blocks.checkpoints.parcae_config import DEFAULTS, INERT, ROPE_SETTINGS
from mythos_blocks.checkpoints.parcae_training import initialization, loops
from mythos_blocks.checkpoints.published import Weights, opened
from mythos_blocks.checkpoints.translation import Rule, Translation, left_out, rename, split
from mythos_blocks.model.looped_transformer import LoopedTransformer

_INJECTIONS: dict[str, tuple[Any, dict[str, str]]] = {
    "diagonal": ({"kind": "lti_input", "margin": 0.0}, {"A_log": "A_log", "dt_bias": "dt_bias", "B": "B"}),
    "linear": ("concat", {"adapter.weight": "adapter.weight"}),
    "add": ("add", {}),
}
_STATES = {
    "like-init": "truncated_normal",
    "normal": "normal",
    "embed": {"kind": "normal", "std": None},
    "unit": "unit",
    "zero": "zeros",
}
_FEEDFORWARDS: dict[str, dict[str, dict[str, Any]]] = {
    "BaseMLP": {
        "ReLU2": {"kind": "relu2", "factor": 0.5},
        "GELU": {"kind": "gelu"},
        "ReLU": {"kind": "gelu", "activation": "relu"},
    },
    "GatedMLP": {"SiLU": {"kind": "swiglu"}},
}


def from_parcae(weights: Weights, config: Any = None) -> LoopedTransformer:
    """Parcae with these weights.

    Its code lays out gates and tables of value embeddings by two rules, which may disagree; a gate without a table,
    or a table without a gate, has no effect there and is left out here (:meth:`Translation.table` names them). Where it
    draws a loop count for each sequence, it does so in evaluation too, unless it is told one; ours runs the mean, as
    its authors' evaluations do.

    Args:
        weights: Of ``Parcae``.
        config: Its ``ParcaeConfig``, or a mapping with the same fields; what is left out has the default of that class.

    Raises:
        ValueError: A field is unknown or cannot be rendered, a name is unknown or missing, or a shape does not fit.
    """
    tensors, config = opened(weights, config)
    return parcae_translation(config).build(tensors)


def parcae_translation(config: Any) -> Translation:
    """The model that a ``ParcaeConfig`` declares, and what becomes of its tensors.

    Raises:
        ValueError: A field is unknown or cannot be rendered.
    """
    read = Config(config, "Parcae", DEFAULTS, INERT)
    _refuse_the_rest(read)
    width, vocab_size = read.count("n_embd"), _vocab_size(read)
    state_width = read.count("recurrent_embedding_dimension")
    heads = read.count("num_attention_heads")
    inner_heads = _set(read, "recurrent_num_attention_heads", heads)
    hidden = _set(read, "intermediate_size", 4 * width)
    inner_hidden = read.count("recurrent_intermediation_embedding_dimension")
    plan = _Layers(read)
    norm = _norm(read)
    attention = _attention(read, width // heads, state_width // inner_heads)
    bias = read.flag("bias")
    feedforward = {**read.choose("nonlin_name", read.choose("mlp_class_name", _FEEDFORWARDS)), "bias": bias}
    kv_heads = _set(read, "num_key_value_heads", heads)
    if kv_heads != heads and attention["qk_bias"]:
        raise read.refusal("num_key_value_heads", repr(heads), "qk_bias has as many heads for keys as for queries")
    grouped = {"kind": "mha"} if kv_heads == heads else {"kind": "gqa", "num_kv_heads": kv_heads}
    layer = {"kind": "pre_norm", "norm": norm}
    outer = {
        **layer,
        "attention": {**attention, **grouped, "num_heads": heads},
        "feedforward": {**feedforward, "hidden": hidden},
    }
    inner = {
        **layer,
        "attention": {**attention, "kind": "mha", "num_heads": inner_heads},
        "feedforward": {**feedforward, "hidden": inner_hidden},
    }
    injection, injected = read.choose("injection_type", _INJECTIONS)
    if bias and injection == "concat":
        injection, injected = {"kind": "concat", "bias": True}, {**injected, "adapter.bias": "adapter.bias"}
    prelude_norm, tied = read.flag("prelude_norm"), read.flag("tie_embeddings")
    core = {
        **plan.declared("core_block", inner, vocab_size),
        **loops(read),
        "state_width": state_width,
        "input_norm": norm if prelude_norm else "none",
        "injection": injection,
        "initial_state": read.choose("state_init", _STATES),
        "interface": {"kind": "projection", "bias": bias},
    }
    model = {
        "width": width,
        "prelude": plan.declared("prelude", outer, vocab_size),
        "core": core,
        "coda": plan.declared("coda", outer, vocab_size),
        "norm": norm,
        "tie_embeddings": tied,
        "logit_softcap": _bound(read, "logit_softcap"),
        "initialization": initialization(read),
    }
    read.finish()
    rules = [
        rename("transformer.wte.weight", "embedding.weight"),
        Rule(
            ("lm_head.weight",),
            ("head.weight",),
            note="one tensor with the embedding" if tied else "",
            optional=tied,
        ),
        *(rename(f"transformer.adapter.{a}", f"core.injection.{b}") for a, b in injected.items()),
        *_linear("transformer.C", "core.interface.projection", bias),
        *_norm_rules(norm, "transformer.ln_f", "norm"),
        *(_norm_rules(norm, "transformer.ln_prelude", "core.input_norm") if prelude_norm else ()),
        *plan.rules(outer, inner),
        left_out("freqs_cis", "rotations, which are computed"),
    ]
    return Translation(model, vocab_size, tuple(rules))


def _refuse_the_rest(read: Config) -> None:
    """Fields of which one value alone can be rendered."""
    for name in ("model_class_name", "_class_name", "architecture_class_name", "block_class_name"):
        read.expect(name, DEFAULTS[name])
    read.expect("_is_recurrent_block_config", False, why="it is the configuration of the looped layers alone")
    read.expect("mup_model_scaling_factor", 1, why="the blocks do not scale logits")
    read.expect("randomize_positions_from", None, why="training draws positions at random")
    read.expect("use_fused_head", "pytorch", "cce", why="the others give no logits, or keep a transposed head")


def _set(read: Config, name: str, otherwise: int) -> int:
    """A count, or what stands for it where it is not set."""
    return otherwise if read.get(name) is None else read.count(name)


def _bound(read: Config, name: str) -> float | None:
    """A positive bound, or none."""
    if read.get(name) is None:
        return None
    value = read.number(name)
    if value <= 0:
        raise read.refusal(name, "None or numbers above 0")
    return value


def _linear(theirs: str, ours: str, bias: bool) -> Iterator[Rule]:
    for part in ("weight", "bias") if bias else ("weight",):
        yield rename(f"{theirs}.{part}", f"{ours}.{part}")


def _vocab_size(read: Config) -> int:
    multiple = read.count("padding_multiple")
    return _set(read, "padded_vocab_size", -(-read.count("vocab_size") // multiple) * multiple)


def _norm(read: Config) -> dict[str, Any]:
    kind = read.choose("norm_class_name", {"RMSNorm": "rms", "LayerNorm": "layer"})
    return {"kind": "rms" if read.flag("simple_ops") else kind, "eps": read.number("norm_eps")}


def _norm_rules(norm: dict[str, Any], theirs: str, ours: str) -> Iterator[Rule]:
    for part in ("weight", "bias") if norm["kind"] == "layer" else ("weight",):
        yield rename(f"{theirs}.{part}", f"{ours}.{part}")


def _attention(read: Config, head_dim: int, inner_head_dim: int) -> dict[str, Any]:
    rope = read.within("rope_settings", ROPE_SETTINGS, {})
    rope.expect("rope_condense_ratio", 1, why="the blocks rotate by whole positions")
    theta, rotates = rope.number("rope_base"), rope.flag("use_rope")
    rope.finish()
    if rotates and head_dim != inner_head_dim:
        why = f"one table of rotations serves heads of {head_dim} channels and, in the loop, of {inner_head_dim}"
        raise read.refusal("recurrent_embedding_dimension", "widths that give all heads one size", why)
    return {
        "rope_theta": theta if rotates else None,
        "qk_norm": "after_rope" if read.flag("qk_norm") else "none",
        "qk_bias": read.flag("qk_bias"),
        "bias": read.flag("bias"),
        "clip_qkv": _bound(read, "clip_qkv"),
    }


class _Layers:
    """Which layers there are, and which of them have a gate or a table of value embeddings."""

    def __init__(self, read: Config) -> None:
        names = {"prelude": "prelude", "core_block": "recurrent_block", "coda": "coda"}
        self.depths = {
            place: read.count(f"n_layers_in_{name}", at_least=place == "core_block") for place, name in names.items()
        }
        first, core, _ = self.depths.values()
        # Two counts of layers, and two ways to number the coda's, from which the code tells every second one.
        self.num_layers = sum(self.depths.values())
        self.num_gradient_layers = core * read.count("mean_backprop_depth")
        self.begins = {"prelude": 0, "core_block": first, "coda": first + core}
        self.unrolled = {**self.begins, "coda": first + core * read.count("mean_recurrence")}

    def table(self, place: str, i: int) -> bool:
        return (self.begins[place] + i) % 2 == (self.num_layers - 1) % 2

    def gate(self, place: str, i: int) -> bool:
        return (self.unrolled[place] + i) % 2 == (self.num_gradient_layers - 1) % 2

    def both(self, place: str, i: int) -> bool:
        return self.table(place, i) and self.gate(place, i)

    def declared(self, place: str, layer: dict[str, Any], vocab_size: int) -> dict[str, Any]:
        """The layers of one place: all alike, or two in turn."""
        depth = self.depths[place]
        embedding = {**layer, "attention": {**layer["attention"], "value_embeddings": vocab_size}}
        first, second = (embedding if self.both(place, i) else layer for i in (0, 1))
        return {"depth": depth, "layer": first, **({"alternate": second} if second is not first and depth > 1 else {})}

    def rules(self, outer: dict[str, Any], inner: dict[str, Any]) -> Iterator[Rule]:
        for place, depth in self.depths.items():
            ours, layer = ("core", inner) if place == "core_block" else (place, outer)
            for i in range(depth):
                table = f"value_embeds.{self.begins[place] + i}.weight"
                gate = f"transformer.{place}.{i}.attn.ve_gate.weight"
                yield from _layer_rules(layer, f"transformer.{place}.{i}", f"{ours}.layers.{i}")
                if self.both(place, i):
                    yield rename(table, f"{ours}.layers.{i}.attention.value_embedding.table.weight")
                    yield rename(gate, f"{ours}.layers.{i}.attention.value_embedding.gate.weight")
                elif self.table(place, i):
                    yield left_out(table, "a table without a gate, which has no effect", optional=False)
                elif self.gate(place, i):
                    yield left_out(gate, "a gate without a table, which has no effect", optional=False)


def _layer_rules(layer: dict[str, Any], theirs: str, ours: str) -> Iterator[Rule]:
    yield from _norm_rules(layer["norm"], f"{theirs}.norm_1", f"{ours}.attention_norm")
    yield from _norm_rules(layer["norm"], f"{theirs}.norm_2", f"{ours}.feedforward_norm")
    for name, our_name in {"c_q": "q", "c_k": "k", "c_v": "v", "c_proj": "out"}.items():
        yield from _linear(f"{theirs}.attn.{name}", f"{ours}.attention.{our_name}", layer["attention"]["bias"])
    if layer["attention"]["qk_bias"]:
        yield qk_biases(f"{theirs}.attn.qk_bias", f"{ours}.attention")
    feedforward = layer["feedforward"]
    if feedforward["kind"] == "swiglu":
        sizes = [feedforward["hidden"]] * 2
        for part in ("weight", "bias") if feedforward["bias"] else ("weight",):
            yield split(f"{theirs}.mlp.fc.{part}", [f"{ours}.feedforward.{n}.{part}" for n in ("gate", "up")], sizes)
    else:
        yield from _linear(f"{theirs}.mlp.fc", f"{ours}.feedforward.up", feedforward["bias"])
    yield from _linear(f"{theirs}.mlp.proj", f"{ours}.feedforward.down", feedforward["bias"])

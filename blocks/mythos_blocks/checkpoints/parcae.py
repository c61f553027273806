"""Parcae (arXiv 2604.12946), in the form of its authors' code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from mythos_blocks.checkpoints.config import Config
from mythos_blocks.checkpoints.huginn import qk_biases
from mythos_blocks.checkpoints.translation import Rule, Translation, left_out, rename, split
from mythos_blocks.model.looped_transformer import LoopedTransformer

_INJECTIONS: dict[str, tuple[Any, dict[str, str]]] = {
    "diagonal": ({"kind": "lti_input", "margin": 0.0}, {"A_log": "A_log", "dt_bias": "dt_bias", "B": "B"}),
    "linear": ("concat", {"adapter.weight": "adapter.weight"}),
    "add": ("add", {}),
}


def from_parcae(state_dict: Mapping[str, Tensor], config: Any) -> LoopedTransformer:
    """Parcae with these weights.

    Its code lays out gates and tables of value embeddings by two rules, which may disagree; a gate without a table,
    or a table without a gate, has no effect there and is left out here (:meth:`Translation.table` names them).

    Args:
        state_dict: Of ``Parcae``.
        config: Its ``ParcaeConfig``, or a mapping with the same fields.

    Raises:
        ValueError: A field cannot be rendered, a name is unknown or missing, or a shape does not fit.
    """
    return parcae_translation(config).build(state_dict)


def parcae_translation(config: Any) -> Translation:
    """The model that a ``ParcaeConfig`` declares, and what becomes of its tensors."""
    read = Config(config, "Parcae")
    read.expect("block_class_name", "TransformerPreNormBlock")
    read.expect("norm_class_name", "RMSNorm")
    like_init = read.expect("state_init", "like-init", "zero") == "like-init"
    initialization = _INITIALIZATIONS[read.expect("init_strategy", *_INITIALIZATIONS)]
    read.expect("bias", False)
    for name in ("clip_qkv", "logit_softcap"):
        read.expect(name, None, default=None)
    read.expect("mup_model_scaling_factor", 1)
    width, vocab_size = read.get("n_embd", "hidden_size"), _vocab_size(read)
    state_width = read.get("recurrent_embedding_dimension", default=width)
    heads = read.get("num_attention_heads")
    read.expect("num_key_value_heads", heads)
    inner_heads = read.get("recurrent_num_attention_heads", default=heads)
    hidden = read.get("intermediate_size", default=4 * width)
    inner_hidden = read.get("recurrent_intermediation_embedding_dimension", default=hidden)
    plan = _Layers(read)
    norm = {"kind": "rms", "eps": float(read.get("norm_eps"))}
    outer = _layer_spec(read, heads, hidden, norm)
    inner = _layer_spec(read, inner_heads, inner_hidden, norm)
    injection, injected = _INJECTIONS[read.expect("injection_type", *_INJECTIONS)]
    std = (2 / (5 * width)) ** 0.5
    core = {
        **plan.declared("core_block", inner, vocab_size),
        "loops": _loops(read),
        "loops_per": _LOOPS_PER[read.expect("recurrent_iteration_method", *_LOOPS_PER, default="per-batch")],
        "state_width": state_width,
        "input_norm": norm if read.get("prelude_norm", default=False) else "none",
        "injection": injection,
        "initial_state": {"kind": "truncated_normal", "std": std} if like_init else "zeros",
        "interface": "projection",
    }
    tied = read.get("tie_embeddings", "tie_word_embeddings", default=False)
    model = {
        "width": width,
        "prelude": plan.declared("prelude", outer, vocab_size),
        "core": core,
        "coda": plan.declared("coda", outer, vocab_size),
        "norm": norm,
        "tie_embeddings": tied,
        "initialization": initialization,
    }
    rules = [
        rename("transformer.wte.weight", "embedding.weight"),
        Rule(
            ("lm_head.weight",),
            ("head.weight",),
            note="one tensor with the embedding" if tied else "",
            optional=tied,
        ),
        *(rename(f"transformer.adapter.{a}", f"core.injection.{b}") for a, b in injected.items()),
        rename("transformer.C.weight", "core.interface.projection.weight"),
        rename("transformer.ln_f.weight", "norm.weight"),
        *([rename("transformer.ln_prelude.weight", "core.input_norm.weight")] if core["input_norm"] != "none" else []),
        *plan.rules(read, hidden, inner_hidden),
        left_out("freqs_cis", "rotations, which are computed"),
    ]
    return Translation(model, vocab_size, tuple(rules))


_INITIALIZATIONS = {"scaled-zero": "scaled_zero", "scaled": "depth_scaled"}
_LOOPS_PER = {"per-batch": "batch", "per-sequence": "sequence", "per-token": "token"}


def _vocab_size(read: Config) -> int:
    multiple = read.get("padding_multiple", default=1)
    padded = -(-int(read.get("vocab_size")) // multiple) * multiple
    return int(read.get("padded_vocab_size", default=padded))


def _gated(read: Config) -> bool:
    return bool(read.expect("mlp_class_name", "BaseMLP", "GatedMLP") == "GatedMLP")


def _loops(read: Config) -> dict[str, Any]:
    return {
        "kind": "poisson",
        "mean": float(read.get("mean_recurrence")),
        "gradient_window": read.get("mean_backprop_depth"),
    }


class _Layers:
    """Which layers there are, and which of them have a gate or a table of value embeddings."""

    def __init__(self, read: Config) -> None:
        names = {"prelude": "prelude", "core_block": "recurrent_block", "coda": "coda"}
        self.depths = {place: int(read.get(f"n_layers_in_{name}")) for place, name in names.items()}
        first, core, _ = self.depths.values()
        # Two counts of layers, and two ways to number the coda's, from which the code tells every second one.
        self.num_layers = sum(self.depths.values())
        self.num_gradient_layers = core * int(read.get("mean_backprop_depth"))
        self.begins = {"prelude": 0, "core_block": first, "coda": first + core}
        self.unrolled = {**self.begins, "coda": first + core * int(read.get("mean_recurrence"))}

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

    def rules(self, read: Config, hidden: int, inner_hidden: int) -> Iterator[Rule]:
        for place, depth in self.depths.items():
            ours = "core" if place == "core_block" else place
            for i in range(depth):
                sizes = [inner_hidden if ours == "core" else hidden] * 2
                table = f"value_embeds.{self.begins[place] + i}.weight"
                yield from self._layer(read, f"transformer.{place}.{i}", f"{ours}.layers.{i}", sizes)
                gate = f"transformer.{place}.{i}.attn.ve_gate.weight"
                if self.both(place, i):
                    yield rename(table, f"{ours}.layers.{i}.attention.value_embedding.table.weight")
                    yield rename(gate, f"{ours}.layers.{i}.attention.value_embedding.gate.weight")
                elif self.table(place, i):
                    yield left_out(table, "a table without a gate, which has no effect", optional=False)
                elif self.gate(place, i):
                    yield left_out(gate, "a gate without a table, which has no effect", optional=False)

    def _layer(self, read: Config, theirs: str, ours: str, sizes: list[int]) -> Iterator[Rule]:
        yield rename(f"{theirs}.norm_1.weight", f"{ours}.attention_norm.weight")
        yield rename(f"{theirs}.norm_2.weight", f"{ours}.feedforward_norm.weight")
        for name, our_name in {"c_q": "q", "c_k": "k", "c_v": "v", "c_proj": "out"}.items():
            yield rename(f"{theirs}.attn.{name}.weight", f"{ours}.attention.{our_name}.weight")
        if read.get("qk_bias", default=False):
            yield qk_biases(f"{theirs}.attn.qk_bias", f"{ours}.attention")
        if _gated(read):
            yield split(f"{theirs}.mlp.fc.weight", [f"{ours}.feedforward.{n}.weight" for n in ("gate", "up")], sizes)
        else:
            yield rename(f"{theirs}.mlp.fc.weight", f"{ours}.feedforward.up.weight")
        yield rename(f"{theirs}.mlp.proj.weight", f"{ours}.feedforward.down.weight")


def _layer_spec(read: Config, heads: int, hidden: int, norm: dict[str, Any]) -> dict[str, Any]:
    rope = Config(read.get("rope_settings", default={}), "Parcae")
    rope.expect("rope_condense_ratio", 1)
    theta = rope.get("rope_base", default=None) or read.get("rope_theta", default=50_000)
    gated = _gated(read)
    read.expect("nonlin_name", "SiLU" if gated else "ReLU2")
    return {
        "kind": "pre_norm",
        "attention": {
            "kind": "mha",
            "num_heads": heads,
            "rope_theta": float(theta) if rope.get("use_rope", default=True) else None,
            "qk_norm": "after_rope" if read.get("qk_norm", default=False) else "none",
            "qk_bias": read.get("qk_bias", default=False),
        },
        "feedforward": {"kind": "swiglu", "hidden": hidden}
        if gated
        else {"kind": "relu2", "hidden": hidden, "factor": 0.5},
        "norm": norm,
    }

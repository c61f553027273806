"""Five small declarations, as models of transformers."""

from __future__ import annotations

from typing import Any

import torch

from mythos_blocks.hugging_face import MythosConfig, MythosForCausalLM
from tests.blocks.parts import VOCAB, randomise

WIDTH = 32
_ATTENTION = {"kind": "mha", "num_heads": 2}
_OUTER = {"depth": 1, "layer": {"attention": _ATTENTION, "feedforward": {"kind": "swiglu", "hidden": 48}}}

DECLARATIONS: dict[str, dict[str, Any]] = {
    "gated_loop": {
        "core": {
            "layer": {"attention": {"kind": "gqa", "num_heads": 4, "num_kv_heads": 2}},
            "loops": {"kind": "uniform", "low": 1, "high": 5},
            "update": {"kind": "highway", "bias": -1.0},
        }
    },
    "huginn": {
        "scale_embeddings": True,
        "prelude": {"depth": 1, "layer": {"kind": "stream_norm", "attention": {**_ATTENTION, "qk_bias": True}}},
        "core": {
            "depth": 2,
            "layer": {"kind": "stream_norm", "attention": {**_ATTENTION, "qk_bias": True}},
            "loops": {"kind": "poisson_lognormal", "mean": 3, "maximum": 8, "gradient_window": 2},
            "injection": "concat",
            "initial_state": "truncated_normal",
            "interface": "final_norm",
        },
        "coda": {"depth": 1, "layer": {"kind": "stream_norm", "attention": _ATTENTION}},
    },
    "parcae": {
        "prelude": {
            "depth": 2,
            **{**_OUTER, "depth": 2},
            "alternate": {"attention": {**_ATTENTION, "value_embeddings": True}},
        },
        "core": {
            **_OUTER,
            "loops": {"kind": "poisson", "mean": 3, "maximum": 8, "gradient_window": "half_mean"},
            "loops_per": "sequence",
            "input_norm": "rms",
            "injection": "lti_input",
            "initial_state": "truncated_normal",
            "interface": "projection",
        },
        "coda": _OUTER,
    },
    "openmythos": {
        "prelude": {"depth": 1, "layer": {"attention": {"kind": "mla", "num_heads": 2}}},
        "core": {
            "layer": {"attention": {"kind": "mla", "num_heads": 2}, "feedforward": {"kind": "moe", "num_experts": 4}},
            "loops": {"kind": "poisson_lognormal", "mean": 3, "maximum": 6},
            "injection": "lti",
            "depth_signal": "sinusoidal",
            "depth_adapter": {"kind": "depth_lora", "rank": 4},
            "halting": {"kind": "act", "threshold": 0.9, "ponder_weight": 0.01, "initial_bias": -1.0},
        },
        "coda": _OUTER,
    },
    "universal_transformer": {
        "mup_base": {"width": WIDTH // 2},
        "scale_embeddings": True,
        "core": {
            "layer": {
                "kind": "post_norm",
                "attention": {**_ATTENTION, "rope_theta": None},
                "feedforward": {"kind": "separable_convolution", "hidden": 48},
            },
            "loops": {"kind": "fixed", "num_loops": 3},
            "depth_signal": "coordinates",
            "halting": {"kind": "act", "threshold": 0.9, "ponder_weight": 0.01, "initial_bias": -1.0},
        },
    },
}
"""Gated (Chen), Huginn, Parcae, OpenMythos and the Universal Transformer: together, most of what a looped model can be."""


def made(name: str, **config: Any) -> MythosForCausalLM:
    """The model, in evaluation mode, with weights large enough that every effect shows."""
    torch.manual_seed(0)
    declaration = {"width": WIDTH, **DECLARATIONS[name]}
    model = MythosForCausalLM(MythosConfig(declaration=declaration, vocab_size=VOCAB, **config))
    randomise(model, std=0.15)
    return model.eval()

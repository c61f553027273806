"""The fields of HRM-Text's configuration, transformers' ``HrmTextConfig``, and which of them change nothing."""

from __future__ import annotations

from typing import Any

from mythos_blocks.checkpoints.published import HUGGING_FACE

DEFAULTS: dict[str, Any] = {
    "model_type": "hrm_text",
    "vocab_size": 151_808,
    "hidden_size": 1536,
    "intermediate_size": 4096,
    "num_hidden_layers": 16,
    "num_attention_heads": 12,
    "head_dim": 128,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "rope_theta": 10_000.0,
    "rope_parameters": None,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "mlp_bias": False,
    "H_cycles": 2,
    "L_cycles": 3,
    "L_bp_cycles": [2],
    "embedding_scale": None,
    "prefix_lm": True,
    "num_layers_per_stack": None,
    **dict.fromkeys(HUGGING_FACE),
}

INERT = {
    "max_position_embeddings": "where its rotations were trained to; ours are computed",
    "prefix_lm": "which positions may read which, and that is the mask that a pass is given",
    **dict.fromkeys(HUGGING_FACE, "Hugging Face's own, which its model does not read"),
}

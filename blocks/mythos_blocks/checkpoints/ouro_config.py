"""The fields of Ouro's configuration, ``OuroConfig``, and which of them change nothing."""

from __future__ import annotations

from typing import Any

from mythos_blocks.checkpoints.published import HUGGING_FACE

DEFAULTS: dict[str, Any] = {
    "model_type": "ouro",
    "vocab_size": 151_936,
    "hidden_size": 4096,
    "intermediate_size": 22_016,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 32_768,
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "rope_theta": 10_000.0,
    "rope_scaling": None,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
    "layer_types": None,
    "attention_dropout": 0.0,
    "total_ut_steps": 4,
    "early_exit_threshold": 1.0,
    # What its model asks for besides.
    "head_dim": None,
    "early_exit_step": None,
    "chunk_size": 2,
    **dict.fromkeys(HUGGING_FACE),
}

INERT = {
    "max_position_embeddings": "where its rotations were trained to; ours are computed",
    "sliding_window": "the size of a window that use_sliding_window leaves out",
    "max_window_layers": "where windows begin that use_sliding_window leaves out",
    "chunk_size": "its model does not read it",
    **dict.fromkeys(HUGGING_FACE, "Hugging Face's own, which its model does not read"),
}

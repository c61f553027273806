"""The fields of OpenMythos' configuration, ``MythosConfig``, and which of them change nothing."""

from __future__ import annotations

from typing import Any

DEFAULTS: dict[str, Any] = {
    "vocab_size": 32000,
    "dim": 2048,
    "n_heads": 16,
    "n_kv_heads": 4,
    "max_seq_len": 4096,
    "max_loop_iters": 16,
    "prelude_layers": 2,
    "coda_layers": 2,
    "attn_type": "mla",
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "n_experts": 64,
    "n_shared_experts": 2,
    "n_experts_per_tok": 4,
    "expert_dim": 512,
    "act_threshold": 0.99,
    "rope_theta": 500_000.0,
    "lora_rank": 16,
    "max_output_tokens": 4096,
    "dropout": 0.0,
}

INERT = {
    "max_seq_len": "where its tables of rotations end; ours are computed",
    "max_output_tokens": "its model does not read it",
}

"""The fields of mixture of recursions' two configurations: its Llama's, and those of a run's file about its model."""

from __future__ import annotations

from typing import Any

from mythos_blocks.checkpoints.llama import LLAMA
from mythos_blocks.checkpoints.published import HUGGING_FACE

DEFAULTS: dict[str, Any] = {
    "model_type": "llama",
    **LLAMA,
    # In the config.json of SmolLM besides.
    "is_llama_config": None,
    "rope_interleaved": None,
    "transformers.js_config": None,
    **dict.fromkeys(HUGGING_FACE),
}

INERT = {
    "max_position_embeddings": "where its rotations were trained to; ours are computed",
    "pretraining_tp": "its model does not read it",
    "is_llama_config": "its model does not read it",
    "rope_interleaved": "its model does not read it",
    "transformers.js_config": "its model does not read it",
    **dict.fromkeys(HUGGING_FACE, "Hugging Face's own, which its model does not read"),
}

RUN: dict[str, Any] = {"recursive": {}, "kv_sharing": {}, "relaxation": {}, "mor": {}}
"""Groups of a run's file that say its model; all else there says how it was trained."""

RECURSIVE: dict[str, Any] = {
    "enable": False,
    "base_depth": None,
    "num_recursion": None,
    "sharing": None,
    "ln_share": True,
    "initialization": None,
}
RECURSIVE_INERT = {
    "base_depth": "read where there is one recursion, and mixture of recursions has more",
    "initialization": "what training begins with",
}

KV_SHARING: dict[str, Any] = {
    "enable": False,
    "base_depth": None,
    "num_recursion": None,
    "sharing": None,
    "update_cache": False,
}
KV_SHARING_INERT = dict.fromkeys(("base_depth", "num_recursion", "sharing"), "those of recursive are taken")

RELAXATION: dict[str, Any] = {
    "enable": False,
    "skip_first_loop": False,
    "method": None,
    "lora": None,
    "prompt": None,
}
RELAXATION_INERT = dict.fromkeys(
    ("skip_first_loop", "method", "lora", "prompt"), "a part of relaxation, without which it is not read"
)

_TRAINING = "its training alone reads it, and what is rendered is its evaluation"

MOR: dict[str, Any] = {
    "enable": False,
    "type": None,
    "capacity": None,
    "rand_router": False,
    "router_type": "linear",
    "z_loss": False,
    "z_coeff": 0.0,
    "temp": 1.0,
    "expert": {},
    "token": {},
}
MOR_INERT = dict.fromkeys(("z_loss", "z_coeff"), _TRAINING)

EXPERT: dict[str, Any] = {
    "cap_warmup_step": None,
    "router_func": "sigmoid",
    "alpha": 0.1,
    "sampling": None,
    "include_first": True,
    "coeff": 0.001,
    "gating": "weighted",
}
EXPERT_INERT = dict.fromkeys(("cap_warmup_step", "include_first"), _TRAINING)

TOKEN: dict[str, Any] = {
    "bal_warmup_step": 0,
    "router_func": "softmax",
    "alpha": 1.0,
    "balancing": None,
    "coeff": 0.001,
    "u": 0.001,
    "gating": "weighted",
}
TOKEN_INERT = dict.fromkeys(("bal_warmup_step", "u"), _TRAINING)

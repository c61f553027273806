"""The fields of HRM's and TRM's configurations, and which of them change nothing."""

from __future__ import annotations

from typing import Any

_REQUIRED = None  # the published classes have no default; the importer refuses what is left out

_BOTH: dict[str, Any] = {
    "batch_size": _REQUIRED,
    "seq_len": _REQUIRED,
    "puzzle_emb_ndim": 0,
    "num_puzzle_identifiers": _REQUIRED,
    "vocab_size": _REQUIRED,
    "H_cycles": _REQUIRED,
    "L_cycles": _REQUIRED,
    "H_layers": _REQUIRED,
    "L_layers": _REQUIRED,
    "hidden_size": _REQUIRED,
    "expansion": _REQUIRED,
    "num_heads": _REQUIRED,
    "pos_encodings": _REQUIRED,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10_000.0,
    "halt_max_steps": _REQUIRED,
    "halt_exploration_prob": _REQUIRED,
    "forward_dtype": "bfloat16",
    # What the training script and its files say besides.
    "causal": False,
    "name": None,
    "loss": None,
}

HRM: dict[str, Any] = _BOTH

TRM: dict[str, Any] = {**_BOTH, "mlp_t": False, "puzzle_emb_len": 16, "no_ACT_continue": True}

INERT = {
    "batch_size": "rows of a buffer through which puzzle embeddings learn",
    "halt_exploration_prob": "how long its training keeps a sample; a step of ours runs all segments of its own",
    "forward_dtype": "weights keep the dtype that they come in",
    "causal": "its model does not read it",
    "name": "which class it is",
    "loss": "what its training minimises",
}

INERT_TRM = {**INERT, "H_layers": "its one net has L_layers"}

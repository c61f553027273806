"""The fields of Nanbeige4.2's configuration, ``NanbeigeConfig``, and which of them change nothing."""

from __future__ import annotations

from typing import Any

from mythos_blocks.checkpoints.llama import LLAMA
from mythos_blocks.checkpoints.published import HUGGING_FACE

DEFAULTS: dict[str, Any] = {
    "model_type": "nanbeige",
    **LLAMA,
    "qk_layernorm": False,
    # Loops.
    "num_loops": 1,
    "loop_loss_weights": None,
    "skip_loop_final_norm": False,
    "enable_double_loop_split": False,
    "loop_middle_layers": None,
    "loop_share_kv": False,
    # Embeddings of several tokens.
    "emb_neighbor_num": None,
    "emb_split_num": None,
    "ngram_vocab_size_ratio": None,
    "ngram_mod_force_prime": False,
    "ngram_embedding_hidden_size": None,
    "ngram_fused_mode": "average",
    "emb_tp_num": None,
    "ngram_compressed_tokenizer": False,
    "skip_ngram_for_input": False,
    "insert_ngram_layer_idx": None,
    "ngram_insert_all_layers": False,
    "ngram_layer_downproject_size": None,
    # Streams.
    "mhc_diff_for_loop": False,
    "mhc_double_stream_position_for_loop": None,
    "enable_hyper_connection": False,
    "enable_mhc": False,
    "enable_h_res_identity": False,
    "mhc_identity_nohresparam": False,
    "num_residual_streams": 4,
    "mhc_sinkhorn_iterations": 20,
    "mhc_init_gating_factor": 0.01,
    # Attention over layers.
    "enable_depth_attention": False,
    "depth_attention_stride": None,
    "depth_attention_recent_window": 0,
    "depth_attention_static_anchor_once": True,
    # In its config.json besides.
    "kv_channels": None,
    **dict.fromkeys(HUGGING_FACE),
}

_NGRAM = "a part of embeddings of several tokens, without which it is not read"
_STREAMS = "a part of hyper-connections, without which it is not read"
_DEPTH = "a part of attention over layers, without which it is not read"

INERT = {
    "max_position_embeddings": "where its rotations were trained to; ours are computed",
    "pretraining_tp": "in how many slices products are computed",
    "ngram_mod_force_prime": _NGRAM,
    "ngram_embedding_hidden_size": _NGRAM,
    "ngram_fused_mode": _NGRAM,
    "emb_tp_num": _NGRAM,
    "ngram_compressed_tokenizer": _NGRAM,
    "skip_ngram_for_input": _NGRAM,
    "ngram_layer_downproject_size": _NGRAM,
    "mhc_double_stream_position_for_loop": _STREAMS,
    "num_residual_streams": _STREAMS,
    "mhc_sinkhorn_iterations": _STREAMS,
    "mhc_init_gating_factor": _STREAMS,
    "depth_attention_stride": _DEPTH,
    "depth_attention_recent_window": _DEPTH,
    "depth_attention_static_anchor_once": _DEPTH,
    "kv_channels": "its model does not read it; head_dim says the size of a head",
    **dict.fromkeys(HUGGING_FACE, "Hugging Face's own, which its model does not read"),
}

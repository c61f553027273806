"""The fields of Huginn's configuration, ``RavenConfig``, and which of them change nothing."""

from __future__ import annotations

from typing import Any

DEFAULTS: dict[str, Any] = {
    "n_embd": 5280,
    "n_heads": 55,
    "n_layers": 8,
    "block_size": 4096,
    "vocab_size": 65536,
    "padding_multiple": 4096,
    "tie_embeddings": True,
    "intermediate_size": 17920,
    "bias": False,
    "architecture_class_name": "RecurrentGPT",
    "block_class_name": "SandwichBlock",
    "norm_class_name": "RMSNorm_llama",
    "norm_eps": 1e-6,
    "mlp_class_name": "GatedMLP",
    "nonlin_name": "SiLU",
    "init_strategy": "takase",
    "init_orthogonal": False,
    "state_init": "like-init",
    "injection_type": "linear",
    "n_layers_in_recurrent_block": 4,
    "mean_recurrence": 32,
    "sampling_scheme": "poisson-lognormal-filling",
    "mean_backprop_depth": 8,
    "n_layers_in_prelude": 2,
    "n_layers_in_coda": 2,
    "qk_bias": True,
    "activation_checkpoint_impl": "per-iteration",
    "rope_base": 50_000,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.47.1",
    "test_time_noise": 0,
    "test_time_noise_type": "fixed",
    # What the class computes where it is not given; None stands for that.
    "padded_vocab_size": None,
    "num_key_value_heads": None,
    "head_dim": None,
    "effective_expected_depth": None,
    "init_values": None,
    "tie_word_embeddings": None,
    # Other names for n_embd, n_heads and n_layers.
    "hidden_size": None,
    "num_attention_heads": None,
    "num_hidden_layers": None,
    "model_type": "huginn_raven",
}

INERT = {
    "n_layers": "a total that its code does not read",
    "num_hidden_layers": "another name for n_layers",
    "block_size": "where its table of rotations ends; ours are computed",
    "padding_multiple": "the size of its vocabulary is given as it is",
    "activation_checkpoint_impl": "where activations are computed again",
    "test_time_noise_type": "the kind of a noise that test_time_noise leaves out",
    "torch_dtype": "weights keep the dtype that they come in",
    "transformers_version": "what the file was written with",
}

_HUGGING_FACE = """
    _attn_implementation _attn_implementation_autoset _commit_hash _name_or_path architectures attn_implementation
    auto_map bos_token_id chunk_size_feed_forward dtype eos_token_id hf_config id2label is_encoder_decoder label2id name
    name_or_path num_labels output_attentions output_hidden_states pad_token_id problem_type return_dict use_cache
"""
DEFAULTS |= dict.fromkeys(_HUGGING_FACE.split())
INERT |= dict.fromkeys(_HUGGING_FACE.split(), "Hugging Face's own, which its model does not read")

INIT_VALUES = {"std": None, "embed_scale": None, "out_proj": None, "embedding": None}
INERT_INIT_VALUES = {name: "its model computes it again" for name in ("out_proj", "embedding")}

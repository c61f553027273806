"""Published weights and their configuration, in whichever form they come."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mythos_blocks.checkpoints.reading import read, read_json

Weights = Mapping[str, Tensor] | str | Path
"""A state dict; or a safetensors file, an index of shards, or the folder that holds either."""

_CONFIG = "config.json"

HUGGING_FACE = """
    _attn_implementation _attn_implementation_autoset _commit_hash _name_or_path architectures attn_implementation
    auto_map bos_token_id chunk_size_feed_forward dtype eos_token_id id2label is_encoder_decoder label2id name_or_path
    num_labels output_attentions output_hidden_states pad_token_id problem_type return_dict torch_dtype
    transformers_version use_cache
""".split()
"""Fields of every configuration of Hugging Face's that change nothing in a model of ours."""


def opened(weights: Weights, config: Any) -> tuple[Mapping[str, Tensor], Any]:
    """The tensors and the configuration.

    Args:
        weights: A state dict, or where one lies.
        config: The configuration; ``None`` reads the ``config.json`` beside the weights' files.

    Raises:
        FileNotFoundError: There is nothing at that path.
        ValueError: There is something else, or a configuration is missing.
    """
    if isinstance(weights, Mapping):
        return weights, config
    path = Path(weights)
    tensors, _ = read(path)
    if config is None:
        beside = (path if path.is_dir() else path.parent) / _CONFIG
        if not beside.is_file():
            raise ValueError(f"{beside}: there is no such file; give the configuration as the second argument")
        config = read_json(beside)
    return tensors, config


def without_prefix(entries: Mapping[str, Tensor], known: Collection[str]) -> Mapping[str, Tensor]:
    """The tensors under known names, where all of them begin with one prefix, as wrappers and trainers leave it."""
    names = list(entries)
    if not names or not set(known).isdisjoint(names):
        return entries
    parts = names[0].split(".")
    for end in range(1, len(parts)):
        prefix = ".".join(parts[:end]) + "."
        if not all(name.startswith(prefix) for name in names):
            break
        shorter = {name.removeprefix(prefix): tensor for name, tensor in entries.items()}
        if not set(known).isdisjoint(shorter):
            return shorter
    return entries

"""A model as a folder that Hugging Face's transformers loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from torch import nn

from mythos_blocks.checkpoints.files import declared_model, saved_tensors, write
from mythos_blocks.checkpoints.outputs import whole

MODELLING = Path(__file__).parent / "modeling_mythos.py"
AUTO_MAP = {
    "AutoConfig": f"{MODELLING.stem}.MythosConfig",
    "AutoModel": f"{MODELLING.stem}.MythosModel",
    "AutoModelForCausalLM": f"{MODELLING.stem}.MythosForCausalLM",
}


def export_transformers(model: nn.Module, folder: str | Path, **token_ids: int) -> None:
    """Write ``config.json``, ``model.safetensors`` and the modelling file that renders them.

    >>> AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)

    then gives the same logits, generates with the loop's own cache, and takes ``num_loops`` and ``exit`` in calls,
    ``generate``, ``from_pretrained`` and the generation config; see :mod:`mythos_blocks.hugging_face`. The modelling
    file imports ``mythos_blocks``, which must be installed where it is loaded. The weights are a file of
    :func:`~mythos_blocks.checkpoints.save`, too.

    Args:
        model: A looped transformer, also inside of ``torch.compile`` or a data-parallel wrapper; or such a model of
            transformers.
        folder: The folder, which is made if need be.
        token_ids: ``bos_token_id``, ``eos_token_id`` and ``pad_token_id``, where there are such tokens.

    Raises:
        ImportError: safetensors is not installed.
        ValueError: A token id is of no such kind, or beyond the vocabulary, or the model cannot be saved.
    """
    model = declared_model(model)
    (vocab_size,) = model.context
    for name, token in token_ids.items():
        if name not in ("bos_token_id", "eos_token_id", "pad_token_id"):
            raise ValueError(f"{name!r} is none of bos_token_id, eos_token_id, pad_token_id")
        if not 0 <= token < vocab_size:
            raise ValueError(f"{name}={token} must be between 0 and {vocab_size - 1}")
    folder, tensors = Path(folder), saved_tensors(model)
    folder.mkdir(parents=True, exist_ok=True)
    tied = model.head.weight is model.embedding.weight
    config: dict[str, Any] = {
        "model_type": "mythos_blocks",
        "architectures": ["MythosForCausalLM"],
        "auto_map": AUTO_MAP,
        "declaration": json.loads(model.spec.model_dump_json()),
        "vocab_size": vocab_size,
        "hidden_size": model.embedding.embedding_dim,
        "dtype": str(model.embedding.weight.dtype).removeprefix("torch."),
        "tie_word_embeddings": tied,
        "use_cache": True,
        **token_ids,
    }
    with whole(folder / "model.safetensors") as partial:
        write(model, {_name(name): tensor for name, tensor in tensors.items()}, partial, {})
    with whole(folder / "config.json") as partial:
        partial.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    with whole(folder / MODELLING.name) as partial:
        shutil.copyfile(MODELLING, partial)


def _name(name: str) -> str:
    """The name that a tensor has in the model of transformers, whose head stands beside the rest."""
    return name.replace("head.", "lm_head.", 1) if name.startswith("head.") else f"model.looped.{name}"


__all__ = ["export_transformers"]

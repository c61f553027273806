"""Weights as their authors publish large ones: in shards, with names that a wrapper has put before."""

import json

from safetensors.torch import save_file


def write_shards(model, folder):
    """Two shards and their index."""
    tensors = {f"module.{name}": x.clone() for name, x in model.state_dict().items()}
    names, where = sorted(tensors), {}
    for i in range(2):
        file = f"model-0000{i + 1}-of-00002.safetensors"
        save_file({name: tensors[name] for name in names[i::2]}, folder / file)
        where |= dict.fromkeys(names[i::2], file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))

"""The published package, and its weights in our model."""

import importlib.util
from functools import cache
from pathlib import Path

import torch

from mythos_blocks import Slot
from mythos_blocks.checkpoints import copy_into, open_mythos_translation


@cache
def published():
    """Its ``main`` module, alone: the package's own import needs a tokenizer library. Fails where it is absent."""
    spec = importlib.util.find_spec("open_mythos")
    assert spec is not None, "install it: pip install --no-deps open-mythos==0.5.0"
    path = Path(spec.submodule_search_locations[0]) / "main.py"
    module_spec = importlib.util.spec_from_file_location("open_mythos_main", path)
    module = importlib.util.module_from_spec(module_spec)
    import sys

    sys.modules["open_mythos_main"] = module
    module_spec.loader.exec_module(module)
    return module


def config_of(attention, num_loops=16):
    """Its configuration, small."""
    return published().MythosConfig(
        vocab_size=61, dim=64, n_heads=4, n_kv_heads=2, max_seq_len=32, max_loop_iters=num_loops, prelude_layers=1,
        coda_layers=1, attn_type=attention, kv_lora_rank=24, q_lora_rank=20, qk_rope_head_dim=8,
        qk_nope_head_dim=12, v_head_dim=16, n_experts=4, n_shared_experts=1, n_experts_per_tok=2, expert_dim=16,
        lora_rank=4,
    )  # fmt: skip


def published_model(attention, seed=0, std=0.02, halting_bias=0.0, num_loops=16):
    """Its model, with normal weights."""
    torch.manual_seed(seed)
    model = published().OpenMythos(config_of(attention, num_loops))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.normal_(std=std)
        model.recurrent.act.halt.bias.fill_(halting_bias)
    return model


def ours(attention, num_loops=16, **halting):
    """The model that the importer declares for it; ``halting`` repairs what is published."""
    translation = open_mythos_translation(config_of(attention, num_loops))
    core = translation.model["core"]
    declared = {**translation.model, "core": {**core, "halting": {**core["halting"], **halting}}}
    return Slot("model").resolve(declared).build(translation.vocab_size)


def translate(entries):
    """Its state dict, or gradients by name, under our names; every entry is accounted for."""
    attention = "mla" if any("kv_down" in name for name in entries) else "gqa"
    return open_mythos_translation(config_of(attention)).apply(entries, partial=True)


def with_weights(model, theirs):
    """Our model with its weights; every parameter is filled and none is left over."""
    copy_into(model, open_mythos_translation(theirs.cfg).apply(theirs.state_dict()))
    return model


def in_float64(theirs, mine, monkeypatch):
    """Both models in float64 throughout: weights, rotations, depth signal, and what its code casts to float32."""
    theta, heads = theirs.cfg.rope_theta, {"freqs_cis": theirs.freqs_cis, "freqs_cis_mla": theirs.freqs_cis_mla}
    theirs.to(torch.float64), mine.to(torch.float64)
    for name, table in heads.items():
        positions, pairs = table.shape
        angles = torch.outer(torch.arange(positions, dtype=torch.float64), frequencies(pairs, theta))
        setattr(theirs, name, torch.polar(torch.ones_like(angles), angles))
    signal = mine.core.depth_signal
    signal.frequencies = frequencies(len(signal.frequencies), 10_000.0)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    return theirs, mine


def frequencies(pairs, theta):
    return 1 / theta ** (torch.arange(pairs, dtype=torch.float64) / pairs)

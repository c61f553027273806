"""The published package, and the map from its weights to ours."""

import importlib.util
from pathlib import Path

import torch

from mythos_blocks import LoopedTransformer


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


def published_model(attention, seed=0, std=0.02, halting_bias=0.0, num_loops=16):
    main = published()
    torch.manual_seed(seed)
    config = main.MythosConfig(
        vocab_size=61, dim=64, n_heads=4, n_kv_heads=2, max_seq_len=32, max_loop_iters=num_loops, prelude_layers=1,
        coda_layers=1, attn_type=attention, kv_lora_rank=24, q_lora_rank=20, qk_rope_head_dim=8,
        qk_nope_head_dim=12, v_head_dim=16, n_experts=4, n_shared_experts=1, n_experts_per_tok=2, expert_dim=16,
        lora_rank=4,
    )  # fmt: skip
    model = main.OpenMythos(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.normal_(std=std)
        model.recurrent.act.halt.bias.fill_(halting_bias)
    return model


def ours(attention, num_loops=16, **halting):
    layer = {
        "gqa": {"kind": "gqa", "num_heads": 4, "num_kv_heads": 2, "rope_theta": 500_000.0},
        "mla": {"kind": "mla", "num_heads": 4, "kv_rank": 24, "q_rank": 20, "nope_dim": 12, "rope_dim": 8,
                "value_dim": 16, "rope_theta": 500_000.0},
    }[attention]  # fmt: skip
    outer = {"depth": 1, "layer": {"attention": layer}}
    moe = {
        "kind": "moe",
        "num_experts": 4,
        "num_active": 2,
        "num_shared": 1,
        "expert_hidden": 16,
        "bias_update_rate": 0.0,
    }
    act = {"kind": "act", "final_remainder": False, "ponder_weight": 0.0, "initial_bias": 0.0, **halting}
    core = {
        "layer": {"attention": layer, "feedforward": moe},
        "loops": {"kind": "fixed", "num_loops": num_loops},
        "injection": {"kind": "lti", "margin": 0.0},
        "depth_signal": "sinusoidal",
        "depth_adapter": {"kind": "depth_lora", "rank": 4},
        "halting": act,
    }
    return LoopedTransformer(61, width=64, prelude=outer, core=core, coda=outer)


_NAMES = {
    "embed": "embedding", "recurrent.block": "core.layers.0", "prelude": "prelude.layers", "coda": "coda.layers",
    "recurrent.injection": "core.injection", "recurrent.act.halt": "core.halting.probability",
    "recurrent.lora.down": "core.depth_adapter.down", "recurrent.lora.scale.weight": "core.depth_adapter.scale",
    "recurrent.lora.B": "core.depth_adapter.up.weight", "recurrent.norm": "core.injection.norm",
    "attn_norm": "attention_norm", "ffn_norm": "feedforward_norm", "attn": "attention", "ffn": "feedforward",
    "wq": "q", "wk": "k", "wv": "v", "wo": "out", "shared_experts": "shared", "router_bias": "bias",
}  # fmt: skip


def name_of(theirs):
    """Our name of one of their entries."""
    for old in ("recurrent.block", "recurrent.injection", "recurrent.act.halt", "recurrent.lora.down",
                "recurrent.lora.scale.weight", "recurrent.lora.B", "recurrent.norm"):  # fmt: skip
        if theirs == old or theirs.startswith(old + "."):
            theirs = _NAMES[old] + theirs[len(old) :]
    return ".".join(_NAMES.get(part, part) for part in theirs.split("."))


def translate(entries):
    """Their state dict, or gradients by name, under our names; every entry is accounted for."""
    out, experts = {}, {}
    for name, tensor in entries.items():
        if name.startswith("freqs_cis"):
            continue  # tables of rotations, which we compute
        if "routed_experts" in name:
            base, rest = name.split(".routed_experts.")
            index, matrix, _ = rest.split(".")
            experts.setdefault(f"{name_of(base)}.{matrix}", {})[int(index)] = tensor
        elif name == "recurrent.lora.B":
            out[name_of(name)] = tensor.T
        else:
            out[name_of(name)] = tensor
    for name, stack in experts.items():
        out[name] = torch.stack([stack[i] for i in range(len(stack))])
    return out


def with_weights(model, theirs):
    """Our model with their weights; strict, so every parameter is filled and none is left over."""
    model.load_state_dict(translate(theirs.state_dict()), strict=True)
    return model

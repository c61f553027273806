"""A few declarations that hold every registered kind between them, for contracts that are dear to check."""

from __future__ import annotations

import functools
import random
from typing import Any

import torch

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slot_info
from mythos_blocks.testing.case import randomise

VOCAB, WIDTH, POSITIONS = 29, 16, 6

SLOTS = (
    *("layer", "attention", "feedforward", "norm", "depth_attention"),
    *("injection", "update", "depth_signal", "depth_adapter", "initial_state", "halting", "exit", "interface"),
    *("kv_policy", "gradient", "loops", "core"),
)
"""The slots whose kinds act in a pass."""

FIELDS: dict[tuple[str, str], dict[str, Any]] = {
    ("attention", "mixer"): {"num_positions": POSITIONS},
    ("attention", "gqa"): {"num_kv_heads": 2, "value_embeddings": VOCAB},
    ("attention", "mla"): {"kv_rank": 8, "q_rank": 8, "nope_dim": 4, "rope_dim": 4, "value_dim": 4},
    ("feedforward", "moe"): {"balance_weight": 0.1, "z_weight": 0.1},
    ("core", "hierarchical"): {"depth": 1, "num_high_cycles": 1, "num_low_cycles": 1},
    ("gradient", "implicit"): {"num_iterations": 3},
    ("gradient", "last"): {"num_loops": 1},
    ("halting", "act"): {"halted_state": "frozen", "initial_bias": 0.5},
    ("kv_policy", "anchor"): {"num_exact": 1, "period": 2},
    ("loops", "fixed"): {"num_loops": 3},
    ("loops", "uniform"): {"low": 2, "high": 3},
    ("loops", "choice"): {"counts": [2, 3]},
    ("loops", "curriculum"): {"base": {"kind": "fixed", "num_loops": 3}},
}
_AT_ONCE = 40  # draws, of which the one that holds most of what is missing is taken
MEAN = {"mean": 2.0, "maximum": 5}  # of loops that are declared by their mean


def _fields(slot: str, kind: str) -> dict[str, Any]:
    if slot == "loops" and "mean" in slot_info(slot).kinds[kind].Spec.model_fields:
        return {"kind": kind, **MEAN}
    return {"kind": kind, **FIELDS.get((slot, kind), {})}


def _declared(seed: int, wanted: set[tuple[str, str]]) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """The core with this number, and the kinds in it: such as are wanted, where there are any."""
    draw = random.Random(seed)
    held: dict[str, str] = {}
    for slot in SLOTS:
        of_slot = sorted(slot_info(slot).kinds)
        missing = [kind for kind in of_slot if (slot, kind) in wanted]
        held[slot] = draw.choice(missing if missing and draw.random() < 0.8 else of_slot)
    if held["layer"] != "mixture":
        del held["depth_attention"]
    fields = {slot: _fields(slot, kind) for slot, kind in held.items()}
    layer = fields["layer"]
    layer |= {slot: fields[slot] for slot in ("attention", "feedforward", "norm", "depth_attention") if slot in fields}
    core: dict[str, Any] = {**fields["core"], "layer": layer}
    allowed = slot_info("core").kinds[held["core"]].Spec.model_fields
    core |= {slot: fields[slot] for slot in SLOTS[5:-1] if slot in allowed}
    if held["interface"] == "projection" and "state_width" in allowed:
        core["state_width"] = 2 * WIDTH
    there = {(slot, held[slot]) for slot in held if slot in (*SLOTS[:5], "core") or slot in core}
    return core, there


def build(core: dict[str, Any], prelude: int = 1) -> mb.LoopedTransformer:
    """The model with this core and so many layers before it, its weights large enough that every part shows."""
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, prelude={"depth": prelude}, core=core)
    randomise(model, std=0.25)
    return model


def mask_of(core: dict[str, Any]) -> mb.AttentionMask:
    """What its attention asks for."""
    return mb.AttentionMask(causal=core["layer"]["attention"]["kind"] != "mixer")


def tokens(batch: int = 3) -> torch.Tensor:
    return torch.randint(VOCAB, (batch, POSITIONS), generator=torch.Generator().manual_seed(batch))


@functools.cache
def covering() -> list[dict[str, Any]]:
    """Cores in which every kind of these slots stands at least once, beside others that are drawn; few of them."""
    wanted = {(slot, kind) for slot in SLOTS for kind in slot_info(slot).kinds}
    cores, seed = [], 0
    while wanted:
        assert seed < 5000, f"no core that holds {sorted(wanted)} is accepted"
        drawn = [_declared(seed + i, wanted) for i in range(_AT_ONCE)]
        seed += _AT_ONCE
        for core, there in sorted(drawn, key=lambda one: len(one[1] & wanted), reverse=True):
            if not there & wanted:
                break
            try:
                with torch.device("meta"):
                    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core=core)
                    model(tokens(2).to("meta"), mask_of(core))
            except ValueError:
                continue  # these do not go together
            wanted -= there
            cores.append(core)
            break
    return cores

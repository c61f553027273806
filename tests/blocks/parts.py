"""Registered components on their own, with weights large enough that every effect shows."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import settings
from torch import Tensor, nn

import mythos_blocks as mb
from mythos_blocks.declaring.registry import lookup, slot_info, slots
from mythos_blocks.testing import case as testing
from mythos_blocks.testing.case import randomise

VOCAB, WIDTH, LOOPS = 29, testing.WIDTH, testing.LOOPS

CONTEXT: dict[str, tuple[Any, ...]] = {**testing.CONTEXT, "model": (VOCAB,)}
"""What the parent supplies, by slot; ``(WIDTH,)`` elsewhere."""

# Attention, sized for a narrow model.
OPTIONS: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("attention", "gqa"): [{}, {"num_kv_heads": 1}, {"num_heads": 2, "head_dim": 6}, {"rope_theta": None}],
    ("attention", "mla"): [{}, {"value_dim": 10, "q_rank": 7}],
    ("feedforward", "moe"): [{}, {"num_shared": 0}, {"num_active": 1, "num_experts": 3}],
    ("injection", "lti"): [{}, {"margin": 0.0, "initial_b": 1.0}],
    ("injection", "lti_input"): [
        {},
        {"margin": 0.0, "discretization": "exact"},
        {"B": "vector", "time_step": "scalar"},
        {"B": "identity", "discretization": "raw"},
    ],
    ("halting", "act"): [{}, {"threshold": 0.5}, {"halted_state": "frozen"}],
    ("loops", "fixed"): [{}, {"num_loops": 7}],
    ("loops", "uniform"): [{}, {"low": 3, "high": 3}],
    ("loops", "poisson_lognormal"): [{}, {"mean": 1.0}, {"mean": 3.0, "sigma": 1.0, "maximum": 9}],
}
"""Declarations besides the default that are held to the same contract."""

NEEDED: dict[tuple[str, str], dict[str, Any]] = {
    ("attention", "mixer"): {"num_positions": 8},
    ("prefix", "puzzle"): {"num_puzzles": VOCAB},
    ("penalty", "distillation"): {"teacher": "teacher.safetensors"},
}
"""Fields without a default."""

deterministic = settings(derandomize=True, deadline=None, database=None, max_examples=40)


def kinds(*names: str) -> list[tuple[str, str]]:
    """Every kind in these slots; of the blocks alone where no slot is named."""
    return [
        (slot, kind)
        for slot in names or slots()
        for kind, cls in sorted(slot_info(slot).kinds.items())
        if names or cls.__module__.startswith("mythos_blocks.")
    ]


def declarations(*names: str) -> list[tuple[str, dict[str, Any]]]:
    """Every kind in these slots, by default and with the options above."""
    return [
        (slot, {"kind": kind, **NEEDED.get((slot, kind), {}), **fields})
        for slot, kind in kinds(*names)
        for fields in OPTIONS.get((slot, kind), [{}])
    ]


def make(slot: str, declared: str | dict[str, Any], *, seed: int = 0, std: float = 0.3) -> Any:
    """The component alone, every parameter random."""
    fields = {"kind": declared} if isinstance(declared, str) else declared
    kind = fields["kind"]
    fields = {**NEEDED.get((slot, kind), {}), **fields}
    spec = lookup(slot, kind).Spec(**{name: value for name, value in fields.items() if name != "kind"})
    component = spec.build(*CONTEXT.get(slot, (WIDTH,)))
    if isinstance(component, nn.Module):
        randomise(component, seed=seed, std=std)
    return component


def started(rule: mb.Halting, h: Tensor) -> mb.HaltingState:
    """What a halting rule begins with, where every position counts."""
    return rule.start(h, torch.ones(h.shape[:2], dtype=torch.bool))


def observed(
    rule: mb.Halting, state: mb.HaltingState, h: Tensor, *, x: Tensor | None = None, last: bool = False, t: int = 0
) -> mb.HaltingState:
    """What a halting rule makes of an iteration that every position runs."""
    running = torch.ones(h.shape[:2], dtype=torch.bool)
    return rule.observe(state, h, x=h if x is None else x, t=t, running=running, last=running & last)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tokens(batch: int = 2, positions: int = 8, seed: int = 0) -> Tensor:
    return torch.randint(VOCAB, (batch, positions), generator=torch.Generator().manual_seed(seed))


def model(num_loops: int = LOOPS, layer: Any = "pre_norm", **core: Any) -> mb.LoopedTransformer:
    core.setdefault("loops", {"kind": "fixed", "num_loops": num_loops})
    return mb.LoopedTransformer(VOCAB, width=WIDTH, core={"layer": layer, **core})


EVERYTHING: dict[str, Any] = {
    "layer": {"feedforward": "moe"},
    "injection": "lti",
    "update": "highway",
    "depth_signal": "learned",
    "depth_adapter": "depth_lora",
    "halting": "act",
}
"""A core in which every slot holds a component with parameters."""

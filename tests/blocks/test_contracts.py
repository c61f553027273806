"""Contracts that every registered component keeps; a new one is held to them without writing anything."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import mythos_blocks as mb
from mythos_blocks.checkpoints import save
from mythos_blocks.declaring.registry import slots
from mythos_blocks.testing import Case, contracts
from mythos_blocks.testing.case import CORE_SLOTS, IN_LAYER, VOCAB, tokens
from mythos_blocks.testing.case import model_with as model_of

__all__ = ["CORE_SLOTS", "IN_LAYER"]

TOKENS = tokens()


def kinds(*names):
    return [(slot, kind) for slot in names or slots() for kind in slots()[slot].kinds]


BLOCKS = [(slot, kind) for slot, kind in kinds() if slots()[slot].kinds[kind].__module__.startswith("mythos_blocks")]

# What a kind needs besides itself to be part of a model that learns everywhere.
NEEDS = {
    ("attention", "mixer"): {"num_positions": 9},
    ("gradient", "implicit"): {"num_iterations": 4},
    ("kv_policy", "anchor"): {"num_exact": 2},
    ("penalty", "distillation"): {"teacher": "teacher.safetensors"},
    ("prefix", "memory"): {"num_positions": 2},
    ("prefix", "puzzle"): {"num_puzzles": VOCAB},
}
CASES = {
    ("attention", "mixer"): {"causal": False},
    # What teaches a rule that the final loss alone does not reach.
    ("halting", "gate_cdf"): {"objective": mb.Expected()},
    ("halting", "q_head"): {"objective": mb.SupervisedHalting()},
    # What they read, besides the states of a plain loop.
    ("objective", "expected"): {"core": {"halting": "act"}},
    ("objective", "supervised_halting"): {"core": {"halting": "q_head"}},
    ("penalty", "gate_improvement"): {"core": {"halting": "gate_cdf"}},
    ("penalty", "weight_cosine"): {"core": {"depth": 2}},
    # They differ from the off kind where positions stop, or in decoding.
    ("kv_policy", "last"): {"off_differs": False},
    ("kv_policy", "recursion_wise"): {"off_differs": False},
}
"""What is said of a kind besides its fields."""


def case_of(slot, kind):
    return Case(slot, kind, NEEDS.get((slot, kind), {}), **CASES.get((slot, kind), {}))


def model_with(slot, kind, num_loops=3, **core):
    """A small looped model that contains the component."""
    return model_of(slot, case_of(slot, kind).declared, num_loops, **core)


def mask_of(slot, kind):
    """The mixer reads all positions and says so."""
    return case_of(slot, kind).mask


def learns(slot, kind):
    """Not every component has a place in a training pass."""
    return slot not in ("objective", "penalty", "exit")


@pytest.mark.parametrize(
    "contract, slot, kind",
    [
        pytest.param(contract, slot, kind, id=f"{contract.__name__}-{slot}-{kind}")
        for slot, kind in BLOCKS
        for contract in contracts(slot)
    ],
)
def test_it_keeps_the_contracts_of_its_slot(contract, slot, kind, tmp_path):
    case = case_of(slot, kind)
    if kind == "distillation":
        teacher = str(tmp_path / "teacher.safetensors")
        save(mb.LoopedTransformer(VOCAB, width=16), teacher)
        case = replace(case, fields={"teacher": teacher})
    contract(case)


def test_models_that_share_a_parameter_share_its_initial_value():
    one = dict(model_with("injection", "lti").named_parameters())
    other = dict(model_with("injection", "none").named_parameters())
    assert len(other) > 5
    assert all(torch.equal(value, one[name]) for name, value in other.items())


def test_components_are_modules_or_plain_classes_with_a_spec():
    for slot, kind in BLOCKS:
        component = slots()[slot].kinds[kind]
        assert (component.slot, component.kind) == (slot, kind)
        assert issubclass(component, (nn.Module, mb.Component))

"""What training minimises over sequences of unequal loop counts is what it minimises over each of them alone."""

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import kinds, model, randomise, tokens

HALTING = {
    "expected": ["act", "gate_cdf", "ponder"],
    "supervised_halting": ["q_head", {"kind": "q_head", "head": "halt_continue", "read": "position"}],
    "gate_improvement": ["gate_cdf", "act"],
}
# What needs a teacher, is of weights and not of positions, or draws a vector for the whole batch.
OTHERS = {"distillation", "weight_cosine", "jacobian_radius"}
FIELDS = {"expected": [{}, {"prior": "geometric", "rate": 0.3}]}
TERMS = [
    (slot, {"kind": kind, **fields}, halting)
    for slot, kind in kinds("objective", "penalty")
    if kind not in OTHERS
    for fields in FIELDS.get(kind, [{}])
    for halting in HALTING.get(kind, ["none", "act"])
]


@pytest.mark.parametrize("slot, declared, halting", TERMS, ids=str)
def test_a_term_over_unequal_counts_is_the_mean_of_each_sequence_alone(slot, declared, halting):
    term = mb.Slot(slot).resolve(declared).build()
    made = model(halting=halting, injection="add").double().train()
    randomise(made, std=0.2)
    ids, targets, counts = tokens(3), tokens(3, seed=1), [1, 4, 2]
    targets[:, ::2] = -100

    def value(rows, iterations):
        torch.manual_seed(0)
        out = made(ids[rows], iterations=iterations, record=True)
        loss = term.loss(made, out, targets[rows])
        return loss if slot == "objective" else loss[0]

    together = value(slice(None), torch.tensor(counts))
    alone = torch.stack([value(slice(i, i + 1), count) for i, count in enumerate(counts)]).mean()
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)
    assert together.requires_grad

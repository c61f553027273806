"""Ranks and micro-batches share a batch, and not its scored tokens: what parts minimise is what one would minimise.

In this process: each part is computed by itself, and what ranks sum is summed here.
"""

from dataclasses import dataclass, field

import pytest
import torch

from mythos_lab.recipe.microbatches import Given, microbatches
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.step import Loss
from mythos_lab.tasks import IGNORE
from tests.lab.measures.test_padding import CASES, randomised, recipe

NUM = 4
OTHERWISE = {
    "halting-token_choice": "balances over the batch: a product of means",
    "halting-expert_choice": "takes a mean over the positions that it asks, of which parts have more or fewer",
    "feedforward-moe": "balances over the batch: a product of means",
    "penalty-jacobian_radius": "draws noise",
}
ROOTS = {"stability/fixed_point_residual"}
"""Shown as roots of means, which are no means of the parts'."""
SLOTS = ("halting", "objective", "penalty", "feedforward", "q_head")
TRIED = [case for case in CASES if case.split("-")[0] in SLOTS and case not in OTHERWISE]


@dataclass(frozen=True)
class Part(Rank):
    """A rank that knows what all of them come to: values by the rank that has them."""

    of_all: dict = field(default_factory=dict)

    def total(self, values):
        self.of_all[self.index] = values
        return sum(self.of_all.values())


def unequal(task):
    """A batch whose parts have 5, 5, 1 and no scored tokens, and padding of their own."""
    batch = task.batch("train", range(2 * NUM))
    batch.targets[2 * NUM - 3 :] = IGNORE
    batch.targets[2 * NUM - 4, 1:] = IGNORE
    return batch


def measured(loss, given):
    """What is minimised, what is shown, and the gradients."""
    loss.zero_grad()
    total, shown = loss(given)
    total.backward()
    gradients = {name: p.grad.clone() for name, p in loss.named_parameters() if p.grad is not None}
    return {"minimised": total.detach(), **shown}, gradients


@pytest.mark.parametrize("case", TRIED)
def test_the_mean_over_parts_is_that_over_the_batch(case):
    declared = recipe(**CASES[case], mask="full")
    model, task = randomised(declared)
    batch = unequal(task)
    loss = Loss(declared, model.train())
    shown, gradients = measured(loss, Given(batch, 3, True))
    of_all = {}
    for _ in range(2):  # in the first turn the later ones have not said yet what they have
        each = []
        for index in range(NUM):
            rank = Part(index, NUM, of_all=of_all)
            rows = list(rank.share(range(2 * NUM)))
            part = batch.map(lambda tensor, rows=rows: tensor[rows])
            each.append(measured(loss, microbatches(part, 3, 1, rank, shows=True)[0]))
    assert_together(each, NUM, shown, gradients)
    parts = microbatches(batch, 3, NUM, Rank(), shows=True)
    assert len(parts) == NUM
    assert_together([measured(loss, part) for part in parts], 1, shown, gradients)


def assert_together(each, over, shown, gradients):
    """What parts show and their gradients, added up and divided by ``over``, are those of the whole."""
    for name, value in shown.items():
        if name in ROOTS:
            continue
        found = sum(float(numbers[name]) for numbers, _ in each) / over
        assert found == pytest.approx(float(value), rel=1e-4, abs=1e-5), name
    for name, gradient in gradients.items():
        found = sum(found.get(name, torch.zeros_like(gradient)) for _, found in each) / over
        assert torch.allclose(found, gradient, rtol=1e-3, atol=1e-5), name

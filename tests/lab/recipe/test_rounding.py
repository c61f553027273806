"""Training for rounded weights: what a step computes with, what its gradients are of, and what stays as it was."""

import pytest
import torch
from torch import nn

from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.rounding import Rounding, check_rounding, matrices_of, round_rows, rounding
from mythos_lab.recipe.step import Learner, begin, differentiate, step
from mythos_lab.training.assembly import assemble
from mythos_lab.training.data import training_batch

SMALL = [
    "model.width=16", "model.core.depth=1", "model.core.layer.attention.num_heads=2", "task.length=16",
    "training.batch_size=4", "model.core.loops={kind: fixed, num_loops: 3}", "training.num_microbatches=2",
]  # fmt: skip


def learner_of(*changes):
    model, task = assemble(recipe := load_recipe("fixed_depth", [*SMALL, *changes]))
    return Learner.of(recipe, model.train()), training_batch(task, recipe.training.samples(0), Rank())


def changed_by(declared, core):
    with rounding(declared, core):
        return [weight.detach().clone() for weight in matrices_of(core)]


def test_gradients_are_those_at_the_rounded_weights_and_the_weights_are_back_to_the_bit():
    learner, batch = learner_of("training.rounding={to: int4}", "training.checkpointing=iteration")
    before = [weight.detach().clone() for weight in matrices_of(learner.model.core)]
    differentiate(learner, batch, begin(learner, 0, batch))
    assert all(torch.equal(a, b) for a, b in zip(before, matrices_of(learner.model.core), strict=True))

    plain, _ = learner_of()
    for weight in matrices_of(plain.model.core):
        weight.data = round_rows(weight.data, "int4")
    differentiate(plain, batch, begin(plain, 0, batch))
    for (name, ours), theirs in zip(learner.model.named_parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=lambda m, n=name: f"{n}: {m}")


def test_a_share_of_the_weights_is_rounded_and_drawn_by_the_step():
    learner, batch = learner_of()
    core, declared = learner.model.core, Rounding(to="int8", share=0.25)
    weights = [weight.detach().clone() for weight in matrices_of(core)]
    begin(learner, 5, batch)
    first = changed_by(declared, core)
    other = changed_by(declared, core)
    begin(learner, 5, batch)
    assert all(torch.equal(a, b) for a, b in zip(first, changed_by(declared, core), strict=True))
    assert not torch.equal(first[0], other[0])
    moved = torch.cat([(a != b).flatten() for a, b in zip(first, weights, strict=True)])
    assert 0.2 < float(moved.float().mean()) < 0.3
    for after, weight in zip(first, weights, strict=True):
        there = round_rows(weight, "int8")
        assert bool(((after == weight) | (after == there)).all())


def test_uniform_noise_is_at_most_half_the_distance_between_two_numbers():
    learner, _ = learner_of()
    core = learner.model.core
    for after, weight in zip(changed_by(Rounding(to="int4", form="uniform"), core), matrices_of(core), strict=True):
        steps = weight.abs().amax(-1, keepdim=True) / 7
        off = (after - weight) / steps
        assert float(off.abs().max()) <= 0.5001 and float(off.std()) == pytest.approx(12**-0.5, rel=0.1)


def test_a_step_learns_and_is_the_same_again():
    found = []
    for _ in range(2):
        learner, batch = learner_of("training.rounding={to: int4, share: 0.5}")
        for index in range(2):
            step(learner, batch, begin(learner, index, batch))
        found.append([weight.detach().clone() for weight in learner.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_what_would_change_nothing_or_cannot_be_done_is_refused():
    learner, _ = learner_of()
    learner.model.core.layers = nn.ModuleList()
    with pytest.raises(ValueError, match="the matrices of the core's layers, which have none"):
        check_rounding(Rounding(to="int8"), learner.model.core)
    with pytest.raises(RecipeError, match="form=uniform needs numbers that are evenly spaced"):
        load_recipe("fixed_depth", ["training.rounding={to: fp8, form: uniform}"])

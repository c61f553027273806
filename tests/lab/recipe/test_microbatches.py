"""A batch in parts takes the step of the whole: other numbers of scored tokens and of padding in each part."""

import pytest
import torch

from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.cost import cost
from mythos_lab.recipe.step import Learner, begin, differentiate, update
from mythos_lab.training.assembly import assemble

PADDED = [
    "task={kind: parity, max_length: 6, validation_size: 10}", "mask=full", "training.batch_size=8", "model.width=8",
    "model.core.depth=2", "model.core.halting=gate_cdf", "model.core.loops_per=sequence", "training.gradient_clip=0",
]  # fmt: skip


def gradients(overrides, num):
    recipe = load_recipe("gated_loop", [*PADDED, *overrides, f"training.num_microbatches={num}"])
    model, task = assemble(recipe)
    learner = Learner.of(recipe, model.double().train())
    batch = task.batch("train", range(8))
    assert len({int(row.sum()) for row in batch.real}) > 2
    numbers = differentiate(learner, batch, begin(learner, 0, batch), shows=True)
    return numbers, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}, learner


def test_numbers_and_gradients_of_a_step_are_those_of_the_whole():
    """Of every objective, penalty and halting: tests/lab/training/test_parts_of_a_batch.py."""
    terms = ["training.objective=expected", "training.penalties=[gate_improvement, weight_cosine]"]
    whole, wanted, _ = gradients(terms, 1)
    for num in (2, 8):
        shown, found, _ = gradients(terms, num)
        numbers = {name: float(value) for name, value in whole.items()}
        assert {name: float(value) for name, value in shown.items()} == pytest.approx(numbers, abs=1e-6)
        assert found.keys() == wanted.keys()
        for name, gradient in wanted.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-7)


def test_experts_learn_of_the_tokens_of_all_parts():
    moe = ["model.core.layer.feedforward={kind: moe, num_experts: 4, num_active: 1, expert_hidden: 8}"]
    loads = []
    for num in (1, 4):
        _, _, learner = gradients(moe, num)
        loads.append([m.load.clone() for m in learner.model.modules() if hasattr(m, "load")])
        update(learner)
    assert loads[0] and all(map(torch.equal, *loads))


def test_parts_take_less_memory_and_as_many_flops():
    whole, parts = (cost(load_recipe("gated_loop", [f"training.num_microbatches={num}"])) for num in (1, 4))
    assert parts.activation_bytes < 0.4 * whole.activation_bytes
    assert parts.training_flops == pytest.approx(whole.training_flops, rel=1e-3)


def test_parts_that_do_not_divide_a_batch_are_refused_in_one_line():
    with pytest.raises(RecipeError, match="num_microbatches=3 must divide the 4 sequences of a device"):
        load_recipe("gated_loop", ["training.batch_size=8", "training.num_devices=2", "training.num_microbatches=3"])

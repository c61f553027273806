"""A batch that grows: which samples each step reads, how many there are, what they cost."""

import pytest
import torch

from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.cost import Cost, cost
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.step import Learner, begin, step
from mythos_lab.training.assembly import assemble
from mythos_lab.training.data import TrainingBatches, training_batch

SMALL = [
    "model.width=16", "model.core.depth=1", "model.core.layer.attention.num_heads=2", "task.length=16",
    "training.batch_size=16", "model.core.loops={kind: uniform, low: 1, high: 3}", "training.max_steps=10",
    "model.core.loops_per=sequence",
]  # fmt: skip
GROWS = "training.batch_warmup={first: 4, steps: 0.5}"


@pytest.mark.parametrize("devices, sizes", [(1, [4, 6, 8, 11, 13, 16, 16]), (4, [4, 4, 8, 8, 12, 16, 16])])
def test_a_batch_grows_linearly_in_what_devices_can_share_and_reads_on(devices, sizes):
    training = load_recipe("fixed_depth", [*SMALL, GROWS, f"training.num_devices={devices}"]).training
    read = [training.samples(index) for index in range(10)]
    assert [len(samples) for samples in read][:7] == sizes
    assert read[0].start == 0 and all(a.stop == b.start for a, b in zip(read, read[1:], strict=False))
    assert training.num_samples == read[-1].stop == sum(map(len, read))


def test_without_it_all_steps_have_as_many():
    training = load_recipe("fixed_depth", SMALL).training
    assert [training.samples(index) for index in (0, 3)] == [range(16), range(48, 64)]
    assert training.num_samples == 160


def test_a_run_that_goes_on_reads_the_batches_that_would_have_come_next():
    recipe = load_recipe("fixed_depth", [*SMALL, GROWS])
    model, task = assemble(recipe)
    whole, rest = (list(TrainingBatches(task, recipe.training, first, Rank())) for first in (0, 3))
    assert [len(batch.tokens) for batch in whole][:4] == [4, 6, 8, 11]
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(whole[3:], rest, strict=True))
    learner = Learner.of(recipe, model.train())
    for index in (0, 3):
        batch = training_batch(task, recipe.training.samples(index), Rank())
        drawn = begin(learner, index, batch)
        assert len(drawn) == len(batch.tokens) and torch.equal(drawn, begin(learner, index, batch))
        step(learner, batch, drawn)


def test_costs_are_those_of_its_steps():
    grows = load_recipe("fixed_depth", [*SMALL, "model.core.loops_per=batch", GROWS])
    counted, steps = cost(grows), []
    for index in range(10):
        size = len(grows.training.samples(index))
        training = grows.training.model_copy(update={"batch_size": size, "batch_warmup": None, "max_steps": 1})
        steps.append(Cost(grows.model_copy(update={"training": training})).training_flops)
    assert counted.training_flops == pytest.approx(sum(steps), rel=1e-6)
    assert counted.training_tokens == grows.training.num_samples * 16


@pytest.mark.parametrize(
    "changes, said",
    [
        (["training.batch_warmup={first: 16}"], "batch_warmup.first=16 must be below batch_size=16"),
        (
            ["training.batch_warmup={first: 3}", "training.num_devices=2"],
            "num_devices=2 must divide batch_warmup.first=3",
        ),
        (["training.batch_warmup={first: 4, steps: 11}"], "batch_warmup.steps=11 must not exceed max_steps=10"),
    ],
)
def test_what_cannot_grow_is_refused(changes, said):
    with pytest.raises(RecipeError, match=said):
        load_recipe("fixed_depth", [*SMALL, *changes])

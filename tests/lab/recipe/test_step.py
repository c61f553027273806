"""Who does what of a training step."""

import torch

from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.step import Learner, begin, step
from mythos_lab.training.assembly import assemble


def learner():
    recipe = load_recipe("looped", ["training.batch_size=2", "model.width=16"])
    model, task = assemble(recipe)
    return Learner.of(recipe, model.train()), task.batch("train", range(2))


def test_who_wants_to_do_the_backward_pass_does_it():
    """Fabric scales and synchronises in its own."""
    one, batch = learner()
    losses = []

    def backward(loss):
        losses.append(loss)
        (2 * loss).backward()

    shown = step(one, batch, begin(one, 0, batch), shows=True, backward=backward)
    assert [float(loss.detach()) for loss in losses] == [float(shown["train/total_loss"])]
    other, _ = learner()
    plain = step(other, batch, begin(other, 0, batch), shows=True)
    assert torch.isclose(shown["train/gradient_norm"], 2 * plain["train/gradient_norm"])


def test_a_step_that_shows_nothing_is_the_same_step():
    one, other = learner()[0], learner()[0]
    batch = learner()[1]
    assert step(one, batch, begin(one, 0, batch)) == {}
    assert step(other, batch, begin(other, 0, batch), shows=True)
    for parameter, same in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(parameter, same)

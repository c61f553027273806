"""What the effect check sees of a training step: defects that are planted in it become findings."""

import pytest
import torch
from typer.testing import CliRunner

from mythos_lab.checks import step as checks
from mythos_lab.checks.check import CHECKS
from mythos_lab.cli import app
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe import step as steps
from mythos_lab.recipe.losses import Losses
from mythos_lab.tasks.compositional.reachability import Reachability
from mythos_lab.training.assembly import assemble, effects

SMALL = ["task.length=16", "task.validation_size=8", "training.batch_size=4"]


def codes(name="openmythos", *overrides):
    recipe = load_recipe(name, [*(SMALL if name == "openmythos" else []), *overrides])
    return {finding.code for finding in effects(recipe, *assemble(recipe))}


class Still(torch.optim.lr_scheduler.LambdaLR):
    """A schedule that is never stepped."""

    def step(self, epoch=None):
        if self._step_count == 0:
            super().step(epoch)


def never_scheduled(monkeypatch):
    monkeypatch.setattr(torch.optim.lr_scheduler, "LambdaLR", Still)


def never_clipped(monkeypatch):
    clip = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda parameters, most: clip(parameters, float("inf")))


def components_dropped(monkeypatch):
    total = Losses.__call__

    def without(self, model, out, *rest):
        out.auxiliary_loss = None
        return total(self, model, out, *rest)

    monkeypatch.setattr(Losses, "__call__", without)


def counts_of_seed_0(monkeypatch):
    keyed = steps.keyed_generator
    monkeypatch.setattr(steps, "keyed_generator", lambda seed, *key: keyed(0 if key[0] == "loops" else seed, *key))


def weights_of_seed_0(monkeypatch):
    from mythos_blocks import LoopedTransformer

    fill = LoopedTransformer.initialize
    monkeypatch.setattr(LoopedTransformer, "initialize", lambda self, seed: fill(self, 0))


DEFECTS = {
    "the schedule is never stepped": (never_scheduled, "schedule.length"),
    "the gradient is not clipped": (never_clipped, "gradient.clip"),
    "components' losses are dropped": (components_dropped, "loss.terms"),
    "loop counts are drawn with seed 0": (counts_of_seed_0, "seed.no_effect"),
    "weights are drawn with seed 0": (weights_of_seed_0, "seed.no_effect"),
}


CLIPPED = ["training.gradient_clip=0.01", "training.penalties=[z_loss]"]


def test_nothing_is_found_without_one():
    assert codes("openmythos", *CLIPPED) == set()


@pytest.mark.parametrize("plant, code", DEFECTS.values(), ids=DEFECTS)
def test_a_planted_defect_is_found(plant, code, monkeypatch):
    plant(monkeypatch)
    assert codes("openmythos", *CLIPPED) == {code}


def test_a_term_without_gradient_is_found(monkeypatch):
    from mythos_blocks.penalty.z_loss import ZLoss

    loss = ZLoss.loss
    monkeypatch.setattr(ZLoss, "loss", lambda self, *args: tuple(x.detach() for x in loss(self, *args)))
    assert codes("openmythos", "training.penalties=[z_loss]") == {"loss.terms"}


def test_validation_that_stands_in_training_is_found(monkeypatch):
    batch = Reachability.batch
    monkeypatch.setattr(Reachability, "batch", lambda self, split, indices: batch(self, "train", indices))
    assert codes("gated_loop", "task.ood_range=0", "task.seed=1234") == {"splits.shared"}


def test_mythos_check_ends_with_1_where_it_finds_something_that_is_not_waived():
    broken = ["check", "gated_loop", "model.core.depth_adapter={kind: depth_lora, std: 0.0}", "task.validation_size=64"]
    found = CliRunner().invoke(app, broken)
    assert found.exit_code == 1 and "error   gradient.missing" in found.output
    waived = CliRunner().invoke(app, [*broken, "waive=[gradient.missing]"])
    assert waived.exit_code == 0 and "waived  gradient.missing" in waived.output
    assert CliRunner().invoke(app, ["check", "gated_loop", "task.validation_size=64"]).exit_code == 0


def test_every_check_of_the_step_is_one_that_runs():
    assert {checks.schedule_is_held, checks.gradient_is_clipped, checks.terms_are_minimised} <= set(CHECKS)

"""The base of a model's width in a recipe: what follows from it, what it meets, and what is refused."""

import pytest
import torch

from mythos_blocks import component
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.checks import Assembly
from mythos_lab.checks.width import base_acts
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.compose import written
from mythos_lab.recipe.step import Learner, begin, optimizer_of, step
from mythos_lab.training.assembly import assemble
from mythos_lab.training.optimizers import Optimizer

BASE = "model.mup_base={width: 32}"
SMALL = [
    "model.width=64", "model.core.layer.feedforward.hidden='${3 * model.width}'", "model.core.injection=concat",
    "model.core.layer.branch_scale='${1 / model.core.loops.num_loops}'",
    "model.core.loops={kind: fixed, num_loops: 2}", "training.batch_size=4",
]  # fmt: skip


def rates(recipe):
    """Of each parameter: its learning rate and what a step decays, over those that the optimiser declares."""
    model, _ = assemble(recipe)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    declared = recipe.training.optimizer
    groups = optimizer_of(recipe, model)[0].param_groups
    return {
        names[id(p)]: (group["initial_lr"] / declared.lr, group["initial_lr"] * group["weight_decay"])
        for group in groups
        for p in group["params"]
    }


def test_sizes_that_follow_the_width_are_added_and_recorded(tmp_path):
    recipe = load_recipe("gated_loop", [*SMALL, BASE])
    assert recipe.model.mup_base == {"width": 32, "core.layer.feedforward.hidden": 96}
    (tmp_path / "recipe.yaml").write_text(written(recipe))
    assert load_recipe(str(tmp_path / "recipe.yaml")) == recipe
    told = load_recipe("gated_loop", [*SMALL, "model.mup_base={width: 32, core.layer.feedforward.hidden: 128}"])
    assert told.model.mup_base["core.layer.feedforward.hidden"] == 128


@pytest.mark.parametrize("optimizer, of_hidden", [("adamw", 1 / 2), ("muon", 2**-0.5)])
def test_rates_follow_the_width_and_meet_groups_and_what_a_step_decays_stays(optimizer, of_hidden):
    groups = ["training.groups=[{slot: injection, lr: 0.5}]", f"training.optimizer={optimizer}"]
    plain, mup = (rates(load_recipe("gated_loop", [*SMALL, *base, *groups])) for base in ([], [BASE]))
    assert plain.keys() == mup.keys()
    for name, (rate, decay) in mup.items():
        hidden = name.startswith("core.") and name.endswith("weight") and "norm" not in name
        assert rate == pytest.approx((of_hidden if hidden else 1) * plain[name][0]), name
        assert decay == pytest.approx(plain[name][1]), name
    assert {plain[name][0] for name in plain} == {1, 0.5}


def test_at_the_base_a_step_is_that_without_one():
    def after(*overrides):
        recipe = load_recipe("gated_loop", [*SMALL, "training.ema=0.9", *overrides])
        model, task = assemble(recipe)
        learner, batch = Learner.of(recipe, model.train()), task.batch("train", range(4))
        step(learner, batch, begin(learner, 0, batch))
        return [*learner.average.weights.values(), *model.parameters()]

    assert all(map(torch.equal, after(), after("model.mup_base={width: 64}")))
    assert not all(map(torch.equal, after(), after(BASE)))


def test_weights_of_another_width_are_refused(tmp_path):
    from mythos_blocks.checkpoints import save

    narrow, _ = assemble(load_recipe("gated_loop", [*SMALL, "model.width=32"]))
    save(narrow, tmp_path / "narrow.safetensors")
    with pytest.raises(RecipeError, match=r"training.start: .*shape"):
        assemble(load_recipe("gated_loop", [*SMALL, BASE, f"training.start={tmp_path / 'narrow.safetensors'}"]))


def test_an_optimiser_without_a_rule_is_refused():
    @component("optimizer", "sgd_of_this_test")
    class Sgd(Optimizer):
        """Plain steps.

        Args:
            parameters: What it trains.
            lr: Learning rate.
        """

        def __init__(self, parameters, *, lr: float = 0.1) -> None:
            self.torch = torch.optim.SGD(parameters, lr=lr)

    try:
        with pytest.raises(RecipeError, match="training.optimizer=sgd_of_this_test: no rule says how its rates follow"):
            load_recipe("gated_loop", [*SMALL, BASE, "training.optimizer=sgd_of_this_test"])
        load_recipe("gated_loop", [*SMALL, "training.optimizer=sgd_of_this_test"])
    finally:
        del slot_info("optimizer").kinds["sgd_of_this_test"]


def test_the_check_finds_a_base_without_effect():
    recipe = load_recipe("gated_loop", [*SMALL, BASE])
    model, task = assemble(recipe)
    batch = task.batch("train", range(4))
    assert base_acts(Assembly(recipe, model, task, batch)) == []
    plain, _ = assemble(load_recipe("gated_loop", SMALL))
    sides = model.growth.sides
    plain.growth = type(model.growth)({name: type(sides[name])() for name in sides})
    assert [found.code for found in base_acts(Assembly(recipe, plain, task, batch))] == ["mup.no_effect"]

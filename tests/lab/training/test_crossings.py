"""Fields that meet: none leaves another without effect unsaid, or makes something else of what is recorded."""

import random
import shutil
from pathlib import Path

import pytest
import torch

from mythos_blocks import load_plugins
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.checks import Assembly
from mythos_lab.checks.step import schedule_is_held
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.cost import cost
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.parameters import Parameters
from mythos_lab.recipe.schema import Training as Declared
from mythos_lab.recipe.step import begin, optimizer_of, step
from mythos_lab.training.assembly import assemble, effects
from mythos_lab.training.data import training_batch
from mythos_lab.training.fabric import fabric_of, learner_of
from mythos_lab.training.other_devices import _other_samples
from mythos_lab.training.run import Stopped
from mythos_lab.training.state import Training
from tests.lab.counting import bytes_of
from tests.lab.training.test_start import TINY, trained
from tests.lab.training.test_stop import after

load_plugins()

BOTH = ["model.prelude={depth: 1, layer: pre_norm}", "model.coda={depth: 1, layer: pre_norm}"]


@pytest.mark.parametrize("optimizer", sorted(slot_info("optimizer").kinds))
def test_rates_of_any_group_are_held_to_the_schedule_and_a_decay_that_changes_none_is_refused(optimizer):
    plain = load_recipe("gated_loop", [*TINY, *BOTH, f"training.optimizer={optimizer}"])
    model, task = assemble(plain)
    batch = task.batch("train", range(2))
    refused = []
    for slot in sorted(Parameters(model).slots()):
        groups = [{"slot": slot, "lr": 2.0}]
        assert schedule_is_held(Assembly(_with(plain, groups), model, task, batch)) == [], slot
        try:
            optimizer_of(_with(plain, [{"slot": slot, "weight_decay": 0.0}]), model)
        except ValueError as error:
            assert "decays no parameter" in str(error)
            refused.append(slot)
            continue
        usual, other = (
            _decays(optimizer_of(each, model)[0])
            for each in (plain, _with(plain, [{"slot": slot, "weight_decay": 0.0}]))
        )
        assert usual != other, slot
    assert "norm" in refused and "core" not in refused


def _with(recipe, groups):
    training = Declared.model_validate({**recipe.training.model_dump(), "groups": groups})
    return recipe.model_copy(update={"training": training})


def _decays(optimizer):
    return {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}


@pytest.mark.parametrize(
    "overrides, said",
    [
        (["training.groups=[{slot: norm}]"], "needs lr or weight_decay"),
        (["training.solved_at=0.5", "training.validate_every=8"], "solved_at=0.5 ends training after a validation"),
        (["training.schedule={kind: wsd, decay_steps: 0, final: 0.1}"], "final is of the decay, and decay_steps=0"),
        (["training.schedule={kind: wsd, decay_steps: 0, shape: linear}"], "shape is of the decay, and decay_steps=0"),
        (["monitor.every=3"], "every says how measures are taken"),
        (["monitor.num_samples=5"], "num_samples says how measures are taken"),
        (
            ["training.penalties=[z_loss, {kind: z_loss, weight: 1.0}]"],
            "training.penalties.1: z_loss stands there twice",
        ),
        (["measures=[two_scale, lyapunov, two_scale]"], "measures.2: two_scale stands there twice"),
        (["monitor.measures=[two_scale, two_scale]"], "monitor.measures.1: two_scale stands there twice"),
    ],
)
def test_a_field_that_another_leaves_without_effect_is_refused(overrides, said):
    with pytest.raises(RecipeError, match=said) as error:
        recipe = load_recipe("gated_loop", [*TINY, *overrides])
        effects(recipe, *assemble(recipe))
    assert len(error.value.lines) == 1


def test_an_optimiser_does_not_go_on_with_what_it_kept_for_other_parameters():
    """Prelude and coda are alike, so that their groups are as long, and torch tells parameters by their place."""
    trained("first", *BOTH, "training.groups=[{slot: prelude, lr: 2}]")
    more = [*BOTH, "training.start=first", "training.start_with=everything", "training.max_steps=9"]
    for other, said in (("training.groups=[{slot: coda, lr: 2}]", "training.groups: divide the parameters otherwise"),
                        ("training.ema=0.5", "training.ema: first has no average")):  # fmt: skip
        with pytest.raises(RecipeError, match=said):
            trained("other", *more, "training.groups=[{slot: prelude, lr: 2}]", other)
    assert not Path("other").exists()
    trained("second", *more, "training.groups=[{slot: prelude, lr: 3}]")


@pytest.mark.parametrize("batches", [["training.batch_size=8"], ["training.batch_warmup={first: 2, steps: 3}"]])
def test_a_training_does_not_go_on_elsewhere_in_the_data(batches):
    trained("first", "training.max_steps=2")
    with pytest.raises(RecipeError, match="first has read 8 samples in its 2 steps, and this recipe reads (16|4) "):
        trained("second", "training.start=first", "training.start_with=everything", *batches)


def test_a_run_does_not_begin_again_with_weights_that_have_changed():
    for name, seed in (("first", 0), ("other", 1)):
        trained(name, f"seed={seed}", "training.max_steps=1")
    with pytest.raises(Stopped):
        trained("second", "training.start=first", should_stop=after(1))
    Path("second/last.ckpt").unlink()  # as where it was killed before the first one
    shutil.rmtree("first")
    Path("other").rename("first")
    with pytest.raises(Misplaced, match="training.start=first holds has changed since the run was begun"):
        trained("second", "training.start=first")


def test_a_run_goes_on_with_other_devices_only_where_its_steps_read_the_same_samples():
    plain, draw, outcomes = load_recipe("gated_loop", TINY), random.Random(0), set()
    for _ in range(60):
        first = 4 * draw.randint(1, 3)
        said = {"max_steps": 9, "batch_size": first + 4 * draw.randint(1, 3)}
        if draw.random() < 0.8:
            said["batch_warmup"] = {"first": first, "steps": draw.choice([1, 2, 3, 0.5, 9])}
        one, other = (
            plain.model_copy(update={"training": Declared.model_validate({**said, "num_devices": num})})
            for num in draw.sample([1, 2, 4], 2)
        )
        steps = [[each.training.samples(index) for index in range(9)] for each in (one, other)]
        assert (_other_samples(one, other) is None) == (steps[0] == steps[1])
        outcomes.add(steps[0] == steps[1])
    assert outcomes == {True, False}


@pytest.mark.parametrize("overrides", [[], ["training.ema=0.5"], ["training.ema=0.5", "training.optimizer=muon"]])
def test_the_cost_knows_all_that_a_training_keeps_between_steps(overrides):
    recipe = load_recipe("gated_loop", [*TINY, *overrides])
    model, task = assemble(recipe)
    training = Training(recipe, model, task)
    learner = learner_of(fabric_of(recipe, training.rank), training)
    batch = training_batch(task, recipe.training.samples(0), training.rank)
    step(learner, batch, begin(learner, 0, batch))
    models = {id(each): each for each in (training.whole, training.model)}.values()
    kept = [tensor for each in models for tensor in (*each.parameters(), *each.buffers())]
    kept += [p.grad for p in training.model.parameters() if p.grad is not None]
    kept += [x for state in learner.optimizer.state.values() for x in state.values() if isinstance(x, torch.Tensor)]
    kept += [] if learner.average is None else learner.average.weights.values()
    batch.map(lambda tensor: kept.append(tensor) or tensor)
    counted = cost(recipe)
    assert counted.peak_memory_bytes - counted.activation_bytes == pytest.approx(bytes_of(kept), rel=0.01)

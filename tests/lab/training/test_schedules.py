"""Warm-ups in steps and in shares."""

import pytest

from mythos_blocks import Slot, build, load_plugins
from mythos_blocks.declaring.registry import slots
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.files import config_groups, data_dir, names

load_plugins()
KINDS = [kind for kind, cls in slots()["schedule"].kinds.items() if "warmup_steps" in cls.Spec.model_fields]


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_of_the_steps_is_so_many_steps(kind):
    def rates(warmup, max_steps):
        schedule = build(Slot("schedule").resolve({"kind": kind, "warmup_steps": warmup}), max_steps)
        return [schedule.share(step) for step in range(max_steps)]

    assert rates(0.05, 1000) == rates(50, 1000) and rates(0.0, 100) == rates(0, 100)
    assert rates(0.99, 2) == rates(1, 2) and rates(0.5, 1) == rates(0, 1)


@pytest.mark.parametrize("group", config_groups(data_dir("recipes"))["training"])
def test_every_config_group_trains_for_as_few_steps_as_one(group):
    for num in (1, 2, 7):
        assert load_recipe("gated_loop", [f"training={group}", f"training.max_steps={num}"]).training.max_steps == num


@pytest.mark.parametrize("name", names("recipes"))
def test_every_recipe_trains_for_as_few_steps_as_one(name):
    assert load_recipe(name, ["training.max_steps=1"]).training.max_steps == 1

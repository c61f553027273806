"""Learning rates at every step, and warm-ups in steps and in shares."""

import math

import pytest

from mythos_blocks import Slot, build, load_plugins
from mythos_blocks.declaring.registry import slots
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.files import config_groups, data_dir
from tests.lab.recipes import DISTINCT

load_plugins()
KINDS = [kind for kind, cls in slots()["schedule"].kinds.items() if "warmup_steps" in cls.Spec.model_fields]


NUM_STEPS = 10


def share_of(kind, step, warmup, final):
    """The share of the peak, as the schedules' descriptions have it, written out."""
    if step < warmup:
        return (step + 1) / warmup
    if kind == "constant":
        return 1.0
    if kind == "wsd":  # by the root, in a fifth of the steps, which is the default, or in the last one
        first = 8 if warmup < 9 else 9
        return final + (1 - final) * (1 - math.sqrt(min(1.0, max(0, step - first) / (NUM_STEPS - first))))
    turned = math.pi * min(1.0, (step - warmup) / (NUM_STEPS - warmup))
    return final + (1 - final) * (1 + math.cos(turned)) / 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("warmup", [0, 1, 4, 9])
@pytest.mark.parametrize("final", [0.0, 0.1, 0.4])
def test_every_step_has_the_rate_of_the_equation(kind, warmup, final):
    fields = {"kind": kind, "warmup_steps": warmup} | ({"final": final} if kind != "constant" else {})
    if kind == "wsd" and warmup == 9:
        fields["decay_steps"] = 1
    schedule = build(Slot("schedule").resolve(fields), NUM_STEPS)
    for step in range(NUM_STEPS + 4):
        assert schedule.share(step) == pytest.approx(share_of(kind, step, warmup, final), abs=1e-12), step


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_up_ends_before_the_run(kind):
    for warmup in (NUM_STEPS, NUM_STEPS + 1):
        with pytest.raises(ValueError, match=f"warmup_steps={warmup} must be below max_steps={NUM_STEPS}"):
            build(Slot("schedule").resolve({"kind": kind, "warmup_steps": warmup}), NUM_STEPS)


def test_every_kind_is_written_out_here():
    assert set(KINDS) == set(slots()["schedule"].kinds) == {"constant", "cosine", "wsd"}


@pytest.mark.parametrize("shape, halfway", [("linear", 0.5), ("root", 1 - math.sqrt(0.5))])
def test_a_decay_has_its_shape_and_ends_one_step_after_the_last(shape, halfway):
    fields = {"kind": "wsd", "warmup_steps": 2, "decay_steps": 4, "shape": shape}
    schedule = build(Slot("schedule").resolve(fields), NUM_STEPS)
    assert [schedule.share(step) for step in (1, 2, 6, 8, 10)] == pytest.approx([1, 1, 1, halfway, 0])


def test_a_decay_and_a_warm_up_fit_into_the_run():
    with pytest.raises(ValueError, match="decay_steps=8 and warmup_steps=3 must not exceed max_steps=10"):
        build(Slot("schedule").resolve({"kind": "wsd", "warmup_steps": 3, "decay_steps": 8}), NUM_STEPS)
    short = build(Slot("schedule").resolve({"kind": "wsd", "warmup_steps": 0.9, "decay_steps": 0.9}), NUM_STEPS)
    assert [short.share(step) for step in (0, 8, 9)] == pytest.approx([1 / 9, 1, 1])


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


@pytest.mark.parametrize("name", DISTINCT)
def test_every_recipe_trains_for_as_few_steps_as_one(name):
    assert load_recipe(name, ["training.max_steps=1"]).training.max_steps == 1

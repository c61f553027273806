"""The study of necessary depth: its arms, what it holds, and what it refuses."""

import pytest

from mythos_lab.comparison.necessary import necessary
from mythos_lab.comparison.study_file import write
from mythos_lab.recipe import RecipeError, load_recipe

LORA = "model.core.depth_adapter={kind: loop_lora, rank: 2}"


def planned(recipe="gated_loop", overrides=(), **options):
    options = {"hold": (), **options}
    return necessary("a", recipe, list(overrides), load_recipe(recipe, overrides), **options)


def depths(file):
    return [changes["model.core.loops"].get("num_loops") for changes in file["arms"].values()]


def test_arms_train_at_powers_of_two_up_to_the_recipes_own_depth():
    assert depths(planned(overrides=["model.core.loops={kind: fixed, num_loops: 6}"])) == [6, 4, 2, 1]
    assert depths(planned(depths=[3, 1, 2, 3])) == [3, 2, 1], "the deepest first, against which the others are held"


def test_a_sampler_with_a_mean_goes_on_sampling():
    loops = [changes["model.core.loops"] for changes in planned("parcae", depths=[1, 2, 4])["arms"].values()]
    assert [each["kind"] for each in loops] == ["poisson", "poisson", "fixed"]
    assert [each.get("mean") for each in loops[:2]] == [4, 2]


def test_every_depth_curve_reaches_the_deepest_arm():
    for arm in planned(depths=[2, 3, 8])["arms"].values():
        assert arm["model.core.loops"]["num_loops"] * arm["evaluation.depth_factor"] >= 8


def test_the_delta_stands_in_the_file_before_anything_trains():
    file = planned(depths=[1, 2])
    assert file["matters"] == 0.01 and file["objectives"] == {"val/accuracy": "maximize"} and file["seeds"] == 5
    text = planned("parcae", depths=[1, 2])
    assert text["matters"] == 0.02 and text["objectives"] == {"val/loss": "minimize"}
    assert planned(depths=[1, 2], metric="val/loss", delta=0.1)["matters"] == 0.1


def test_parameters_may_differ_where_a_depth_brings_some():
    assert "parameters" not in planned(depths=[1, 2])["declared"]
    assert "parameters" in planned(overrides=[LORA], depths=[1, 2])["declared"]


def test_the_file_is_a_study_and_all_arms_get_the_recipes_flops(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = planned(overrides=["training.batch_size=4"], depths=[1, 2], hold=("training_flops",))
    assert file["hold"] == {"budgets": {"cost/training_flops": "recipe"}, "by": ["training.max_steps"]}
    assert write(file).num_trials() == 2


@pytest.mark.parametrize(
    "options, said",
    [
        ({"recipe": "fixed_depth"}, "trains at 1 loop, and a depth is necessary beside others"),
        ({"depths": [4]}, "expected at least two, such as --depths 1,2,4"),
        ({"depths": [0, 2]}, "--depths 0: expected a whole number of at least 1"),
        ({"depths": [1, 2], "metric": "val/acuracy"}, "did you mean 'val/accuracy'"),
        ({"depths": [1, 2], "hold": ("flops",)}, "--hold flops: cannot be held"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_one_line(options, said):
    with pytest.raises(RecipeError, match=said):
        planned(**options)

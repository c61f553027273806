"""Arms on several tasks: each arm on each, held against the first on the same, with a budget of each task's own."""

import pytest

from mythos_lab.comparison.arms import by_task, declared
from mythos_lab.recipe import RecipeError
from mythos_lab.search.spaces.file_schema import study_schema
from tests.lab.search.tiny import write

ARMS = {"full": {}, "deep": {"model.core.depth": 2}}
TASKS = {"near": {"task.length": 6}, "far": {"task.length": 12}}
HOLD = {"budgets": {"cost/training_flops": "recipe"}, "by": "model.core.layer.feedforward.hidden", "tolerance": 0.9}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_arm_is_trained_on_every_task_and_held_against_the_first_on_the_same(here):
    space = write(here, arms=ARMS, tasks=TASKS, seeds=2)
    variants = space.file.variants
    assert list(variants) == ["full@near", "deep@near", "full@far", "deep@far"] and space.num_trials() == 4
    assert variants["deep@far"] == {**TASKS["far"], **ARMS["deep"]}
    assert [space.file.reference(name) for name in variants] == ["full@near"] * 2 + ["full@far"] * 2
    assert space.file.num_verdicts == 2 and {"model.core.depth", "task.length"} <= set(declared(space, "deep@near"))
    assert by_task(space, {"deep@near": 1, "deep@far": 2}) == {"near": {"deep": 1}, "far": {"deep": 2}}


def test_without_tasks_an_arm_goes_by_its_own_name(here):
    space = write(here, arms=ARMS)
    assert space.file.variants == ARMS and space.file.reference("deep") == "full"
    assert by_task(space, {"deep": 1}) == {"": {"deep": 1}}


def test_a_budget_of_the_recipe_is_that_of_the_recipe_on_the_task(here):
    space = write(here, arms=ARMS, tasks=TASKS, hold=HOLD)
    near, far = (space.hold_of(f"deep@{task}").budgets["cost/training_flops"] for task in TASKS)
    assert far > 1.2 * near and space.hold_of("full@near").budgets["cost/training_flops"] == near


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"arms": {"a": {"task.length": 3}}, "tasks": TASKS}, "tasks: near: task.length: arms: a changes it too"),
        ({"arms": {"a": {"task": "parity"}}, "tasks": TASKS}, "tasks: near: task.length: arms: a changes it too"),
        ({"space": {"model.width": {"int": [8, 16]}}, "tasks": TASKS}, "tasks: are what declared arms are trained on"),
        ({"arms": ARMS, "tasks": {"near": {"task.lenght": 2}}}, "did you mean 'length'"),
        ({"arms": ARMS, "tasks": {"near": {"name": "x"}}}, "tasks: near: name: says nothing of what is trained"),
        ({"arms": ARMS, "tasks": {"a/b": {}}}, "a/b"),
    ],
)
def test_what_cannot_be_compared_is_one_line(here, fields, said):
    with pytest.raises(RecipeError, match=said) as error:
        write(here, **fields)
    assert len(error.value.lines) == 1


def test_editors_know_the_field():
    assert study_schema()["properties"]["tasks"]["additionalProperties"] is False

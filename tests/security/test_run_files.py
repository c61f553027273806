"""A run's folder may be a stranger's, seals and all: a value of another type is one line, and never a traceback."""

import json
import shutil

import pytest
import torch

from mythos_lab.comparison.inputs import read_arm
from mythos_lab.comparison.reporting.recorded import read_run
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.training.checkpoint import num_steps_of
from mythos_lab.training.forms import FORMS
from mythos_lab.training.result import check_resumable, load_run, read_result, read_state
from mythos_lab.training.run import run
from mythos_lab.training.sealed import read_json, write_json
from tests.lab.search.tiny import OVERRIDES

OTHERS = ([], {"a": []}, "x", 10**400, None, True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        run(load_recipe("gated_loop", OVERRIDES), folder=folder / "run")
    return folder / "run"


def fields(values, path=()):
    """Every place in a JSON object, the first three levels of it."""
    for name, value in values.items():
        yield (*path, name)
        if isinstance(value, dict) and len(path) < 2:
            yield from fields(value, (*path, name))


def put(values, path, value):
    changed = json.loads(json.dumps(values))
    at = changed
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return changed


READERS = (read_result, read_state, check_resumable, read_run, lambda folder: read_arm([folder]))


def test_a_value_of_another_type_in_a_file_of_a_run_is_one_line_to_every_reader(made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "run")
    key, said = read_state(folder)["key"], 0
    for name in FORMS:
        values = read_json(folder / name)
        places = [place for place in fields(values) if not (name == "result.json" and len(place) > 2)]
        for place in places[:: 1 + len(places) // 12]:
            for value in OTHERS:
                write_json(folder / name, put(values, place, value), key)
                for read in READERS:
                    try:
                        read(folder)
                    except RecipeError as error:
                        assert len(error.lines) == 1 and str(error).isprintable(), (name, place, value)
                        said += 1
        write_json(folder / name, values, key)
    assert said > 100
    load_run(folder)


@pytest.mark.parametrize("name", FORMS)
def test_a_value_of_another_type_for_a_field_is_refused_and_named(name, made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "run")
    values, key = read_json(folder / name), read_state(folder)["key"]
    for field in values:
        wrong = "x" if isinstance(values[field], int | float) else 1
        write_json(folder / name, {**values, field: wrong}, key)
        if field in ("python", "platform", "precision"):  # which nothing reads
            continue
        with pytest.raises(RecipeError, match=f"{name}: {field}: "):
            read_json(folder / name)


CHECKPOINTS = {
    "a list": lambda state: [state],
    "no steps": lambda state: {k: v for k, v in state.items() if k != "num_steps"},
    "a word for steps": lambda state: {**state, "num_steps": "x"},
    "fewer than none": lambda state: {**state, "num_steps": -1},
    "a list of metrics": lambda state: {**state, "metrics": [1.0]},
    "metrics of words": lambda state: {**state, "metrics": {"train/loss": "x"}},
    "unsent words": lambda state: {**state, "unsent": ["x"]},
    "a word for the format": lambda state: {**state, "format": "x"},
}


@pytest.mark.parametrize("change", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_a_checkpoint_that_holds_something_else_is_one_line(change, tmp_path):
    state = {"format": 2, "metrics": {"train/loss": 0.5}, "unsent": [(1, 0.5, {"a": 1.0})], "num_steps": 2, "loss": {}}
    torch.save(state, tmp_path / "last.ckpt")
    assert num_steps_of(tmp_path / "last.ckpt") == 2
    torch.save(change(state), tmp_path / "last.ckpt")
    with pytest.raises(RecipeError) as caught:
        num_steps_of(tmp_path / "last.ckpt")
    assert len(caught.value.lines) == 1


def test_a_checkpoint_that_names_a_program_is_one_line(tmp_path):
    torch.save({"format": 2, "loss": pytest.approx}, tmp_path / "last.ckpt")
    with pytest.raises(RecipeError, match="is no checkpoint"):
        num_steps_of(tmp_path / "last.ckpt")

"""The schemas that editors read call no valid file wrong, and no file right that the loader refuses by its form."""

import json
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml

from mythos_blocks import load_plugins
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.files import data_dir, names
from mythos_lab.recipe.schema import recipe_schema
from mythos_lab.search.spaces.file_schema import study_schema
from mythos_lab.search.spaces.space import load_space

SCHEMAS = {"recipe": recipe_schema, "space": study_schema}
RECIPE = {"name": "x", "model": {"width": 32}}
SPACE = {"name": "x", "recipe": "gated_loop", "objectives": {"val/accuracy": "maximize"}}
LR, LOOPS = "training.optimizer.lr", "model.core.loops"


@cache
def validator(which):
    load_plugins()
    return jsonschema.Draft202012Validator(SCHEMAS[which]())


def is_right(which, folder, content):
    """Whether the loader takes a file."""
    (folder / "file.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    try:
        (load_recipe if which == "recipe" else load_space)(str(folder / "file.yaml"))
    except RecipeError:
        return False
    return True


@pytest.mark.parametrize("which", SCHEMAS)
def test_a_schema_is_one_and_the_docs_have_it(which):
    load_plugins()
    schema = SCHEMAS[which]()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(Path(f"docs/{which}.schema.json").read_text()) == schema, "make docs"


@pytest.mark.parametrize("which", SCHEMAS)
def test_every_shipped_file_satisfies_its_schema(which):
    folder = data_dir({"recipe": "recipes", "space": "search_spaces"}[which])
    for name in names(folder.name):
        validator(which).validate(yaml.safe_load((folder / f"{name}.yaml").read_text()))


RIGHT = [
    ("recipe", {**RECIPE, "defaults": [{"/task": "parity"}], "task": {"validation_size": 32}}),
    ("recipe", {**RECIPE, "defaults": [{"/task": "parity"}, {"/training": "quick"}], "training": {"optimizer": {"lr": 0.1}}}),
    ("recipe", {"name": "x", "defaults": ["looped", "_self_"], "training": {"max_steps": 3}}),
    ("recipe", {**RECIPE, "task": "parity"}),
    ("recipe", {**RECIPE, "task": {"kind": "parity"}, "seed": "${training.batch_size}"}),
    ("recipe", {"name": "x", "model": {"width": 32, "core": {"layer": {"feedforward": {"kind": "swiglu", "hidden": "${model.width}"}}}}, "task": "parity"}),
    ("space", {**SPACE, "space": {LR: {"float": [1e-3, 1e-2], "log": True, "prior": 2e-3, "confidence": "low"}}}),
    ("space", {**SPACE, "space": {"model.core.depth": {"int": [None, 4]}, "seed": {"int": [0, 4], "step": 2}}}),
    ("space", {**SPACE, "space": {LOOPS: {"fixed": None, "uniform": {"high": {"int": [2, 8]}}}}}),
    ("space", {**SPACE, "space": {LOOPS: {"kinds": {"fixed": {}}, "prior": "fixed"}}}),
    ("space", {**SPACE, "space": {"model.core.injection": "any"}}),
    ("space", {**SPACE, "space": {"model.core.depth": {"int": [1, 2], "label": "d"}, "seed": {"label": "d"}}}),
    ("space", {**SPACE, "arms": {"full": {}, "deep": {"model.core.depth": 2}}}),
    ("space", {**SPACE, "space": {LR: {"choice": [0.1, 0.2]}}, "sampler": {"kind": "tpe", "n_startup_trials": 3}}),
    ("space", {**SPACE, "space": {LR: {"choice": [0.1]}}, "pruner": {"kind": "patient", "wrapped_pruner": "median", "patience": 2}}),
    ("space", {**SPACE, "space": {LR: {"choice": [0.1]}}, "sampler": {"kind": "import", "path": "optuna.samplers.TPESampler", "multivariate": True}}),
]  # fmt: skip

WRONG = [
    ("recipe", {**RECIPE, "task": {"validation_size": 32}}),
    ("recipe", {**RECIPE, "defaults": ["_self_"], "task": {"validation_size": 32}}),
    ("recipe", {**RECIPE, "defaults": [{"/task": "parity"}], "task": {"validation_siz": 32}}),
    ("recipe", {**RECIPE, "defaults": [{"/task": "parity"}], "training": {"optimizer": {"lrr": 0.1}}}),
    ("recipe", {**RECIPE, "defaults": [{"/task": "parity"}], "training": {"max_steps": "many"}}),
    ("recipe", {**RECIPE, "defaults": [{"/task": "parity"}], "modle": {}}),
    ("recipe", {**RECIPE, "task": "parityy"}),
    ("recipe", {**RECIPE}),
    ("recipe", {"name": "x", "model": {"width": 0}, "task": "parity"}),
    ("recipe", {"name": "x", "model": {"width": 32, "core": {"loops": {"num_loops": 3}}}, "task": "parity"}),
    ("space", SPACE),
    ("space", {**SPACE, "space": {}}),
    ("space", {**SPACE, "spaces": {LR: {"choice": [0.1]}}}),
    ("space", {**SPACE, "space": {"modle.width": {"choice": [1]}}}),
    ("space", {**SPACE, "space": {LR: {"float": [0.1]}}}),
    ("space", {**SPACE, "space": {LR: {"float": ["a", 1]}}}),
    ("space", {**SPACE, "space": {LR: {"floats": [0.1, 1]}}}),
    ("space", {**SPACE, "space": {LR: {"float": [0.1, 1], "logs": True}}}),
    ("space", {**SPACE, "space": {LR: 0.1}}),
    ("space", {**SPACE, "space": {LR: {"choice": []}}}),
    ("space", {**SPACE, "space": {LOOPS: {"fixd": {}}}}),
    ("space", {**SPACE, "space": {LOOPS: {"fixed": {"num_loop": 3}}}}),
    ("space", {**SPACE, "space": {LOOPS: {"fixed": {}, "lti": {}}}}),
    ("space", {**SPACE, "space": {LR: {"choice": [0.1]}}, "objectives": {"val/acc": "maximize"}}),
    ("space", {**SPACE, "space": {LR: {"choice": [0.1]}}, "objectives": {"val/accuracy": "max"}}),
    ("space", {**SPACE, "space": {LR: {"choice": [0.1]}}, "sampler": "tpee"}),
    ("space", {**SPACE, "space": {LR: {"choice": [0.1]}}, "sampler": {"kind": "tpe", "n_startup": 3}}),
    ("space", {**SPACE, "space": {LR: {"choice": [0.1]}}, "sampler": {"kind": "import"}}),
    ("space", {**SPACE, "space": {LR: {"choice": [0.1]}}, "pruner": "patient"}),
    ("space", {**SPACE, "space": {LR: {"choice": [0.1]}}, "trials": 0}),
    ("space", {**SPACE, "space": {LR: {"choice": [0.1]}}, "hold": {"budgets": {"val/loss": 1}, "by": "model.width"}}),
    ("space", {**SPACE, "arms": {"a b": {}}}),
]  # fmt: skip


@pytest.mark.parametrize("which, content", RIGHT)
def test_what_the_loader_takes_the_schema_takes(tmp_path, which, content):
    assert is_right(which, tmp_path, content)
    validator(which).validate(content)


@pytest.mark.parametrize("which, content", WRONG)
def test_what_the_loader_refuses_by_its_form_the_schema_refuses(tmp_path, which, content):
    assert not is_right(which, tmp_path, content)
    assert not validator(which).is_valid(content)

"""A recipe's precision is that of everything that runs its model."""

import json

import pytest
import torch

from mythos_blocks import LoopedTransformer
from mythos_lab.measures import evaluate as evaluation
from mythos_lab.measures.depth_curve import depth_curve
from mythos_lab.measures.evaluate import evaluate
from mythos_lab.measures.knockout import knockouts
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.cost import cost
from mythos_lab.recipe.step import Learner, step
from mythos_lab.training.assembly import assemble, effects
from mythos_lab.training.result import load_run
from mythos_lab.training.run import run
from tests.lab.training.runs import SMALL

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
by_precision = pytest.mark.parametrize("precision", DTYPES)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def passes(monkeypatch):
    """Dtypes of the logits and of the state of every pass through a model, several loop counts in one included."""
    seen = []
    forward, at_counts = LoopedTransformer.forward, evaluation.passes

    def observed(self, *args, **kwargs):
        out = forward(self, *args, **kwargs)
        seen.append((out.logits.dtype, out.state.h.dtype))
        return out

    def observed_at_counts(*args):
        for logits, state in at_counts(*args):
            seen.append((logits.dtype, state.h.dtype))
            yield logits, state

    monkeypatch.setattr(LoopedTransformer, "forward", observed)
    monkeypatch.setattr(evaluation, "passes", observed_at_counts)
    return seen


def recipe_in(precision, *overrides):
    return load_recipe(
        "gated_loop", [*SMALL, "model.core.injection=add", f"training.precision={precision}", *overrides]
    )


RUNNING = {
    "training": lambda recipe, model, task: step(
        Learner.of(recipe, model.train()), task.batch("train", range(recipe.training.batch_size)), 2
    ),
    "the effect check": effects,
    "evaluation": lambda recipe, model, task: evaluate(model, task, recipe),
    "the depth curve": lambda recipe, model, task: depth_curve(model, task, recipe),
    "knock-outs": lambda recipe, model, task: knockouts(model, task, recipe),
    "cost": lambda recipe, model, task: cost(recipe).metrics(),
}


@by_precision
@pytest.mark.parametrize("where", RUNNING)
def test_products_run_in_it_and_the_state_in_float32(where, precision, passes):
    recipe = recipe_in(precision)
    RUNNING[where](recipe, *assemble(recipe))
    assert set(passes) == {(DTYPES[precision], torch.float32)}


def test_a_float32_recipe_runs_in_float32_within_autocast_too(passes):
    recipe = recipe_in("float32")
    model, task = assemble(recipe)
    with torch.autocast("cpu", torch.bfloat16):
        evaluate(model, task, recipe)
    assert set(passes) == {(torch.float32, torch.float32)}


def test_a_run_in_bfloat16_says_so_and_is_evaluated_as_it_was_trained(passes):
    result = run(recipe_in("bfloat16"))
    assert set(passes) == {(torch.bfloat16, torch.float32)}
    assert json.loads((result.folder / "result.json").read_text())["precision"] == "bfloat16"
    recipe, model, task = load_run(result.folder)
    assert evaluate(model, task, recipe).loss == result.metrics["val/loss"]
    as_float32 = recipe.model_copy(update={"training": recipe.training.model_copy(update={"precision": "float32"})})
    assert evaluate(model, task, as_float32).loss != result.metrics["val/loss"]


def test_a_cache_in_bfloat16_takes_half_the_bytes_and_the_state_as_many():
    full, half = (cost(load_recipe("mqar", [f"training.precision={precision}"])) for precision in DTYPES)
    assert half.cache_bytes * 2 == full.cache_bytes
    assert half.state_bytes == full.state_bytes


def test_rho_is_that_of_the_float32_state():
    """A = .9999 rounds to 1 in bfloat16, which the state is not in."""
    overrides = ["model.core.injection={kind: lti, margin: 1e-4}"]
    recipe = recipe_in("bfloat16", *overrides)
    assert "stability.rho" not in [finding.code for finding in effects(recipe, *assemble(recipe))]


def test_a_loop_that_settles_has_an_effect_in_bfloat16_too():
    """Its last iterations change the state by less than bfloat16 logits show."""
    recipe = load_recipe("parcae", ["training.precision=bfloat16", "task.length=16"])
    assert effects(recipe, *assemble(recipe)) == []

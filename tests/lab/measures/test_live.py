"""Measures in training: what they read, that training does not notice, and that a broken run reads the same."""

import math

import pytest
import torch

from mythos_blocks import load_plugins
from mythos_lab.measures.live import Live
from mythos_lab.measures.monitor import distance_to_one
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.training.assembly import admitted, assemble
from mythos_lab.training.lead import Lead
from mythos_lab.training.loop import fit
from mythos_lab.training.result import write_state
from mythos_lab.training.state import Training
from mythos_lab.training.stop_reasons import Stopped
from tests.lab.training.runs import SMALL

load_plugins()
FEW = [*SMALL, "training.max_steps=6", "training.validate_every=3", "monitor.every=2"]
STABILITY = {
    "live/loop_jacobian/sigma_max_loop_4", "live/loop_jacobian/rho_loop_4", "live/stability/sigma_max_J",
    "live/stability/lyapunov", "live/stability/settles", "live/stability/orbits", "live/stability/drifts",
}  # fmt: skip
CASES = {
    "float32": ("gated_loop", []),
    "bfloat16": ("gated_loop", ["training.precision=bfloat16"]),
    "a start and counts that are drawn": (
        "gated_loop",
        ["model.core.initial_state=truncated_normal", "model.core.loops_per=token"],
    ),
    "halting, experts": ("openmythos", ["task.length=32", "model.core.layer.feedforward=moe"]),
    "padding": ("gated_loop", ["task={kind: parity, max_length: 6, validation_size: 10, test_size: 10}", "mask=full"]),
}


class Kept:
    """A tracker that keeps what it is sent."""

    def __init__(self):
        self.sent = {}

    def metrics(self, values, step, at=None):
        for name, value in values.items():
            assert (name, step) not in self.sent or self.sent[name, step] == value
            self.sent[name, step] = value

    def flush(self):
        pass

    def live(self):
        return {key: value for key, value in self.sent.items() if key[0].startswith("live/")}


def recipe_of(name, *overrides):
    few = FEW if not any("task=" in o for o in overrides) else [o for o in FEW if not o.startswith("task.")]
    return load_recipe(name, [*few, *overrides])


def trained(recipe, folder, *, resumed=False, stops=lambda: False, tracker=None):
    """What a training sends, and its weights."""
    folder.mkdir(exist_ok=True)
    write_state(folder, {"key": "of this test"})
    training, tracker = Training(recipe, *assemble(recipe)), tracker or Kept()
    try:
        fit(training, folder / "last.ckpt", resumed=resumed, lead=Lead(tracker, should_stop=stops))
    except Stopped:
        pass
    return tracker, {name: x.clone() for name, x in training.model.state_dict().items()}


@pytest.mark.parametrize("case", CASES)
def test_training_does_not_notice(case, tmp_path):
    name, overrides = CASES[case]
    looked, weights = trained(recipe_of(name, *overrides), tmp_path / "looked")
    blind, same = trained(recipe_of(name, *overrides, "monitor={measures: []}"), tmp_path / "blind")
    assert weights.keys() == same.keys() and all(torch.equal(x, same[key]) for key, x in weights.items())
    live = looked.live()
    assert live and all(math.isfinite(value) for value in live.values()) and not blind.live()
    rest = {key: value for key, value in looked.sent.items() if key not in live and not key[0].startswith("speed/")}
    assert rest == {key: value for key, value in blind.sent.items() if not key[0].startswith("speed/")}


def test_the_stability_of_a_loop_is_looked_at_by_default(tmp_path):
    live = trained(recipe_of("gated_loop"), tmp_path)[0].live()
    assert live.keys() == {(name, step) for name in STABILITY for step in (0, 2, 4, 6)}
    assert len({live["live/stability/sigma_max_J", step] for step in (0, 2, 4, 6)}) == 4, "the model changes"
    whole = trained(recipe_of("gated_loop", "monitor.every=null"), tmp_path / "with validations")[0].live()
    assert {step for _, step in whole} == {0, 3, 6}


def test_a_model_that_does_not_loop_is_not_looked_at(tmp_path):
    assert not trained(recipe_of("gated_loop", "model.core.loops={kind: fixed, num_loops: 1}"), tmp_path)[0].live()


def test_a_run_that_is_stopped_between_two_looks_reads_what_an_unbroken_one_does(tmp_path):
    recipe, asked = recipe_of("gated_loop"), []
    unbroken, weights = trained(recipe, tmp_path / "unbroken")
    broken, _ = trained(recipe, tmp_path / "broken", stops=lambda: asked.append(1) or len(asked) == 3)
    resumed, same = trained(recipe, tmp_path / "broken", resumed=True, tracker=broken)
    assert resumed.live() == unbroken.live()
    assert all(torch.equal(x, same[key]) for key, x in weights.items())


def test_the_declared_measures_are_taken(tmp_path):
    recipe = recipe_of("gated_loop", "monitor.measures=[{kind: lyapunov, num_exponents: 2}, two_scale]")
    names = {name for name, _ in trained(recipe, tmp_path)[0].live()}
    steps = {f"live/two_scale/step_loop_{t}" for t in range(1, 5)}
    assert {"live/stability/lyapunov", "live/stability/lyapunov_2", *steps} <= names
    assert "live/stability/settles" not in names


@pytest.mark.parametrize(
    "overrides, said",
    [
        (["monitor.measures=[lyapunv]"], "unknown measure 'lyapunv'; did you mean 'lyapunov'"),
        (["monitor.measures=[regime, difficulty]", "monitor.num_samples=1"], "monitor.measures.1: difficulty: all samples"),
        (
            ["monitor.measures=[lyapunov]", "model.core.tying=sequence", "model.core.depth=2"],
            "monitor.measures.0: lyapunov: with core.tying 'sequence'",
        ),
        (["monitor.every=0"], "monitor.every"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_ahead_in_one_line(overrides, said):
    with pytest.raises(RecipeError, match=said) as refused:
        admitted(recipe_of("gated_loop", *overrides))
    assert len(str(refused.value).splitlines()) == 1


def test_a_model_of_no_numbers_is_looked_at_all_the_same():
    recipe = recipe_of("gated_loop")
    model, task = assemble(recipe)
    with torch.no_grad():
        next(iter(model.core.layers.parameters())).fill_(math.nan)
    found = Live(recipe, task).metrics(model)
    assert found.keys() == STABILITY and math.isnan(found["live/stability/sigma_max_J"])
    assert found["live/stability/drifts"] == 1


@pytest.mark.parametrize("dtype, distance", [(torch.float32, 2**-10), (torch.bfloat16, 0.0)])
def test_the_distance_of_rho_to_1_is_that_of_the_dtype(dtype, distance):
    assert distance_to_one(torch.tensor(1 - 2**-10).to(dtype)) == distance

"""The check that a state does not grow without bound over the loops that are trained or evaluated."""

import pytest

from mythos_blocks import DepthSignal
from mythos_lab.checks import Assembly
from mythos_lab.checks.growth import state_stays_bounded
from mythos_lab.recipe import load_recipe
from mythos_lab.training.assembly import assemble
from tests.lab.recipes import DISTINCT

HIERARCHICAL = "model.core={kind: hierarchical, loops: {kind: fixed, num_loops: 8}, %s}"
EXPANDERS = {
    "a residual around pre-norm layers": ["model.core.update=residual", "model.core.injection=none"],
    "with an injection": ["model.core.update=residual", "model.core.injection={kind: scaled_add, initial_scale: 50.0}"],
    "pre-norm nets": [HIERARCHICAL % "layer: pre_norm"],
    "sandwiched nets": [HIERARCHICAL % "layer: sandwich"],
}
BOUNDED = {
    "post-norm nets": [HIERARCHICAL % "depth: 2"],
    "a residual around post-norm layers": ["model.core.update=residual", "model.core.layer.kind=post_norm"],
    "bounded steps": ["model.core.injection=add"],
    "large bounded steps": ["model.core.injection={kind: scaled_add, initial_scale: 50.0}"],
    "a normalised state": ["model.core.update={kind: outer_norm, of: residual}"],
}


def found(name, *overrides, change=None):
    recipe = load_recipe(name, overrides)
    model, task = assemble(recipe)
    if change is not None:
        change(model)
    batch = task.batch("train", range(2))
    return state_stays_bounded(Assembly(recipe, model, task, batch))


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("name", DISTINCT)
def test_it_is_silent_on_every_recipe(name, seed):
    small = ["task.length=32"] if name in ("huginn", "parcae", "openmythos", "openmythos_as_published") else []

    assert found(name, f"seed={seed}", *small) == []


@pytest.mark.parametrize("overrides", EXPANDERS.values(), ids=EXPANDERS)
def test_it_finds_a_state_that_is_multiplied_in_every_iteration(overrides):
    (finding,) = found("looped", *overrides)

    assert finding.code == "stability.growth" and "grows by a factor of" in finding.message


@pytest.mark.parametrize("overrides", BOUNDED.values(), ids=BOUNDED)
def test_it_lets_a_state_pass_that_is_bounded_or_has_bounded_steps(overrides):
    assert found("looped", *overrides) == []


def test_it_says_when_the_state_overflows():
    (finding,) = found("looped", HIERARCHICAL % "layer: pre_norm", "evaluation.depth_factor=16")

    assert (finding.code, "not finite after 128 loops" in finding.message) == ("stability.growth", True)


class Short(DepthSignal):
    """A user's signal, of which nobody but itself knows that it ends."""

    def forward(self, t, positions=None):
        if t >= 7:
            raise ValueError(f"iteration {int(t)} is beyond")


def test_a_depth_curve_that_the_model_refuses_is_found_before_training():
    (finding,) = found("looped", change=lambda model: setattr(model.core, "depth_signal", Short()))

    assert finding.code == "tables.reach"
    assert "runs 16 loops" in finding.message and "iteration 7 is beyond" in finding.message

"""What the loops gain, at every validation."""

import pytest

from mythos_lab.measures.depth_curve import depth_curve
from mythos_lab.recipe import load_recipe
from mythos_lab.training.result import load_run
from mythos_lab.training.run import run
from tests.lab.recipes import short
from tests.lab.training.runs import SMALL, history


@pytest.mark.parametrize("name", ["gated_loop", "openmythos"], ids=["accuracy", "loss"])
def test_validations_report_the_gain_that_the_depth_curve_has(name):
    seen = {}
    result = run(
        load_recipe(name, [*SMALL, *short(name), "evaluation.knockouts=false"]),
        on_validation=lambda step, scores: seen.update({step: scores.metrics()["loops/gain"]}),
    )
    assert history(result.run_id, "loops/gain") == list(seen.items()) and list(seen) == [10, 20]
    assert seen[20] == result.metrics["loops/gain"] == result.curve.metrics()["loops/gain"]
    assert seen[20] == result.curve.quality(result.curve.eval_loops) - result.curve.quality(1)
    recipe, model, task = load_run(result.folder)
    assert depth_curve(model, task, recipe).rows() == [pytest.approx(row) for row in result.curve.rows()]


def test_a_model_of_one_loop_gains_nothing_and_is_evaluated_once(monkeypatch):
    from mythos_lab.measures import evaluate

    counts, plain = [], evaluate.passes
    monkeypatch.setattr(evaluate, "passes", lambda *given: counts.append(given[-1]) or plain(*given))
    gains = []
    overrides = [*SMALL, "training.max_steps=10", "evaluation.depth_factor=1"]
    result = run(load_recipe("fixed_depth", overrides), on_validation=lambda step, scores: gains.append(scores.gain))
    assert gains == [0.0] and counts == [[1]] and result.metrics["loops/gain"] == 0.0

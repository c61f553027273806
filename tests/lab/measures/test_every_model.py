"""Every measure, of models that halt, exit, pad, draw noise or hardly loop: numbers, or one line that says why not."""

import math

import pytest

from mythos_blocks import load_plugins
from mythos_lab.measures import Samples, Subject
from mythos_lab.measures.measuring import every_measure, taken
from tests.lab.measures.test_padding import randomised, recipe

load_plugins()
CORES = {
    "halts": {"halting": {"kind": "act", "halted_state": "frozen", "initial_bias": 0.0}},
    "exits": {"exit": "kl"},
    "draws": {"initial_state": "normal", "loops_per": "sequence", "loops": {"kind": "uniform", "low": 1, "high": 4}},
    "in sequence": {"tying": "sequence", "depth": 2},
    "one loop": {"loops": {"kind": "fixed", "num_loops": 1}},
}


@pytest.mark.parametrize("name", CORES)
def test_every_measure_comes_to_numbers_or_says_why_not(name):
    declared = recipe(CORES[name], training={"precision": "bfloat16" if name == "draws" else "float32"})
    model, task = randomised(declared)
    subject = Subject(model.train(), Samples.of(task, declared))
    modes = [module.training for module in model.modules()]
    for each in every_measure():
        if (why := each.refuses(subject)) is not None:
            assert why and "\n" not in why
            continue
        (outcome,) = taken([each], subject)
        assert outcome.finding and all(math.isfinite(value.value) for value in outcome.values), each.kind
    assert modes == [module.training for module in model.modules()]

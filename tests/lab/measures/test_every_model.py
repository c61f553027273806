"""Every measure, of models that halt, exit, pad, draw noise or hardly loop: numbers, or one line that says why not."""

import math
from dataclasses import replace

import pytest
import torch

from mythos_blocks import load_plugins
from mythos_lab.measures import Samples, Subject
from mythos_lab.measures.measuring import every_measure, taken
from mythos_lab.measures.samples import rows_of
from tests.lab.measures.test_padding import randomised, recipe

load_plugins()
CORES = {
    "halts": {"halting": {"kind": "act", "halted_state": "frozen", "initial_bias": 0.0}},
    "exits": {"exit": "kl"},
    "draws": {"initial_state": "normal", "loops_per": "sequence", "loops": {"kind": "uniform", "low": 1, "high": 4}},
    "in sequence": {"tying": "sequence", "depth": 2},
    "two clocks": {"kind": "hierarchical"},
    "one loop": {"loops": {"kind": "fixed", "num_loops": 1}},
    "one sample": {"loops": {"kind": "poisson_lognormal", "mean": 2, "maximum": 3}},
}


@pytest.mark.parametrize("name", CORES)
def test_every_measure_comes_to_numbers_or_says_why_not(name):
    declared = recipe(CORES[name], training={"precision": "bfloat16" if name in ("draws", "two clocks") else "float32"})
    model, task = randomised(declared)
    samples = Samples.of(task, declared)
    if name == "one sample":
        samples = replace(samples, batches=(rows_of(samples.batches[0], torch.arange(1)),))
    subject = Subject(model.train(), samples)
    modes, drawn = [module.training for module in model.modules()], torch.get_rng_state()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for each in every_measure():
        if (why := each.refuses(subject)) is not None:
            assert why and "\n" not in why
            continue
        (outcome,) = taken([each], subject)
        assert outcome.finding and "\n" not in outcome.finding
        for value in outcome.values:
            low, high = value.interval or (value.value, value.value)
            assert math.isfinite(value.value) and low <= value.value + 1e-9 and value.value <= high + 1e-9, value
            assert each.quantities[value.quantity].unit != "share" or -1 <= value.value <= 1, value
        told = [(value.metric, value.loop) for value in outcome.values]
        assert len(set(told)) == len(told), "two values of one metric at one loop: a tracker keeps one of them"
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(drawn, torch.get_rng_state()) and all(
        torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items()
    )

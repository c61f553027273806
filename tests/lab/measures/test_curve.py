"""The depth curve and what follows from it, where the truth is planted."""

import math

import numpy as np
import pytest
import torch

from mythos_blocks import load_plugins
from mythos_lab.measures import Samples, measure
from mythos_lab.measures.depth import useful_depth
from mythos_lab.measures.saturation import saturation
from mythos_lab.measures.tally import Tally
from tests.lab.measures import planted

load_plugins()
COUNTS = [1, 2, 3, 4, 5, 6, 7, 8, 16]


def curve(law, num_units=200, seed=0, counts=COUNTS, scatter=0.3):
    """Losses of units that scatter alike at every loop count, and a little at each alone."""
    generator = torch.Generator().manual_seed(seed)
    own = scatter * torch.randn(num_units, generator=generator).double()
    found = []
    for count in counts:
        alone = 0.02 * torch.randn(num_units, generator=generator).double()
        losses = law(count) * (1 + 0.3 * own) + own + alone
        found.append((count, Tally(torch.ones(num_units).double(), torch.zeros(num_units).double(), losses)))
    return found


def held(interval, truth):
    return interval[0] <= truth <= interval[1]


def test_a_planted_law_is_found_and_its_intervals_hold_it():
    num, hits = 30, np.zeros(3)
    for seed in range(num):
        law = saturation(curve(lambda t: 1.0 + 2.0 * math.exp(-0.5 * t), seed=seed))
        assert law.floor[0] == pytest.approx(1.0, abs=0.2) and law.rate[0] == pytest.approx(0.5, rel=0.1)
        hits += [held(law.floor[1], 1.0), held(law.height[1], 2.0), held(law.rate[1], 0.5)]
    assert (hits >= 0.85 * num).all(), hits


@pytest.mark.parametrize(
    "law, why",
    [
        (lambda t: 1.0, "does not surely fall"),
        (lambda t: 2.0 - 0.05 * t, "the rate may be anything"),
        (lambda t: 1.0 + 50 * math.exp(-8.0 * t), "one step has no rate"),
        (lambda t: 1.0 if t > 4 else 2.0, "the losses do not follow it"),
        (lambda t: math.inf, "no number"),
    ],
    ids=["flat", "a line", "all at once", "a step", "no number"],
)
def test_a_law_that_the_data_do_not_determine_is_withheld(law, why):
    said = [saturation(curve(law, seed=seed)) for seed in range(5)]
    assert all(isinstance(each, str) for each in said), said
    assert any(why in each for each in said), said


def test_a_law_that_would_go_on_below_no_loss_at_all_is_withheld():
    said = saturation(curve(lambda t: -1.0 + 1.7 * math.exp(-0.1 * t), counts=[1, 2, 3, 4]))
    assert isinstance(said, str) and "no loss is below 0" in said


def test_a_constant_curve_and_too_few_numbers_say_so():
    nothing = [(n, Tally(torch.ones(9), torch.zeros(9), torch.ones(9))) for n in COUNTS]
    assert saturation(nothing) == "the loss does not change with the loops"
    assert "there: 3" in saturation(curve(lambda t: 1 / t, counts=[1, 2, 3]))
    assert "4 units" in saturation(curve(lambda t: 1 / t, num_units=4))


def hits(*accuracies, num=400):
    """Nested answers: who is right at a lower accuracy is right at a higher one."""
    place = torch.arange(num).double() / num
    ones = torch.ones(num).double()
    return {n: Tally(ones, (place < share).double(), ones) for n, share in enumerate(accuracies, 1)}


def test_useful_depth_is_the_first_within_the_tolerance_and_its_ends_are_what_samples_leave_open():
    assert useful_depth(hits(0.2, 0.5, 0.9, 0.9), 0.01) == (3, (3, 3))
    depth, (low, high) = useful_depth(hits(0.2, 0.88, 0.885, 0.9), 0.01)
    assert depth == 4 and (low, high) == (2, 4), "1.5 points of 400 samples may be within one"
    assert useful_depth(hits(0.5, 1.0, num=4), 0.01) == (2, None)


def measured(model, samples, declared):
    (outcome,) = measure(model, samples, [declared])
    return {(v.quantity, v.loop, v.of): v for v in outcome.values}, outcome.finding


def counting_down():
    """Token k takes k loops to become 0."""
    down = torch.zeros(planted.NUM_TOKENS, planted.NUM_TOKENS)
    down[0, 0] = 1
    for token in range(1, planted.NUM_TOKENS):
        down[token, token - 1] = 1
    tokens = torch.arange(1, 5).repeat(50)[:, None]
    samples = Samples.of_tokens(tokens, torch.zeros_like(tokens), difficulty=tokens[:, 0])
    return planted.model(down.repeat(6, 1, 1)), samples


def test_each_loop_of_a_staircase_is_worth_its_step():
    values, said = measured(*counting_down(), {"kind": "depth_curve", "depth_factor": 2})
    for loop in range(2, 5):
        step = values["depth_curve/marginal", loop, ""]
        assert step.value == pytest.approx(0.25) and step.interval[0] > 0
        assert values["depth_curve/marginal_loss", loop, ""].value > 0
    for loop in (5, 6, 7, 8, 12):
        idle = values["depth_curve/marginal", loop, ""]
        assert idle.value == 0 and held(idle.interval, 0.0)
    assert values["depth_curve/useful_depth", None, ""].value == 4
    assert values["depth_curve/overthinking", None, ""].value == 0
    assert "useful depth 4" in said


def test_loops_beyond_a_power_of_two_share_what_they_add():
    model = planted.model(torch.eye(planted.NUM_TOKENS).repeat(12, 1, 1))
    with torch.no_grad():
        model.core.layers[0].maps[9].copy_(torch.eye(planted.NUM_TOKENS).roll(1, 1))
    tokens = torch.arange(12).repeat(4)[:, None]
    values, _ = measured(
        model, Samples.of_tokens(tokens, (tokens + 1) % 12), {"kind": "depth_curve", "depth_factor": 1}
    )
    assert values["depth_curve/accuracy", 8, ""].value == 0 and values["depth_curve/accuracy", 12, ""].value == 1
    assert values["depth_curve/marginal", 12, ""].value == pytest.approx(1 / 4), "4 loops later"


def test_a_loop_that_spoils_its_answers_overthinks():
    maps = torch.eye(planted.NUM_TOKENS).repeat(4, 1, 1)
    maps[3] = maps[3].roll(1, 0)
    tokens = torch.arange(12).repeat(4)[:, None]
    values, _ = measured(
        planted.model(maps), Samples.of_tokens(tokens, tokens), {"kind": "depth_curve", "depth_factor": 1}
    )
    over = values["depth_curve/overthinking", None, ""]
    assert over.value == 1 and over.interval[0] > 0.8 and values["depth_curve/useful_depth", None, ""].value == 1


def test_the_frontier_is_the_staircase():
    values, said = measured(*counting_down(), "frontier")
    assert {of: v.value for (name, _, of), v in values.items() if name == "frontier/depth"} == {
        f"difficulty {k}": k for k in range(1, 5)
    }
    assert values["frontier/slope", None, ""].value == pytest.approx(1)
    for k in range(1, 5):
        for loop in range(1, 7):
            assert values["frontier/accuracy", loop, f"difficulty {k}"].value == float(loop >= k)
    assert "1: 1, 2: 2, 3: 3, 4: 4" in said


def test_what_is_never_solved_has_no_depth():
    model, samples = counting_down()
    with torch.no_grad():
        model.core.layers[0].maps[2:].copy_(torch.eye(planted.NUM_TOKENS))
    values, said = measured(model, samples, "frontier")
    assert {of for name, _, of in values if name == "frontier/depth"} == {"difficulty 1", "difficulty 2"}
    assert "3: never" in said

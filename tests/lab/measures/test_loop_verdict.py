"""The loop verdict of models whose loops are known."""

import pytest
import torch

import mythos_blocks as mb
from mythos_lab.measures import measure
from mythos_lab.measures.words import fewest_times
from tests.lab.measures import planted
from tests.lab.measures.planted_words import TRUTHS

mb.load_plugins()


def verdict(model, samples, **fields):
    (outcome,) = measure(model, samples, [{"kind": "loop_verdict", **fields}])
    return {value.quantity.removeprefix("loops/"): value for value in outcome.values}, outcome.finding


@pytest.mark.parametrize("name", TRUTHS)
def test_planted_loops_are_counted(name):
    letters, *truth = TRUTHS[name]
    found, said = verdict(planted.permuting(letters), planted.samples(100))
    assert [found["used"].value, found["distinct"].value] == truth, said
    assert found["distinct_flips"].value == 0 and "at most " not in said.split(":")[0]
    if truth == [len(letters)] * 2:  # the iterations in their order: no bound is estimated of what cannot flip
        assert found["distinct_flips"].interval[1] == 0 and said.endswith("nothing less gives the same answers")
    else:
        assert found["distinct_flips"].interval[1] == pytest.approx(1 - 0.05 ** (1 / 50))


def test_of_few_answers_nothing_is_called_the_same():
    _, said = verdict(planted.permuting("aaa"), planted.samples(4))
    assert "too few for a bound (at most 78%)" in said and "same answers" not in said


def test_loops_that_are_told_nothing_are_one_operator_by_construction():
    model = mb.LoopedTransformer(12, width=16, core={"loops": {"kind": "fixed", "num_loops": 3}})
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.5, generator=torch.Generator().manual_seed(p.numel()))
    found, said = verdict(model, planted.samples(100))
    assert found["distinct"].value == 1 and "by construction" in said
    found, said = verdict(planted.permuting("aaa"), planted.samples(100))
    assert found["distinct"].value == 1 and "by construction" not in said


@pytest.mark.parametrize(
    "rule",
    [{"exit": {"kind": "latent", "threshold": 1e9}}, {"halting": {"kind": "act", "initial_bias": 50.0}}],
    ids=str,
)
def test_a_rule_that_stops_after_one_loop_hides_nothing_of_what_others_are_told(rule):
    core = {"loops": {"kind": "fixed", "num_loops": 3}, "depth_signal": "learned", **rule}
    _, said = verdict(mb.LoopedTransformer(12, width=16, core=core), planted.samples(100))
    assert said.startswith("1 of 3 loops used, 1 distinct: ")


def test_a_loop_that_repeats_to_no_avail_is_told_after_all():
    """Where the trial at other weights saw nothing of it."""
    assert fewest_times(3, lambda word: None) is None


def test_one_loop_has_nothing_to_be_compared_with():
    found, said = verdict(planted.permuting("a"), planted.samples(20))
    assert found["used"].value == found["distinct"].value == 1
    assert said.startswith("one loop runs")

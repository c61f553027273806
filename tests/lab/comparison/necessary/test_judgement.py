"""Planted matrices: the necessary depth and the sentence follow from what was put in."""

import pytest

from mythos_lab.comparison.necessary import judge
from tests.lab.comparison.necessary.planted import FLAT, ILLUSION, NEEDED, SCALING, planted

TRUTHS = {
    "illusion": (ILLUSION, 2, 1, "illusion"),
    "needed": (NEEDED, 4, 2, "no gain"),
    "scaling": (SCALING, 4, 2, "test-time scaling"),
    "flat": (FLAT, 1, None, "no gain"),
}


@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize("metric", ["val/accuracy", "val/loss"])
def test_planted_truths_are_told(name, metric):
    rows, necessary, above, scaling = TRUTHS[name]
    if metric == "val/loss":  # lower is better
        rows = {trained: {at: 1 - mean for at, mean in row.items()} for trained, row in rows.items()}
    found = judge(planted(rows, metric=metric))
    assert (found.necessary, found.above, found.scaling) == (necessary, above, scaling)
    assert f"necessary depth: {necessary} loop" in found.necessary_said


def test_the_illusion_is_called_by_what_it_is_made_of():
    said = judge(planted(ILLUSION)).scaling_said
    assert said.startswith("evaluating deeper is the illusion of test-time scaling: trained at 4 and evaluated at 2")
    assert "trained at 2 it is at least as good at 2" in said


def test_the_right_depth_is_called_too_small_in_at_most_five_per_cent():
    """Two loops lose just what matters against four."""
    rows = {2: {2: 0.89, 4: 0.8}, 4: {2: 0.7, 4: 0.9}}
    called = sum(judge(planted(rows, noise=0.003, draw=draw)).at_most < 4 for draw in range(400))
    assert called <= 33  # 20, and three standard deviations


def test_three_seeds_show_what_does_not_suffice_and_say_that_they_do_not_show_what_does():
    found = judge(planted(ILLUSION, seeds=3))
    assert (found.necessary, found.above, found.at_most, found.by_means) == (None, 1, 4, 2)
    assert found.scaling == "cannot tell" and "not enough seeds" in found.scaling_said
    assert (
        "more than 1 (loops); not enough seeds for more (that a depth suffices takes 5 seeds)" in found.necessary_said
    )
    assert "by the means alone it is 2" in found.necessary_said


def test_noise_leaves_the_depth_untold():
    found = judge(planted(ILLUSION, noise=0.02))
    assert found.necessary is None and "the seeds scatter too much" in found.necessary_said
    assert found.scaling == "cannot tell", "what the deepest model gains may be needed, or an illusion"


def test_a_depth_between_that_fails_keeps_shallower_ones_from_being_necessary():
    uneven = {1: {1: 0.9, 2: 0.9, 4: 0.9}, 2: {1: 0.5, 2: 0.5, 4: 0.5}, 4: {1: 0.3, 2: 0.7, 4: 0.9}}
    found = judge(planted(uneven))
    assert found.at_most == 4 and any("trained at 1 it is as good as the deepest too" in flag for flag in found.flags)


def test_what_limits_a_judgement_is_said():
    guessing = {2: {2: 0.5, 4: 0.5}, 4: {2: 0.5, 4: 0.5}}
    found = judge(
        planted(guessing, noise=1e-4, chance=0.5, hops=("hops", 3), undeclared={2: ["source"]}, lost={1: "diverged"})
    )
    said = "\n".join(found.flags)
    assert "at 4 loops the model is no better than guessing (0.5)" in said
    assert "the hardest training samples have 3 hops" in said
    assert "trained at 2, runs also differ in source" in said and "trained at 1: no result; diverged" in said


def test_a_cell_that_nobody_measured_is_left_out():
    rows = {2: {2: 0.9}, 4: {2: 0.7, 4: 0.9}}
    found = judge(planted(rows))
    assert found.necessary == 2 and found.beyond == {}

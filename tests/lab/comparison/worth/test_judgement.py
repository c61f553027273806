"""What a sweep cannot tell is said."""

import numpy as np
import pytest

from mythos_lab.comparison.worth import Estimate, fit_law, judge
from tests.lab.comparison.worth.simulated import sweep


def judged(**settings):
    return judge(fit_law(sweep(np.random.default_rng(0), **settings)))


def flagged(judgement, start):
    return any(flag.startswith(start) for flag in judgement.flags)


def test_a_good_sweep_is_told_and_not_flagged():
    found = judged(loops=(1, 2, 4))
    assert found.told and found.sentence == "recurrences add capacity, but less than layers of their own"
    assert found.flags == ()


@pytest.mark.parametrize(
    "phi, said",
    [
        (-0.5, "recurrences cost capacity"),
        (0.0, "recurrences add less than layers of their own; that they add nothing is not excluded"),
        (1.0, "recurrences add capacity; that they equal layers of their own is not excluded"),
        (1.5, "recurrences are worth more than layers of their own"),
    ],
)
def test_what_phi_says(phi, said):
    found = judged(phi=phi)
    assert found.told and found.sentence == said


def test_one_loop_count_cannot_tell():
    found = judged(loops=(4,))
    assert not found.told and "at least two loop counts" in found.sentence
    assert flagged(found, "one loop count (4): phi is not fitted") and flagged(found, "no stack without a loop")


def test_noise_that_covers_all_is_named():
    found = judged(noise=0.3)
    assert not found.told and found.sentence.startswith("cannot tell") and flagged(found, "noise:")


def test_losses_that_follow_another_law_are_no_phi():
    """Loops that help at one size and harm at the next."""
    found = judged(misfit=lambda cell: 1 + 0.04 * np.sin(cell.num_once / 1e4) * np.log2(cell.loops))
    assert not found.told and "the law does not describe these runs" in found.sentence and flagged(found, "misfit:")


def test_runs_that_follow_the_law_are_rarely_called_a_misfit():
    rng = np.random.default_rng(1)
    found = [judge(fit_law(sweep(rng), intervals=["phi"])) for _ in range(100)]
    assert np.mean([flagged(one, "misfit:") for one in found]) <= 0.03


@pytest.mark.parametrize(
    "settings, start",
    [
        ({"loops": (1, 4)}, "two loop counts"),
        ({"loops": (2, 4)}, "no stack without a loop"),
        ({"tokens": (10**6,)}, "one token budget"),
        ({"tokens": (10**6, 10**7)}, "two token budgets"),
        ({"tokens": (10**6, 10**7)}, "E is not bounded from below"),
        ({"widths": (64, 128)}, "two sizes"),
        ({"widths": (64,)}, "one size"),
        ({"num_seeds": 1}, "one seed a cell"),
        ({"widths": (64,), "loops": (1, 2)}, "6 cells for 6 parameters"),
        ({"widths": (64,), "loops": (1, 2)}, "no intervals: 6 cells"),
        ({"noise": 0.1}, "phi's interval is"),
        ({"E": 0.0, "noise": 0.02}, "E is not bounded from below"),
        ({"phi": -0.4}, "extrapolation:"),
    ],
)
def test_flags(settings, start):
    assert flagged(judged(**settings), start)


def test_unequal_seeds_are_named():
    cells = sweep(np.random.default_rng(2))
    del cells[0].losses[2]
    assert flagged(judge(fit_law(cells)), "cells have from 2 to 3 seeds")


def test_an_interval_that_holds_0_and_1_tells_nothing():
    fit = fit_law(sweep(np.random.default_rng(3)))
    wide = type(fit)(**{**vars(fit), "parameters": fit.parameters | {"phi": Estimate(0.5, -0.1, 1.1)}})
    found = judge(wide)
    assert not found.told and "both no gain at all (0) and layers of their own (1)" in found.sentence

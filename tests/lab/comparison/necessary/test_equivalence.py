"""Two one-sided tests: one test with its interval, and the errors that it promises."""

import numpy as np
import pytest
from scipy import stats

from mythos_lab.comparison.necessary import tost

DELTA = 0.01


def drawn(mean, seeds=5, noise=0.004, draw=0):
    generator = np.random.default_rng(draw)
    shared = generator.normal(0.8, 0.1, seeds)
    return shared + mean + generator.normal(0, noise, seeds), shared


@pytest.mark.parametrize("draw", range(20))
def test_the_interval_and_the_p_values_are_one_test(draw):
    found = tost(*drawn((draw - 10) / 400, draw=draw), DELTA)
    assert (found.p_no_worse < 0.05) == (found.low > -DELTA) and (found.p_no_better < 0.05) == (found.high < DELTA)
    assert (found.p_worse < 0.05) == (found.high < -DELTA) and (found.p_better < 0.05) == (found.low > DELTA)
    assert (found.outcome == "equivalent") == (-DELTA < found.low and found.high < DELTA)


def test_the_p_values_are_those_of_paired_one_sided_t_tests():
    candidate, reference = drawn(0.003)
    found = tost(candidate, reference, DELTA)
    above = stats.ttest_1samp(candidate - reference, -DELTA, alternative="greater").pvalue
    below = stats.ttest_1samp(candidate - reference, DELTA, alternative="less").pvalue
    assert (found.p_no_worse, found.p_no_better) == pytest.approx((above, below))
    assert found.p == pytest.approx(max(above, below))


@pytest.mark.parametrize(
    "mean, outcome",
    [(0.0, "equivalent"), (0.01, "no worse"), (0.05, "better"), (-0.05, "worse"), (-0.01, "not enough seeds")],
)
def test_outcomes_of_differences_that_are_known(mean, outcome):
    candidate, reference = drawn(mean, noise=0.001)
    assert tost(candidate, reference, DELTA).outcome == outcome


def test_that_nothing_is_lost_takes_five_seeds_and_that_something_is_does_not():
    assert tost([0.9] * 4, [0.9] * 4, DELTA).outcome == "not enough seeds"
    assert tost([0.9] * 5, [0.9] * 5, DELTA).outcome == "equivalent"
    assert tost([0.5, 0.51, 0.5], [0.9, 0.9, 0.91], DELTA).outcome == "worse"
    assert tost([0.5], [0.9], DELTA).outcome == "not enough seeds"


def test_seeds_that_tie_do_not_show_that_there_is_no_scatter():
    coarse = tost([0.9] * 5, [0.9] * 5, DELTA, resolution=1 / 50)
    assert coarse.outcome == "not enough seeds" and coarse.low < -DELTA, "of 50 answers, one is more than delta"
    assert tost([0.9] * 5, [0.9] * 5, DELTA, resolution=1 / 2000).outcome == "equivalent"


def test_what_is_worse_by_delta_is_called_good_enough_in_five_per_cent():
    draws = [drawn(-DELTA, noise=0.003, draw=draw) for draw in range(1000)]
    called = sum(tost(*pair, DELTA).suffices for pair in draws)
    assert 30 <= called <= 72  # 50 +- 3.1 standard deviations


@pytest.mark.parametrize(
    "arguments, said",
    [
        (([0.1], [0.1, 0.2], 0.01), "one arm has 1, the other 2"),
        (([0.1, 0.2], [0.1, 0.2], 0.0), "delta: expected more than 0, found 0.0"),
        (([0.1, float("nan")], [0.1, 0.2], 0.01), "finite values are needed"),
    ],
)
def test_what_cannot_be_tested_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        tost(*arguments)

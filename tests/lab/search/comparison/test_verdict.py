"""Verdicts on simulated studies whose truth is known."""

import math

import numpy as np
import pytest
from scipy import stats

from mythos_lab.search.comparison.verdict import paired, together


def simulated(rng, num_seeds, effect, noise=1.0):
    """Two arms that share most of their noise."""
    common = 5 * rng.normal(size=num_seeds)
    return common, common + effect + noise * rng.normal(size=num_seeds)


@pytest.mark.parametrize("num_seeds", [3, 5, 8])
def test_null_effects_are_called_effects_in_5_percent(num_seeds):
    rng = np.random.default_rng(num_seeds)
    verdicts = [paired(*simulated(rng, num_seeds, 0.0), matters=0.1) for _ in range(1000)]
    rate = np.mean([v.outcome in ("higher", "lower") for v in verdicts])
    assert abs(rate - 0.05) <= 0.015


@pytest.mark.parametrize("num_seeds", [3, 5, 8])
def test_an_effect_of_the_detectable_size_is_found_in_4_of_5(num_seeds):
    """The size is that of the true noise; each study's own estimate of it scatters around."""
    rng = np.random.default_rng(10 + num_seeds)
    size = np.median([paired(*simulated(rng, num_seeds, 0.0), matters=0.1).detectable for _ in range(400)])
    # The median of a sample's standard deviation is somewhat below the true one at few seeds.
    size /= np.median([rng.normal(size=num_seeds).std(ddof=1) for _ in range(4000)])
    verdicts = [paired(*simulated(rng, num_seeds, size), matters=0.1) for _ in range(1000)]
    assert abs(np.mean([v.outcome == "higher" for v in verdicts]) - 0.8) <= 0.05
    flipped = [paired(*simulated(rng, num_seeds, -size), matters=0.1) for _ in range(300)]
    assert np.mean([v.outcome == "lower" for v in flipped]) > 0.7


@pytest.mark.parametrize("num_seeds", [3, 8, 24])
def test_the_interval_covers_the_truth(num_seeds):
    rng = np.random.default_rng(20 + num_seeds)
    verdicts = [paired(*simulated(rng, num_seeds, 2.0), matters=0.1) for _ in range(600)]
    covered = np.mean([v.low <= 2.0 <= v.high for v in verdicts])
    assert 0.92 <= covered <= 0.975


def test_nothing_there_and_cannot_tell_read_differently():
    rng = np.random.default_rng(0)
    quiet = paired(*simulated(rng, 5, 0.0, noise=0.001), matters=0.1)
    loud = paired(*simulated(rng, 5, 0.0, noise=1.0), matters=0.1)
    assert (quiet.outcome, loud.outcome) == ("no effect", "not enough seeds")
    assert quiet.detectable < 0.1 < loud.detectable
    alone = paired([1.0], [2.0], matters=0.1)
    assert alone.outcome == "not enough seeds" and alone.detectable == math.inf


def test_what_is_equal_in_every_seed_is_no_effect_or_certain():
    assert paired([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], matters=0.1).outcome == "no effect"
    assert paired([1.0, 2.0, 3.0], [1.5, 2.5, 3.5], matters=0.1).outcome == "higher"


def test_holm_keeps_the_chance_of_any_false_effect_below_5_percent():
    rng = np.random.default_rng(5)
    false = 0
    for _ in range(400):
        verdicts = together([paired(*simulated(rng, 5, 0.0), matters=0.1) for _ in range(6)], matters=0.1)
        false += any(v.outcome in ("higher", "lower") for v in verdicts)
        assert all(v.p_adjusted >= v.p for v in verdicts)
    assert false / 400 <= 0.08


def test_holm_by_hand():
    base = paired([0.0, 0.1, 0.2], [1.0, 1.0, 1.3], matters=0.1)
    ps = [0.01, 0.04, 0.03]
    adjusted = [v.p_adjusted for v in together([type(base)(**{**vars(base), "p": p}) for p in ps], matters=0.1)]
    assert adjusted == pytest.approx([0.03, 0.06, 0.06])


def test_pairs_are_needed():
    with pytest.raises(ValueError, match="one arm has 2, the other 3"):
        paired([1, 2], [1, 2, 3], matters=0.1)


def test_equal_differences_of_a_coarse_metric_say_nothing_of_its_scatter():
    for a, b in (([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]), ([0.5, 0.25, 0.5], [0.75, 0.5, 0.75])):
        coarse = paired(a, b, 0.01, ties_tell=False)
        assert coarse.outcome == "not enough seeds" and coarse.low == -math.inf and coarse.p == 1
        assert paired(a, b, 0.01).outcome in ("no effect", "higher")


def test_two_seeds_have_a_detectable_difference():
    one = paired([0.0, 0.0], [0.1, 0.3], 0.01)
    n, shift = 2, one.detectable / (0.1414 / math.sqrt(2))
    rng = np.random.default_rng(0)
    t = rng.normal(shift / math.sqrt(n), 1, (200_000, n))
    found = np.abs(t.mean(1) / (t.std(1, ddof=1) / math.sqrt(n))) > stats.t.ppf(0.975, n - 1)
    assert abs(found.mean() - 0.8) < 0.01

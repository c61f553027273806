"""Verdicts on simulated studies whose truth is known."""

import math

import numpy as np
import pytest
from scipy import stats

from mythos_lab.comparison.verdict import ALPHA, _detectable, half_width, paired, shown_mean, together
from mythos_lab.measures.student import interval


def simulated(rng, num_seeds, effect, noise=1.0):
    """Two arms that share most of their noise."""
    common = 5 * rng.normal(size=num_seeds)
    return common, common + effect + noise * rng.normal(size=num_seeds)


@pytest.mark.parametrize("num_seeds", [3, 5, 6, 8, 10, 12])
def test_null_effects_are_called_effects_in_5_percent(num_seeds):
    rng = np.random.default_rng(num_seeds)
    verdicts = [paired(*simulated(rng, num_seeds, 0.0), matters=0.1) for _ in range(1000)]
    rate = np.mean([v.outcome in ("higher", "lower") for v in verdicts])
    assert abs(rate - 0.05) <= 0.015


@pytest.mark.parametrize("family", [1, 5])
@pytest.mark.parametrize("num_seeds", [3, 5, 6, 7, 8, 10])
def test_an_effect_of_the_detectable_size_is_found_in_4_of_5(num_seeds, family):
    """The size is that of the true noise; each study's own estimate of it scatters around. The other arms have none."""
    rng = np.random.default_rng(10 + num_seeds)
    size = _detectable(1 / math.sqrt(num_seeds), num_seeds, 0.05 / family)
    found = []
    for _ in range(600):
        verdicts = [paired(*simulated(rng, num_seeds, size * (i == 0)), matters=0.1) for i in range(family)]
        found.append(together(verdicts, matters=0.1)[0].outcome == "higher")
    assert abs(np.mean(found) - 0.8) <= 0.06
    turned = [paired(*simulated(rng, num_seeds, -size), matters=0.1).outcome == "lower" for _ in range(200)]
    assert np.mean(turned) > 0.7


@pytest.mark.parametrize("num_seeds", range(3, 21))
def test_effects_of_ten_sigma_are_found_whatever_the_number_of_seeds_and_arms(num_seeds):
    """A test with a smallest p-value would stand in the way; of three seeds two degrees of freedom do, from 20 arms."""
    rng = np.random.default_rng(num_seeds)
    for num_arms in (2, 3, 5, 10, 20, 28, 40) if num_seeds > 3 else (2, 3, 5, 10):
        verdicts = [paired(*simulated(rng, num_seeds, 10.0), matters=0.1) for _ in range(num_arms - 1)]
        assert {v.outcome for v in together(verdicts, matters=0.1)} == {"higher"}, num_arms


@pytest.mark.parametrize("family", [None, 9])
def test_an_interval_excludes_zero_where_its_p_value_is_small_and_nowhere_else(family):
    rng = np.random.default_rng(3)
    told = 0
    for _ in range(400):
        num_seeds, num_arms = int(rng.integers(2, 21)), int(rng.integers(1, 8))
        effects = rng.choice([0.0, 0.5, 2.0, 20.0], size=num_arms)
        single = [paired(*simulated(rng, num_seeds, effect), matters=0.1) for effect in effects]
        for v in single:
            assert (v.p < ALPHA) == (v.low > 0 or v.high < 0) and v.level == 0.95
        for v in together(single, matters=0.1, family=family):
            excluded = v.low > 0 or v.high < 0
            assert (v.p_adjusted < ALPHA) == excluded
            assert (v.outcome in ("higher", "lower")) <= excluded
            told += excluded
    assert 200 < told < 1500


def test_the_level_of_an_interval_is_that_at_which_holms_method_tests_it():
    sizes = [100.0, 1e4, 0.0, 0.0]
    rng = np.random.default_rng(1)
    found = together([paired(*simulated(rng, 6, size), matters=0.1) for size in sizes], matters=0.1, family=5)
    assert [v.level for v in found] == pytest.approx([1 - 0.05 / 4, 1 - 0.05 / 5, 1 - 0.05 / 3, 1 - 0.05 / 3])
    assert found[1].interval.endswith("(99 %)")


def test_the_detectable_size_grows_with_the_number_of_verdicts():
    one = paired([0.1, 0.5, 0.3], [0.2, 0.9, 0.1], matters=0.01)
    several = together([one, one, one], matters=0.01)[0]
    assert one.detectable < several.detectable
    assert together([one], matters=0.01, family=3)[0].detectable == several.detectable


@pytest.mark.parametrize("num_seeds", [3, 8, 24])
def test_the_interval_covers_the_truth(num_seeds):
    """So narrowly that a quantile of one degree of freedom more is seen: it covers 91 % at three seeds."""
    rng = np.random.default_rng(20 + num_seeds)
    differences = 2.0 + rng.normal(size=(20_000, num_seeds))
    covered = np.mean([low <= 2.0 <= high for low, high in map(interval, differences)])
    assert abs(covered - 0.95) <= 0.006
    v = paired(np.zeros(num_seeds), differences[0], matters=0.1)
    assert (v.low, v.high) == pytest.approx(interval(differences[0]))


def test_what_is_too_small_to_matter_is_said_as_such():
    a = np.array([0.5, 0.6, 0.4, 0.5, 0.55])
    v = paired(a, a + [0.0020, 0.0021, 0.0022, 0.0020, 0.0021], matters=0.01)
    assert v.p < 1e-4 and v.outcome == "negligible"
    assert paired(a, a + 0.5 + [0, 0.001, 0, 0.001, 0], matters=0.01).outcome == "higher"


def test_no_effect_is_not_said_of_few_seeds():
    a = np.array([0.5, 0.6, 0.4, 0.5, 0.55])
    b = a + [1e-4, -2e-4, 1e-4, 0, -1e-4]
    assert [paired(a[:n], b[:n], matters=0.01).outcome for n in (3, 4, 5)] == ["not enough seeds"] * 2 + ["no effect"]


@pytest.mark.parametrize("num_seeds, most", [(3, 0.02), (5, 0.08), (8, 0.03)])
def test_steps_of_an_accuracy_are_seldom_taken_for_no_effect(num_seeds, most):
    """A seed finds the solution or not, and the arms differ in how often: the noise is anything but normal."""
    rng = np.random.default_rng(0)

    def reached(share):
        return np.where(rng.random(num_seeds) < share, 1.0, 0.878) + 0.001 * rng.normal(size=num_seeds)

    verdicts = [paired(reached(0.9), reached(0.6), matters=0.01) for _ in range(2000)]  # .037 apart
    assert np.mean([v.outcome in ("no effect", "negligible") for v in verdicts]) <= most


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="finite values are needed, found"):
        paired([0.1] * 6, [0.2, 0.2, value, 0.2, 0.2, 0.3], matters=0.01)


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
    rounded = [0.531, 0.421, 0.611], [0.631, 0.521, 0.711]  # equal but for rounding
    assert len({b - a for a, b in zip(*rounded, strict=True)}) > 1
    for a, b in (([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]), ([0.5, 0.25, 0.5], [0.75, 0.5, 0.75]), rounded):
        coarse = paired(a, b, 0.01, ties_tell=False)
        assert coarse.outcome == "not enough seeds" and coarse.low == -math.inf and coarse.p == 1
        assert paired(a, b, 0.01).outcome == ("no effect" if a == b else "higher")


def test_two_seeds_have_a_detectable_difference():
    one = paired([0.0, 0.0], [0.1, 0.3], 0.01)
    n, shift = 2, one.detectable / (0.1414 / math.sqrt(2))
    rng = np.random.default_rng(0)
    t = rng.normal(shift / math.sqrt(n), 1, (200_000, n))
    found = np.abs(t.mean(1) / (t.std(1, ddof=1) / math.sqrt(n))) > stats.t.ppf(0.975, n - 1)
    assert abs(found.mean() - 0.8) < 0.01


def test_one_seed_is_called_too_few_at_the_level_that_was_meant():
    alone = paired([1.0], [2.0], matters=0.1)
    assert (alone.outcome, alone.level, alone.p) == ("not enough seeds", 1 - ALPHA, 1.0)


def test_a_corrected_p_value_is_a_probability():
    no_effects = [paired([0.0, 1.0, 2.0], [0.1, 0.9, 2.05], matters=0.1) for _ in range(5)]
    assert [v.p_adjusted for v in together(no_effects, matters=0.1)] == [1.0] * 5


@pytest.mark.parametrize(
    "values, shown",
    [
        ([0.25], "0.25"),
        ([0.25, 0.35], "0.3 ± 0.64"),  # t(1) = 12.706, standard error .05
        ([1.0, 2.0, 3.0], "2 ± 2.5"),  # t(2) = 4.303, standard error 1 / sqrt(3)
        ([12000.0, 12000.0], "12,000 ± 0"),
        ([999.0], "999"),
        ([1000.5], "1000"),
        ([1000.0], "1,000"),
    ],
)
def test_a_mean_is_shown_with_half_its_interval_where_there_are_several_seeds(values, shown):
    assert shown_mean(values) == shown
    if len(values) > 1:
        standard_error = np.std(values, ddof=1) / math.sqrt(len(values))
        assert half_width(values) == pytest.approx(stats.t.ppf(0.975, len(values) - 1) * standard_error)

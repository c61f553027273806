"""The audit's own arithmetic."""

import numpy as np
import pytest
from scipy.stats import binomtest

from mythos_lab.tasks.audit import bayes_accuracy, combinations, lower_end
from mythos_lab.tasks.base import Shortcut


def test_what_a_feature_settles_is_found_and_noise_is_not():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 5, 20_000)
    noise = rng.integers(0, 5, 20_000)
    half = np.where(rng.random(20_000) < 0.5, label, noise)
    assert bayes_accuracy(label[:, None], label) == 1
    assert abs(bayes_accuracy(noise[:, None], label) - 0.2) < 0.02
    assert abs(bayes_accuracy(half[:, None], label) - 0.6) < 0.02


def test_combinations_that_were_never_seen_get_the_commonest_label():
    label = np.array([1] * 700 + [0] * 300)
    label = np.random.default_rng(0).permutation(label)
    assert abs(bayes_accuracy(np.arange(1000)[:, None], label) - 0.7) < 0.05


def test_labels_need_not_count_from_zero():
    label = np.random.default_rng(0).choice([7, 4000], 2000)
    assert bayes_accuracy(label[:, None] * 3, label) == 1


@pytest.mark.parametrize("low, high, num_features", [(-3, 4, 2), (0, 2, 70), (-(2**62), 2**62, 3)])
def test_combinations_are_counted_as_numpy_counts_them(low, high, num_features):
    rng = np.random.default_rng(0)
    features = rng.integers(low, high, (50, num_features))[rng.integers(0, 50, 400)]
    assert np.array_equal(combinations(features), np.unique(features, axis=0, return_inverse=True)[1].reshape(-1))


def test_the_lower_end_is_scipys():
    for num in (1, 7, 50, 4096):
        for successes in {0, 1, num // 3, num - 1, num}:
            theirs = binomtest(successes, num).proportion_ci(confidence_level=0.998, method="wilson").low
            assert lower_end(successes / num, num) == pytest.approx(theirs, abs=1e-12)


def test_the_lower_end_is_below_the_truth_in_999_of_1000():
    rng = np.random.default_rng(0)
    measured = rng.binomial(1000, 0.3, 5000) / 1000
    ends = {share: lower_end(share, 1000) for share in np.unique(measured).tolist()}
    above = np.mean([ends[share] > 0.3 for share in measured.tolist()])
    assert 0 < above <= 0.003
    assert lower_end(0.0, 50) == 0 and 0.8 < lower_end(1.0, 50) < 1


def test_explained_runs_from_chance_to_one():
    assert Shortcut("x", None, 0.6, 0.55, 0.2, 100).explained == pytest.approx(0.5)
    assert Shortcut("x", None, 1.0, 0.9, 0.2, 100).explained == pytest.approx(1.0)

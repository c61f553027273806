"""How well a task is predicted from features that need no reasoning."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from mythos_lab.tasks.base import Array


def bayes_accuracy(features: Array, label: Array) -> float:
    """Held-out accuracy of the best prediction of ``label`` from discrete features ``(samples, features)``.

    The commonest label of every combination is learned on one half and tried on the other. Combinations that were
    never seen get the commonest label of all: a finite sample errs downwards, not upwards.
    """
    key = _combinations(features)
    labels, label = np.unique(label, return_inverse=True)
    label = label.reshape(-1)
    half = len(label) // 2
    pairs, counts = np.unique(key[:half] * len(labels) + label[:half], return_counts=True)
    order = np.lexsort((pairs % len(labels), counts))  # the commonest label of a key is written last
    best = np.full(key.max() + 1, np.bincount(label[:half], minlength=len(labels)).argmax())
    best[pairs[order] // len(labels)] = pairs[order] % len(labels)
    return float((best[key[half:]] == label[half:]).mean())


def _combinations(features: Array) -> Array:
    """The number of each row's combination of values, as ``np.unique`` of rows has it at three times the cost."""
    key = np.zeros(len(features), dtype=np.int64)
    for column in features.T:
        values, value = np.unique(column, return_inverse=True)
        _, key = np.unique(key * len(values) + value, return_inverse=True)
    return key


def lower_end(accuracy: float, num_samples: int) -> float:
    """Lower end of the one-sided 99.9 % interval of a measured share (Wilson's score interval, 1927).

    Every process that trains audits its task, and ``scipy.stats`` takes two seconds to import: this is its
    ``binomtest(...).proportion_ci(confidence_level=0.998, method="wilson").low``.
    """
    share, z = round(accuracy * num_samples) / num_samples, NormalDist().inv_cdf(0.999)
    centre = share + z**2 / (2 * num_samples)
    half = z * math.sqrt((share * (1 - share) + z**2 / (4 * num_samples)) / num_samples)
    return max(0.0, (centre - half) / (1 + z**2 / num_samples))

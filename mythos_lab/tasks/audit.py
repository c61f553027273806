"""How well a task is predicted from features that need no reasoning."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from mythos_lab.tasks.base import Array

_MOST = 2**62
"""Combinations that are told apart by a product of their features' ranges; int64 holds it."""


def bayes_accuracy(features: Array, label: Array) -> float:
    """Held-out accuracy of the best prediction of ``label`` from discrete features ``(samples, features)``.

    The commonest label of every combination is learned on one half and tried on the other. Combinations that were
    never seen get the commonest label of all: a finite sample errs downwards, not upwards.
    """
    key = combinations(features)
    labels, label = np.unique(label, return_inverse=True)
    label = label.reshape(-1)
    half = len(label) // 2
    pairs, counts = np.unique(key[:half] * len(labels) + label[:half], return_counts=True)
    order = np.lexsort((pairs % len(labels), counts))  # the commonest label of a key is written last
    best = np.full(key.max() + 1, np.bincount(label[:half], minlength=len(labels)).argmax())
    best[pairs[order] // len(labels)] = pairs[order] % len(labels)
    return float((best[key[half:]] == label[half:]).mean())


def combinations(features: Array) -> Array:
    """The combination that each row of ``(samples, features)`` is, counted from 0 in ascending order: ``(samples,)``.

    As ``np.unique(features, axis=0, return_inverse=True)`` counts them, which compares rows byte by byte and takes
    most of an audit's time: integers are sorted ten times as fast.
    """
    key, size = np.zeros(len(features), dtype=np.int64), 1
    for column in features.T:
        lowest, width = int(column.min()), int(column.max()) - int(column.min()) + 1
        if size * width < _MOST:
            digit = column.astype(np.int64) - lowest
        else:  # by rank, of which there are no more than samples
            digit, key = (np.unique(values, return_inverse=True)[1].reshape(-1) for values in (column, key))
            width, size = int(digit.max()) + 1, int(key.max()) + 1
        key, size = key * width + digit, size * width
    return np.unique(key, return_inverse=True)[1].reshape(-1)


def lower_end(accuracy: float, num_samples: int) -> float:
    """Lower end of the one-sided 99.9 % interval of a measured share (Wilson's score interval, 1927).

    Every process that trains audits its task, and ``scipy.stats`` takes two seconds to import: this is its
    ``binomtest(...).proportion_ci(confidence_level=0.998, method="wilson").low``.
    """
    share, z = round(accuracy * num_samples) / num_samples, NormalDist().inv_cdf(0.999)
    centre = share + z**2 / (2 * num_samples)
    half = z * math.sqrt((share * (1 - share) + z**2 / (4 * num_samples)) / num_samples)
    return max(0.0, (centre - half) / (1 + z**2 / num_samples))

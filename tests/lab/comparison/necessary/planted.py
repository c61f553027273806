"""Matrices whose truth is known: what a model comes to is written down, and seeds scatter about it."""

import numpy as np

from mythos_lab.comparison.necessary import Matrix


def planted(rows, *, seeds=5, noise=0.002, delta=0.01, metric="val/accuracy", draw=0, **options):
    """A matrix of these means, by the depth trained at: a mapping from the depth evaluated at to its mean.

    The seed's own deviation is shared by all of its cells, as data and weights are, and falls out of differences.
    """
    generator = np.random.default_rng(draw)
    shared = generator.normal(0, 10 * noise, seeds)
    values = {
        (trained, evaluated): tuple(mean + shared + generator.normal(0, noise, seeds))
        for trained, row in rows.items()
        for evaluated, mean in row.items()
    }
    return Matrix(metric=metric, delta=delta, seeds=tuple(range(seeds)), values=values, **options)


ILLUSION = {1: {1: 0.6, 2: 0.5, 4: 0.4}, 2: {1: 0.5, 2: 0.9, 4: 0.8}, 4: {1: 0.3, 2: 0.7, 4: 0.9}}
"""Two loops do what four do; the model trained at four is bad at two."""

NEEDED = {1: {1: 0.6, 2: 0.5, 4: 0.4}, 2: {1: 0.5, 2: 0.8, 4: 0.7}, 4: {1: 0.3, 2: 0.6, 4: 0.9}}
"""Every loop is needed, and none beyond those trained brings anything."""

SCALING = {1: {1: 0.6, 2: 0.6, 4: 0.6}, 2: {1: 0.5, 2: 0.8, 4: 0.88}, 4: {1: 0.5, 2: 0.8, 4: 0.9}}
"""What is trained at two goes on getting better at four."""

FLAT = {1: {1: 0.9, 2: 0.9, 4: 0.9}, 2: {1: 0.9, 2: 0.9, 4: 0.9}, 4: {1: 0.9, 2: 0.9, 4: 0.9}}
"""One loop does it all, and more of them change nothing."""

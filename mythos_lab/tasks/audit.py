"""How well a task is predicted from features that need no reasoning."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mythos_lab.tasks.graphs import Bools, Ints

Features = NDArray[Any]


def bayes_accuracy(features: Features, label: Bools) -> float:
    """Held-out accuracy of the best prediction from discrete features ``(samples, features)``.

    The majority label of every combination is learned on one half and tried on the other. Combinations that
    were never seen, or are tied, count as a coin: a finite sample errs downwards, not upwards.
    """
    _, key = np.unique(features, axis=0, return_inverse=True)
    key = key.reshape(-1)
    half = len(label) // 2
    votes = np.zeros(key.max() + 1)
    np.add.at(votes, key[:half], np.where(label[:half], 1, -1))
    vote = votes[key[half:]]
    right = np.where(vote == 0, 0.5, (vote > 0) == label[half:])
    return float(right.mean())


def degree_features(edges: Bools, source: Ints, target: Ints) -> Features:
    """In- and out-degrees of s and t, and the number of edges."""
    rows = np.arange(len(edges))
    outgoing, incoming = edges.sum(2), edges.sum(1)
    return np.stack(
        (
            outgoing[rows, source],
            incoming[rows, source],
            outgoing[rows, target],
            incoming[rows, target],
            edges.sum((1, 2)),
        ),
        1,
    )


def edge_features(edges: Bools, source: Ints, target: Ints) -> Features:
    """The edges between s and t that are not the answer itself: t -> s, and how many edges run back in pairs.

    The edge s -> t is the answer at one hop and absent by construction at more, so it is not counted.
    """
    rows = np.arange(len(edges))
    mutual = (edges & edges.transpose(0, 2, 1)).sum((1, 2)) // 2
    return np.stack((edges[rows, target, source], mutual), 1)


def ball_features(edges: Bools, source: Ints, target: Ints, radius: int) -> Features:
    """What ``radius`` steps of message passing bring to t: the sizes of the shells around it, against the edges'
    direction, and the first shell in which s stands."""
    rows = np.arange(len(edges))
    seen = np.zeros(edges.shape[:2], dtype=bool)
    seen[rows, target] = True
    columns = []
    for _ in range(radius):
        wider = seen | (edges & seen[:, None, :]).any(2)
        columns += [(wider & ~seen).sum(1), wider[rows, source]]
        seen = wider
    return np.stack(columns, 1)

"""What is read off a graph at a glance, or by a few steps along its edges."""

from __future__ import annotations

import numpy as np

from mythos_lab.tasks.base import Array
from mythos_lab.tasks.compositional.graphs import Bools, Ints


def degree_features(edges: Bools, source: Ints, target: Ints) -> Array:
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


def edge_features(edges: Bools, source: Ints, target: Ints) -> Array:
    """The edges between s and t that are not the answer itself: t -> s, and how many edges run back in pairs.

    The edge s -> t is the answer at one hop and absent by construction at more, so it is not a feature. It does
    count among the edges that run back in pairs, whose number is the same in both graphs of a pair.
    """
    rows = np.arange(len(edges))
    mutual = (edges & edges.transpose(0, 2, 1)).sum((1, 2)) // 2
    return np.stack((edges[rows, target, source], mutual), 1)


def neighbour_features(edges: Bools, source: Ints, target: Ints) -> Array:
    """Nodes that both s and t lead to, and nodes that lead to both.

    At one hop they tell something: of two graphs with the same degrees, the one without s -> t has one more edge
    of s, and one more into t, for the other nodes to share. No model gains by it where the edge itself is seen.
    """
    rows = np.arange(len(edges))
    after = (edges[rows, source] & edges[rows, target]).sum(1)
    before = (edges[rows, :, source] & edges[rows, :, target]).sum(1)
    return np.stack((after, before), 1)


def ball_features(edges: Bools, source: Ints, target: Ints, radius: int) -> list[Array]:
    """What ``radius`` steps of message passing bring to t, coarse to fine.

    A node hears from those with an edge to it, so what counts is the ball around t against the edges' direction:
    first only whether s is in it; then, shell by shell, its size and whether s is in it; then the in-degrees
    of each shell too. The ball around s is out of t's earshot unless s is in the ball around t.
    """
    rows = np.arange(len(edges))
    degree = edges.sum(1)
    seen = np.zeros(edges.shape[:2], dtype=bool)
    seen[rows, target] = True
    shell = seen
    shells: list[Ints] = []
    degrees: list[Ints] = []
    for _ in range(radius):
        degrees.append((degree * shell).sum(1))
        wider = seen | (edges & seen[:, None, :]).any(2)
        shell, seen = wider & ~seen, wider
        shells += [shell.sum(1), seen[rows, source].astype(np.int64)]
    return [seen[rows, source][:, None], np.stack(shells, 1), np.stack(shells + degrees, 1)]

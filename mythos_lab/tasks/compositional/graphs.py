"""Pairs of directed graphs that differ in whether t can be reached from s, and in nothing that is seen at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

MAX_NODES = 64

_MAX_ROUNDS = 16  # of swaps; pairs that still have no negative are drawn anew
_SWAPS_PER_ROUND = 4
_MAX_DRAWS = 1000  # with 4 nodes, where negatives are rarest, 1 draw in 25 has one


@dataclass(frozen=True)
class GraphPairs:
    """Positives and negatives of equal degrees.

    Attributes:
        positive: ``(pairs, n, n)``, true at [u, v] for an edge u -> v; t is exactly ``hops`` edges from s.
        negative: The same graphs after double-edge swaps, with no path from s to t.
        source: s, ``(pairs,)``.
        target: t, ``(pairs,)``.
        hops: ``(pairs,)``.
    """

    positive: Bools
    negative: Bools
    source: Ints
    target: Ints
    hops: Ints


def graph_pairs(rng: np.random.Generator, num_pairs: int, num_nodes: int, min_hops: int, max_hops: int) -> GraphPairs:
    """Draw pairs; those for which no negative is found are dropped whole, so positives leak nothing."""
    parts: list[GraphPairs] = []
    hops_left = rng.integers(min_hops, max_hops + 1, num_pairs)
    for _ in range(_MAX_DRAWS):
        drawn, found = _draw(rng, hops_left, num_nodes)
        parts.append(GraphPairs(*(getattr(drawn, name)[found] for name in GraphPairs.__dataclass_fields__)))
        # The hops of dropped pairs are drawn again as they were: hop counts stay uniform.
        hops_left = hops_left[~found]
        if not len(hops_left):
            break
    assert not len(hops_left), f"no negatives for graphs of {num_nodes} nodes with paths of {hops_left} edges"
    order = rng.permutation(num_pairs)
    return GraphPairs(
        *(np.concatenate([getattr(p, name) for p in parts])[order] for name in GraphPairs.__dataclass_fields__)
    )


def reaches(edges: Bools, source: Ints, target: Ints) -> Bools:
    """Whether t can be reached from s: ``(graphs, n, n), (graphs,), (graphs,) -> (graphs,)``, for n up to 64."""
    n = edges.shape[1]
    assert n <= MAX_NODES
    # A set of nodes is one word. This is the inner loop of the generator.
    bit = np.left_shift(np.uint64(1), np.arange(n, dtype=np.uint64))
    after = edges.astype(np.uint64) @ bit
    seen, wider = np.zeros(len(edges), dtype=np.uint64), bit[source]
    while (wider != seen).any():
        seen = wider
        wider = seen | np.bitwise_or.reduce(np.where(seen[:, None] & bit, after, np.uint64(0)), axis=1)
    reached: Bools = (seen & bit[target]) != 0
    return reached


def published_graphs(
    rng: np.random.Generator, label: Bools, hops: Ints, size: Ints, max_nodes: int
) -> tuple[Bools, Ints, Ints]:
    """Edges ``(graphs, n, n)``, s and t as arXiv 2603.21676 draws them, for graphs of ``size`` nodes.

    Of a negative, s and t are the first pair without a path, in the order of the pairs of a shuffled list of nodes;
    graphs without such a pair are drawn anew.

    Args:
        label: Whether t can be reached, ``(graphs,)``.
    """
    num = len(hops)
    yes, no = np.flatnonzero(label), np.flatnonzero(~label)
    edges = np.zeros((num, max_nodes, max_nodes), dtype=bool)
    source, target = np.zeros((2, num), dtype=np.int64)
    edges[yes], source[yes], target[yes] = _path_and_more(rng, hops[yes], size[yes], max_nodes, loops=False)
    for _ in range(_MAX_DRAWS):
        if not len(no):
            return edges, source, target
        drawn = _random_edges(rng, size[no], max_nodes)
        real = np.arange(max_nodes) < size[no, None]
        apart = ~_closure(drawn) & real[:, :, None] & real[:, None, :]
        rank = rng.permuted(np.tile(np.arange(max_nodes), (len(no), 1)), axis=1)
        apart &= rank[:, :, None] < rank[:, None, :]
        order = rank[:, :, None] * max_nodes + rank[:, None, :]
        pair = np.where(apart, order, max_nodes**2).reshape(len(no), -1).argmin(1)
        found = apart.any((1, 2))
        rows = no[found]
        edges[rows], source[rows], target[rows] = drawn[found], pair[found] // max_nodes, pair[found] % max_nodes
        no = no[~found]
    raise AssertionError(f"no pair without a path in graphs of up to {max_nodes} nodes")


def _random_edges(rng: np.random.Generator, size: Ints, n: int) -> Bools:
    """size/2 to 2 size draws of edges between the first ``size`` of n nodes; what is drawn twice counts once."""
    draws = rng.integers(size // 2, 2 * size + 1)
    u = rng.integers(0, size[:, None], (len(size), 2 * n))
    v = (u + rng.integers(1, size[:, None], u.shape)) % size[:, None]
    kept = np.arange(2 * n) < draws[:, None]
    edges = np.zeros((len(size), n, n), dtype=bool)
    rows = np.broadcast_to(np.arange(len(size))[:, None], kept.shape)
    edges[rows[kept], u[kept], v[kept]] = True
    return edges


def _closure(edges: Bools) -> Bools:
    """Which nodes lead to which, each to itself too, by Warshall's algorithm on sets that are words."""
    n = edges.shape[1]
    bit = np.left_shift(np.uint64(1), np.arange(n, dtype=np.uint64))
    after = edges.astype(np.uint64) @ bit | bit
    for k in range(n):
        after |= np.where(after & bit[k], after[:, k : k + 1], np.uint64(0))
    closed: Bools = (after[:, :, None] & bit) != 0
    return closed


def _draw(rng: np.random.Generator, hops: Ints, n: int) -> tuple[GraphPairs, Bools]:
    edges, source, target = _path_and_more(rng, hops, np.full(len(hops), n), n)
    negative, found = _swapped(rng, edges, source, target)
    return GraphPairs(edges, negative, source, target, hops), found


def _path_and_more(
    rng: np.random.Generator, hops: Ints, size: Ints, n: int, loops: bool = True
) -> tuple[Bools, Ints, Ints]:
    """Edges, s and t of graphs of ``size`` of the n nodes: a path of exactly ``hops`` edges from s to t, and
    size/2 to 2 size draws of random edges, of which those are left out that would make it shorter; draws of an edge
    from a node to itself count as draws where there may be ``loops``, and are left out."""
    pairs, rows = len(hops), np.arange(len(hops))
    nodes = np.argsort(np.where(np.arange(n) < size[:, None], rng.random((pairs, n)), 2.0), axis=1)
    source, target = nodes[:, 0], nodes[rows, hops]
    edges = np.zeros((pairs, n, n), dtype=bool)
    # n stands for no path; the type holds n + 1 + n, the longest sum that is compared with it.
    distance = np.full((pairs, n, n), n, dtype=np.min_scalar_type(-(2 * n + 1)))
    distance[:, np.arange(n), np.arange(n)] = 0
    for i in range(int(hops.max(initial=0))):
        _add(edges, distance, nodes[:, i], nodes[:, i + 1], i < hops)
    extra = rng.integers(size // 2, 2 * size + 1)
    for i in range(int(extra.max(initial=0))):
        u, v = rng.integers(0, size, (2, pairs))
        if not loops:
            v = (u + rng.integers(1, size)) % size
        closer = distance[rows, source, u].astype(int) + 1 + distance[rows, v, target] < hops
        _add(edges, distance, u, v, (i < extra) & (u != v) & ~edges[rows, u, v] & ~closer)
    return edges, source, target


def _add(edges: Bools, distance: NDArray[Any], u: Ints, v: Ints, where: Bools) -> None:
    """Add the edge u -> v to the graphs in ``where`` and keep all their distances up to date, in place."""
    g = np.flatnonzero(where)
    u, v = u[g], v[g]
    edges[g, u, v] = True
    through = distance[g, :, u][:, :, None] + distance[g, v, :][:, None, :] + distance.dtype.type(1)
    distance[g] = np.minimum(distance[g], through)


def _swapped(rng: np.random.Generator, edges: Bools, source: Ints, target: Ints) -> tuple[Bools, Bools]:
    """Graphs after random swaps (u -> v, x -> y) to (u -> y, x -> v), until t is out of reach; and where it is.

    Swaps keep every degree. They also end with as many edges that run both ways as they began with, and leave
    the edge t -> s alone: otherwise graphs without a path would have other numbers of them.
    """
    swaps, swapped = _Swaps(edges, source, target), edges.copy()
    mutual, open_ = _num_mutual(edges), np.arange(len(edges))
    for _ in range(_MAX_ROUNDS):
        for _ in range(_SWAPS_PER_ROUND):
            swaps.try_one(rng, open_)
        left = swaps.edges(open_)
        done = _num_mutual(left) == mutual[open_]  # first: counting is cheap, and few graphs are left to search
        done[done] = ~reaches(left[done], source[open_][done], target[open_][done])
        swapped[open_[done]] = left[done]
        open_ = open_[~done]
        if not len(open_):
            break
    found = np.ones(len(edges), dtype=bool)
    found[open_] = False
    return swapped, found


def _num_mutual(edges: Bools) -> Ints:
    both = (edges & edges.transpose(0, 2, 1)).reshape(len(edges), -1)
    mutual: Ints = (both.astype(np.float32) @ np.ones(both.shape[1], dtype=np.float32)).astype(np.int64)
    return mutual


class _Swaps:
    """Graphs in which edges are swapped, in place: the inner loop of the generator.

    An edge u -> v is one number, u times a power of two plus v. Where no swap may put an edge is marked in one table:
    on edges that there are, on the diagonal, and on t -> s. An edge that is swapped with itself, or with another of its
    tail or head, would stay where it is, and so is refused by the same look.
    """

    def __init__(self, edges: Bools, source: Ints, target: Ints) -> None:
        num, n = edges.shape[:2]
        self._num_nodes, self._shift = n, (n - 1).bit_length()
        self._head = (1 << self._shift) - 1
        self._kept = (target << self._shift) | source
        self._has_kept = edges[np.arange(num), target, source]
        self._counts = edges.sum((1, 2))
        self._most, self._size = int(self._counts.max()), n << self._shift
        graph, u, v = np.nonzero(edges)
        slot = np.arange(len(graph)) - np.repeat(np.cumsum(self._counts) - self._counts, self._counts)
        self._edges = np.zeros(num * self._most, dtype=np.int64)
        self._edges[graph * self._most + slot] = (u << self._shift) | v
        taken = np.zeros((num, n, 1 << self._shift), dtype=bool)
        taken[:, :, :n] = edges
        taken[:, np.arange(n), np.arange(n)] = True
        self._taken = taken.reshape(-1)
        self._taken[np.arange(num) * self._size + self._kept] = True

    def try_one(self, rng: np.random.Generator, graphs: Ints) -> None:
        """Try one swap in each of the graphs."""
        i, j = rng.integers(0, self._counts[graphs], (2, len(graphs))) + graphs * self._most
        first, second, kept, at = self._edges[i], self._edges[j], self._kept[graphs], graphs * self._size
        crossed = (first ^ second) & self._head  # to exchange the heads
        to_first, to_second = at + (first ^ crossed), at + (second ^ crossed)
        refused = self._taken[to_first] | self._taken[to_second] | (first == kept) | (second == kept)
        legal = np.flatnonzero(~refused)
        at, to_first, to_second = at[legal], to_first[legal], to_second[legal]
        self._taken[at + first[legal]] = self._taken[at + second[legal]] = False
        self._taken[to_first] = self._taken[to_second] = True
        self._edges[i[legal]], self._edges[j[legal]] = to_first - at, to_second - at

    def edges(self, graphs: Ints) -> Bools:
        """The graphs as they are now, ``(graphs, n, n)``."""
        n, kept = self._num_nodes, self._kept[graphs]
        found: Bools = self._taken.reshape(-1, n, 1 << self._shift)[graphs, :, :n]
        found[:, np.arange(n), np.arange(n)] = False
        found[np.arange(len(graphs)), kept >> self._shift, kept & self._head] = self._has_kept[graphs]
        return found

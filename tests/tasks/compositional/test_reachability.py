"""Reachability: that nothing but reachability tells the two graphs of a pair apart."""

from collections import deque

import numpy as np
import pytest
import torch

from mythos_lab.tasks import IGNORE, Reachability
from mythos_lab.tasks.audit import bayes_accuracy
from mythos_lab.tasks.compositional.graph_features import (
    ball_features,
    degree_features,
    edge_features,
    neighbour_features,
)
from mythos_lab.tasks.compositional.graphs import _Swaps, graph_pairs
from mythos_lab.tasks.compositional.reachability import NO, NODE, SOURCE, TARGET, YES

HOPS = range(1, 5)


@pytest.fixture(scope="module")
def rendered():
    """Edges, s, t, label and hops, read back from what a model gets."""
    batch = Reachability().batch("train", range(24 * 1024))
    edges = batch.allowed.transpose(1, 2).numpy() & ~np.eye(10, dtype=bool)
    source, target = ((batch.tokens == role).int().argmax(1).numpy() for role in (SOURCE, TARGET))
    label = (batch.targets == YES).any(1).numpy()
    return edges, source, target, label, batch.difficulty.numpy()


def at(rendered, hops):
    edges, source, target, label, difficulty = rendered
    rows = difficulty == hops
    return (edges[rows], source[rows], target[rows]), label[rows]


@pytest.fixture(scope="module")
def audited():
    return {(s.feature, s.difficulty): s for s in Reachability().audit(20_000)}


def distance(edges, source, target):
    """Breadth-first search in plain Python; ``None`` where there is no path."""
    far, queue = {source: 0}, deque([source])
    while queue:
        u = queue.popleft()
        for v in np.flatnonzero(edges[u]):
            if v not in far:
                far[v] = far[u] + 1
                queue.append(v)
    return far.get(target)


# 64 nodes: sums of distances pass 127. 4 nodes and 5 with 2 hops: the smallest, of which few have a negative.
@pytest.mark.parametrize(
    "num_nodes, min_hops, max_hops, num_pairs",
    [(4, 1, 1, 60), (5, 2, 2, 60), (10, 1, 4, 200), (10, 7, 7, 60), (64, 1, 61, 24)],
)
def test_pairs_have_equal_degrees_an_exact_distance_and_no_path(num_nodes, min_hops, max_hops, num_pairs):
    pairs = graph_pairs(np.random.default_rng(1), num_pairs, num_nodes, min_hops, max_hops)
    for axis in (1, 2):
        assert (pairs.positive.sum(axis) == pairs.negative.sum(axis)).all()
    for i in range(num_pairs):
        s, t = pairs.source[i], pairs.target[i]
        assert distance(pairs.positive[i], s, t) == pairs.hops[i]
        assert distance(pairs.negative[i], s, t) is None
    assert not pairs.positive.diagonal(axis1=1, axis2=2).any()
    assert not pairs.negative.diagonal(axis1=1, axis2=2).any()


def test_swaps_are_those_of_a_plain_loop_over_edges():
    pairs, fast, plain = (
        graph_pairs(np.random.default_rng(0), 40, 7, 1, 4),
        np.random.default_rng(1),
        np.random.default_rng(1),
    )
    edges, graphs = pairs.positive.copy(), np.arange(0, 40, 2)
    lists = [[(int(u), int(v)) for u, v in np.argwhere(each)] for each in edges]
    swaps, num_swapped = _Swaps(edges, pairs.source, pairs.target), 0
    for _ in range(20):
        swaps.try_one(fast, graphs)
        drawn = plain.integers(0, [len(lists[g]) for g in graphs], (2, len(graphs)))
        for g, i, j in zip(graphs, *drawn, strict=True):
            (u, v), (x, y), kept = lists[g][i], lists[g][j], (pairs.target[g], pairs.source[g])
            new = {(u, y), (x, v)}
            if u != y and x != v and not new & set(lists[g]) and kept not in new | {(u, v), (x, y)}:
                lists[g][i], lists[g][j] = (u, y), (x, v)
                num_swapped += 1
    wanted = np.zeros_like(edges)
    for g, each in enumerate(lists):
        wanted[g][tuple(np.array(each).T)] = True
    assert (swaps.edges(np.arange(40)) == wanted).all() and num_swapped > 40


def test_large_graphs_get_their_extra_edges():
    """Distances that overflow reject every extra edge, and no bare path has a negative: the draw never ended."""
    pairs = graph_pairs(np.random.default_rng(0), 8, 64, 4, 4)
    assert (pairs.positive.sum((1, 2)) > 4 + 16).all()


def test_rendering():
    batch = Reachability().batch("validation", range(512))
    for role, count in ((NODE, 8), (SOURCE, 1), (TARGET, 1)):
        assert ((batch.tokens == role).sum(1) == count).all()
    scored = batch.targets != IGNORE
    assert torch.equal(scored, batch.tokens == TARGET)
    assert set(batch.targets[scored].tolist()) == {NO, YES}


def test_a_node_reads_from_those_with_an_edge_to_it(rendered):
    """One step along ``allowed`` from the source's mark is one hop: after ``hops`` steps t knows."""
    batch = Reachability().batch("train", range(1024))
    heard = batch.tokens == SOURCE
    is_target = batch.tokens == TARGET
    yes = (batch.targets == YES).any(1)
    first = torch.full((1024,), -1)
    for step in range(10):
        first[(heard & is_target).any(1) & (first < 0)] = step
        heard = (batch.allowed & heard[:, None, :]).any(2)
    assert torch.equal(first[yes], batch.difficulty[yes])
    assert (first[~yes] == -1).all()


def test_labels_and_hops_are_even(rendered):
    *_, label, difficulty = rendered
    for hops in HOPS:
        rows = difficulty == hops
        assert abs(rows.mean() - 0.25) < 0.02
        assert abs(label[rows].mean() - 0.5) < 0.02


@pytest.mark.parametrize("hops", HOPS)
def test_nothing_that_a_model_gets_tells_at_a_glance(rendered, hops):
    """The same audit on rendered samples, where an error in rendering would show."""
    graphs, label = at(rendered, hops)
    _, source, target = graphs
    features = {
        "degrees": degree_features(*graphs),
        "edges": edge_features(*graphs),
        "places": np.stack((source, target), 1),
        "order": (source < target)[:, None],
    }
    if hops > 1:
        features["common neighbours"] = neighbour_features(*graphs)
    for name, feature in features.items():
        assert abs(bayes_accuracy(feature, label) - 0.5) <= 0.03, name


@pytest.mark.parametrize("hops", HOPS)
def test_degrees_and_edges_are_at_chance(audited, hops):
    for feature in ("degrees of s and t", "edges between s and t", "places of s and t"):
        assert abs(audited[feature, hops].accuracy - 0.5) <= 0.02
    assert audited["degrees of s and t", hops].num_samples > 9_000, "the half that was not fitted"


@pytest.mark.parametrize("hops", HOPS)
def test_balls_bound_what_too_few_loops_may_reach(audited, hops):
    bound = [audited[f"ball of radius {radius}", hops].accuracy for radius in HOPS]
    assert bound == sorted(bound)
    assert all(accuracy == 1 for accuracy in bound[hops - 1 :])
    assert all(accuracy < 0.9 for accuracy in bound[: hops - 1])
    if hops > 1:
        assert abs(bound[0] - 0.5) <= 0.02


def test_with_shuffled_labels_every_feature_is_at_chance(rendered):
    graphs, label = at(rendered, 2)
    shuffled = np.random.default_rng(0).permutation(label)
    for feature in (degree_features(*graphs), edge_features(*graphs), *ball_features(*graphs, 3)):
        assert abs(bayes_accuracy(feature, shuffled) - 0.5) <= 0.03


def test_the_audit_would_find_unmatched_degrees():
    """Negatives made by isolating s, the extreme of the leak that arXiv 2603.21676 has at every hop count."""
    rng = np.random.default_rng(0)
    pairs = graph_pairs(rng, 8000, 10, 3, 3)
    label = rng.integers(0, 2, 8000).astype(bool)
    isolated = pairs.negative.copy()
    isolated[np.arange(8000), pairs.source] = False
    edges = np.where(label[:, None, None], pairs.positive, isolated)
    # All but the degrees that half of the samples never had.
    assert bayes_accuracy(degree_features(edges, pairs.source, pairs.target), label) > 0.9


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"min_hops": 4, "max_hops": 3}, "min_hops=4 exceeds max_hops=3"),
        ({"num_nodes": 6, "max_hops": 6}, "max_hops=6 and ood_range=2 must come to at most num_nodes - 3 = 3"),
        ({"num_nodes": 3, "max_hops": 1}, "greater than or equal to 4"),
    ],
)
def test_mistakes(fields, said):
    with pytest.raises(ValueError, match=said):
        Reachability(**fields)

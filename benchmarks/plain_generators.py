"""Published generators as plain loops, one sample and one random number after the other: what ours are timed against.

Each draws from the distribution that its authors publish; none is their code.
"""

from __future__ import annotations

import itertools

import networkx
import numpy as np

IGNORE = -100


def mqar(rng: np.random.RandomState, num: int, length: int, pairs: int, vocab_size: int, power: float = 0.01):
    """Multi-query associative recall as in zoology: keys, values and gaps by a choice for each sample.

    The choices are those of NumPy's older generator, which shuffles all that there is to choose from.
    """
    half, context = vocab_size // 2, 2 * pairs
    space = (length - context) // 2
    weight = np.arange(1, space + 1) ** (power - 1.0)
    weight = weight / weight.sum()
    tokens = rng.randint(0, vocab_size, (num, length))
    targets = np.full((num, length), IGNORE)
    for row in range(num):
        keys = rng.choice(np.arange(1, half), size=pairs, replace=False)
        values = rng.choice(np.arange(half, vocab_size), size=pairs, replace=False)
        gaps = rng.choice(space, size=pairs, replace=False, p=weight)
        tokens[row, 0:context:2], tokens[row, 1:context:2] = keys, values
        tokens[row, context + 2 * gaps] = keys
        targets[row, context + 2 * gaps] = values
    return tokens, targets


def in_context_recall(rng: np.random.Generator, num: int, length: int, vocab_size: int):
    """MAD's recall in context: a dictionary for each sample, pair after pair."""
    half = vocab_size // 2
    tokens, targets = np.zeros((num, length - 1), dtype=int), np.full((num, length - 1), IGNORE)
    for row in range(num):
        value_of: dict[int, int] = {}
        for pair in range(length // 2 - 1):
            key = int(rng.choice(half))
            if key in value_of:
                targets[row, 2 * pair] = value_of[key]
            else:
                value_of[key] = half + int(rng.choice(half))
            tokens[row, 2 * pair : 2 * pair + 2] = key, value_of[key]
        key = int(rng.choice(list(value_of)))
        tokens[row, -1], targets[row, -1] = key, value_of[key]
    return tokens, targets


def selective_copying(rng: np.random.Generator, num: int, length: int, copied: int, vocab_size: int):
    """MAD's selective copying: blanks are inserted sample by sample."""
    blanks = length - 2 * copied - 1
    tokens, targets = np.zeros((num, length), dtype=int), np.full((num, length), IGNORE)
    for row in range(num):
        letters = rng.choice(vocab_size - 2, size=copied)
        scattered = np.insert(letters, rng.integers(0, copied, blanks), [vocab_size - 2] * blanks)
        tokens[row] = [*scattered, vocab_size - 1, *[vocab_size - 2] * copied]
        targets[row, -copied:] = letters
    return tokens, targets


def reachability(rng: np.random.Generator, num: int, min_nodes: int, max_nodes: int, max_hops: int):
    """Chen's graphs: networkx, a shortest path for each edge that is added; rendered as the task does."""
    allowed = np.zeros((num, max_nodes, max_nodes), dtype=bool)
    allowed[:] = np.eye(max_nodes, dtype=bool)
    tokens, targets = np.zeros((num, max_nodes), dtype=int), np.full((num, max_nodes), IGNORE)
    for row in range(num):
        hops = int(rng.integers(1, max_hops + 1))
        n = int(rng.integers(max(min_nodes, max_hops + 2), max_nodes + 1))
        nodes = [int(x) for x in rng.permutation(n)]
        graph = networkx.DiGraph()
        graph.add_nodes_from(nodes)
        positive = bool(rng.integers(0, 2))
        source, target = nodes[0], nodes[hops]
        if positive:
            networkx.add_path(graph, nodes[: hops + 1])
        for _ in range(int(rng.integers(n // 2, 2 * n + 1))):
            u, v = (int(x) for x in rng.choice(n, 2, replace=False))
            new = not graph.has_edge(u, v)
            graph.add_edge(u, v)
            if positive and new and networkx.shortest_path_length(graph, source, target) < hops:
                graph.remove_edge(u, v)
        if not positive:
            order = [int(x) for x in rng.permutation(n)]
            apart = (pair for pair in itertools.combinations(order, 2) if not networkx.has_path(graph, *pair))
            source, target = next(apart, (order[0], order[1]))
        for u, v in graph.edges:
            allowed[row, v, u] = True
        tokens[row, source], tokens[row, target], targets[row, target] = 1, 2, 4 if positive else 3
    return tokens, targets, allowed

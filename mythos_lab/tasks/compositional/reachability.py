"""Is node t reachable from node s?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count
from mythos_lab.tasks.base import IGNORE, Array, Batch, Split
from mythos_lab.tasks.compositional.graph_features import (
    ball_features,
    degree_features,
    edge_features,
    neighbour_features,
)
from mythos_lab.tasks.compositional.graphs import MAX_NODES, graph_pairs, published_graphs, reaches
from mythos_lab.tasks.generated import Feature, Generated, filled
from mythos_lab.tasks.samples import Samples

NODE, SOURCE, TARGET, NO, YES = range(5)


class Graphs(Generated):
    """What both reachability tasks share: how a graph is shown, solved and audited."""

    vocab_size = 5
    symbols = ("node", "s", "t", "no", "yes")
    difficulty_name = "hops"
    difficulty_is_depth = True
    chance = 0.5
    answers = (NO, YES)
    has_mask = True
    compositional = True

    def shown(self, edges: Array, source: Array, target: Array, label: Array, hops: Array, size: Array) -> Samples:
        """Samples of graphs of ``size`` nodes; node v may read node u iff there is an edge u -> v."""
        rows, nodes = np.arange(len(edges)), edges.shape[1]
        tokens = np.full((len(edges), nodes), NODE)
        tokens[rows, source], tokens[rows, target] = SOURCE, TARGET
        targets = np.full((len(edges), nodes), IGNORE)
        targets[rows, target] = np.where(label, YES, NO)
        allowed = edges.transpose(0, 2, 1) | np.eye(nodes, dtype=bool)
        real = np.arange(nodes) < size[:, None]
        return Samples(tokens, targets, hops, allowed, slices={"nodes": size}, real=real)

    def read(self, batch: Batch) -> tuple[Array, Array, Array]:
        """Edges, s and t, from what a model gets."""
        assert batch.allowed is not None
        edges = batch.allowed.transpose(1, 2).numpy() & ~np.eye(batch.tokens.shape[1], dtype=bool)
        roles = ((batch.tokens == role).int().argmax(1).numpy() for role in (SOURCE, TARGET))
        return (edges, *roles)  # type: ignore[return-value]

    def oracle(self, batch: Batch) -> Tensor:
        return filled(batch, np.where(reaches(*self.read(batch)), YES, NO))

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        """What k steps along the edges bring to t: the bound of a model that takes k steps."""
        graphs = self.read(batch)
        balls: dict[str, Feature] = {}
        forms: list[Array] = []
        for k in range(1, self.high + 1):
            forms = forms + ball_features(*graphs, k)  # a ball holds the smaller ones
            balls[f"ball of radius {k}"] = forms
        return balls

    def render(self, batch: Batch, row: int) -> str:
        edges, source, target = self.read(batch.map(lambda tensor: tensor[row : row + 1]))
        links: Array = np.argwhere(edges[0])

        def name(node: Any) -> str:
            return "s" if node == source[0] else "t" if node == target[0] else str(node)

        arrows = " ".join(f"{name(u)}>{name(v)}" for u, v in links)
        return f"{arrows}  ->  {self._symbol(int(batch.targets[row, target[0]]))}"


@component("task", "reachability")
class Reachability(Graphs):
    """Directed reachability with degree-matched negatives: every negative is a positive after double-edge swaps.

    In the generator of arXiv 2603.21676, degrees alone give 86 % at every hop count. Here both graphs of a pair
    have the same degrees, node by node. One position is one node; node v may read node u iff there is an edge
    u -> v, so one layer carries what is known one hop on. The answer is read at t. Needs ``mask: task``.

    Args:
        num_nodes: Nodes of a graph.
        min_hops: Least distance from s to t in the positives.
        max_hops: Largest distance from s to t in the positives of training.

    Raises:
        ValueError: ``min_hops`` exceeds ``max_hops``, or the longest paths leave too few other nodes.
    """

    format = 2

    def __init__(
        self,
        *,
        num_nodes: Annotated[Count, Field(ge=4, le=MAX_NODES)] = 10,
        min_hops: Count = 1,
        max_hops: Count = 4,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.num_nodes = num_nodes
        self.spans(min_hops, max_hops, lambda hops: num_nodes)
        if self.top > num_nodes - 3:
            raise ValueError(
                f"max_hops={max_hops} and ood_range={self.ood_range} must come to at most "
                f"num_nodes - 3 = {num_nodes - 3}, for negatives to exist"
            )

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        low, high = (self.high + 1, self.top) if split == "ood" else (self.low, self.high)
        pairs = graph_pairs(rng, num, self.num_nodes, low, high)
        label = rng.integers(0, 2, num).astype(bool)
        edges = np.where(label[:, None, None], pairs.positive, pairs.negative)
        size = np.full(num, self.num_nodes)
        return self.shown(edges, pairs.source, pairs.target, label, pairs.hops, size)

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        graphs = self.read(batch)
        return {
            "degrees of s and t": degree_features(*graphs),
            "edges between s and t": edge_features(*graphs),
            "places of s and t": np.stack(graphs[1:], 1),
        }

    def partial(self, batch: Batch) -> Mapping[str, Feature]:
        # At one hop they tell something, where the edge itself, which every model sees, is the answer.
        return {"common neighbours": neighbour_features(*self.read(batch)), **super().partial(batch)}


@component("task", "reachability_as_published")
class PublishedReachability(Graphs):
    """Reachability as arXiv 2603.21676 publishes it, leak included: degrees alone give 86 % at every hop count.

    Positives: a path of exactly ``hops`` edges and n/2 to 2n random edges that make no shorter one. Negatives: random
    edges and a pair of nodes without a path, whatever their degrees; the hops of a negative say only with which
    positives it is reported. A recipe that trains on it has to waive
    ``task.shortcut``. Needs ``mask: task``.

    Args:
        min_nodes: Fewest nodes of a graph; of a positive, at least two more than the longest path has edges.
        max_nodes: Most nodes of a graph.
        min_hops: Least distance from s to t in the positives.
        max_hops: Largest distance from s to t in the positives of training.

    Raises:
        ValueError: ``min_hops`` exceeds ``max_hops``, or the longest paths leave too few other nodes.
    """

    max_shortcut = 0.8
    ragged = True

    def __init__(
        self,
        *,
        min_nodes: Annotated[Count, Field(ge=4, le=MAX_NODES)] = 8,
        max_nodes: Annotated[Count, Field(ge=4, le=MAX_NODES)] = 16,
        min_hops: Count = 1,
        max_hops: Count = 5,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.min_nodes, self.max_nodes = min_nodes, max_nodes
        self.spans(min_hops, max_hops, lambda hops: max_nodes)
        if min_nodes > max_nodes:
            raise ValueError(f"min_nodes={min_nodes} exceeds max_nodes={max_nodes}")
        if self.top + 2 > max_nodes:
            raise ValueError(
                f"max_nodes={max_nodes} must be at least max_hops + ood_range + 2 = {self.top + 2}, for the path to fit"
            )

    def draw(self, rng: np.random.Generator, num: int, split: Split) -> Samples:
        hops, label = self.levels(rng, num, split), rng.integers(0, 2, num).astype(bool)
        # As published, a positive has room for the longest path of its split, and a negative need not.
        longest = self.top if split == "ood" else self.high
        fewest = np.where(label, max(self.min_nodes, longest + 2), self.min_nodes)
        size = rng.integers(fewest, self.max_nodes + 1)
        edges, source, target = published_graphs(rng, label, hops, size, self.max_nodes)
        # Nodes that a graph does not have are padding without edges: they read nobody, and nobody reads them.
        return self.shown(edges, source, target, label, hops, size)

    def shortcuts(self, batch: Batch) -> Mapping[str, Feature]:
        edges, source, target = self.read(batch)
        rows = np.arange(len(edges))
        isolated = ~edges[rows, source].any(1) | ~edges[rows, :, target].any(1)
        return {
            "s leads nowhere or nothing leads to t": isolated.reshape(-1, 1),
            "degrees of s and t": degree_features(edges, source, target)[:, :4],
        }

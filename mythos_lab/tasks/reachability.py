"""Is node t reachable from node s?"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.types import Count
from mythos_lab.tasks.audit import (
    ball_features,
    bayes_accuracy,
    degree_features,
    edge_features,
    neighbour_features,
)
from mythos_lab.tasks.base import IGNORE, Batch, Shortcut, Split, Task
from mythos_lab.tasks.graphs import MAX_NODES, graph_pairs, reaches
from mythos_lab.tasks.randomness import CHUNK, generator

NODE, SOURCE, TARGET, NO, YES = range(5)

_FORMAT = 1  # counts up when the same fields come to mean other samples


@component("task", "reachability")
class Reachability(Task):
    """Directed reachability with degree-matched negatives: every negative is a positive after double-edge swaps.

    In the generator of arXiv 2603.21676, degrees alone give 86 % at every hop count. Here both graphs of a pair
    have the same degrees, node by node. One position is one node; node v may read node u iff there is an edge
    u -> v, so one layer carries what is known one hop on. The answer is read at t.

    Args:
        num_nodes: Nodes of a graph.
        min_hops: Least distance from s to t in the positives.
        max_hops: Largest distance from s to t in the positives.
        validation_size: Samples of the validation split.
        test_size: Samples of the test split.
        seed: Seed of the data.

    Raises:
        ValueError: ``min_hops`` exceeds ``max_hops``, or paths of ``max_hops`` leave too few other nodes.
    """

    vocab_size = 5
    difficulty_name = "hops"
    chance = 0.5
    answers = (NO, YES)
    has_mask = True

    def __init__(
        self,
        *,
        num_nodes: Annotated[int, Field(ge=4, le=MAX_NODES)] = 10,
        min_hops: Count = 1,
        max_hops: Count = 4,
        validation_size: Count = 2048,
        test_size: Count = 2048,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        if min_hops > max_hops:
            raise ValueError(f"min_hops={min_hops} exceeds max_hops={max_hops}")
        if max_hops > num_nodes - 3:
            raise ValueError(
                f"max_hops={max_hops} must be at most num_nodes - 3 = {num_nodes - 3}, for negatives to exist"
            )
        self.num_nodes, self.min_hops, self.max_hops, self.seed = num_nodes, min_hops, max_hops, seed
        self.positions = num_nodes
        self._sizes = {"validation": validation_size, "test": test_size}
        self._chunk = lru_cache(maxsize=8)(self._make_chunk)

    def size(self, split: Literal["validation", "test"]) -> int:
        return self._sizes[split]

    def batch(self, split: Split, indices: range) -> Batch:
        if split != "train" and len(indices) and max(indices) >= self._sizes[split]:
            raise IndexError(f"sample {max(indices)} of {self._sizes[split]} in {split}")
        rows = [[t[i % CHUNK] for t in self._chunk(split, i // CHUNK)] for i in indices]
        return Batch(*(torch.stack(column) for column in zip(*rows, strict=True)))

    def solve(self, batch: Batch) -> Tensor:
        """The oracle: the answers by graph search, ``(batch,)``."""
        assert batch.allowed is not None
        edges = batch.allowed.transpose(1, 2).numpy()
        source = (batch.tokens == SOURCE).int().argmax(1).numpy()
        target = (batch.tokens == TARGET).int().argmax(1).numpy()
        return torch.from_numpy(np.where(reaches(edges, source, target), YES, NO))

    def fingerprint(self) -> str:
        fields = json.dumps(self.spec.model_dump(), sort_keys=True)
        digest = hashlib.sha256(f"{_FORMAT}/{fields}".encode())
        for split in ("train", "validation", "test"):
            for tensor in self._chunk(split, 0):
                digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    def audit(self, num_samples: int = 4096) -> list[Shortcut]:
        """Bayes accuracy of degrees, of the edges around s and t, and of what k steps along the edges bring to t.

        Degrees and edges must tell nothing. Balls are no shortcut: "ball of radius k" bounds what a model that
        takes k steps may reach, and is 1 from the needed hops on. Half of the samples are fitted, half measured.
        """
        num_measured = num_samples - num_samples // 2
        return [
            Shortcut(feature, hops, accuracy, num_measured)
            for hops in range(self.min_hops, self.max_hops + 1)
            for feature, accuracy in self._audit_at(hops, num_samples).items()
        ]

    def _audit_at(self, hops: int, num_samples: int) -> dict[str, float]:
        pairs = graph_pairs(generator(self.seed, "test", 1_000_000 + hops), num_samples, self.num_nodes, hops, hops)
        label = generator(self.seed, "test", 2_000_000 + hops).integers(0, 2, num_samples).astype(bool)
        graphs = np.where(label[:, None, None], pairs.positive, pairs.negative), pairs.source, pairs.target
        accuracy = {
            "degrees": bayes_accuracy(degree_features(*graphs), label),
            "edges": bayes_accuracy(edge_features(*graphs), label),
            "common neighbours": bayes_accuracy(neighbour_features(*graphs), label),
        }
        best = 0.0
        for radius in range(1, self.max_hops + 1):
            # A ball holds the smaller ones, and a finite sample knows coarse features better than fine ones.
            best = max(best, *(bayes_accuracy(f, label) for f in ball_features(*graphs, radius)))
            accuracy[f"ball of radius {radius}"] = best
        return accuracy

    def _make_chunk(self, split: Split, chunk: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        rng = generator(self.seed, split, chunk)
        pairs = graph_pairs(rng, CHUNK, self.num_nodes, self.min_hops, self.max_hops)
        label = rng.integers(0, 2, CHUNK).astype(bool)
        edges = np.where(label[:, None, None], pairs.positive, pairs.negative)
        rows = np.arange(CHUNK)
        tokens = np.full((CHUNK, self.num_nodes), NODE)
        tokens[rows, pairs.source], tokens[rows, pairs.target] = SOURCE, TARGET
        targets = np.full((CHUNK, self.num_nodes), IGNORE)
        targets[rows, pairs.target] = np.where(label, YES, NO)
        allowed = edges.transpose(0, 2, 1) | np.eye(self.num_nodes, dtype=bool)
        return tuple(torch.from_numpy(a) for a in (tokens, targets, allowed, pairs.hops))  # type: ignore[return-value]

"""Orthogonal weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.initialization.base import Initialization
from mythos_blocks.tensors.orthogonal import orthogonal_


@component("initialization", "orthogonal")
class OrthogonalWeights(Initialization):
    """Matrices with orthonormal rows or columns (arXiv 1312.6120); embeddings are normal.

    Args:
        gain: Factor on the matrices: their singular values.
        embedding_std: Standard deviation of embeddings.
    """

    def __init__(self, *, gain: Positive = 1.0, embedding_std: Positive = 0.02) -> None:
        self.gain, self.embedding_std = gain, embedding_std

    def size(self, name: str, weight: Tensor, model: nn.Module) -> float:
        return self.embedding_std if _is_table(name) else float(self.gain * max(weight.shape[-2:]) ** -0.5)

    def draw(self, name: str, weight: Tensor, model: nn.Module, generator: torch.Generator) -> None:
        if _is_table(name):
            nn.init.normal_(weight, std=self.embedding_std, generator=generator)
            return
        orthogonal_(weight, self.gain, generator)


def _is_table(name: str) -> bool:
    return "embedding" in name or name == "head.weight"

"""A pull of unlooped layers towards a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.penalty.base import Penalty
from mythos_blocks.tensors.matrices import matrices
from mythos_blocks.tensors.precision import at_least_float32

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@component("penalty", "weight_cosine")
class WeightCosine(Penalty):
    """``-weight * mean cos(W_i, W_{i+block})`` over matrices of corresponding layers in successive blocks of the core.

    Saunshi et al. (arXiv 2502.17416, section 5): an unlooped stack of ``core.depth`` layers is drawn towards one of
    ``block`` layers that is looped.

    Args:
        block: Layers in a block; must divide the core's depth, at least twice.
        weight: The paper tries 1 and 10.
    """

    metric = "penalty/weight_cosine"

    def __init__(self, *, block: Count = 1, weight: Positive = 1.0) -> None:
        self.block, self.weight = block, weight

    def check(self, model: LoopedTransformer) -> None:
        depth = len(model.core.layers)
        if depth % self.block or depth < 2 * self.block:
            raise ValueError(
                f"penalty 'weight_cosine': block={self.block} must divide core.depth={depth} at least twice"
            )
        for one, other in zip(model.core.layers, model.core.layers[self.block :], strict=False):
            if [p.shape for p in one.parameters()] != [p.shape for p in other.parameters()]:
                raise ValueError(
                    f"penalty 'weight_cosine': layers that are block={self.block} apart differ by core.alternate; "
                    "use an even block"
                )

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> tuple[Tensor, Tensor]:
        layers = list(model.core.layers)
        cosines = [
            F.cosine_similarity(at_least_float32(a.flatten()), at_least_float32(b.flatten()), dim=0)
            for one, other in zip(layers, layers[self.block :], strict=False)
            for (_, _, a), (_, _, b) in zip(matrices(one), matrices(other), strict=True)
        ]
        mean = torch.stack(cosines).mean()
        return -self.weight * mean, mean

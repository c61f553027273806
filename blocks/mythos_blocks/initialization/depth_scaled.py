"""Normal weights that shrink where a deep stack writes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.component import component
from mythos_blocks.initialization.base import Initialization, base_std, is_output


@component("initialization", "depth_scaled")
class DepthScaled(Initialization):
    """``sd = sqrt(2 / (5 d))``, and that over ``sqrt(2 L)`` for what writes to the residual stream (Takase et al.,
    arXiv 2312.16903), as in Huginn. d is the model's width and L its effective depth: prelude, coda, and the core as
    often as the sampler's mean. Weights are cut at three standard deviations.
    """

    def __init__(self) -> None:
        pass

    def draw(self, name: str, weight: Tensor, model: nn.Module, generator: torch.Generator) -> None:
        std = base_std(model)
        if is_output(name):
            std /= (2 * effective_depth(model)) ** 0.5
        nn.init.trunc_normal_(weight, std=std, a=-3 * std, b=3 * std, generator=generator)


def effective_depth(model: nn.Module) -> float:
    """Layers that a token passes: those of prelude and coda once, the core's as often as the sampler's mean."""
    outer = len(model.prelude.layers) + len(model.coda.layers)  # type: ignore[union-attr, arg-type]
    return float(outer + len(model.core.layers) * model.core.loops.eval_loops)  # type: ignore[union-attr, arg-type, operator]

"""Weights that shrink where a deep stack writes."""

from __future__ import annotations

from torch import nn

from mythos_blocks.core.hierarchical import HierarchicalLoop
from mythos_blocks.declaring.component import component
from mythos_blocks.initialization.base import is_output
from mythos_blocks.initialization.cut import CutWeights, base_std


@component("initialization", "depth_scaled")
class DepthScaledWeights(CutWeights):
    """``sd = sqrt(2 / (5 d))``, and that over ``sqrt(2 L)`` for what writes to the residual stream (Takase et al.,
    arXiv 2312.16903), as in Huginn. d is the width and L the model's effective depth: prelude, coda, and the core as
    often as evaluation runs it. Weights are cut at three standard deviations, except for value embeddings and their
    gates, which are those of ``scaled_zero``. That is the code that trained Huginn; its Hugging Face file shrinks the
    ``up`` of the gated feed-forward as well.

    Args:
        orthogonal: Draw matrices with orthonormal rows or columns instead, of the same size, an option of Huginn's
            code that its published model leaves off.
    """

    def __init__(self, *, orthogonal: bool = False) -> None:
        self.orthogonal = orthogonal

    def deviation(self, name: str, model: nn.Module) -> float:
        shrunk = (2 * effective_depth(model)) ** 0.5 if is_output(name, model) else 1.0
        return base_std(name, model) / shrunk


def effective_depth(model: nn.Module) -> float:
    """Layers that a token passes: those of prelude and coda once, the core's as often as evaluation runs it."""
    outer = len(model.prelude.order) + len(model.coda.order)  # type: ignore[union-attr, arg-type]
    core = model.get_submodule("core")
    looped = len(core.order)  # type: ignore[arg-type]
    if isinstance(core, HierarchicalLoop):
        looped = core.num_high_cycles * (core.num_low_cycles * looped + len(core.high_layers))
    return float(outer + looped * core.loops.eval_loops)  # type: ignore[union-attr, operator]

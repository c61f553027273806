"""Norms after the residual sums."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import Run, inlined_norm
from mythos_blocks.layer.base import TwoBranchLayer
from mythos_blocks.layer.over_positions import check_normalises, check_reads_all, normalised_over_positions


@component("layer", "post_norm")
class PostNormLayer(TwoBranchLayer):
    """``norm(x + attention(x))``, then ``norm(x + feedforward(x))`` (Universal Transformer, arXiv 1807.03819; HRM).

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
        max_loops: Iterations that tables with a row for each have room for.
        attention_norm_over: What the norm of attention's sum takes the mean square over: the ``channels`` of each
            position, or the ``positions`` of each channel, as TRM does with its mixer (``mlp_t``, arXiv 2510.04871).
            The latter reads all positions, which a causal mask does not allow.
        residual_scale: Factor of what a branch is added to; DeepLoop takes ``(2 N) ** 0.5`` at N layers of all loops
            (arXiv 2607.13491).

    Raises:
        ValueError: ``attention_norm_over: positions`` meets a norm other than ``rms``.
    """

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        attention_norm_over: Literal["channels", "positions"] = "channels",
        residual_scale: Positive = 1.0,
        **fields: Any,
    ) -> None:
        super().__init__(width, max_loops, **fields)
        self.attention_norm_over, self.residual_scale = attention_norm_over, residual_scale
        if attention_norm_over == "positions":
            check_normalises(self.attention_norm)

    def check_sequences(self, num_positions: int, reads_all: bool) -> None:
        if self.attention_norm_over == "positions":
            check_reads_all(reads_all)

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        t = frame.index
        x = self._kept(x) + self.attention_branch(self.attention(x, frame.at("attention")))
        if self.attention_norm_over == "positions":
            x = normalised_over_positions(x, self.attention_norm, frame.at("attention_norm"))
        else:
            x = self.attention_norm(x, t)
        out: Tensor = self.feedforward_norm(
            self._kept(x) + self.feedforward_branch(self.feedforward(x, frame.at("feedforward"))), t
        )
        return out

    def lies_flat(self) -> bool:
        return self.attention_norm_over == "channels" and self.residual_scale == 1 and super().lies_flat()

    def inlined(self, frame: Frame, like: Tensor) -> Run | None:
        if self.attention_norm_over != "channels" or self.residual_scale != 1:
            return None
        attend, compute = self.inlined_parts(frame, like)
        attend, compute = self.attention_branch.after(attend), self.feedforward_branch.after(compute)
        first, second = inlined_norm(self.attention_norm), inlined_norm(self.feedforward_norm)

        def run(x: Tensor, now: Frame) -> Tensor:
            x = first(x + attend(x, now), now.index)
            return second(x + compute(x, now), now.index)

        return run

    def _kept(self, x: Tensor) -> Tensor:
        return x if self.residual_scale == 1 else x * self.residual_scale

"""What layers of attention and feed-forward share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.declaring.slots import AttentionSlot, FeedforwardSlot, NormSlot
from mythos_blocks.declaring.spec import build
from mythos_blocks.declaring.types import Positive
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import Run, inlined, lies_flat
from mythos_blocks.tensors.plain import is_plain
from mythos_blocks.tensors.recomputing import with_attention_as_now


@contract("layer")
class Layer(Module):
    """A layer: ``(batch, positions, width) -> (batch, positions, width)``.

    Where the frame says that linears inside the layer have updates of the iteration's own, the layer tells them which
    iteration it is. It does so in ``forward``, so that a layer which checkpointing computes again is what it was.

    Attributes:
        gradient_checkpointing: Whether training keeps the layer's input alone and computes the layer again in the
            backward pass, by ``_gradient_checkpointing_func``; models of transformers set both.
    """

    gradient_checkpointing: bool = False
    _gradient_checkpointing_func: Callable[..., Tensor]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "forward" in vars(cls):
            cls.forward = _adapted(vars(cls)["forward"])  # type: ignore[method-assign]

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        """The layer's output for ``x`` in its frame."""
        raise NotImplementedError


def _adapted(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A layer's forward pass in which updates of its linears know the iteration, also when it is computed again."""

    @functools.wraps(forward)
    def run(self: Layer, x: Tensor, frame: Frame | None = None) -> Tensor:
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            kept: Tensor = self._gradient_checkpointing_func(
                with_attention_as_now(functools.partial(adapted, self)), x, frame
            )
            return kept
        return forward(self, x, frame) if frame is None or frame.adapter is None else adapted(self, x, frame)

    def adapted(self: Layer, x: Tensor, frame: Frame | None) -> Tensor:
        if frame is None or frame.adapter is None:
            return forward(self, x, frame)
        before = frame.adapter.tell(frame.index)
        try:
            return forward(self, x, frame)
        finally:
            frame.adapter.tell(before)

    return run


class Branch(nn.Module):
    """What comes back from attention or feed-forward before it joins the residual stream: scales and dropout.

    Args:
        width: Channels.
        layer_scale: Initial value of a learned factor for each channel (arXiv 2103.17239); ``None`` for no factor.
        dropout: Probability that a channel is dropped in training.
        factor: What it is multiplied by besides.
    """

    def __init__(self, width: int, layer_scale: float | None, dropout: float, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor
        self.initial, self.dropout = layer_scale, nn.Dropout(dropout) if dropout else None
        self.scale = None if layer_scale is None else nn.Parameter(torch.full((width,), layer_scale))

    @property
    def is_identity(self) -> bool:
        """Whether nothing happens to what comes back."""
        rests = self.dropout is None or not self.training
        return self.factor == 1 and self.scale is None and rests and is_plain(self, Branch)

    def after(self, run: Run) -> Run:
        """``run``, and what becomes of its output before it joins the residual stream."""
        return run if self.is_identity else lambda x, now: self(run(x, now))

    def reset(self) -> None:
        """Set the factor to its initial value."""
        if self.scale is not None:
            assert self.initial is not None
            nn.init.constant_(self.scale, self.initial)

    def forward(self, x: Tensor) -> Tensor:
        """What joins the residual stream: ``(batch, positions, width) -> (batch, positions, width)``."""
        x = x if self.factor == 1 else x * self.factor
        x = x if self.scale is None else x * self.scale
        return x if self.dropout is None else self.dropout(x)


class TwoBranchLayer(Layer):
    """A layer whose attention and feed-forward, each with a norm, come back to the residual stream one after the other.

    Attributes:
        further_norms: Names of norms that a kind has besides ``attention_norm`` and ``feedforward_norm``.

    Args:
        attention: How positions read each other.
        feedforward: What each position computes on its own.
        norm: The normalisation, wherever one stands.
        layer_scale: Initial value of a learned factor on each branch, per channel (LayerScale, arXiv 2103.17239; Chen
            takes 1e-4); ``null`` for none.
        dropout: Probability that a channel of a branch is dropped in training.
        branch_scale: Factor of each branch, constant: with 1/N at N loops, the best learning rate is one for all N
            (arXiv 2606.18524).
    """

    further_norms: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        attention: AttentionSlot = "gqa",
        feedforward: FeedforwardSlot = "swiglu",
        norm: NormSlot = "rms",
        layer_scale: Positive | None = None,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        branch_scale: Positive = 1.0,
    ) -> None:
        super().__init__()
        self.attention = build(attention, width, max_loops)
        self.feedforward = build(feedforward, width, max_loops)
        self.attention_norm = build(norm, width, max_loops)
        self.feedforward_norm = build(norm, width, max_loops)
        for name in self.further_norms:
            self.add_module(name, build(norm, width, max_loops))
        self.attention_branch = Branch(width, layer_scale, dropout, branch_scale)
        self.feedforward_branch = Branch(width, layer_scale, dropout, branch_scale)

    def inlined_parts(self, frame: Frame, like: Tensor) -> tuple[Run, Run]:
        """Attention and feed-forward as functions (:mod:`mythos_blocks.frame.inlining`)."""
        return inlined(self.attention, frame.at("attention"), like), inlined(
            self.feedforward, frame.at("feedforward"), like
        )

    def lies_flat(self) -> bool:
        return lies_flat(self.attention) and lies_flat(self.feedforward)

    def reset_parameters(self, generator: torch.Generator) -> None:
        self.attention_branch.reset()
        self.feedforward_branch.reset()

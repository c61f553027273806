"""Mixing positions by a fixed map."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.attention.base import Attention
from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.frame.frame import Frame


@component("attention", "mixer")
class Mixer(Attention):
    """A SwiGLU over positions instead of attention, in the place of MLP-Mixer's map (arXiv 2105.01601).

    TRM's option ``mlp_t`` (arXiv 2510.04871) is this map in a layer ``post_norm`` with ``attention_norm_over:
    positions``.

    Every position reads every other by learned weights, so it needs a fixed number of positions and a mask that allows
    all; it cannot be causal, nor decode with a cache.

    Shapes: ``(batch, num_positions, width) -> (batch, num_positions, width)``.

    Args:
        width: Channels of what it reads and returns.
        max_loops: Iterations that tables with a row for each have room for.
        num_positions: Positions of every sequence.
        hidden: Inner size over positions. ``null`` takes ``4 * num_positions``.
    """

    def __init__(self, width: int, max_loops: int = 1, *, num_positions: Count, hidden: Count | None = None) -> None:
        super().__init__()
        hidden = hidden or 4 * num_positions
        self.num_positions = num_positions
        self.gate = nn.Linear(num_positions, hidden, bias=False)
        self.up = nn.Linear(num_positions, hidden, bias=False)
        self.down = nn.Linear(hidden, num_positions, bias=False)

    def check_sequences(self, num_positions: int, reads_all: bool) -> None:
        if not reads_all:
            raise ValueError(
                "attention 'mixer' reads all positions, which a mask or padding does not allow; use mask: full, and "
                "samples of one length"
            )
        if num_positions != self.num_positions:
            raise ValueError(f"attention 'mixer' has num_positions={self.num_positions}, and the input {num_positions}")

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        """What each position reads of all others.

        Shapes: ``(batch, num_positions, width) -> (batch, num_positions, width)``.

        Args:
            x: What the layer reads.
            frame: One whose mask is ``AttentionMask(causal=False)``.

        Raises:
            ValueError: The mask leaves something out, as the causal one does that stands where no frame is given; or
                the sequences have another length.
        """
        frame = frame or Frame()
        (x,) = frame.exchange(x, shared=False)
        self.check_sequences(x.shape[1], frame.reads_all)
        across = x.transpose(1, 2)
        mixed: Tensor = self.down(F.silu(self.gate(across)) * self.up(across)).transpose(1, 2)
        if frame.selection is None or frame.selection.columns is None:
            return mixed
        return mixed.gather(1, frame.selection.columns.unsqueeze(-1).expand(-1, -1, x.shape[-1]))

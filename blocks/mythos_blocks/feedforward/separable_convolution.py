"""The transition of the Universal Transformer: separable convolutions over positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.feedforward.base import Feedforward
from mythos_blocks.frame.frame import Frame


@component("feedforward", "separable_convolution")
class SeparableConvolution(Feedforward):
    """Two separable convolutions over positions with a ReLU between them (T2T's Universal Transformer: 3 and 5).

    A position's convolution ends at the position: it reads that many earlier ones, and zeros before the first. So the
    layer is causal whatever the mask, and cached decoding is exact. Padding is read as zeros.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of what it reads and returns.
        max_loops: Iterations that tables with a row for each have room for.
        hidden: Channels between the convolutions. ``null`` takes ``4 * width``.
        first_kernel: Positions that the first convolution reads.
        second_kernel: Positions that the second convolution reads.
    """

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        hidden: Count | None = None,
        first_kernel: Count = 3,
        second_kernel: Count = 5,
    ) -> None:
        super().__init__()
        hidden = hidden or 4 * width
        self.reach = first_kernel + second_kernel - 2
        self.first_depthwise = nn.Conv1d(width, width, first_kernel, groups=width, bias=False)
        self.first_pointwise = nn.Linear(width, hidden)
        self.second_depthwise = nn.Conv1d(hidden, hidden, second_kernel, groups=hidden, bias=False)
        self.second_pointwise = nn.Linear(hidden, width)

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        real = x.new_ones(*x.shape[:2], 1) if frame.real is None else frame.real[..., None].to(x.dtype)
        readable = torch.cat(frame.exchange(x, real, shared=False), dim=-1)
        if frame.selection is None or frame.selection.columns is None:
            return self._convolve(readable, readable.shape[1] - x.shape[1])
        assert frame.shape is not None
        chunk = self._convolve(readable, readable.shape[1] - frame.shape[1])
        return chunk.gather(1, frame.selection.columns.unsqueeze(-1).expand(-1, -1, x.shape[-1]))

    def _convolve(self, x: Tensor, start: int) -> Tensor:
        """The layer at the positions from ``start`` on."""
        x, real = x[:, max(0, start - self.reach) :].tensor_split((-1,), dim=-1)
        h = F.relu(self.first_pointwise(_causal(x * real, self.first_depthwise)))
        out: Tensor = self.second_pointwise(_causal(h * real, self.second_depthwise))
        return out[:, min(start, self.reach) :]


def _causal(x: Tensor, convolution: nn.Conv1d) -> Tensor:
    kernel = convolution.kernel_size[0]
    return convolution(F.pad(x.transpose(1, 2), (kernel - 1, 0))).transpose(1, 2)

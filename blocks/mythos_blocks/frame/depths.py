"""What a part has written in each iteration of a pass, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mythos_blocks.tensors.tracing import is_computed_as_written


class Depths:
    """A buffer into which what an iteration writes is copied once, for it and all later ones to read.

    What was there before is known by its tensors. Where these are others, as in a pass that branches off and in a layer
    that is computed again, another buffer is begun, and whoever has read the first keeps it as it was.
    """

    def __init__(self) -> None:
        self._held: list[Tensor] = []
        self._buffer: Tensor | None = None

    def stacked(self, written: Sequence[Tensor], room: int, dim: int) -> Tensor:
        """``torch.stack(written, dim)``, a view of the buffer: one copy for each tensor that is new.

        Args:
            written: What each iteration wrote, in order; all of one shape.
            room: How many there will be, if known.
            dim: Where the iterations stand, counted from the end.
        """
        first = written[0]
        if not all(is_computed_as_written(x) and x.dtype is first.dtype for x in (first, written[-1])):
            return torch.stack(tuple(written), dim)  # the plain form
        with torch.no_grad():
            buffer = self._with(written, room, dim)
        stacked: Tensor = _Read.apply(buffer, len(written), dim, *written)  # type: ignore[no-untyped-call]
        return stacked

    def _with(self, written: Sequence[Tensor], room: int, dim: int) -> Tensor:
        """The buffer, in which all of these are."""
        num, buffer = len(self._held), self._buffer
        goes_on = num <= len(written) and all(a is b for a, b in zip(self._held, written, strict=False))
        if buffer is None or not goes_on or buffer.shape[dim] < len(written):
            shape = list(written[0].shape)
            shape.insert(len(shape) + 1 + dim, max(room, len(written)))
            num, buffer = 0, written[0].new_empty(shape)
        for i in range(num, len(written)):
            buffer.select(dim, i).copy_(written[i])
        self._held, self._buffer = list(written), buffer
        return buffer


class _Read(torch.autograd.Function):
    """The first so many of a buffer, whose gradient is that of the tensors that were copied there."""

    @staticmethod
    def forward(ctx: Any, buffer: Tensor, num: int, dim: int, *written: Tensor) -> Tensor:
        ctx.dim = dim
        # ``data`` counts versions of its own: what is read stays as it is, whatever is written behind it.
        return buffer.data.narrow(dim, 0, num)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, None, *gradient.unbind(ctx.dim))

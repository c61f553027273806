"""The contract of a depth adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from mythos_blocks.declaring.component import Module


class DepthAdapter(Module):
    """Changes the core's output by iteration.

    Attributes:
        reach: Iterations with an adapter of their own; ``None`` where there is none to run out of.
    """

    reach: int | None = None

    def attach(self, layers: nn.ModuleList) -> None:
        """Meet the core's layers, once, for adapters that act inside them."""

    @contextmanager
    def active(self, t: int) -> Iterator[None]:
        """The span in which the layers run iteration ``t``, for adapters that act inside them."""
        yield

    def forward(self, u: Tensor, t: int) -> Tensor:
        """The adapted output of iteration ``t`` (0-based): ``(..., width) -> (..., width)``."""
        return u

    def table(self) -> nn.Parameter | None:
        """The parameter whose row t belongs to iteration t alone, where there is one."""
        return None

"""What the coda reads of the state that leaves the loop."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.component import Module, component
from mythos_blocks.slots import NormSlot
from mythos_blocks.spec import build
from mythos_blocks.widths import same_width


class Interface(Module):
    """The way from the loop's state to the coda.

    Shapes: ``(batch, positions, state_width) -> (batch, positions, width)``.
    """

    def forward(self, h: Tensor, final_norm: nn.Module) -> Tensor:
        """What the coda reads of ``h``; ``final_norm`` is the model's norm before the head."""
        raise NotImplementedError


@component("interface", "none")
class NoInterface(Interface):
    """The coda reads the state as it is."""

    def __init__(self, state_width: int, width: int) -> None:
        super().__init__()
        same_width(self, state_width, width)

    def forward(self, h: Tensor, final_norm: nn.Module) -> Tensor:
        return h


@component("interface", "norm")
class NormInterface(Interface):
    """The coda reads the normalised state.

    Args:
        norm: The normalisation, with a gain of its own.
    """

    def __init__(self, state_width: int, width: int, *, norm: NormSlot = "rms") -> None:
        super().__init__()
        same_width(self, state_width, width)
        self.norm = build(norm, width)

    def forward(self, h: Tensor, final_norm: nn.Module) -> Tensor:
        out: Tensor = self.norm(h)
        return out


@component("interface", "final_norm")
class FinalNormInterface(Interface):
    """The coda reads the state through the norm that also stands before the head, as in Huginn (arXiv 2502.05171)."""

    def __init__(self, state_width: int, width: int) -> None:
        super().__init__()
        same_width(self, state_width, width)

    def forward(self, h: Tensor, final_norm: nn.Module) -> Tensor:
        out: Tensor = final_norm(h)
        return out


@component("interface", "projection")
class ProjectionInterface(Interface):
    """The coda reads ``C h``, as in Parcae (arXiv 2604.12946), whose width may be another."""

    def __init__(self, state_width: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Linear(state_width, width, bias=False)

    def forward(self, h: Tensor, final_norm: nn.Module) -> Tensor:
        out: Tensor = self.projection(h)
        return out

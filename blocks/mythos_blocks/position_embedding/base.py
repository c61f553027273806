"""The contract of a position embedding."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract


@contract("position_embedding")
class PositionEmbedding(Module):
    """Tells each position of the embedded tokens where it stands: ``(batch, positions, width)`` to the same.

    Rotations of queries and keys are attention's own (``rope_theta``), and a signal that comes again in every iteration
    is ``depth_signal: coordinates``.
    """

    def forward(self, embedded: Tensor, positions: Tensor | None = None) -> Tensor:
        """The embedded tokens, ``(batch, positions, width)``, with their positions in them.

        Args:
            embedded: What the embedding makes of the tokens, ``(batch, positions, width)``, before it is scaled.
            positions: Index of each position in its sequence, ``(positions,)`` or ``(batch, positions)``; ``None``
                counts from 0.
        """
        raise NotImplementedError

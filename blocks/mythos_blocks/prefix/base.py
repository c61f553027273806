"""The contract of a prefix."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract


@contract("prefix")
class Prefix(Module):
    """Learned vectors in the place of the first positions of every sequence.

    A sequence has the places for them: its first ``num_positions`` tokens are no tokens, are not to be scored, and may
    lie beyond the vocabulary. All positions, those of the prefix among them, then go through the model alike, so that
    masks, caches and loop counts need not know of it.

    Attributes:
        num_positions: Positions that the prefix takes.
    """

    num_positions: int = 0

    def forward(self, embedded: Tensor, tokens: Tensor | None, positions: Tensor | None = None) -> Tensor:
        """The embedded tokens with the prefix in its place: ``(batch, positions, width)``.

        Args:
            embedded: What the embedding makes of the tokens, ``(batch, positions, width)``.
            tokens: The tokens, ``(batch, positions)``, with whatever the prefix reads in its places.
            positions: Index of each position in its sequence, ``(positions,)`` or ``(batch, positions)``; ``None``
                counts from 0.
        """
        raise NotImplementedError

    def readable(self, tokens: Tensor, positions: Tensor | None = None) -> Tensor:
        """The tokens, ``(batch, positions)``, with the token 0 in the places of the prefix."""
        if not self.num_positions:
            return tokens
        return tokens.masked_fill(self.places(tokens, positions) < self.num_positions, 0)

    def places(self, like: Tensor, positions: Tensor | None) -> Tensor:
        """Index of each position of ``(batch, positions, ...)``: ``(positions,)`` or ``(batch, positions)``."""
        return torch.arange(like.shape[1], device=like.device) if positions is None else positions.clamp_min(0)

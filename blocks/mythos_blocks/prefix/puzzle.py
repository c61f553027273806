"""A learned vector for each puzzle."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, NonNegative
from mythos_blocks.prefix.base import Prefix
from mythos_blocks.tensors.rows import check_below


@component("prefix", "puzzle")
class PuzzlePrefix(Prefix):
    """What is learned of each puzzle, as its samples' first positions (HRM, arXiv 2506.21734; TRM, arXiv 2510.04871).

    The token in each place of the prefix is the puzzle's number. Its vector, filled up with zeros, is cut into one
    piece for each position.

    Both systems train these vectors with an optimiser of their own, of which sign descent with decoupled decay is the
    rule; here they learn as all weights do.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of the residual stream.
        num_positions: Positions that a puzzle's vector takes (TRM 16).
        num_puzzles: Puzzles, each with a vector; their numbers are below.
        dim: Channels of a puzzle's vector; ``null`` takes the model's width, as both systems do.
        std: Standard deviation of the initial vectors; zeros in both systems.

    Raises:
        ValueError: ``dim`` needs more positions; or, when it is read, a number has no vector.
    """

    def __init__(
        self,
        width: int,
        *,
        num_positions: Count = 1,
        num_puzzles: Count = 1,
        dim: Count | None = None,
        std: NonNegative = 0.0,
    ) -> None:
        super().__init__()
        dim = dim or width
        self.num_pieces = -(-dim // width)
        if self.num_pieces > num_positions:
            raise ValueError(
                f"dim={dim} takes {self.num_pieces} positions of {width} channels, and num_positions={num_positions}"
            )
        self.num_positions, self.num_puzzles, self.std = num_positions, num_puzzles, std
        self.width, self.dim = width, dim
        self.table = nn.Parameter(torch.zeros(num_puzzles, dim))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.table, std=self.std, generator=generator)

    def forward(self, embedded: Tensor, tokens: Tensor | None, positions: Tensor | None = None) -> Tensor:
        if tokens is None:
            raise ValueError("prefix 'puzzle' reads the puzzle's number in the tokens, and there are none")
        places = self.places(tokens, positions)
        inside, has_piece = places < self.num_positions, places < self.num_pieces
        numbers = tokens.masked_fill(~inside, 0)
        check_below(numbers, self.num_puzzles, "prefix 'puzzle' has num_puzzles")
        pieces = F.pad(self.table, (0, self.num_pieces * self.width - self.dim)).view(-1, self.width)
        rows = F.embedding(numbers * self.num_pieces + places.clamp_max(self.num_pieces - 1), pieces)
        rows = rows.masked_fill(~has_piece.unsqueeze(-1), 0).to(embedded.dtype)
        return torch.where(inside.unsqueeze(-1), rows, embedded)

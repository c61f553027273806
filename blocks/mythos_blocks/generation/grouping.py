"""Which columns an iteration computes, and which of them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from mythos_blocks.generation.depth_cache import Chunk, Scattered

Columns = Chunk | Scattered

_NUM_COPIED = 2048
"""Keys that columns of one sequence may copy to be computed with other sequences'; with more they are computed alone,
from where the keys lie."""


class Piece(NamedTuple):
    """Columns of one sequence that an iteration computes, which is its iteration t."""

    slot: int
    t: int
    begin: int
    end: int


class Grouping:
    """Pieces put together, where the latest columns are held: what has been made of them serves until others come.

    Args:
        device: Where they are computed.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._chunk: Chunk | None = None
        self._scattered: Scattered | None = None

    def together(self, pieces: Sequence[Piece], shares_depths: bool) -> Iterator[tuple[list[Piece], Columns]]:
        """Pieces that are computed together, and the columns that they are.

        Args:
            pieces: At most one of each sequence.
            shares_depths: Whether pieces at different depths may be computed together.
        """
        groups: dict[int | None, list[Piece]] = {}
        alone = []
        for piece in pieces:
            if len(pieces) == 1 or (piece.end - piece.begin) * piece.end > _NUM_COPIED:
                alone.append(piece)
            else:
                groups.setdefault(None if shares_depths else piece.t, []).append(piece)
        for group in groups.values():
            if len(group) == 1:
                alone += group
                continue
            places = [(piece.slot, column) for piece in group for column in range(piece.begin, piece.end)]
            held = self._scattered
            if held is None or held.places != places:
                held = self._scattered = Scattered(places, self._device)
            yield group, held
        for piece in alone:
            yield [piece], self.chunk(piece.slot, piece.begin, piece.end)

    def chunk(self, slot: int, begin: int, end: int) -> Chunk:
        """Columns of one sequence, side by side."""
        held = self._chunk
        if held is None or (held.slot, held.begin, held.end) != (slot, begin, end):
            held = self._chunk = Chunk(slot, begin, end, self._device)
        return held

"""Some positions of several sequences side by side, as if they were one sequence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.mask import AttentionMask
from mythos_blocks.frame.places import Places
from mythos_blocks.frame.selection import Selection
from mythos_blocks.frame.settable import changed, settable
from mythos_blocks.tensors.once import once


class Flat:
    """The positions of a selection in one row: ``(1, selected, ...)``.

    A selection has a row for each sequence, of as many columns as the sequence with the most positions has. Of 64
    positions at random of which half run, that is a sixth more to be computed, and of which a tenth does, half more.

    Args:
        selection: Positions of sequences, not all of each.
    """

    def __init__(self, selection: Selection) -> None:
        assert selection.places is not None
        self.selection, self.rows, self.inside = selection, selection.rows, selection.inside
        self._places = selection.places[:2]

    def take(self, x: Tensor) -> Tensor:
        """Of ``(batch, positions, ...)`` the selected positions: ``(1, selected, ...)``."""
        return x[self._places].unsqueeze(0)

    def put(self, x: Tensor, part: Tensor) -> Tensor:
        """A copy of ``x``, ``(batch, positions, ...)``, in which the selected positions are ``part``."""
        return x.index_put(self._places, part.squeeze(0).to(x.dtype))

    def each(self, part: Tensor) -> Tensor:
        """Of ``(1, ..., selected, d)`` what every selected position has: ``(selected, ..., d)``."""
        return part.movedim(-2, 1).squeeze(0)

    def frame(self, frame: Frame, shape: torch.Size) -> Frame:
        """The frame of these positions, out of ``(batch, positions)``."""
        rows, columns = self._places
        positions, places = frame.positions, frame.places
        if positions is None:
            positions = torch.arange(shape[1], device=rows.device)
        given = self._of_positions(positions)
        if places is not None:
            by_row = rows[None] if places.ids.dim() == 2 else None
            turns = {key: turn.taken(by_row, columns[None]) for key, turn in places.rotations.items()}
            places = Places(given, given, turns) if places.given is frame.positions else None
        return changed(
            frame,
            mask=_FlatMask(mask=frame.mask.select(self.selection, shape), flat=self),
            positions=given,
            places=places,
            tokens=None if frame.tokens is None else self.take(frame.tokens),
            real=None if frame.real is None else self.take(frame.real),
            selection=self.selection,
            shape=shape,
        )

    def in_rows(self, x: Tensor) -> Tensor:
        """Of ``(1, heads, selected, d)`` a row for each sequence: ``(rows, heads, columns, d)``."""
        stands, (rows, columns) = self._stands
        # The heads of a position lie together, and are copied together.
        return x.transpose(1, 2).flatten(0, 1).index_select(0, stands).unflatten(0, (rows, columns)).transpose(1, 2)

    def in_one_row(self, x: Tensor) -> Tensor:
        """Back from :meth:`in_rows`."""
        assert self.selection.places is not None
        by_position = x.transpose(1, 2).reshape(1, -1, *x.shape[1::2])
        return by_position.index_select(1, self.selection.places[2]).transpose(1, 2)

    def _of_positions(self, x: Tensor) -> Tensor:
        return x[self._places[1]].unsqueeze(0) if x.dim() == 1 else self.take(x)

    @once
    def _stands(self) -> tuple[Tensor, torch.Size]:
        """Which of the selected positions stands where in rows of one length, one row after the other, and
        ``(rows, columns)``; the first of all where a row has no more."""
        assert self.selection.valid is not None
        stands = torch.zeros_like(self.selection.valid, dtype=torch.long)
        stands.index_put_(self.selection.at, torch.arange(len(self._places[0]), device=stands.device))
        return stands.flatten(), stands.shape


@settable
@dataclass(frozen=True)
class _FlatMask(AttentionMask):
    """The rule for queries side by side, which read the keys of their sequences.

    Attributes:
        mask: The rule for the same queries in rows.
        flat: How they lie.
    """

    mask: AttentionMask | None = None
    flat: Flat | None = None

    def attend(self, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """As :meth:`AttentionMask.attend`, of queries ``(1, heads, selected, d)``, with a row of keys and values for
        each sequence -> ``(1, heads, selected, d_v)``."""
        assert self.mask is not None and self.flat is not None
        return self.flat.in_one_row(self.mask.attend(self.flat.in_rows(q), k, v, scale))

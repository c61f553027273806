"""Some positions of a batch, taken out to be computed on their own and put back."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from dataclasses import replace as with_fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Selection:
    """Some sequences of a batch, and some positions of each.

    Attributes:
        rows: Indices of the sequences, ``(rows,)``.
        columns: Indices of the positions, ``(rows, columns)``; a row with fewer of them repeats its first.
            ``None`` selects whole sequences.
        valid: False where a row repeats, ``(rows, columns)``; ``None`` where ``columns`` is.
    """

    rows: Tensor
    columns: Tensor | None = None
    valid: Tensor | None = None

    @classmethod
    def of(cls, where: Tensor) -> Selection:
        """The positions that are true in ``where``, ``(batch, positions)``; rows without one are left out."""
        rows = where.any(1).nonzero().flatten()
        chosen = where[rows]
        if bool(chosen.all()):
            return cls(rows)
        counts = chosen.sum(1)
        # A stable sort of "not chosen" brings the chosen positions to the front, in order.
        columns = (~chosen).to(torch.uint8).argsort(dim=1, stable=True)[:, : int(counts.max())]
        valid = torch.arange(columns.shape[1], device=where.device) < counts[:, None]
        return cls(rows, torch.where(valid, columns, columns[:, :1]), valid)

    @cached_property
    def _places(self) -> tuple[Tensor, Tensor, Tensor]:
        """Row and column of every selected position, ``(selected,)``, and where it stands among ``valid``."""
        assert self.columns is not None and self.valid is not None
        places = self.valid.flatten().nonzero().flatten()
        rows = self.rows[:, None].expand_as(self.columns)
        return rows.flatten()[places], self.columns.flatten()[places], places

    def take(self, x: Tensor, dim: int = 1) -> Tensor:
        """The selected part of ``x``, whose first dimension is the batch and ``dim`` the positions."""
        if self.columns is None:
            return x[self.rows]
        return x.movedim(dim, 1)[self.rows[:, None], self.columns].movedim(1, dim)

    def put(self, x: Tensor, part: Tensor, dim: int = 1) -> Tensor:
        """A copy of ``x`` in which the selected part is ``part``."""
        if self.columns is None:
            return x.index_copy(0, self.rows, part.to(x.dtype))
        rows, columns, places = self._places
        whole, moved = x.movedim(dim, 1), part.movedim(dim, 1).flatten(0, 1)
        return whole.index_put((rows, columns), moved[places].to(x.dtype)).movedim(1, dim)


def take(value: Any, selection: Selection, shape: torch.Size) -> Any:
    """The selected part of every tensor in a dataclass, list, tuple or mapping that begins with ``shape``.

    ``shape`` is ``(batch, positions)``; tensors of other shapes, and all else, are passed on.
    """
    return _walk(value, lambda x: selection.take(x) if x.shape[:2] == shape else x)


def put(value: Any, part: Any, selection: Selection, shape: torch.Size) -> Any:
    """``value`` with the selected part of its tensors from ``part``; what only ``part`` has starts from zeros."""
    if isinstance(part, Tensor):
        if value is None:
            selected = selection.rows.shape if selection.columns is None else selection.columns.shape
            assert part.shape[: len(selected)] == selected
            value = part.new_zeros(*shape, *part.shape[2:])
        return selection.put(value, part) if value.shape[:2] == shape else part
    if is_dataclass(part) and not isinstance(part, type):
        changes = {f.name: put(getattr(value, f.name), getattr(part, f.name), selection, shape) for f in fields(part)}
        return with_fields(part, **changes)
    if isinstance(part, list | tuple):
        padded = [*value, *[None] * (len(part) - len(value))]
        return type(part)(put(v, p, selection, shape) for v, p in zip(padded, part, strict=True))
    if isinstance(part, dict):
        return {key: put(value.get(key), item, selection, shape) for key, item in part.items()}
    return part


def _walk(value: Any, change: Any) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        return with_fields(value, **{f.name: _walk(getattr(value, f.name), change) for f in fields(value)})
    if isinstance(value, list | tuple):
        return type(value)(_walk(item, change) for item in value)
    if isinstance(value, dict):
        return {key: _walk(item, change) for key, item in value.items()}
    return value

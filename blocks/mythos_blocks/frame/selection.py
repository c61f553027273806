"""Some positions of a batch, taken out to be computed on their own and put back."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_blocks.tensors.once import once
from mythos_blocks.tensors.tracing import is_traced


@dataclass(frozen=True)
class Selection:
    """Some sequences of a batch, and some positions of each.

    Made on the host, from what the host knows, so that selecting never waits for an accelerator.

    Attributes:
        rows: Indices of the sequences, ``(rows,)``.
        columns: Indices of the positions, ``(rows, columns)``; a row with fewer of them repeats its first.
            ``None`` selects whole sequences.
        valid: False where a row repeats, ``(rows, columns)``; ``None`` where ``columns`` is.
        places: Row and column of every selected position, ``(selected,)``, and where it stands among the flattened
            ``valid``; ``None`` where ``columns`` is.
    """

    rows: Tensor
    columns: Tensor | None = None
    valid: Tensor | None = None
    places: tuple[Tensor, Tensor, Tensor] | None = None

    @classmethod
    def of_rows(cls, rows: Sequence[int], device: torch.device) -> Selection:
        """Whole sequences."""
        return cls(_sent(torch.tensor(rows, dtype=torch.long), device))

    @classmethod
    def of(cls, where: Tensor, device: torch.device) -> Selection:
        """The positions that are true in ``where``, ``(batch, positions)`` on the host, without empty rows."""
        rows = where.any(1).nonzero().flatten()
        chosen = where[rows]
        if bool(chosen.all()):
            return cls(_sent(rows, device))
        counts = chosen.sum(1)
        # A stable sort of "not chosen" brings the chosen positions to the front, in order.
        columns = (~chosen).to(torch.uint8).argsort(dim=1, stable=True)[:, : int(counts.max())]
        valid = torch.arange(columns.shape[1]) < counts[:, None]
        columns = torch.where(valid, columns, columns[:, :1])
        at = valid.flatten().nonzero().flatten()
        places = (rows[:, None].expand_as(columns).flatten()[at], columns.flatten()[at], at)
        by_row, by_column, stands = (_sent(x, device) for x in places)
        return cls(_sent(rows, device), _sent(columns, device), _sent(valid, device), (by_row, by_column, stands))

    def take(self, x: Tensor, dim: int = 1) -> Tensor:
        """The selected part of ``x``, whose first dimension is the batch and ``dim`` the positions."""
        if self.columns is None:
            return x[self.rows]
        return x.movedim(dim, 1)[self.rows[:, None], self.columns].movedim(1, dim)

    def put(self, x: Tensor, part: Tensor, dim: int = 1) -> Tensor:
        """A copy of ``x`` in which the selected part is ``part``."""
        if self.places is None:
            return x.index_copy(0, self.rows, part.to(x.dtype))
        rows, columns, stands = self.places
        whole, moved = x.movedim(dim, 1), part.movedim(dim, 1).flatten(0, 1)
        return whole.index_put((rows, columns), moved[stands].to(x.dtype)).movedim(1, dim)

    @once
    def inside(self) -> tuple[Tensor, Tensor] | None:
        """Row and column of every selected position among the selected sequences, ``(selected,)``; ``None`` where whole
        sequences are selected."""
        return None if self.places is None else (self.at[0], self.places[1])

    def each(self, part: Tensor) -> Tensor:
        """Of ``(rows, ..., columns, d)`` what every selected position has: ``(selected, ..., d)``."""
        return part.movedim(-2, 1)[self.at]

    @once
    def at(self) -> tuple[Tensor, Tensor]:
        """Row and column of every selected position in what :meth:`take` takes out."""
        assert self.places is not None and self.columns is not None
        rows = self.places[2].div(self.columns.shape[1], rounding_mode="floor")
        return rows, self.places[2] - rows * self.columns.shape[1]


@dataclass(frozen=True)
class Where:
    """Which positions of a batch something holds for.

    Attributes:
        shape: ``(batch, positions)``.
        device: Where the batch is.
        rows: Whole sequences, as the host knows them, where they are that.
        host: ``(batch, positions)`` booleans that the host knows.
        given: The same on the device, where they came from there. Without any of the three it is everywhere.
    """

    shape: torch.Size
    device: torch.device
    rows: tuple[bool, ...] | None = None
    host: Tensor | None = None
    given: Tensor | None = None

    @classmethod
    def everywhere(cls, like: Tensor) -> Where:
        """All positions of a state ``(batch, positions, ...)``."""
        return cls(like.shape[:2], like.device)

    @classmethod
    def of(cls, flags: Tensor) -> Where:
        """Of booleans ``(batch, positions)``, which the host waits for, once; it does not while a graph is traced."""
        host = None if is_traced(flags) else flags.cpu()
        return cls(flags.shape, flags.device, host=host, given=flags)

    @classmethod
    def union(cls, parts: Sequence[Where]) -> Where:
        """The positions of any of these."""
        first = parts[0]
        if len(parts) == 1:
            return first
        rows = [part.rows for part in parts if part.rows is not None]
        if len(rows) == len(parts):
            return cls(first.shape, first.device, rows=tuple(any(row) for row in zip(*rows, strict=True)))
        given = functools.reduce(operator.or_, (part.mask for part in parts))
        hosts = [part.on_host() for part in parts if part.is_known]
        host = functools.reduce(operator.or_, hosts) if len(hosts) == len(parts) else None
        return cls(first.shape, first.device, host=host, given=given)

    def on_host(self) -> Tensor:
        """``(batch, positions)`` booleans on the host, which must know them."""
        assert self.is_known
        if self.host is not None:
            return self.host
        rows = (True,) * self.shape[0] if self.rows is None else self.rows
        return torch.tensor(rows)[:, None].expand(self.shape)

    @property
    def is_known(self) -> bool:
        """Whether the host knows which positions these are."""
        return self.given is None or self.host is not None

    @once
    def all(self) -> bool:
        """Whether these are known to be all positions."""
        if self.rows is not None:
            return all(self.rows)
        return self.given is None if self.host is None else bool(self.host.all())

    @once
    def none(self) -> bool:
        """Whether it is known that there are no such positions."""
        if self.rows is not None:
            return not any(self.rows)
        return self.host is not None and not bool(self.host.any())

    @once
    def mask(self) -> Tensor:
        """``(batch, positions)`` booleans on the device."""
        if self.given is not None:
            return self.given
        if self.host is not None:
            return _sent(self.host, self.device)
        if self.rows is None:
            return torch.ones(self.shape, dtype=torch.bool, device=self.device)
        return _sent(torch.tensor(self.rows), self.device)[:, None].expand(self.shape)

    @once
    def selection(self) -> Selection:
        """The positions, to be taken out."""
        if self.rows is not None:
            return Selection.of_rows([i for i, chosen in enumerate(self.rows) if chosen], self.device)
        assert self.host is not None, "what is selected is known"
        return Selection.of(self.host, self.device)


def _sent(x: Tensor, device: torch.device) -> Tensor:
    """``x`` on the device, without waiting for it."""
    return x.to(device, non_blocking=True)

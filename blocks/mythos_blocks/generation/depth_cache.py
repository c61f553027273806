"""Keys and values of several sequences, in which each iteration is filled as far as somebody has needed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.mask import AttentionMask
from mythos_blocks.frame.memory import Page, Path, Tensors
from mythos_blocks.frame.selection import Selection, Where


class DepthCache:
    """Buffers for sequences of which no later position runs fewer iterations than it needs, and no earlier one more.

    A sequence has a slot, and a column for each position. The columns that have run iteration t are the first
    ``reached[slot][t]``, and never more than have run the one before it.

    Args:
        num_slots: Sequences.
        capacity: Columns of each.
        num_loops: Iterations that there is room for.

    Attributes:
        lengths: Columns of each sequence that have been read.
        reached: Of each sequence, and of each iteration, how many columns have run it.
    """

    def __init__(self, num_slots: int, capacity: int, num_loops: int) -> None:
        self.num_slots, self.capacity, self.num_loops = num_slots, capacity, num_loops
        self.lengths = [0] * num_slots
        self.reached = [[0] * num_loops for _ in range(num_slots)]
        self._buffers: dict[Path, Tensors] = {}

    def clear(self, slot: int) -> None:
        """Make place for another sequence."""
        self.lengths[slot], self.reached[slot] = 0, [0] * self.num_loops

    def grow(self, capacity: int) -> None:
        """Make room for so many columns."""
        self.capacity = capacity
        for path, buffers in self._buffers.items():
            self._buffers[path] = tuple(widened(buffer, capacity, -2) for buffer in buffers)

    def buffers(self, path: Path, like: Tensors) -> Tensors:
        """What the layer at ``path`` keeps: ``(rows, ..., capacity, d)``, of which :func:`row_of` names the rows.

        Args:
            path: The layer's place.
            like: What it writes, ``(..., positions, d)``.
        """
        held = self._buffers.get(path)
        if held is None:
            rows = self.num_slots * (self.num_loops if path[0] == "core" else 1)
            # Zeros, since what lies behind a sequence's end is read and left out by a weight of 0.
            held = tuple(x.new_zeros(rows, *x.shape[1:-2], self.capacity, x.shape[-1]) for x in like)
            self._buffers[path] = held
        return held

    @property
    def num_bytes(self) -> int:
        """Bytes of the keys, values and latents that are held, without columns that are only allocated."""
        inside, outside = sum(map(sum, self.reached)), sum(self.lengths)
        return sum(
            (inside if path[0] == "core" else outside) * x[0, ..., 0, :].numel() * x.element_size()
            for path, buffers in self._buffers.items()
            for x in buffers
        )


class Chunk:
    """Columns of one sequence that lie side by side; what is computed of them is ``(1, columns, ...)``.

    Attributes:
        frame: The frame that they stand in, once it has been made.
    """

    frame: Frame | None = None

    def __init__(self, slot: int, begin: int, end: int, device: torch.device) -> None:
        self.slot, self.begin, self.end = slot, begin, end
        self.positions = torch.arange(begin, end, device=device)

    def take(self, x: Tensor) -> Tensor:
        """Of ``(slots, capacity, ...)`` these columns."""
        return x[self.slot : self.slot + 1, self.begin : self.end]

    def put(self, x: Tensor, new: Tensor) -> None:
        """Put ``new`` into ``(slots, capacity, ...)``."""
        x[self.slot : self.slot + 1, self.begin : self.end] = new

    def mask(self) -> AttentionMask:
        """Each reads the columns of its sequence up to its own."""
        if self.begin == 0 or self.end - self.begin == 1:
            return AttentionMask(causal=self.begin == 0)
        keys = torch.arange(self.end, device=self.positions.device)
        return AttentionMask(causal=False, allowed=(keys <= self.positions[:, None])[None])

    def pages(self, cache: DepthCache, depths: Sequence[int] | None) -> Callable[[int], Page]:
        """Where they write and read in the i-th iteration from these on; outside the loop without them."""
        row = self.slot if depths is None else self.slot * cache.num_loops + depths[0]
        return lambda i: ChunkPage(cache, row + i, self.begin, self.end)


class Scattered:
    """Columns of several sequences, each by itself; what is computed of them is ``(columns, 1, ...)``.

    Args:
        places: The slot and the column of each.
        device: Where they are computed.

    Attributes:
        frame: The frame that they stand in, once it has been made.
    """

    frame: Frame | None = None

    def __init__(self, places: Sequence[tuple[int, int]], device: torch.device) -> None:
        self.places = places
        self.end = max(column for _, column in places) + 1
        self.slots, self.columns = torch.tensor(places, device=device).unbind(1)
        self.positions = self.columns[:, None]

    def take(self, x: Tensor) -> Tensor:
        """Of ``(slots, capacity, ...)`` these columns."""
        return x[self.slots, self.columns].unsqueeze(1)

    def put(self, x: Tensor, new: Tensor) -> None:
        """Put ``new`` into ``(slots, capacity, ...)``."""
        x[self.slots, self.columns] = new.squeeze(1).to(x.dtype)

    def mask(self) -> AttentionMask:
        """Each reads the columns of its sequence up to its own."""
        keys = torch.arange(self.end, device=self.columns.device)
        return AttentionMask(causal=False, allowed=(keys <= self.positions)[:, None])

    def pages(self, cache: DepthCache, depths: Sequence[int] | None) -> Callable[[int], Page]:
        """Where each writes and reads in the i-th iteration from its own on; outside the loop without these."""
        rows = self.slots
        if depths is not None:
            rows = rows * cache.num_loops + torch.tensor(depths, device=rows.device)
        return lambda i: ScatteredPage(cache, rows + i, self.columns, self.end)


class ChunkPage(Page):
    """What a :class:`Chunk` writes, and what it reads: views of the buffers."""

    def __init__(self, cache: DepthCache, row: int, begin: int, end: int) -> None:
        self._cache, self._row, self._begin, self._new, self._end = cache, row, begin, end - begin, end

    def exchange(
        self, path: Path, written: Tensors, selection: Selection | None, running: Where | None, shared: bool = True
    ) -> Tensors:
        rows = [buffer.narrow(0, self._row, 1) for buffer in self._cache.buffers(path, written)]
        for row, new in zip(rows, written, strict=True):
            row.narrow(-2, self._begin, self._new).copy_(new)
        return tuple([row.narrow(-2, 0, self._end) for row in rows])


class ScatteredPage(Page):
    """What :class:`Scattered` columns write, and what each reads: copies, ``(columns, ..., keys, d)``."""

    def __init__(self, cache: DepthCache, rows: Tensor, columns: Tensor, end: int) -> None:
        self._cache, self._rows, self._columns, self._end = cache, rows, columns, end

    def exchange(
        self, path: Path, written: Tensors, selection: Selection | None, running: Where | None, shared: bool = True
    ) -> Tensors:
        buffers = self._cache.buffers(path, written)
        for buffer, new in zip(buffers, written, strict=True):
            buffer.movedim(-2, 1)[self._rows, self._columns] = new.squeeze(-2)
        if shared:  # a mask says how far each reads
            return tuple([buffer.narrow(-2, 0, self._end).index_select(0, self._rows) for buffer in buffers])
        # Without one, what is read ends with the column itself, and begins with zeros.
        back = self._columns[:, None] - torch.arange(self._end - 1, -1, -1, device=self._columns.device)
        read = []
        for buffer in buffers:
            found = buffer.movedim(-2, 1)[self._rows[:, None], back.clamp_min(0)]
            there = (back >= 0).view(*back.shape, *[1] * (found.dim() - 2))
            read.append(torch.where(there, found, 0).movedim(1, -2))
        return tuple(read)


def widened(x: Tensor, size: int, dim: int) -> Tensor:
    """``x`` with zeros behind it, to ``size`` in a dimension."""
    shape = list(x.shape)
    shape[dim] = size - shape[dim]
    return torch.cat((x, x.new_zeros(shape)), dim)

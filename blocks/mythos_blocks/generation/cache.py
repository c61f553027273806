"""Keys and values of earlier calls, for decoding one chunk of a sequence after the other."""

from __future__ import annotations

import weakref
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mythos_blocks.frame.mask import AttentionMask
from mythos_blocks.frame.memory import Path, Ready, Tensors
from mythos_blocks.generation.counts import count

Key = tuple[Path, int]


class Cache:
    """A :class:`~mythos_blocks.frame.memory.Past` in buffers that are allocated ahead and grow when they are full.

    A call with n new positions is: ``mask, positions = cache.begin(n)``, then
    ``model(tokens, mask, positions=positions, past=cache)`` without gradients, then ``cache.commit(n)``.
    Between the two, what the model writes lies behind the committed columns, so a step may be repeated.

    An entry that is read and that earlier positions never reached holds, for those, what they wrote last: to the
    positions that follow, a position that has stopped is frozen. Such columns are filled when first needed.

    Args:
        batch: Sequences.
        capacity: Columns to allocate ahead.
        padding: How many columns on the left of each sequence are padding, ``(batch,)``; nobody reads them.
        exact: Whether decoding with this cache equals the full pass; see
            :attr:`mythos_blocks.kv_policy.KVPolicy.exact`.
        graph: Whether what is written keeps its gradients; every call then copies what it goes on from.

    Attributes:
        length: Columns of earlier calls, padding included.

    Raises:
        ValueError: ``batch``, ``capacity`` or ``padding`` is out of range.
    """

    def __init__(
        self,
        batch: int,
        capacity: int = 0,
        *,
        padding: Tensor | Sequence[int] | None = None,
        exact: bool = True,
        graph: bool = False,
    ) -> None:
        batch, capacity = count("batch", batch), count("capacity", capacity, least=0)
        self.batch, self.capacity, self.exact, self.graph, self.length = batch, capacity, exact, graph, 0
        self.padding = _counts(padding, batch)
        self._buffers: dict[Key, Tensors] = {}
        self._valid: dict[Key, int] = {}  # committed columns that are filled, from the left
        self._runs: dict[Path, list[tuple[int, int]]] = {}  # (end column, the entry that columns up to it wrote last)
        self._flags: dict[int, Tensor] = {}  # by iteration, which positions ran it
        self._written: dict[Key, tuple[Callable[[], Tensor | None], int]] = {}  # by this call: what, how many columns
        self._last: dict[Path, int] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Elsewhere, the tensors that this call has written are other ones.
        return {**self.__dict__, "_written": {key: (_gone, size) for key, (_, size) in self._written.items()}}

    def begin(self, num_positions: int, device: torch.device | None = None) -> tuple[AttentionMask, Tensor]:
        """Forget what was not committed, and get what the model must be told about the next call.

        Args:
            num_positions: New positions.
            device: Where the model runs.

        Returns:
            The mask of the ``num_positions`` new positions over all columns so far, and their indices in their
            sequences: ``(positions,)``, or ``(batch, positions)`` where sequences are padded.
        """
        if num_positions < 1:
            raise ValueError(f"num_positions={num_positions} must be at least 1")
        self._written.clear()
        self._last.clear()
        for flags in self._flags.values():
            flags[:, self.length :] = False
        end = self.length + num_positions
        columns = torch.arange(self.length, end, device=device)
        if self.padding is None:
            # Without an explicit mask attention takes its fast path.
            if self.length == 0 or num_positions == 1:
                return AttentionMask(causal=self.length == 0), columns
            return AttentionMask(causal=False, allowed=_causal(columns, end)[None]), columns
        padding = self.padding.to(device)[:, None]
        allowed = _causal(columns, end) & (torch.arange(end, device=device) >= padding)[:, None]
        # A padded query must read something, and its own key is always there.
        itself = columns[:, None] == torch.arange(end, device=device)
        positions = (columns - padding).clamp_min(0)
        return AttentionMask(causal=False, allowed=allowed | itself), positions

    def extended(self, path: Path, entry: int, chunk: Tensors) -> Tensors:
        """Write the new positions' tensors; those of all positions so far, as views of the buffers.

        Args:
            path: The layer's place.
            entry: Which of its entries.
            chunk: Tensors ``(batch, ..., new positions, d)``.

        Raises:
            ValueError: The chunk carries gradients or has another batch size, or earlier calls left this place out.
        """
        size, key = chunk[0].shape[-2], (path, entry)
        end, buffers = self.length + size, self._ready(key, chunk, self.length + size)
        if self.graph:
            # Out of place, since the backward pass reads what was there.
            buffers = tuple(
                torch.cat((old[..., : self.length, :], new), dim=-2)
                for old, new in zip(self._buffers[key], chunk, strict=True)
            )
            self._buffers[key], self._last[path] = buffers, entry
            self._written[key] = weakref.ref(chunk[0]), size
            return buffers
        seen = self._written.get(key)
        if seen is None or seen[0]() is not chunk[0]:  # the same tensors again are read again, and not written
            for buffer, new in zip(buffers, chunk, strict=True):
                if new.requires_grad:
                    raise ValueError("a cache holds no gradients; run the model under torch.no_grad()")
                buffer.narrow(-2, self.length, size).copy_(new)
            self._written[key] = weakref.ref(chunk[0]), size
            self._last[path] = entry
        return tuple([buffer.narrow(-2, 0, end) for buffer in buffers])

    def ready(self, batch: int, num_positions: int) -> Ready:
        """The entries that are filled and have room for the new positions; of others, :meth:`extended` makes room.

        What is written to them must have no gradient.
        """
        begin, end = self.length, self.length + num_positions
        there: dict[Key, tuple[Tensors, Tensors]] = {}
        # Whoever watches what is written sees all of it.
        if batch == self.batch and not self.graph and type(self).extended is Cache.extended:
            for key, buffers in self._buffers.items():
                if self._valid.get(key) == begin and buffers[0].shape[-2] >= end:
                    there[key] = (
                        tuple([buffer.narrow(-2, begin, num_positions) for buffer in buffers]),
                        tuple([buffer.narrow(-2, 0, end) for buffer in buffers]),
                    )

        def mark(key: Key) -> None:
            self._written[key], self._last[key[0]] = (_gone, num_positions), key[1]

        return Ready(there, mark)

    def so_far(self, path: Path, entry: int, num_positions: int) -> Tensors:
        """What :meth:`extended` has given in this call: all positions so far, with ``num_positions`` new ones."""
        return tuple(buffer[..., : self.length + num_positions, :] for buffer in self._buffers[path, entry])

    def alive(self, t: int, chunk: Tensor) -> Tensor:
        """Which positions so far have run iteration ``t``: ``(batch, positions)`` booleans.

        Args:
            t: The iteration.
            chunk: Which of the new positions run it, ``(batch, new positions)``.
        """
        end = self.length + chunk.shape[1]
        flags = self._flags.get(t)
        if flags is None or flags.shape[1] < end:
            grown = torch.zeros(self.batch, max(end, self.capacity), dtype=torch.bool, device=chunk.device)
            if flags is not None:
                grown[:, : flags.shape[1]] = flags
            flags = self._flags[t] = grown
        flags[:, self.length : end] = chunk
        return flags[:, :end]

    def commit(self, num_positions: int) -> None:
        """Keep what the last call wrote for its ``num_positions`` positions."""
        for (path, entry), (_, size) in self._written.items():
            if size != num_positions:
                raise ValueError(f"num_positions={num_positions}, but {path} entry {entry} was given {size}")
        end = self.length + num_positions
        for key in self._written:
            self._valid[key] = end
        for path, entry in self._last.items():
            runs = self._runs.setdefault(path, [])
            if runs and runs[-1] == (self.length, entry):
                runs.pop()
            runs.append((end, entry))
        self._written.clear()
        self._last.clear()
        self.length = end

    def truncate(self, length: int) -> None:
        """Forget the columns from ``length`` on, to decode them again or otherwise.

        Raises:
            ValueError: There are fewer columns.
        """
        if not 0 <= length <= self.length:
            raise ValueError(f"length={length} must be between 0 and the {self.length} columns that there are")
        self.length = length
        self._valid = {key: min(valid, length) for key, valid in self._valid.items()}
        for path, runs in self._runs.items():
            begins = [0, *[end for end, _ in runs]]
            kept = [
                (min(end, length), entry) for begin, (end, entry) in zip(begins, runs, strict=False) if begin < length
            ]
            self._runs[path] = kept
        for flags in self._flags.values():
            flags[:, length:] = False

    def keep_rows(self, rows: Tensor) -> None:
        """Go on with these sequences alone; ``rows`` are their indices, ``(rows,)``."""
        self._buffers = {key: tuple(x[rows] for x in buffers) for key, buffers in self._buffers.items()}
        self._flags = {t: flags[rows] for t, flags in self._flags.items()}
        if self.padding is not None:
            self.padding = _counts(self.padding[rows.to(self.padding.device)], len(rows))
        self.batch = len(rows)

    @property
    def num_bytes(self) -> int:
        """Bytes of the keys, values and latents that are held, without columns that are only allocated."""
        return sum(
            x[..., : self._valid.get(key, 0), :].numel() * x.element_size()
            for key, buffers in self._buffers.items()
            for x in buffers
        )

    @property
    def allocated_bytes(self) -> int:
        """Bytes of all buffers."""
        buffers = [x for tensors in self._buffers.values() for x in tensors] + list(self._flags.values())
        return sum(x.numel() * x.element_size() for x in buffers)

    def _ready(self, key: Key, chunk: Tensors, end: int) -> Tensors:
        """The entry's buffers, with at least ``end`` columns, of which those of earlier calls are filled."""
        held = self._buffers.get(key)
        if held is None or self._valid.get(key, 0) != self.length or held[0].shape[-2] < end or self.graph:
            held = self._room(key, chunk, end)
            self._fill(key)
        elif chunk[0].shape[0] != self.batch:
            raise ValueError(f"the cache holds {self.batch} sequences, not {chunk[0].shape[0]}")
        return held

    def _room(self, key: Key, chunk: Tensors, end: int) -> Tensors:
        """The entry's buffers, with at least ``end`` columns."""
        if chunk[0].shape[0] != self.batch:
            raise ValueError(f"the cache holds {self.batch} sequences, not {chunk[0].shape[0]}")
        if end > self.capacity:
            self.capacity = max(2 * self.capacity, end)
        old = self._buffers.get(key)
        if old is None:
            fresh = tuple(x.new_empty(*x.shape[:-2], self.capacity, x.shape[-1]) for x in chunk)
        elif old[0].shape[-2] < end and not self.graph:
            fresh = tuple(x.new_empty(*x.shape[:-2], self.capacity, x.shape[-1]) for x in old)
            for new, before in zip(fresh, old, strict=True):
                new[..., : before.shape[-2], :] = before
        else:
            return old
        self._buffers[key] = fresh
        return fresh

    def _fill(self, key: Key) -> None:
        """Give columns of earlier calls that never reached this entry what they wrote last."""
        path, _ = key
        begin = self._valid.get(key, 0)
        if begin == self.length:
            return
        runs = self._runs.get(path, [])
        for end, source in runs[bisect_right(runs, begin, key=lambda run: run[0]) :]:
            lasts = self._buffers[path, source]
            if self.graph:
                self._buffers[key] = tuple(
                    torch.cat((buffer[..., :begin, :], last[..., begin:end, :]), dim=-2)
                    for buffer, last in zip(self._buffers[key], lasts, strict=True)
                )
            else:
                for buffer, last in zip(self._buffers[key], lasts, strict=True):
                    buffer[..., begin:end, :] = last[..., begin:end, :]
            begin = end
        if begin != self.length:
            raise ValueError(f"{path} is new: of the {self.length} positions so far, it has {begin}")
        self._valid[key] = self.length


def _gone() -> None:
    """A reference to a tensor that is no more."""


def _causal(columns: Tensor, end: int) -> Tensor:
    """Which of ``end`` keys the queries at ``columns`` see: ``(queries, keys)``."""
    return torch.arange(end, device=columns.device) <= columns[:, None]


def _counts(padding: Tensor | Sequence[int] | None, batch: int) -> Tensor | None:
    """Padding as a tensor ``(batch,)``; ``None`` where there is none."""
    if padding is None:
        return None
    counts = torch.as_tensor(padding)
    if counts.shape != (batch,) or counts.is_floating_point() or counts.dtype == torch.bool or bool((counts < 0).any()):
        raise ValueError(f"padding must be {batch} counts, one a sequence and none negative; it is {padding}")
    return counts.long() if bool(counts.any()) else None

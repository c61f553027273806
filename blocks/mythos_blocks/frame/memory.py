"""What positions and iterations leave behind for others to read."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from mythos_blocks.frame.selection import Selection

Path = tuple[str | int, ...]
Tensors = tuple[Tensor, ...]


class SharingPolicy(Protocol):
    """Which iterations share keys and values; see :mod:`mythos_blocks.kv_policy`."""

    @property
    def reuses(self) -> bool:
        """Whether an iteration may read what another one wrote."""
        ...

    def entry(self, t: int) -> int:
        """The entry that iteration ``t`` reads, and writes where it writes."""
        ...

    def writes(self, t: int) -> bool:
        """Whether iteration ``t`` writes its entry; otherwise it reads what an earlier one wrote."""
        ...


class Past(Protocol):
    """Keys and values of earlier calls; see :mod:`mythos_blocks.generation.cache`."""

    def extended(self, path: Path, entry: int, chunk: Tensors) -> Tensors:
        """Those of all positions so far, the chunk's included."""
        ...

    def alive(self, t: int, chunk: Tensor) -> Tensor:
        """Which positions so far have run iteration ``t``, the chunk's included: ``(batch, positions)``."""
        ...


class Memory:
    """What one pass through the model has written, by place and entry.

    A step forks the memory of its state, so that a state can be stepped from twice.

    Args:
        policy: Which iterations share keys and values; ``None`` where each reads its own.
        past: Earlier calls' keys and values, for cached decoding.
        num_sequences: The batch size, for passes in which sequences begin apart.
        keeps: Whether what is written must last beyond its iteration, because some positions may stop before
            others; without it, nothing is kept that nobody reads.

    Attributes:
        selection: The positions that are being computed; ``None`` for all. Of the others, what they wrote
            last is read.
        hold: Positions that are computed but count as not, ``(batch, positions)``: the plain form of
            ``selection``, which defines its meaning.
    """

    def __init__(
        self, policy: SharingPolicy, past: Past | None = None, *, num_sequences: int = 0, keeps: bool = True
    ) -> None:
        self.policy, self.past, self.num_sequences, self.keeps = policy, past, num_sequences, keeps
        self.selection: Selection | None = None
        self.hold: Tensor | None = None
        self._latest: dict[Path, Tensors] = {}
        self._entries: dict[tuple[Path, int], Tensors] = {}
        self._depths: dict[Path, list[Tensors]] = {}

    @property
    def needed(self) -> bool:
        """Whether anything that is written here can be read again."""
        return self.keeps or self.policy.reuses or self.past is not None

    def fork(self, selection: Selection | None = None, hold: Tensor | None = None) -> Memory:
        """A memory with the same contents, which can be written without changing this one."""
        other = Memory(self.policy, self.past, num_sequences=self.num_sequences, keeps=self.keeps)
        other.selection, other.hold = selection, hold
        other._latest, other._entries = dict(self._latest), dict(self._entries)
        other._depths = {path: list(depths) for path, depths in self._depths.items()}
        return other

    def exchange(self, path: Path, t: int | None, written: Tensors) -> Tensors:
        """See :meth:`mythos_blocks.frame.frame.Frame.exchange`."""
        entry = 0 if t is None else self.policy.entry(t)
        if t is not None and not self.policy.writes(t) and (path, entry) in self._entries:
            whole = self._entries[path, entry]
        else:
            whole = self._whole(self._latest.get(path), written)
            if self.keeps:
                self._latest[path] = whole
            if t is not None and self.policy.reuses:
                self._entries[path, entry] = whole
        if self.past is not None:
            whole = self.past.extended(path, entry, whole)
        return self._of_rows(whole)

    def over_depth(self, path: Path, t: int | None, written: Tensors, all_positions: bool) -> list[Tensors]:
        """See :meth:`mythos_blocks.frame.frame.Frame.over_depth`."""
        depths = self._depths.setdefault(path, [])
        whole = self._whole(depths[-1] if depths else None, written)
        if t is None:
            depths.clear()  # outside the loop there is one depth, which exit rules may read again and again
        depths.append(whole)
        if all_positions:
            layers = depths
            if self.past is not None:
                layers = [self.past.extended(path, i, layer) for i, layer in enumerate(depths)]
            return [self._of_rows(layer) for layer in layers]
        if self.selection is None:
            return list(depths)
        return [tuple(self.selection.take(x, dim=-2) for x in layer) for layer in depths]

    def _of_rows(self, whole: Tensors) -> Tensors:
        """The selected sequences; all of them are passed on without a copy."""
        if self.selection is None or len(self.selection.rows) == len(whole[0]):
            return whole
        return tuple(x[self.selection.rows] for x in whole)

    def _whole(self, before: Tensors | None, written: Tensors) -> Tensors:
        """What all positions have written last: the present ones ``written``, the others what they wrote before."""
        if self.selection is not None:
            if before is None:
                # Whole sequences that run later than others; nobody reads the zeros of these.
                assert self.selection.columns is None, "every position of a sequence runs its first iteration"
                before = tuple(w.new_zeros(self.num_sequences, *w.shape[1:]) for w in written)
            return tuple(self.selection.put(b, w, dim=-2) for b, w in zip(before, written, strict=True))
        if self.hold is not None and before is not None:
            return tuple(torch.where(_at_positions(self.hold, w), b, w) for b, w in zip(before, written, strict=True))
        return written


def _at_positions(flags: Tensor, like: Tensor) -> Tensor:
    """``(batch, positions)`` flags, to be broadcast over ``(batch, ..., positions, d)``."""
    return flags.view(flags.shape[0], *[1] * (like.dim() - 3), flags.shape[1], 1)

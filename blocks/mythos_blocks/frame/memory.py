"""What positions and iterations leave behind for others to read."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mythos_blocks.frame.depths import Depths
from mythos_blocks.frame.selection import Selection, Where
from mythos_blocks.tensors.gradients import recorded_for_backward

Path = tuple[str | int, ...]
Tensors = tuple[Tensor, ...]
Key = tuple[Path, str | int]


class SharingPolicy(Protocol):
    """Which iterations share keys and values; see :mod:`mythos_blocks.kv_policy`."""

    @property
    def reuses(self) -> bool:
        """Whether an iteration may read what another one wrote."""
        ...

    def entry(self, t: int) -> int:
        """The entry that iteration ``t`` reads, and writes where it writes."""
        ...

    def place(self, path: Path, t: int) -> tuple[Path, int]:
        """Where a cache keeps what the part at ``path`` writes in iteration ``t``."""
        ...

    def writes(self, t: int) -> bool:
        """Whether iteration ``t`` writes its entry; otherwise it reads what an earlier one wrote."""
        ...


class Past(Protocol):
    """Keys and values of earlier calls; see :mod:`mythos_blocks.generation.cache`."""

    def extended(self, path: Path, entry: int, chunk: Tensors) -> Tensors:
        """Those of all positions so far, the chunk's included, which is written."""
        ...

    def ready(self, batch: int, num_positions: int) -> Ready:
        """Where so many new positions of so many sequences can be written without asking further."""
        ...

    def so_far(self, path: Path, entry: int, num_positions: int) -> Tensors:
        """Those of all positions so far, with what this call has written for its ``num_positions``."""
        ...

    def alive(self, t: int, chunk: Tensor) -> Tensor:
        """Which positions so far have run iteration ``t``, the chunk's included: ``(batch, positions)``."""
        ...


@dataclass(frozen=True)
class Ready:
    """What a cache has ready for the new positions of a call.

    Attributes:
        there: For each entry that is filled and has room, the columns of the new positions and those of all so far.
        mark: Says that the new ones of an entry have been written.
    """

    there: Mapping[tuple[Path, int], tuple[Tensors, Tensors]]
    mark: Callable[[tuple[Path, int]], None]


class Page:
    """The memory as one iteration has it open: what was there before it, and what it writes.

    What is read was there before, whatever is written, so that a layer which is computed again, as activation
    checkpointing does, reads what it read the first time.

    Args:
        memory: The memory that it belongs to.
        t: The iteration; ``None`` outside the loop.
        depth: How many iterations of the pass came before this one.
        goes_on: Whether another part of the positions has run this iteration before.
    """

    def __init__(self, memory: Memory, t: int | None, depth: int = 0, goes_on: bool = False) -> None:
        self._memory, self._past, self._keeps = memory, memory.past, memory.keeps
        self._graph = torch.is_grad_enabled()
        self._num_sequences, self._num_depths = memory.num_sequences, memory.num_depths
        self._depth, self._goes_on = depth, goes_on
        self._t = t
        self._entry, self._own_entry = 0 if t is None else memory.policy.entry(t), t or 0
        self._reuses = t is not None and memory.policy.reuses
        self._writes = t is None or memory.policy.writes(t)
        # Of the entries the present one alone, under one name: a compiled layer sees the same in all iterations.
        self._before: dict[tuple[Path, str], Tensors] = {}
        for (path, name), tensors in memory.contents.items():
            if name == self._entry or isinstance(name, str):
                self._before[path, name if isinstance(name, str) else "entry"] = tensors
        self._written: dict[tuple[Path, str], Tensors] = {}

    def apart(self) -> Page:
        """The same to read, with a place of its own for what is written."""
        page = copy.copy(self)
        page._written = {}
        return page

    def closed(self) -> Memory:
        """The memory with what was written."""
        written = {
            (path, self._entry if name == "entry" else name): tensors for (path, name), tensors in self._written.items()
        }
        return self._memory.having({**self._memory.contents, **written})

    def exchange(
        self, path: Path, written: Tensors, selection: Selection | None, running: Where | None, shared: bool = True
    ) -> Tensors:
        """See :meth:`mythos_blocks.frame.frame.Frame.exchange`."""
        kept = None if self._writes or not shared else self._before.get((path, "entry"))
        if kept is not None:
            whole = kept
        else:
            with recorded_for_backward(self._graph):  # which these positions may be computed without
                whole = self._whole(self._before.get((path, "latest")), written, selection, running)
            if self._keeps:
                self._written[path, "latest"] = whole
            if self._reuses and shared:
                self._written[path, "entry"] = whole
        if self._past is not None:
            whole = self._extended(path, whole, shared)
        return _of_rows(whole, selection)

    def over_depth(
        self,
        path: Path,
        at: Tensor | None,
        written: Tensors,
        selection: Selection | None,
        running: Where | None,
        all_positions: bool,
    ) -> Tensors:
        """See :meth:`mythos_blocks.frame.frame.Frame.over_depth`."""
        if at is None:  # outside the loop there is one depth
            whole = self.exchange(path, written, selection, running) if all_positions else written
            return tuple(x.unsqueeze(0) for x in whole)
        if torch.compiler.is_compiling():
            with recorded_for_backward(self._graph):  # which these positions may be computed without
                depths = self._with_depth(self._buffers_before(path), at, written, selection, running)
            self._written[path, "depths"] = depths
            present = tuple(b.index_select(0, at[None])[0] for b in depths)
        else:
            rows = self._depths_before(path, len(written))
            with recorded_for_backward(self._graph):
                present = self._present(rows, written, selection, running)
            rows = [[*before[: self._depth], x] for before, x in zip(rows, present, strict=True)]
            self._written[path, "rows"] = tuple(x for row in rows for x in row)
            depths = ()
        if all_positions and self._past is not None:
            depths = self._depths_extended(path, present)
        elif not depths:
            # Keys and values that all positions read are side by side for each sequence.
            dim = -3 if all_positions else -1 - written[0].dim()
            stacks = self._memory.stacks_of(path, len(written))
            depths = tuple(
                stack.stacked(row, self._num_depths, dim).movedim(dim, 0)
                for stack, row in zip(stacks, rows, strict=True)
            )
        if selection is None:
            return depths
        if all_positions:
            return tuple(b[:, selection.rows] for b in depths)
        return tuple(_taken(selection, b) for b in depths)

    def _depths_before(self, path: Path, num_tensors: int) -> list[list[Tensor]]:
        """What each earlier iteration wrote, for each tensor; the present one too, where a part of it has run."""
        flat = self._before.get((path, "rows"))
        if flat is not None:
            num = len(flat) // num_tensors
            return [list(flat[i : i + num]) for i in range(0, len(flat), num)]
        buffers = self._before.get((path, "depths"))  # of a layer that was compiled until now
        num = self._depth + self._goes_on
        return [[] for _ in range(num_tensors)] if buffers is None else [list(b.unbind()[:num]) for b in buffers]

    def _present(
        self, rows: list[list[Tensor]], written: Tensors, selection: Selection | None, running: Where | None
    ) -> Tensors:
        """What all positions have in this iteration; ``rows`` get zeros for iterations that did not run this part."""
        if not rows[0]:
            whole = self._whole(None, written, selection, running)
            for row, x in zip(rows, whole, strict=True):
                row.extend([torch.zeros_like(x)] * self._depth)
            return whole
        for row in rows:
            row.extend([torch.zeros_like(row[0])] * (self._depth - len(row)))
        latest = tuple(row[self._depth if self._goes_on else self._depth - 1] for row in rows)
        return self._whole(latest, written, selection, running)

    def _buffers_before(self, path: Path) -> Tensors | None:
        """What each iteration wrote in one tensor, which a compiled layer takes as it is whatever the iteration."""
        rows = self._before.get((path, "rows"))  # of a layer that was not compiled until now
        if rows is None:
            return self._before.get((path, "depths"))
        num = self._depth + self._goes_on
        return tuple(torch.stack(rows[i : i + num]) for i in range(0, len(rows), num))

    def _with_depth(
        self,
        before: Tensors | None,
        at: Tensor,
        written: Tensors,
        selection: Selection | None,
        running: Where | None,
    ) -> Tensors:
        """What every depth wrote, with this one."""
        latest = None
        if before is not None:
            latest_at = at if self._goes_on else at - 1
            latest = tuple(x.index_select(0, latest_at[None])[0] for x in before)
        whole = self._whole(latest, written, selection, running)
        if before is None:
            before = tuple(w.new_zeros(self._num_depths, *w.shape) for w in whole)
        elif before[0].shape[0] < self._num_depths:
            missing = self._num_depths - before[0].shape[0]
            before = tuple(torch.cat((b, b.new_zeros(missing, *b.shape[1:]))) for b in before)
        return tuple(b.index_copy(0, at[None], w[None]) for b, w in zip(before, whole, strict=True))

    def _extended(self, path: Path, whole: Tensors, shared: bool) -> Tensors:
        assert self._past is not None
        entry = self._entry if shared else self._own_entry
        if shared and self._t is not None:
            path, entry = self._memory.policy.place(path, self._t)
        return self._past.extended(path, entry, whole)

    def _depths_extended(self, path: Path, present: Tensors) -> Tensors:
        assert self._past is not None
        num_positions = present[0].shape[-2]
        earlier = [self._past.so_far(path, i, num_positions) for i in range(self._depth)]
        now = self._past.extended(path, self._depth, present)
        return tuple(torch.stack(depths) for depths in zip(*earlier, now, strict=True))

    def _whole(
        self, before: Tensors | None, written: Tensors, selection: Selection | None, running: Where | None
    ) -> Tensors:
        """What all positions have written last: the present ones ``written``, the others what they wrote before."""
        if selection is not None:
            if before is None:
                # Whole sequences that run later than others; nobody reads the zeros of these.
                assert selection.columns is None, "every position of a sequence runs its first iteration"
                before = tuple(w.new_zeros(self._num_sequences, *w.shape[1:]) for w in written)
            return tuple(selection.put(b, w, dim=-2) for b, w in zip(before, written, strict=True))
        if running is not None and before is not None:
            return tuple(
                torch.where(_at_positions(running.mask, w), w, b) for b, w in zip(before, written, strict=True)
            )
        return written


class ReadyPage(Page):
    """A page of an iteration that writes where a cache has room already, and keeps nothing else.

    Args:
        memory: The memory that it belongs to.
        t: The iteration.
        ready: What the cache has ready for this call.
    """

    def __init__(self, memory: Memory, t: int, ready: Ready) -> None:
        self._memory, self._t, self._there, self._mark = memory, t, ready.there, ready.mark

    def exchange(
        self, path: Path, written: Tensors, selection: Selection | None, running: Where | None, shared: bool = True
    ) -> Tensors:
        t = self._t
        assert t is not None
        key = self._memory.policy.place(path, t) if shared else (path, t)
        columns = self._there.get(key)
        if columns is None:
            return self._memory.open(t).exchange(path, written, selection, running, shared)
        new, whole = columns
        for into, x in zip(new, written, strict=True):
            into.copy_(x)
        self._mark(key)
        return whole


# A cache is looked up and grown by the host, anew for each entry; a compiled layer leaves it to the host. This is what
# torch.compiler.disable sets; using that would import the whole compiler with the blocks.
Page._extended._torchdynamo_disable = True  # type: ignore[attr-defined]
Page._depths_extended._torchdynamo_disable = True  # type: ignore[attr-defined]


class Memory:
    """What one pass through the model has written, by place and entry; an iteration opens a :class:`Page` of it.

    Args:
        policy: Which iterations share keys and values.
        past: Earlier calls' keys and values, for cached decoding.
        num_sequences: The batch size, for passes in which sequences begin apart.
        keeps: Whether what is written must last beyond its iteration, because some positions may stop before
            others; without it, nothing is kept that nobody reads.
        num_depths: How many iterations layers that read over depth have room for.

    Attributes:
        contents: Tensors by place, and by entry; or, under ``latest``, what positions wrote last, and under ``depths``
            what each iteration wrote, in one tensor; or, under ``rows``, in one for each.
    """

    def __init__(
        self,
        policy: SharingPolicy,
        past: Past | None = None,
        *,
        num_sequences: int = 0,
        keeps: bool = True,
        num_depths: int = 1,
    ) -> None:
        self.policy, self.past = policy, past
        self.num_sequences, self.keeps, self.num_depths = num_sequences, keeps, num_depths
        self.contents: dict[Key, Tensors] = {}
        self._stacks: dict[Path, list[Depths]] = {}

    @property
    def needed(self) -> bool:
        """Whether anything that is written here can be read again."""
        return self.keeps or self.policy.reuses or self.past is not None

    def open(self, t: int | None, depth: int = 0, goes_on: bool = False) -> Page:
        """What iteration ``t`` reads and writes; ``None`` outside the loop. This memory stays as it is.

        Args:
            t: The iteration.
            depth: How many iterations of the pass came before it.
            goes_on: Whether another part of the positions has run it before.
        """
        return Page(self, t, depth, goes_on)

    def having(self, contents: dict[Key, Tensors], num_depths: int | None = None) -> Memory:
        """The memory with other contents."""
        other = Memory(
            self.policy,
            self.past,
            num_sequences=self.num_sequences,
            keeps=self.keeps,
            num_depths=num_depths or self.num_depths,
        )
        other.contents, other._stacks = contents, self._stacks
        return other

    def stacks_of(self, path: Path, num_tensors: int) -> list[Depths]:
        """Where what the part at ``path`` writes in each iteration lies side by side: the same in the whole pass."""
        return self._stacks.setdefault(path, [Depths() for _ in range(num_tensors)])

    def detached(self) -> Memory:
        """The memory cut off from the graph that made its contents."""
        return self.having({key: tuple(x.detach() for x in tensors) for key, tensors in self.contents.items()})

    def with_room(self, num_depths: int) -> Memory:
        """The memory with room for so many depths, at least."""
        return self if num_depths <= self.num_depths else self.having(self.contents, num_depths)


def _of_rows(whole: Tensors, selection: Selection | None) -> Tensors:
    """The selected sequences; all of them are passed on without a copy."""
    if selection is None or len(selection.rows) == len(whole[0]):
        return whole
    return tuple(x[selection.rows] for x in whole)


def _taken(selection: Selection, depths: Tensor) -> Tensor:
    """The selected positions of every depth: ``(depths, batch, ..., positions, d)``."""
    return selection.take(depths.movedim(0, 1), dim=-2).movedim(1, 0)


def _at_positions(flags: Tensor, like: Tensor) -> Tensor:
    """``(batch, positions)`` flags, to be broadcast over ``(batch, ..., positions, d)``."""
    return flags.view(flags.shape[0], *[1] * (like.dim() - 3), flags.shape[1], 1)

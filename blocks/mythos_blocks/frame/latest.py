"""Keys and values of a pass in which positions stop before others, kept apart for those that run."""

from __future__ import annotations

import torch

from mythos_blocks.frame.flat import Flat
from mythos_blocks.frame.memory import Memory, Page, Path, Tensors
from mythos_blocks.frame.selection import Selection, Where


class Latest:
    """What all positions have written last, and of it what is read: that of the sequences in which any position runs.

    :class:`~mythos_blocks.frame.memory.Page` takes this together anew in each iteration, which is the reference. Here
    the sequences that run are taken out when other positions begin to run than before, and kept until then.

    Args:
        memory: The memory of the pass, in which nothing is written that layers of the loop read.
        num_positions: New positions of each sequence.
    """

    def __init__(self, memory: Memory, num_positions: int) -> None:
        past = memory.past
        self.policy, self.past = memory.policy, past
        self.batch = memory.num_sequences
        self.ready = None if past is None else past.ready(self.batch, num_positions)
        self.whole: dict[Path, Tensors] = {}
        self.chosen: Selection | Flat | None = None
        self.rows: torch.Tensor | None = None
        self._page: LatestPage | None = None

    def select(self, chosen: Selection | Flat | None) -> None:
        """From now on these positions run: one set after the other, the first of which is all, ``None``."""
        self.whole = self._merged()
        self._page, self.chosen = None, chosen
        self.rows = None if chosen is None or len(chosen.rows) == self.batch else chosen.rows

    def open(self, t: int) -> Page:
        """What iteration ``t`` reads and writes, of the positions that run."""
        before = {} if self._page is None else self._page.after()
        self._page = LatestPage(self, t, before)
        return self._page

    def contents(self) -> dict[tuple[Path, str | int], Tensors]:
        """What all positions have written last, as :class:`~mythos_blocks.frame.memory.Memory` holds it."""
        return {(path, "latest"): tensors for path, tensors in self._merged().items()}

    def in_batch(self, path: Path, part: Tensors) -> Tensors:
        """What all sequences have written last, where those that run have written ``part``."""
        rows = self.rows
        if rows is None:
            return part
        return tuple(x.index_copy(0, rows, y.to(x.dtype)) for x, y in zip(self.whole[path], part, strict=True))

    def _merged(self) -> dict[Path, Tensors]:
        if self._page is None:
            return self.whole
        return self.whole | {path: self.in_batch(path, part) for path, part in self._page.after().items()}


class LatestPage(Page):
    """One iteration's view of :class:`Latest`.

    Args:
        latest: Whose view it is.
        t: The iteration.
        before: What the sequences that run have written before, those of their positions included that have stopped.
    """

    def __init__(self, latest: Latest, t: int, before: dict[Path, Tensors]) -> None:
        self._latest, self._t, self._before_it = latest, t, before
        self._now: dict[Path, Tensors] = {}
        self._graph = torch.is_grad_enabled()

    def after(self) -> dict[Path, Tensors]:
        """What these sequences have written last, once the iteration is over."""
        return self._before_it | self._now

    def exchange(
        self, path: Path, written: Tensors, selection: Selection | None, running: Where | None, shared: bool = True
    ) -> Tensors:
        latest, t = self._latest, self._t
        assert t is not None
        part = self._now[path] = self._among_stopped(path, written)
        if latest.past is None:
            return part
        key = latest.policy.place(path, t) if shared else (path, t)
        columns = None if latest.ready is None else latest.ready.there.get(key)
        rows = latest.rows
        if columns is None:
            # Other tensors in each call: a cache takes the same ones for what it has been given already.
            chunk = tuple([x.view_as(x) for x in latest.in_batch(path, part)])
            whole = latest.past.extended(*key, chunk)
        else:
            new, whole = columns
            assert latest.ready is not None
            if rows is None:
                for into, x in zip(new, part, strict=True):
                    into.copy_(x)
            else:
                for into, held, x in zip(new, latest.whole[path], part, strict=True):
                    into.copy_(held).index_copy_(0, rows, x.to(into.dtype))
            latest.ready.mark(key)
        return whole if rows is None else tuple([x.index_select(0, rows) for x in whole])

    def _among_stopped(self, path: Path, written: Tensors) -> Tensors:
        """What these sequences have written last, with what their running positions write now."""
        chosen = self._latest.chosen
        if chosen is None or chosen.inside is None:
            return written
        before = self._before_it.get(path)
        if before is None:  # no iteration of these positions has run: copies, which later iterations may write into
            whole = self._latest.whole[path]
            # Position by position, as they are written.
            before = tuple([x.movedim(-2, 1).index_select(0, chosen.rows).movedim(1, -2) for x in whole])
        each = [chosen.each(new).to(x.dtype) for x, new in zip(before, written, strict=True)]
        if self._graph:
            news = zip(before, each, strict=True)
            return tuple([x.movedim(-2, 1).index_put(chosen.inside, new).movedim(1, -2) for x, new in news])
        for x, new in zip(before, each, strict=True):
            x.movedim(-2, 1).index_put_(chosen.inside, new)
        return before


# As of Page: what is kept here is looked up by the host.
LatestPage.exchange._torchdynamo_disable = True  # type: ignore[attr-defined]

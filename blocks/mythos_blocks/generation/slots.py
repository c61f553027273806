"""Sequences side by side, each at a depth of its own, of which a position is computed as deep as somebody needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mythos_blocks.core.iterations import Plan, Prepared, Step
from mythos_blocks.core.state import LoopState
from mythos_blocks.core.stepping import Stepping
from mythos_blocks.core.straight import StraightPass, is_straight
from mythos_blocks.exit.base import Exit
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.memory import Memory, Page
from mythos_blocks.frame.places import Places
from mythos_blocks.frame.settable import changed
from mythos_blocks.generation.depth_cache import Chunk, DepthCache, widened
from mythos_blocks.generation.grouping import Columns, Grouping, Piece
from mythos_blocks.generation.reading import Reading
from mythos_blocks.halting.base import HaltingState
from mythos_blocks.model import LoopedTransformer
from mythos_blocks.model.modes import evaluating
from mythos_blocks.tensors.rotation import Rotation
from mythos_blocks.tensors.unread import IterationIsRead, unread_index


class Slots:
    """A model and the sequences that it is decoding, in steps from which a schedule is made.

    :meth:`append` has the prelude read new columns, :meth:`iterate` runs one iteration of some sequences, each at its
    own depth, and :meth:`read` has the coda read columns that have exited. An iteration of a sequence computes its
    columns that have not run it and that a column which has not exited stands behind or is: the missing ones of earlier
    columns, and the new ones.

    Args:
        model: The model; it is run in evaluation mode and without gradients.
        num_slots: Sequences at a time.
        capacity: Columns of each.
        num_loops: The most iterations of a column.

    Attributes:
        cache: Keys and values.
        readings: By slot, what is on its way.
        num_computed: Pairs of a position and an iteration computed so far.
        num_iterations: Times that the core has been run over something.
        shares_depths: Whether iterations of sequences at different depths are computed together. They are not where a
            part of the core besides the depth signal reads which iteration it is; then those of one depth are.
    """

    def __init__(self, model: LoopedTransformer, num_slots: int, capacity: int, num_loops: int) -> None:
        self.model, self.shares_depths = model, True
        self.cache = DepthCache(num_slots, capacity, num_loops)
        self.readings: dict[int, Reading] = {}
        self.num_computed = self.num_iterations = 0
        self._device = model.embedding.weight.device
        self._e: Tensor | None = None
        self._h: Tensor | None = None
        self._carry: Tensor | None = None
        self._tokens = torch.zeros(num_slots, capacity, dtype=torch.long, device=self._device)
        self._reads_coda = any(True for _ in model.coda.parameters())
        self._turns: dict[tuple[int, float], Rotation] = {}
        self._prepared: Prepared | None = None
        self._grouping = Grouping(self._device)
        self._under_way: tuple[StraightPass, Columns, Sequence[int]] | None = None  # of columns, with what follows

    def __getstate__(self) -> dict[str, Any]:
        # A pass under way is functions over this model and these buffers. States are put back after every
        # call, and a copy's pass begins with them.
        return {**self.__dict__, "_grouping": Grouping(self._device), "_under_way": None}

    def num_columns(self, rule: Exit | None) -> int | None:
        """How many columns may be appended at a time; ``None`` for any number.

        A rule that reads logits through a coda reads there the exits of all earlier columns, so these come first.
        """
        return 1 if rule is not None and rule.reads_logits and self._reads_coda else None

    def clear(self, slot: int) -> None:
        """Make place for another sequence."""
        self.cache.clear(slot)
        self.readings.pop(slot, None)

    @torch.no_grad()
    def append(self, new: Sequence[tuple[int, Tensor, Sequence[int], Exit | None]]) -> None:
        """Have the prelude read the next columns of sequences whose earlier ones have exited.

        Args:
            new: Of each its slot, its tokens ``(columns,)``, a loop count for each, and the rule that may stop them.
        """
        longest = max(self.cache.lengths[slot] + len(tokens) for slot, tokens, _, _ in new)
        if longest > self.cache.capacity:
            self._grow(max(longest, 2 * self.cache.capacity))
        self._turn()
        # What is made of weights lasts for one call, between which they may change.
        self._prepared = self.model.core.prepared()
        self._grouping, self._under_way = Grouping(self._device), None
        pieces = []
        for slot, tokens, wanted, rule in new:
            begin = self.cache.lengths[slot]
            end = self.cache.lengths[slot] = begin + len(tokens)
            self._tokens[slot, begin:end] = tokens
            # Of columns that no coda reads, the last one's logits alone are wanted.
            first = begin if self._reads_coda else end - 1
            self.readings[slot] = Reading(list(wanted)[first - begin :], rule, first, end)
            pieces.append(Piece(slot, 0, begin, end))
        with evaluating(self.model):
            for _, where in self._grouping.together(pieces, self.shares_depths):
                self._begin(where)

    @torch.no_grad()
    def iterate(self, slots: Sequence[int], at_most: int = 1) -> int:
        """Run iterations of sequences whose columns have not all exited, as long as these are of the same columns.

        Args:
            slots: The sequences.
            at_most: How many there may be; fewer run where a column may exit before, or where other columns are next.

        Returns:
            How many have run, 1 or more.
        """
        pieces, num = [], at_most
        for slot in slots:
            reading, reached = self.readings[slot], self.cache.reached[slot]
            begin, num = reached[reading.t], min(num, reading.num_sure)
            while any(reached[reading.t + i] != begin for i in range(1, num)):
                num -= 1
            pieces.append(Piece(slot, reading.t, begin, reading.end))
        with evaluating(self.model):
            self._run(pieces, num)
        return num

    @torch.no_grad()
    def read(self, slots: Sequence[int]) -> Tensor:
        """The logits after the last columns of sequences whose columns have all exited: ``(slots, vocab_size)``."""
        pieces = [Piece(slot, 0, self.readings[slot].first, self.cache.lengths[slot]) for slot in slots]
        found: dict[int, Tensor] = {}
        with evaluating(self.model):
            for group, where in self._grouping.together(pieces, self.shares_depths):
                readouts = [self._readout(piece.slot) for piece in group]
                if isinstance(where, Chunk):
                    features = self.model.features(readouts[0], self._frame(where))[:, -1]
                else:
                    rows = torch.cat([readout.transpose(0, 1) for readout in readouts])
                    features = self.model.features(rows, self._frame(where))[:, 0]
                    last, ends = -1, []
                    for piece in group:
                        last += piece.end - piece.begin
                        ends.append(last)
                    if len(ends) < len(features):
                        features = features[ends]
                for piece, logits in zip(group, self.model.head(features), strict=True):
                    found[piece.slot] = logits
        return torch.stack([found[slot] for slot in slots])

    def _run(self, pieces: Sequence[Piece], num: int) -> None:
        """So many iterations of these columns, of which none may exit before the last."""
        for group, where in self._grouping.together(pieces, self.shares_depths):
            old = self._state_of(where)
            try:
                depths = [piece.t for piece in group for _ in range(piece.begin, piece.end)]
                new = self._compute(where, old, depths, num)
            except IterationIsRead:
                self.shares_depths = False
                self._run(group, num)
                continue
            begin = 0
            for piece in group:
                end = begin + piece.end - piece.begin
                self.cache.reached[piece.slot][piece.t : piece.t + num] = [piece.end] * num
                self._look(piece, where, old, new, begin, num)
                begin = end
            self.num_computed += begin * num
            self.num_iterations += num

    def _state_of(self, where: Columns) -> Tensor:
        """The states of columns, which what is put in their place leaves as they are."""
        if self._under_way is not None and self._under_way[1] is where:
            return self._under_way[0].h
        h = where.take(self._held(self._h))
        return h.clone() if isinstance(where, Chunk) else h

    def _readout(self, slot: int) -> Tensor:
        readout = self.readings[slot].readout
        assert readout is not None, "what is read has exited"
        return readout

    def _begin(self, where: Columns) -> None:
        """The input and the state of new columns."""
        frame = self._frame(where)
        assert frame.tokens is not None
        given = self.model.encode(frame.tokens, frame)
        e, h, carry = self.model.core.begin(given, changed(frame, memory=None))
        if self._e is None:
            self._e, self._h = self._room(e), self._room(h)
            self._carry = None if carry is None else self._room(carry)
        where.put(self._e, e)
        where.put(self._held(self._h), h)
        if carry is not None:
            where.put(self._held(self._carry), carry)

    def _compute(self, where: Columns, h: Tensor, depths: Sequence[int], num: int) -> Tensor:
        """The states of columns after so many iterations from these on, which are put in their place."""
        if (under_way := self._passing(where, h, depths, num)) is not None:
            h = under_way.h
            self._put(where, h, under_way.carry)
            return h
        for i in range(num):
            h, carry = self._stepped(where, h, [depth + i for depth in depths])
            self._put(where, h, carry)
        return h

    def _put(self, where: Columns, h: Tensor, carry: Tensor | None) -> None:
        where.put(self._held(self._h), h)
        if carry is not None:
            where.put(self._held(self._carry), carry)

    def _passing(self, where: Columns, h: Tensor, depths: Sequence[int], num: int) -> StraightPass | None:
        """A pass of columns that has just run these iterations; ``None`` where it needs more than such a pass does."""
        if self._under_way is None or self._under_way[1:] != (where, depths):
            core, state = self.model.core, self._begun(where, h)
            order = range(min(depths), min(depths) + self.cache.num_loops - max(depths))
            plan, is_mixed = Plan(order, h.shape[:2], h.device), min(depths) != max(depths)
            if type(core)._iterate is not Stepping._iterate or not is_straight(core, plan, state, None):
                return None
            if is_mixed and not core.depth_signal.additive:
                return None
            pages = where.pages(self.cache, depths)
            under_way = StraightPass(core, state, plan, pages=pages, depths=depths if is_mixed else None)
            if is_mixed and under_way.signals is None:
                return None
        else:
            under_way = self._under_way[0]
        under_way.go_on(under_way.num_run, under_way.num_run + num)
        self._under_way = under_way, where, [depth + num for depth in depths]
        return under_way

    def _begun(self, where: Columns, h: Tensor) -> LoopState:
        """What a pass of columns begins with."""
        real = torch.ones(h.shape[:2], dtype=torch.bool, device=h.device)
        return LoopState(
            h=h,
            e=where.take(self._held(self._e)),
            halting=HaltingState(readout=h, real=real),
            frame=changed(self._frame(where), memory=None),
            memory=Memory(self.model.core.kv_policy),
            executed=real,
            carry=None if self._carry is None else where.take(self._carry),
        )

    def _stepped(self, where: Columns, h: Tensor, depths: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """The next states of columns, and what the update remembers, by calls of the modules."""
        core, t = self.model.core, depths[0]
        carry = None if self._carry is None else where.take(self._carry)
        is_mixed = any(depth != t for depth in depths)
        index = unread_index(self._device) if is_mixed else torch.full((), t, device=self._device)
        page, adapter = where.pages(self.cache, depths)(0), core.depth_adapter.inner()
        frame = self._frame(where)
        frame = changed(frame, path=("core",), t=None if is_mixed else t, index=index, memory=page, adapter=adapter)
        step = Step(t, prepared=self._prepared)
        e = where.take(self._held(self._e))
        moved = core.iterate(h, e, carry, frame, step, depths if is_mixed else None)
        return moved.h, moved.carry

    def _look(self, piece: Piece, where: Columns, old: Tensor, new: Tensor, begin: int, num: int) -> None:
        """Have columns exit that have run iterations.

        Args:
            piece: The columns.
            where: All that were computed with them.
            old: The states of those before.
            new: Their states after.
            begin: Where the piece begins among them.
            num: How many iterations; one where a rule looks.
        """
        reading = self.readings[piece.slot]
        reading.t = piece.t + num
        if not reading.may_exit:
            return
        begin += reading.first - piece.begin
        chosen = slice(begin, begin + piece.end - reading.first)
        if isinstance(where, Chunk):
            old, new = old[:, chosen], new[:, chosen]
        else:
            old, new = old[chosen].transpose(0, 1), new[chosen].transpose(0, 1)
        here = self._grouping.chunk(piece.slot, reading.first, piece.end)
        reading.look(old, new, lambda h: self.model.read(h, self._frame(here)))

    def _frame(self, where: Columns) -> Frame:
        """The frame of columns outside of the loop."""
        if where.frame is None:
            turns = {key: turn.taken(None, where.positions) for key, turn in self._turns.items()}
            tokens, positions = where.take(self._tokens), where.positions
            where.frame = Frame(
                mask=where.mask(),
                positions=positions,
                tokens=self.model.prefix.readable(tokens, positions),
                places=Places(positions, positions, turns),
            )
        page: Page = where.pages(self.cache, None)(0)
        return changed(where.frame, memory=page)

    def _turn(self) -> None:
        """Make the rotations of all columns, once."""
        if self._turns or not self.model.turnings:
            return
        dtype = torch.promote_types(self.model.embedding.weight.dtype, torch.float32)
        columns = torch.arange(self.cache.capacity, device=self._device)
        self._turns = {key: Rotation.by_position(columns, *key, dtype) for key in self.model.turnings}

    def _room(self, like: Tensor) -> Tensor:
        """Zeros for every column of every sequence: ``(slots, capacity, ...)``."""
        return like.new_zeros(self.cache.num_slots, self.cache.capacity, *like.shape[2:])

    def _grow(self, capacity: int) -> None:
        self.cache.grow(capacity)
        self._turns = {}
        self._tokens = widened(self._tokens, capacity, 1)
        held = (self._e, self._h, self._carry)
        self._e, self._h, self._carry = (None if x is None else widened(x, capacity, 1) for x in held)

    @staticmethod
    def _held(x: Tensor | None) -> Tensor:
        assert x is not None, "columns have been appended"
        return x

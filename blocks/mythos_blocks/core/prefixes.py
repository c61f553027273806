"""What passes of several loop counts end with, from one pass: each begins as every longer one does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mythos_blocks.core.iterations import Plan, ReadAt, Step
from mythos_blocks.core.loop import Loop
from mythos_blocks.core.state import LoopState
from mythos_blocks.core.straight import StraightPass, is_straight
from mythos_blocks.exit.base import Exit
from mythos_blocks.frame.frame import Frame


@dataclass(frozen=True)
class Beginning:
    """What passes that run the same iterations at first have in common, outside training.

    Halting rules may weigh the iteration that a pass ends with as they weigh no other, so that an iteration is run
    either as the :meth:`last` one or as one that others follow, :meth:`followed`.

    Attributes:
        core: The loop, in evaluation mode; its layers run together.
        state: The state so far.
        exit: The rule that stops positions; ``None`` for none.
        read: As in :meth:`Loop.forward`.
        is_over: Whether every position has halted, so that a pass runs nothing more.
    """

    core: Loop
    state: LoopState
    exit: Exit | None = None
    read: ReadAt | None = None
    is_over: bool = False

    @classmethod
    def of(
        cls, core: Loop, e: Tensor, frame: Frame | None, *, exit: Exit | None = None, read: ReadAt | None = None
    ) -> Beginning:
        """That of all passes: before the first iteration. Arguments as those of :func:`prefixes`."""
        rule = core.exit_rule(exit, read)
        return cls(core, core.start(e, frame, keeps=rule is not None or core.halting.freezes), rule, read)

    @property
    def ends_as_it_goes_on(self) -> bool:
        """Whether the last iteration of a pass is computed and read as any other."""
        return self.exit is None and self.core.halting.kind == "none"

    def last(self, t: int) -> LoopState:
        """The end of a pass whose last iteration has index ``t``."""
        return self.state if self.is_over else self.core.step(self.state, self._step(t, None, last=True))

    def followed(self, t: int, next_t: int | None = None) -> Beginning:
        """That of passes that run an iteration of index ``t`` next, and others after it: ``next_t``, if known."""
        if self.is_over:
            return self
        return self._after(self.core.step(self.state, self._step(t, next_t, last=False)))

    def both(self, t: int, next_t: int | None = None) -> tuple[LoopState, Beginning]:
        """:meth:`last` and :meth:`followed` from one iteration, where :attr:`ends_as_it_goes_on`."""
        assert self.ends_as_it_goes_on
        ended = self.core.step(self.state, self._step(t, next_t, last=True))
        weights = [torch.zeros_like(weight) for weight in ended.halting.weights]
        return ended, self._after(replace(ended, halting=replace(ended.halting, weights=weights)))

    def _step(self, t: int, next_t: int | None, *, last: bool) -> Step:
        return Step(t, next_t=next_t if self.core.tying == "cycle" else None, last=last, exit=self.exit, read=self.read)

    def _after(self, state: LoopState) -> Beginning:
        return replace(self, state=state, is_over=state is self.state or self.core.has_halted(state))


def prefixes(
    core: Loop,
    e: Tensor,
    frame: Frame | None,
    counts: Iterable[int],
    *,
    exit: Exit | None = None,
    read: ReadAt | None = None,
    ends_early: bool = True,
    before: Callable[[int], None] | None = None,
) -> Iterator[LoopState]:
    """The states with which passes of these loop counts end, outside training.

    Where layers run one after the other, each count is a pass of its own. Where a pass would run past the modules, and
    its end is an iteration like any other, one such pass is looked at after each count.

    Args:
        core: The loop, in evaluation mode.
        e: Its input, ``(batch, positions, width)``.
        frame: The mask, positions and tokens of the pass.
        counts: Loop counts, ascending; they may be without end.
        exit: The rule that stops positions; ``None`` takes the declared one.
        read: As in :meth:`Loop.forward`.
        ends_early: Run nothing more once every position has halted, as a pass does.
        before: Called with the place of an iteration, from 1, each time before one is run there, and with 0 before the
            state that the loop begins with: so that whoever seeds what components draw can have them draw the same.

    Raises:
        ValueError: As :meth:`Loop.forward` does, when the iteration in question is asked for.
    """
    tell = before or _nobody
    if core.tying == "sequence" and len(core.layers) > 1:
        for count in counts:
            tell(0)
            yield core(e, frame, count, exit=exit, read=read)
        return
    tell(0)
    beginning = Beginning.of(core, e, frame, exit=exit, read=read)
    if isinstance(counts, Sequence) and (under_way := _straight(beginning, counts)) is not None:
        for count in counts:
            for i in range(under_way.num_run, count):
                tell(i + 1)
                under_way.go_on(i, i + 1)
            yield under_way.state()
        return
    upcoming = iter(counts)
    target, t = next(upcoming, None), 0
    while target is not None:
        if ends_early and beginning.is_over:
            yield beginning.state
            target = next(upcoming, None)
            continue
        beginning = replace(beginning, is_over=False)
        following = next(upcoming, None) if t + 1 == target else target
        next_t = None if following is None else t + 1
        tell(t + 1)
        if t + 1 < target:
            beginning = beginning.followed(t, next_t)
        elif beginning.ends_as_it_goes_on:
            ended, beginning = beginning.both(t, next_t)
            yield ended
        else:
            yield beginning.last(t)
            if following is not None:
                tell(t + 1)
                beginning = beginning.followed(t, next_t)
        target, t = following, t + 1


def _straight(beginning: Beginning, counts: Sequence[int]) -> StraightPass | None:
    """The pass of the largest count, before its first iteration; ``None`` where it is none that runs past modules."""
    core, state, most = beginning.core, beginning.state, max(counts, default=0)
    if not beginning.ends_as_it_goes_on or not core.iterates_as_declared() or most < 1:
        return None
    if core.last_index is not None and most > core.last_index + 1:
        return None  # it is refused where it is asked for, and smaller counts are not
    plan = Plan.of(most, state.h.shape[:2], state.h.device)
    return StraightPass(core, state, plan) if is_straight(core, plan, state, None) else None


def _nobody(place: int) -> None:
    pass

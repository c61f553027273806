"""New positions of a sequence on their way to their exits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mythos_blocks.exit.base import Exit, ExitState, Read


@dataclass
class Reading:
    """New columns of a sequence, of which each has an exit of its own.

    Attributes:
        wanted: Loop counts, at which they exit at last.
        rule: What may have them exit before.
        first: The first of them.
        end: The columns from here on have exited, and nobody behind them needs them.
        t: The next iteration.
        exits: The iterations after which each exited; 0 while it has not.
        seen: What the rule has seen of them.
        readout: Their states at their exits, ``(1, columns, state_width)``.
    """

    wanted: Sequence[int]
    rule: Exit | None
    first: int
    end: int
    t: int = 0
    exits: list[int] = field(init=False)
    seen: ExitState | None = None
    readout: Tensor | None = None

    def __post_init__(self) -> None:
        self.exits = [0] * len(self.wanted)

    @property
    def is_over(self) -> bool:
        """Whether all of them have exited."""
        return self.end == self.first

    @property
    def may_exit(self) -> bool:
        """Whether one of them may exit after the iterations that have run."""
        return self.rule is not None or self.t in self.wanted[: self.end - self.first]

    @property
    def num_sure(self) -> int:
        """How many iterations from ``t`` on must run before one of them may exit."""
        if self.rule is not None:
            return 1
        left = (count for count, exit in zip(self.wanted, self.exits, strict=True) if not exit)
        return min(left) - self.t

    def look(self, old: Tensor, new: Tensor, read: Read) -> None:
        """Have columns exit, by their rule or their counts, that have run the iteration before ``t``.

        Args:
            old: The states of columns ``first`` to ``end`` before it, ``(1, columns, state_width)``.
            new: Their states after it.
            read: From such states to the model's logits.
        """
        num, exits = self.end - self.first, self.exits
        stopped = self._stopped(old, new, read)
        newly = [not exits[i] and (self.wanted[i] == self.t or stopped[i]) for i in range(num)]
        if not any(newly):
            return
        for i in range(num):
            exits[i] = exits[i] or newly[i] * self.t
        self.end = self.first + max((i + 1 for i in range(num) if not exits[i]), default=0)
        if len(exits) == 1:
            self.readout = new
            return
        if self.readout is None:
            self.readout = new.new_zeros(1, len(exits), *new.shape[2:])
        chosen = torch.tensor(newly, device=new.device)
        self.readout[:, :num][:, chosen] = new[:, chosen]

    def _stopped(self, old: Tensor, new: Tensor, read: Read) -> Sequence[bool]:
        """Which columns their rule has stopped."""
        num = new.shape[1]
        if self.rule is None:
            return [False] * num
        seen = self.rule.start(old) if self.seen is None else self.seen
        if seen.stopped.shape[1] > num:
            seen = ExitState(seen.stopped[:, :num], {name: x[:, :num] for name, x in seen.kept.items()})
        t = torch.full((), self.t - 1, device=new.device)
        self.seen = self.rule(seen, old, new, read, t)
        stopped: list[bool] = self.seen.stopped[0].tolist()
        return stopped

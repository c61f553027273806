"""What an iteration makes of some positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Moved:
    """What an iteration makes of some positions.

    Attributes:
        h: The state after it, ``(batch, positions, state_width)``.
        carry: What the update remembers beyond the state.
        x: What the core has read, of the state's shape; ``None`` where no position has run yet.
        next_x: What it will read in the next iteration, where that is prepared.
    """

    h: Tensor
    carry: Tensor | None
    x: Tensor | None = None
    next_x: Tensor | None = None

    def with_part(self, part: Moved, put: Callable[[Tensor, Tensor], Tensor]) -> Moved:
        """These positions with what some of them have become, which ``put`` puts among the others."""
        assert part.x is not None
        x = part.x.new_zeros(self.h.shape) if self.x is None else self.x
        carry = part.carry
        if carry is not None:
            before = carry.new_zeros(*x.shape[:2], *carry.shape[2:]) if self.carry is None else self.carry
            carry = put(before, carry)
        return Moved(put(self.h, part.h), carry, put(x, part.x))

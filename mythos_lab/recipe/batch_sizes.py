"""How many sequences a step has, and which samples they are: functions of the step, so that nothing needs resuming."""

from __future__ import annotations

import functools
import itertools
from typing import Annotated

from pydantic import Field

from mythos_blocks.declaring.spec import Declaration
from mythos_blocks.declaring.types import AtMost, Count


class BatchWarmup(Declaration):
    """A batch that grows linearly at first: early gradients agree over samples, and few will do (arXiv 1711.00489)."""

    first: Count = Field(description="Sequences in the first step; below batch_size, and divided by num_devices.")
    steps: Annotated[int, Field(ge=1), AtMost(10**6)] | Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="Steps until batch_size; a number below 1 is their share of all steps."
    )

    def num_steps(self, max_steps: int) -> int:
        """Steps that have fewer sequences than the rest may have, out of so many."""
        return self.steps if isinstance(self.steps, int) else max(1, round(self.steps * max_steps))


@functools.lru_cache(8)
def ends(first: int, last: int, num_steps: int, multiple: int) -> tuple[int, ...]:
    """How many samples have been read after each of the steps in which a batch grows.

    Args:
        first: Sequences in step 0.
        last: Sequences in step ``num_steps``.
        num_steps: Steps until then.
        multiple: What every number of sequences is a multiple of; it divides both.
    """
    grown = ((last - first) // multiple * index // num_steps for index in range(num_steps))
    return tuple(itertools.accumulate(first + multiple * units for units in grown))

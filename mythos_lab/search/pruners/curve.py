"""A trial's learning curve over training FLOPs, and what the worker has to write into a trial for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from mythos_lab.search.attributes import FLOPS_PER_STEP as FLOPS_PER_STEP
from mythos_lab.search.attributes import LOOP_GAIN as LOOP_GAIN
from mythos_lab.search.attributes import REPORTS as REPORTS


@dataclass(frozen=True)
class Curve:
    """What a trial has reported so far.

    Attributes:
        flops_per_step: Training FLOPs of a step.
        flops: Training FLOPs at each report, rising.
        values: The reported values.
        is_looped: Whether there are loops, whose gain is measured.
        gain_flops: Training FLOPs at each measured loop gain, rising.
        gains: The gains.
    """

    flops_per_step: float
    flops: NDArray[Any]
    values: NDArray[Any]
    is_looped: bool
    gain_flops: NDArray[Any]
    gains: NDArray[Any]

    @classmethod
    def of(cls, trial: FrozenTrial) -> Curve | None:
        """The curve, or ``None`` where the trial has reported nothing above step 0, or has no cost.

        Raises:
            ValueError: The cost of a step is no positive number.
        """
        cost = trial.user_attrs.get(FLOPS_PER_STEP)
        reports = sorted((step, value) for step, value in trial.intermediate_values.items() if step > 0)
        if cost is None or not reports:
            return None
        if not math.isfinite(cost) or cost <= 0:
            raise ValueError(f"trial {trial.number}: {FLOPS_PER_STEP} is {cost!r}, and has to be above 0")
        measured = trial.user_attrs.get(LOOP_GAIN, {}).items()
        gains = sorted((int(step), float(gain)) for step, gain in measured if math.isfinite(gain))
        steps, values = np.array(reports, dtype=float).T
        gain_steps, gain_values = np.array(gains, dtype=float).reshape(-1, 2).T
        is_looped = LOOP_GAIN in trial.user_attrs
        return cls(float(cost), steps * cost, values, is_looped, gain_steps * cost, gain_values)

    def at(self, flops: float) -> float | None:
        """The value at a number of training FLOPs, linear in their logarithm; ``None`` outside of what was reported."""
        tolerance = 1e-9 * flops
        if not self.flops[0] - tolerance <= flops <= self.flops[-1] + tolerance:
            return None
        return float(np.interp(math.log(flops), np.log(self.flops), self.values))


def costs_alike(flops: float, other: float, factor: float) -> bool:
    """Whether two costs are the same within a factor."""
    return max(flops, other) <= factor * min(flops, other) * (1 + 1e-12)

"""What is read of a run: a metric, or a point of a depth curve."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CURVE = re.compile(r"(?P<ood>ood )?(?P<column>[^@]+)@(?P<loops>[1-9][0-9]*)")

DIVERGED = "diverged"
"""The reading that is 1 of a run that diverged, and 0 of any other."""


@dataclass(frozen=True)
class Reading:
    """What is read.

    Attributes:
        metric: A metric's name, or a depth curve's column; ``diverged`` is 1 where the run did.
        loops: The loop count, of a depth curve.
        ood: Whether the curve is that of samples out of distribution.
    """

    metric: str
    loops: int | None = None
    ood: bool = False

    def value(self, result: Mapping[str, Any]) -> float:
        """The number, by what a run's ``result.json`` says; ``nan`` where there is none."""
        if self.metric == DIVERGED:
            return float(result["status"] == "diverged")
        if self.loops is None:
            found = result["metrics"].get(self.metric)
        else:
            rows = result["ood_depth_curve" if self.ood else "depth_curve"] or []
            found = next((row.get(self.metric) for row in rows if row["loops"] == self.loops), None)
        return math.nan if found is None else float(found)


def read_reading(text: str) -> Reading:
    """Take a reading apart: ``val/loss``, ``accuracy@8``, ``hops=4@8``, ``ood accuracy@16``.

    Raises:
        ValueError: It is none of these.
    """
    if found := _CURVE.fullmatch(text):
        return Reading(found["column"], int(found["loops"]), found["ood"] is not None)
    if not text or "@" in text:
        raise ValueError(f"{text!r}: expected a metric such as val/loss, COLUMN@LOOPS, or ood COLUMN@LOOPS")
    return Reading(text)

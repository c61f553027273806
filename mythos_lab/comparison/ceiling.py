"""What a metric cannot tell apart, since it can go no higher; and which other one can."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from mythos_lab.metrics import METRICS

_TELLING = ("ood/best_accuracy", "ood/accuracy", "ood/loss", "val/loss", "test/loss", "val/bits_per_byte")
"""Metrics that may tell apart what another one does not."""

_TOLD_APART = 0.01

Measured = Mapping[str, Sequence[Mapping[str, float]]]
"""The metrics of each run, by arm or trial."""


def at_ceiling(metric: str, runs: Measured) -> list[str]:
    """Arms of which every run has the value that a metric cannot exceed."""
    known = METRICS.get(metric)
    if known is None or known.unit != "share" or known.better != "higher":
        return []
    return [arm for arm, each in runs.items() if each and all(metrics.get(metric) == 1.0 for metrics in each)]


def telling(tied: Sequence[str], runs: Measured) -> str:
    """Which other metric tells apart what is equal in one."""
    for metric in _TELLING:
        values = {
            arm: fmean(found)
            for arm in tied
            if len(found := [v for metrics in runs[arm] if math.isfinite(v := metrics.get(metric, math.nan))])
        }
        if len(values) < len(tied) or max(values.values()) - min(values.values()) <= _TOLD_APART * abs(
            max(values.values(), key=abs)
        ):
            continue
        is_higher = METRICS[metric].better != "lower"
        ordered = sorted(values, key=values.__getitem__, reverse=is_higher)
        return (
            f"{metric} does: {values[ordered[0]]:.3g} for {ordered[0]} against {values[ordered[-1]]:.3g} for "
            f"{ordered[-1]}"
        )
    return "a harder setting would"

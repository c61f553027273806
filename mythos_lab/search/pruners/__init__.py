"""Optuna's pruners by name, and ``loop_aware``, which is made for loops."""

from __future__ import annotations

from typing import Any

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
)

from mythos_lab.search.named import Catalogue, Entry, Named
from mythos_lab.search.pruners.curve import FLOPS_PER_STEP, LOOP_GAIN, REPORTS
from mythos_lab.search.pruners.loop_aware import LoopAwarePruner

NO_PRUNER = "none"

PRUNERS = Catalogue(
    "pruner",
    BasePruner,
    {
        NO_PRUNER: Entry(NopPruner),
        "median": Entry(MedianPruner),
        "percentile": Entry(PercentilePruner),
        "successive_halving": Entry(SuccessiveHalvingPruner),
        "hyperband": Entry(HyperbandPruner),
        "threshold": Entry(ThresholdPruner),
        "patient": Entry(PatientPruner),
        "loop_aware": Entry(LoopAwarePruner),
    },
    withheld={
        "nop": "write none",
        "wilcoxon": "its steps are independent instances that are averaged, and those of a learning curve are not",
    },
)


def read_pruner(written: Any) -> Named:
    """Check a pruner as written: ``median``, or ``{kind: patient, wrapped_pruner: median, patience: 2}``.

    Raises:
        ValueError: An unknown kind or option, with the nearest one, or a wrong value.
    """
    return PRUNERS.read(written)


def make_pruner(named: Named) -> BasePruner:
    """Construct a pruner that ``read_pruner`` gave."""
    pruner: BasePruner = PRUNERS.build(named)
    return pruner


__all__ = [
    "FLOPS_PER_STEP",
    "LOOP_GAIN",
    "NO_PRUNER",
    "PRUNERS",
    "REPORTS",
    "LoopAwarePruner",
    "make_pruner",
    "read_pruner",
]

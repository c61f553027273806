"""Pruning on a metric that the worker reports beside Optuna, which lets no study of several objectives report.

The reports of a trial stand in its user attribute ``reports``. A pruner is asked on a view of the study in which they
are the trial's intermediate values and the guard its only objective, so that every pruner works as in a study of one
objective, on any storage, with any number of workers.

A guard is biased: it stops a trial for being bad in one metric, however good it is in the others. With val/loss as the
guard and FLOPs as the other objective, the cheap end of the front is what is pruned first. Keep the guard's percentile
high, or prune within cohorts of equal cost (``loop_aware``), where the other objective is much the same.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Literal
from weakref import WeakKeyDictionary

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from pydantic import Field, model_validator

from mythos_blocks.declaring.spec import Declaration
from mythos_lab.metrics import METRICS
from mythos_lab.search.pruners.curve import REPORTS
from mythos_lab.search.view import view

_DIRECTIONS: dict[str, str] = {"lower": "minimize", "higher": "maximize"}


class Guard(Declaration):
    """The one metric by which trials of several objectives are pruned, which Optuna itself refuses to do."""

    metric: str = Field("val/loss", description="A metric of every validation.")
    direction: Literal["minimize", "maximize"] | None = Field(
        None, description="Which way is better; null takes the metric's own."
    )

    @model_validator(mode="after")
    def _has_a_direction(self) -> Guard:
        own = METRICS[self.metric].better if self.metric in METRICS else "lower"  # an unknown one is refused elsewhere
        if own is None and self.direction is None:
            raise ValueError(f"neither way is better for {self.metric} by itself; expected a direction")
        if own is not None and self.direction not in (None, _DIRECTIONS[own]):
            raise ValueError(f"{self.metric} is better {own}, and direction: {self.direction} says otherwise")
        return self

    @property
    def optuna_direction(self) -> StudyDirection:
        """Which way is better, as Optuna says it."""
        own = _DIRECTIONS[METRICS[self.metric].better or "lower"]
        return StudyDirection[(self.direction or own).upper()]


_views: WeakKeyDictionary[Study, tuple[BasePruner, Guard, Study]] = WeakKeyDictionary()


def should_prune(study: Study, trial: Trial | FrozenTrial, pruner: BasePruner, guard: Guard) -> bool:
    """Whether the pruner would stop the trial, by the values that it has in its user attribute ``reports``.

    The study's own pruner is not used. Give the study a ``NopPruner``, so that Hyperband's brackets do not limit what
    its sampler sees.

    Args:
        trial: A running trial; what the storage holds of it counts.
        guard: What the reported values are.
    """
    known = _views.get(study)
    if known is None or known[0] is not pruner or known[1] != guard:
        known = (pruner, guard, view(study, _face, directions=[guard.optuna_direction], pruner=pruner))
        _views[study] = known
    shown = known[2]
    return pruner.prune(shown, shown._storage.get_trial(trial._trial_id))


def guarded(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Copies of trials that have the guard as their objective, for ``rung_ranks`` to read."""
    return [_face(trial) for trial in trials]


def _face(trial: FrozenTrial) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.intermediate_values = {int(step): float(v) for step, v in trial.user_attrs.get(REPORTS, {}).items()}
    shown.values = None
    if trial.state == TrialState.COMPLETE and shown.intermediate_values:
        shown.value = shown.intermediate_values[max(shown.intermediate_values)]
    return shown

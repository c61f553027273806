"""Optuna's Gaussian process, shown all ends of trials.

By itself it sees completed trials only. Where the maximum of its acquisition function lies on a candidate that
diverges, is vetoed or is pruned, nothing that it sees changes, and it proposes the same candidate for the rest of the
study (tried: 20 of 20 trials). Here such a trial counts as completed with the worst values that completed ones have, so
that the process learns to stay away. A completed trial that violates a constraint counts likewise; constraints
themselves are kept from the process, which models them only where every trial has the same ones.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import GPSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.search.view import view


class AllEndsGPSampler(GPSampler):
    """``GPSampler`` that learns from vetoed, pruned and failed trials too; same options."""

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        values = np.array([t.values for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))])
        if not len(values):
            return {}
        worst = [
            float(column.max() if direction == StudyDirection.MINIMIZE else column.min())
            for column, direction in zip(values.T, study.directions, strict=True)
        ]

        def face(seen: FrozenTrial) -> FrozenTrial:
            shown = copy.copy(seen)
            shown.system_attrs = {k: v for k, v in seen.system_attrs.items() if not k.startswith("constraints")}
            if not seen.state.is_finished() or not search_space.keys() <= seen.params.keys():
                return shown  # one that ended before all its parameters were drawn says nothing of any candidate
            if seen.state != TrialState.COMPLETE or any(value > 0 for value in seen.constraints.values()):
                shown.state, shown.values = TrialState.COMPLETE, worst
            return shown

        return super().sample_relative(view(study, face, directions=study.directions), trial, search_space)

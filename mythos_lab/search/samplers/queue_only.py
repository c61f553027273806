"""The sampler of a grid, whose cells are queued."""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial


class QueueOnly(BaseSampler):
    """Proposes nothing: every trial has to come from the queue with all of its values, as the cells of a grid do.

    Optuna's own grid and brute-force samplers stop a study from within ``optimize`` and raise from ``tell`` everywhere
    else, and several workers may take the same cell. A queue has neither problem.

    Raises:
        RuntimeError: By ``suggest_*``, for a value that was not queued: the grid is exhausted, or the cell incomplete.
            The trial is left running; whoever asked for it has to tell its end. Ask only while trials are waiting.
    """

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise RuntimeError(f"trial {trial.number}: no value of {param_name} is queued, and a grid proposes none")

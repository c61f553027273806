"""Which trials of a study are candidates, and in which order."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.search.spaces.space import Space


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that were trained to their end and meet their constraints."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial for trial in trials if not _broken(trial)]


def violated(study: optuna.Study) -> dict[int, list[str]]:
    """Trials that were trained to their end and violate constraints, by number, and which."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return {trial.number: texts for trial in trials if (texts := _broken(trial))}


def _broken(trial: FrozenTrial) -> list[str]:
    return [text for text, violation in trial.constraints.items() if not violation <= 0]


def on_front(space: Space, study: optuna.Study) -> set[int]:
    """The trials that no other beats in every objective, by number; none where there is one objective."""
    return {trial.number for trial in study.best_trials} if len(space.file.objectives) > 1 else set()


def best_first(space: Space, study: optuna.Study) -> list[FrozenTrial]:
    """Trials that were trained to their end and meet their constraints, the best by the first objective first."""
    sign = -1 if next(iter(space.file.objectives.values())) == "maximize" else 1
    return sorted(complete(study), key=lambda trial: sign * trial.values[0])

"""Which trials of a study are candidates, and in which order: those that were trained here."""

from __future__ import annotations

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.search.spaces.space import Space
from mythos_lab.search.trial_states import is_told


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that were trained to their end and meet their constraints."""
    return [trial for trial in _trained(study) if not _broken(trial)]


def violated(study: optuna.Study) -> dict[int, list[str]]:
    """Trials that were trained to their end and violate constraints, by number, and which."""
    return {trial.number: texts for trial in _trained(study) if (texts := _broken(trial))}


def _trained(study: optuna.Study) -> list[FrozenTrial]:
    """What was told from outside was measured by somebody else, and nothing can be looked up of it."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial for trial in trials if not is_told(trial)]


def _broken(trial: FrozenTrial) -> list[str]:
    return [text for text, violation in trial.constraints.items() if not violation <= 0]


def on_front(space: Space, study: optuna.Study) -> set[int]:
    """The trials that no other beats in every objective, by number; none where there is one objective."""
    return {trial.number for trial in front(study)} if len(space.file.objectives) > 1 else set()


def front(study: optuna.Study) -> list[FrozenTrial]:
    """The candidates that no other beats in every objective, of which there are several."""
    signs = [-1 if direction is StudyDirection.MAXIMIZE else 1 for direction in study.directions]
    trials = complete(study)
    losses = {t.number: [s * v for s, v in zip(signs, t.values, strict=True)] for t in trials}
    return [trial for trial in trials if not any(_beats(other, losses[trial.number]) for other in losses.values())]


def _beats(a: list[float], b: list[float]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def best_first(space: Space, study: optuna.Study) -> list[FrozenTrial]:
    """Trials that were trained to their end and meet their constraints, the best by the first objective first."""
    sign = -1 if next(iter(space.file.objectives.values())) == "maximize" else 1
    return sorted(complete(study), key=lambda trial: sign * trial.values[0])

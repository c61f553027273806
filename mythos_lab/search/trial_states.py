"""What became of a trial, and what it stands for, by its state and what is written of it."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.search.attributes import OUTCOME, PLACE, POINT, RETRY_OF, TAKEN, WORKER

KILLED, SURPLUS, REFUSED = "killed", "surplus", "refused"
LEFT_OUT = ("vetoed", "diverged", "failed")
"""Outcomes of trials that were not trained to their end and say why."""

QUEUED_PARAMS = "fixed_params"
"""Where Optuna keeps the values that a trial was queued with."""


def is_settled(trial: FrozenTrial) -> bool:
    """Whether a trial has come to an end of its own, and so counts.

    The state tells: it is set once, whereas two who tell a trial's end at once may both have written an outcome.
    """
    if trial.state is TrialState.FAIL:
        return trial.user_attrs.get(OUTCOME) in LEFT_OUT and not is_told(trial)
    return trial.state.is_finished() and not is_told(trial)


def is_told(trial: FrozenTrial) -> bool:
    """Whether somebody else said how a trial ended: by Optuna's ``tell`` or ``add_trial``, a copy of another study's.

    One that a worker had in its hands and that was failed by hand is queued again, as a killed one is.
    """
    attrs = trial.user_attrs
    if not trial.state.is_finished() or attrs.get(TAKEN, trial.number) != trial.number:
        return trial.state.is_finished()
    return OUTCOME not in attrs and not (trial.state is TrialState.FAIL and WORKER in attrs)


def is_asked_elsewhere(trial: FrozenTrial) -> bool:
    """Whether a trial runs in the hands of somebody who asked Optuna for it, and is to tell its end."""
    return trial.state is TrialState.RUNNING and WORKER not in trial.user_attrs and bool(trial.params)


def params_of(trial: FrozenTrial) -> dict[str, Any]:
    """A trial's parameters, and those that it was queued with and has not come to yet."""
    return {**trial.system_attrs.get(QUEUED_PARAMS, {}), **trial.params}


def is_surplus(trial: FrozenTrial) -> bool:
    """Whether a trial was taken although it was not wanted, and stands for nothing."""
    return trial.user_attrs.get(OUTCOME) == SURPLUS and trial.state in (TrialState.FAIL, TrialState.RUNNING)


def is_enqueued(trial: FrozenTrial) -> bool:
    """Whether somebody else queued a trial."""
    return trial.state is TrialState.WAITING and errand_of(trial) is None


def is_refused(trial: FrozenTrial) -> bool:
    """Whether a trial was enqueued that the study cannot run."""
    return trial.user_attrs.get(OUTCOME) == REFUSED and trial.state is TrialState.FAIL and not is_told(trial)


def stands_for_nothing(trial: FrozenTrial) -> bool:
    """Whether what a trial was queued for remains to be done."""
    return is_surplus(trial) or is_refused(trial) or is_told(trial)


def is_to_retry(trial: FrozenTrial) -> bool:
    """Whether a trial was killed, and enough is known of it to run it again."""
    killed = trial.state is TrialState.FAIL and not is_settled(trial) and not stands_for_nothing(trial)
    return killed and _knows(trial)


def _knows(trial: FrozenTrial) -> bool:
    """Whether anything is known of a trial by which it could be run again."""
    return bool(params_of(trial)) or RETRY_OF in trial.user_attrs


def place_of(trial: FrozenTrial | optuna.Trial) -> int:
    """Which of the trials that are wanted a trial is: the number of the one that it goes on with, or its own."""
    return int(trial.user_attrs.get(PLACE, trial.number))


def errand_of(trial: FrozenTrial | optuna.Trial) -> tuple[str, int] | None:
    """What a queued trial stands for; another one for the same, queued at once by another machine, is surplus."""
    attrs = trial.user_attrs
    if RETRY_OF in attrs:
        return RETRY_OF, attrs[RETRY_OF]
    return (POINT, attrs[POINT]) if POINT in attrs else None

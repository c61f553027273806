"""What a journal's lines come to: as Optuna has it, with a trial copied once for each reading and not for each line."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility, json_to_distribution
from optuna.storages.journal._storage import JournalStorageReplayResult
from optuna.trial import FrozenTrial

_KNOWN = 4096  # distributions, of which a study has few

_distribution = lru_cache(_KNOWN)(json_to_distribution)


class Replay(JournalStorageReplayResult):
    """Optuna's; what it comes to is what Optuna's own comes to (``tests/lab/search/test_replay.py``).

    Whoever was shown a trial keeps it as it was, so that one that changes is another object. Nobody is shown any while
    lines are read.
    """

    def __init__(self, worker_id_prefix: str) -> None:
        super().__init__(worker_id_prefix)
        self._unseen: set[int] = set()

    def show(self) -> None:
        """Take note that others may look at the trials from now on."""
        self._unseen.clear()

    def _apply_create_trial(self, log: dict[str, Any]) -> None:
        num_before = len(self._trials)
        super()._apply_create_trial(log)
        if len(self._trials) > num_before:
            self._unseen.add(num_before)

    def _apply_set_trial_param(self, log: dict[str, Any]) -> None:
        if not self._trial_exists_and_updatable(log["trial_id"], log):
            return
        name, distribution = log["param_name"], _distribution(log["distribution"])
        first = self._first(self._trial_id_to_study_id[log["trial_id"]], name)
        if first is not None and first is not distribution:
            try:
                check_distribution_compatibility(first, distribution)
            except Exception:
                if self._is_issued_by_this_worker(log):
                    raise
                return
        value, trial = distribution.to_external_repr(log["param_value_internal"]), self._own(log)
        trial.params[name], trial.distributions[name] = value, distribution

    def _first(self, study: int, name: str) -> BaseDistribution | None:
        """The distribution of a parameter in the first trial that has it, to which all later ones are held."""
        for number in self._study_id_to_trial_ids[study]:
            if name in self._trials[number].params:
                return self._trials[number].distributions[name]
        return None

    def _apply_set_trial_intermediate_value(self, log: dict[str, Any]) -> None:
        if self._trial_exists_and_updatable(log["trial_id"], log):
            self._own(log).intermediate_values[log["step"]] = log["intermediate_value"]

    def _apply_set_trial_user_attr(self, log: dict[str, Any]) -> None:
        if self._trial_exists_and_updatable(log["trial_id"], log):
            assert len(log["user_attr"]) == 1
            self._own(log).user_attrs.update(log["user_attr"])

    def _apply_set_trial_system_attr(self, log: dict[str, Any]) -> None:
        if self._trial_exists_and_updatable(log["trial_id"], log):
            assert len(log["system_attr"]) == 1
            self._own(log).system_attrs.update(log["system_attr"])

    def _own(self, log: dict[str, Any]) -> FrozenTrial:
        """The trial of a line, which nobody has been shown."""
        number = log["trial_id"]
        trial = self._trials[number]
        if number not in self._unseen:
            trial = copy.copy(trial)
            trial.params, trial.distributions = dict(trial.params), dict(trial.distributions)
            trial.user_attrs, trial.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
            trial.intermediate_values = dict(trial.intermediate_values)
            self._trials[number] = trial
            self._unseen.add(number)
        return trial

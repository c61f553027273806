"""A study as pruners and samplers of Optuna shall see it: other trials' faces on the same storage."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, cast

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState


class _Storage:
    """A storage that shows its trials changed, and passes everything else on.

    What pruners and samplers write (rungs reached, generations) lands in the real storage, where other workers find it.
    """

    def __init__(
        self, storage: Any, face: Callable[[FrozenTrial], FrozenTrial], directions: list[StudyDirection]
    ) -> None:
        self._real, self._face, self._directions = storage, face, directions
        self._finished: dict[int, FrozenTrial] = {}  # they change no more

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return list(self._directions)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._show(self._real.get_trial(trial_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        shown = map(self._show, self._real.get_all_trials(study_id, deepcopy=deepcopy))
        return [trial for trial in shown if states is None or trial.state in states]

    def _show(self, trial: FrozenTrial) -> FrozenTrial:
        if not trial.state.is_finished():
            return self._face(trial)
        if trial._trial_id not in self._finished:
            self._finished[trial._trial_id] = self._face(trial)
        return self._finished[trial._trial_id]


def view(
    study: Study,
    face: Callable[[FrozenTrial], FrozenTrial],
    *,
    directions: list[StudyDirection],
    pruner: BasePruner | None = None,
) -> Study:
    """The study with other trials' faces, for a pruner or a sampler to read.

    Args:
        face: A changed copy of a trial. It is asked once for a finished one.
        directions: Of the objectives that the faces have.
        pruner: In place of the study's.
    """
    storage = cast(Any, _Storage(study._storage, face, directions))
    return Study(study.study_name, storage, study.sampler, pruner or study.pruner)

"""The runs of a protocol's arms, read from the folders of its study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna

from mythos_lab.comparison.reproduce.readings import read_reading
from mythos_lab.search.artifacts import bring_runs
from mythos_lab.search.attributes import FOLDER
from mythos_lab.search.spaces.space import ARM, Space
from mythos_lab.search.trial_states import is_settled
from mythos_lab.training.result import RESULT, read_result


@dataclass(frozen=True)
class Runs:
    """What the runs of every arm came to.

    Attributes:
        results: By arm and seed, what a run's ``result.json`` says; an arm that has not begun has none.
        folders: By arm and seed, where it lies.
    """

    results: Mapping[str, Mapping[int, Mapping[str, Any]]]
    folders: Mapping[str, Mapping[int, Path]] = field(default_factory=dict)

    def by_seed(self, arm: str, read: str) -> dict[int, float]:
        """A reading of an arm's runs, by seed; ``nan`` where a run has none."""
        reading = read_reading(read)
        return {seed: reading.value(result) for seed, result in self.results.get(arm, {}).items()}

    @property
    def num(self) -> int:
        """All runs."""
        return sum(map(len, self.results.values()))


def gather(space: Space, study: optuna.Study) -> Runs:
    """Read the runs of a study that have ended, those that diverged included.

    Raises:
        Damaged: A file of a run is not as it was written.
    """
    found: dict[str, dict[int, Path]] = {}
    for trial in study.get_trials(deepcopy=False):
        if not is_settled(trial) or ARM not in trial.params or FOLDER not in trial.user_attrs:
            continue
        for folder in sorted(bring_runs(space, trial).glob("seed-*")):
            if (folder / RESULT).is_file():
                seed = int(folder.name.removeprefix("seed-"))
                found.setdefault(trial.params[ARM], {})[seed] = folder
    folders = {arm: dict(sorted(found[arm].items())) for arm in space.file.arms if arm in found}
    results = {arm: {seed: read_result(folder) for seed, folder in seeds.items()} for arm, seeds in folders.items()}
    return Runs(results, folders)

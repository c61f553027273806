"""What a study of declared arms found: each arm against the first, by paired seeds, corrected for how many there are."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.search.compare import Comparison, corrected, judge
from mythos_lab.search.inputs import Arm, read_arm
from mythos_lab.search.ledger import FOLDER
from mythos_lab.search.space import ARM, Space


def verdicts(space: Space, study: optuna.Study) -> dict[str, Comparison]:
    """The verdict on each arm that was trained to its end, by name, against the first; none without the first.

    What an arm declares to change may differ, and what the study's file declares besides, and sizes that were solved
    for to hold a budget; "better" is withheld while anything else does.
    """
    names = list(space.file.arms)
    done = {trial.params[ARM]: trial for trial in complete(study) if ARM in trial.params}
    if space.file.space or names[0] not in done or len(done) < 2:
        return {}
    metric = next(iter(space.file.objectives))
    reference = _arm(space, done[names[0]])
    others = [name for name in names[1:] if name in done]
    found = [
        judge(reference, _arm(space, done[name]), metric, _declared(space, name), space.file.matters) for name in others
    ]
    return dict(zip(others, corrected(found, space.file.matters), strict=True))


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that were trained to their end and meet their constraints."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial for trial in trials if all(violation <= 0 for violation in trial.constraints.values())]


def _arm(space: Space, trial: FrozenTrial) -> Arm:
    folder = space.folder / trial.user_attrs[FOLDER]
    return read_arm(sorted(folder.glob("seed-*")))


def _declared(space: Space, name: str) -> Sequence[str]:
    arms = list(space.file.arms.values())
    solved = space.file.hold.paths if space.file.hold is not None else []
    return [*arms[0], *space.file.arms[name], *solved, *space.file.declared]

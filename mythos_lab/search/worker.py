"""A worker: takes trials and runs them until enough are settled. Started by the study in a process of its own."""

from __future__ import annotations

import os
import sys
import warnings

import optuna
from optuna.trial import TrialState

from mythos_lab.measures.evaluate import Scores
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.hold import Vetoed, held
from mythos_lab.search.ledger import FOLDER, OUTCOME, REASON, lock, open_study, study_folder, take
from mythos_lab.search.space import Space, load_space
from mythos_lab.training.run import Pruned, run


def work(space: Space, num_trials: int, worker: int) -> None:
    """Run trials until ``num_trials`` are settled or the study that started this process is gone."""
    parent = os.getppid()
    study = open_study(space, worker)
    while os.getppid() == parent:
        with lock(space):
            trial = take(study, num_trials)
        if trial is None:
            return
        run_trial(space, study, trial)


def run_trial(space: Space, study: optuna.Study, trial: optuna.Trial) -> None:
    """Run one trial to its end and tell the study."""
    objectives = list(space.file.objectives)
    folder = trial.user_attrs.get(FOLDER) or f"trials/{trial.number:04d}"
    trial.set_user_attr(FOLDER, folder)
    source = f"{space.source}: trial {trial.number}"

    def on_validation(step: int, scores: Scores) -> None:
        if len(objectives) == 1 and objectives[0] in scores.metrics():
            trial.report(scores.metrics()[objectives[0]], step)
            if trial.should_prune():
                raise Pruned(f"by {space.file.pruner} at step {step}")

    def settle(state: TrialState, outcome: str, reason: str = "", values: list[float] | None = None) -> None:
        trial.set_user_attr(OUTCOME, outcome)
        if reason:
            trial.set_user_attr(REASON, reason)
        study.tell(trial, values=values, state=state)

    try:
        config = space.candidate(trial)
        config["name"] = f"{space.file.name}-{folder.split('/')[-1]}"
        if space.file.hold is not None:
            config = held(config, space.file.hold, source)
        recipe = validate(config, source)
        result = run(
            recipe,
            folder=study_folder(space) / folder,
            parent=study.user_attrs.get("mlflow_run"),
            tags={"mythos.study": space.file.name, "mythos.trial": str(trial.number)},
            on_validation=on_validation,
        )
    except (RecipeError, Vetoed) as error:
        settle(TrialState.FAIL, "vetoed", str(error))
        return
    trial.set_user_attr("mlflow_run", result.run_id)
    for name in ("cost/params", "loops/useful_depth", "val/accuracy"):
        if name in result.metrics:
            trial.set_user_attr(name, result.metrics[name])
    if result.status == "pruned":
        settle(TrialState.PRUNED, "pruned", result.reason)
    elif result.status == "diverged":
        settle(TrialState.FAIL, "diverged", result.reason)
    elif missing := [name for name in objectives if name not in result.metrics]:
        settle(TrialState.FAIL, "failed", f"the run has no metric {', '.join(missing)}")
    else:
        settle(TrialState.COMPLETE, "complete", values=[result.metrics[name] for name in objectives])


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    work(load_space(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

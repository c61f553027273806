"""One trial, from its parameters to its end: weighed, trained once for each seed, told to the study."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.measures.evaluate import Scores
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.assembled import assembled_once
from mythos_lab.recipe.compose import build_on_meta
from mythos_lab.recipe.cost import cost_metric
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.search import patience
from mythos_lab.search.artifacts import artifacts_of, validated
from mythos_lab.search.attributes import CANDIDATE as CANDIDATE
from mythos_lab.search.attributes import FOLDER, KEPT, OUTCOME, REASON
from mythos_lab.search.attributes import MLFLOW_RUN as MLFLOW_RUN
from mythos_lab.search.attributes import REPEATS as REPEATS
from mythos_lab.search.attributes import RUNS as RUNS
from mythos_lab.search.attributes import VALUES as VALUES
from mythos_lab.search.faults import free_memory, is_disk_full, is_out_of_memory
from mythos_lab.search.feasibility import VALID, Infeasible, admit, afterwards
from mythos_lab.search.foreign import measured_here, refusal, unused
from mythos_lab.search.pruners import FLOPS_PER_STEP, LOOP_GAIN, NO_PRUNER, REPORTS, make_pruner
from mythos_lab.search.pruners.guard import should_prune
from mythos_lab.search.spaces.space import ARM, Space
from mythos_lab.search.trial_files import attach_files
from mythos_lab.search.trial_folder import folder_of, run_folder
from mythos_lab.search.trial_queue import settle
from mythos_lab.search.trial_states import REFUSED, is_settled
from mythos_lab.search.unpickling import nothing_unpickled
from mythos_lab.training.result import RESULT, read_recipe, read_result
from mythos_lab.training.run import Pruned, Stopped, run
from mythos_lab.training.stopping import interruptible


@assembled_once()
def run_trial(
    space: Space, study: optuna.Study, trial: optuna.Trial, should_stop: Callable[[], bool] = lambda: False
) -> None:
    """Run one trial to its end and tell the study.

    Raises:
        Stopped: ``should_stop`` said so; the run has a checkpoint, and the trial is not told.
        Misplaced: The trial may be sound and cannot be run here; it is not told either.
    """
    trial.set_user_attr(FOLDER, trial.user_attrs.get(FOLDER) or f"trials/{trial.number:04d}")
    source = f"{space.source}: trial {trial.number}"
    constraints: dict[str, float] = {}
    try:
        folder = folder_of(space, trial)
        reason = refusal(space, _stored(study, trial)) or ""
    except Misplaced as misplaced:  # where it was told to lie
        reason = str(misplaced)
    if reason:
        _end(study, trial, TrialState.FAIL, REFUSED, reason)
        return
    try:
        with interruptible(folder):
            config = space.candidate(trial)
            if (idle := unused(_stored(study, trial))) is not None:
                _end(study, trial, TrialState.FAIL, REFUSED, idle)
                return
            recipe, constraints = admit(space, config, source, trial.params.get(ARM))
        candidate = _digest(recipe)
        if (first := _first(study, trial, candidate)) is not None:
            _answer(study, trial, first)
            return
        trial.set_user_attr(CANDIDATE, candidate)
        trial.set_user_attr(FLOPS_PER_STEP, cost_metric(recipe, "cost/training_flops") / recipe.training.max_steps)
        ended = _train(space, study, trial, recipe, should_stop)
        attach_files(space, study, trial)
    except Infeasible as error:
        _end(study, trial, TrialState.PRUNED, "vetoed", str(error), constraints=error.constraints)
        return
    except Misplaced:
        raise
    except RecipeError as error:  # what the effect check found
        _end(study, trial, TrialState.PRUNED, "vetoed", str(error), constraints={**constraints, VALID: 1.0})
        return
    except Exception as error:
        if is_disk_full(error) or not is_out_of_memory(error):
            raise
        reason = f"does not fit into memory: {' '.join(str(error).split())}"[:300]
    if reason:  # no worker fares better with it
        free_memory()
        _end(study, trial, TrialState.PRUNED, "vetoed", reason, constraints={**constraints, VALID: 1.0})
        return
    if ended["status"] != "finished":
        state = TrialState.PRUNED if ended["status"] == "pruned" else TrialState.FAIL
        _end(study, trial, state, ended["status"], ended["reason"], constraints=constraints)
        return
    metrics = {name: fmean(m[name] for m in ended["metrics"]) for name in ended["metrics"][0]}
    objectives = list(space.file.objectives)
    trial.set_user_attr(VALUES, {name: [m.get(name) for m in ended["metrics"]] for name in objectives})
    for name in KEPT:
        if name in metrics:
            trial.set_user_attr(name, metrics[name])
    if missing := [name for name in objectives if name not in metrics]:
        _end(study, trial, TrialState.FAIL, "failed", f"the run has no metric {', '.join(missing)}")
        return
    values = [metrics[name] for name in objectives]
    if odd := [f"{name} is {metrics[name]}" for name in objectives if not math.isfinite(metrics[name])]:
        _end(study, trial, TrialState.FAIL, "failed", ", ".join(odd), constraints=constraints)
        return
    constraints |= afterwards(space, recipe, metrics)
    _end(study, trial, TrialState.COMPLETE, "complete", values=values, constraints=constraints)


def _stored(study: optuna.Study, trial: optuna.Trial) -> FrozenTrial:
    return study._storage.get_trial(trial._trial_id)


def _digest(recipe: Recipe) -> str:
    content = recipe.model_dump(mode="json", exclude={"name", "description", "tracking"})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _first(study: optuna.Study, trial: optuna.Trial, candidate: str) -> FrozenTrial | None:
    """A trial that was the same candidate and came to an end that it would come to again; not one that was pruned."""
    for other in study.get_trials(deepcopy=False):
        same = other.number != trial.number and other.user_attrs.get(CANDIDATE) == candidate
        if same and is_settled(other) and other.user_attrs.get(OUTCOME) in ("complete", "vetoed", "diverged"):
            return other
    return None


def _answer(study: optuna.Study, trial: optuna.Trial, first: FrozenTrial) -> None:
    """Tell the study what a candidate came to that it has had before: trained again, it would come to the same."""
    attrs = first.user_attrs
    for name in (FOLDER, FLOPS_PER_STEP, VALUES, RUNS, *KEPT):
        if name in attrs:
            trial.set_user_attr(name, attrs[name])
    trial.set_user_attr(REPEATS, first.number)
    outcome, reason = str(attrs[OUTCOME]), str(attrs.get(REASON, ""))
    _end(study, trial, first.state, outcome, reason, first.values, dict(first.constraints))


def _train(
    space: Space,
    study: optuna.Study,
    trial: optuna.Trial,
    recipe: Recipe,
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    """Train every seed; the first alone may be pruned. Runs that an earlier attempt brought to an end are read back."""
    number, loops = folder_of(space, trial).name, build_on_meta(recipe)[0].core.loops.eval_loops > 1
    metrics: list[dict[str, float]] = []
    runs: list[str] = []
    artifacts = artifacts_of(space, patience.SECONDS)
    for seed in range(recipe.seed, recipe.seed + space.file.seeds):
        seeded = recipe.model_copy(update={"seed": seed, "name": f"{space.file.name}-{number}-seed-{seed}"})
        place = run_folder(space, trial, seed)
        name = f"{trial.user_attrs[FOLDER]}/{place.name}"
        keep = partial(artifacts.keep, place, name) if artifacts is not None else _kept_here
        if artifacts is not None:
            artifacts.bring(place, name)
        done = _ended(place, seeded)
        if done is None:
            report = _reporter(space, study, trial, loops) if seed == recipe.seed else None
            try:
                result = run(
                    seeded,
                    folder=place,
                    parent=study.user_attrs.get(MLFLOW_RUN),
                    tags={**_tags(space, trial), "mythos.trial": number, "mythos.seed": str(seed)},
                    varied=trial.params,
                    on_validation=validated(keep, report),
                    should_stop=should_stop,
                    alone=False,
                )
            except Stopped:
                keep()
                raise
            keep()
            done = {name: getattr(result, name) for name in ("status", "reason", "metrics", "run_id")}
        runs.append(done["run_id"])
        trial.set_user_attr(RUNS, runs)
        if done["status"] != "finished":
            return {**done, "metrics": [done["metrics"]]}
        metrics.append(done["metrics"])
    shared = set.intersection(*(set(m) for m in metrics))
    return {"status": "finished", "metrics": [{k: v for k, v in m.items() if k in shared} for m in metrics]}


def _kept_here() -> None:
    """The study's folder has the run, and all its machines share that."""


def values_by_seed(trial: FrozenTrial, objectives: Sequence[str]) -> list[list[float]]:
    """The values of a complete trial's objectives, one list each, by seed."""
    kept = trial.user_attrs.get(VALUES, {})
    return [kept.get(name, [value]) for name, value in zip(objectives, trial.values, strict=True)]


def _tags(space: Space, trial: optuna.Trial) -> dict[str, str]:
    """Where a run comes from: its study, the recipe that it varies, and its arm."""
    arm = {"mythos.arm": trial.params[ARM]} if space.file.arms else {}
    return {"mythos.study": space.file.name, "mythos.recipe": space.file.recipe, **arm}


def _ended(folder: Path, recipe: Recipe) -> dict[str, Any] | None:
    """The result of a run that an earlier attempt at the trial brought to its end, a bad one included."""
    if not (folder / RESULT).is_file():
        return None
    if read_recipe(folder).model_copy(update={"tracking": recipe.tracking}) != recipe:  # it may be another store's
        return None
    return read_result(folder)


def _reporter(space: Space, study: optuna.Study, trial: optuna.Trial, loops: bool) -> Callable[[int, Scores], None]:
    objectives, guard = list(space.file.objectives), space.file.guard
    named, pruner, seen = space.pruner, make_pruner(space.pruner), measured_here(study)
    watched = guard.metric if guard is not None else objectives[0]
    gains: dict[str, float] = dict(trial.user_attrs.get(LOOP_GAIN, {}))
    reports: dict[str, float] = dict(trial.user_attrs.get(REPORTS, {}))

    def on_validation(step: int, scores: Scores) -> None:
        metrics = scores.metrics()
        if named.kind == NO_PRUNER or watched not in metrics:
            return
        if loops:
            gains[str(step)] = metrics["loops/gain"]
            trial.set_user_attr(LOOP_GAIN, gains)
        if guard is None:
            trial.report(metrics[watched], step)
            with nothing_unpickled():
                over = study.pruner.prune(seen, _stored(seen, trial))
        else:
            reports[str(step)] = metrics[watched]
            trial.set_user_attr(REPORTS, reports)
            with nothing_unpickled():
                over = should_prune(seen, trial, pruner, guard)
        if over:
            raise Pruned(f"by {named.kind} at step {step}")

    return on_validation


def _end(
    study: optuna.Study,
    trial: optuna.Trial,
    state: TrialState,
    outcome: str,
    reason: str = "",
    values: list[float] | None = None,
    constraints: dict[str, float] | None = None,
) -> None:
    for name, violation in (constraints or {}).items():
        trial.set_constraint(name, violation)
    settle(study, trial, state, outcome, reason, values)

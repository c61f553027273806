"""The MLflow run of a study, under which its trials' runs stand."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import TrialState

from mythos_lab.recipe.code import SOURCES, archive
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.documents import to_yaml
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.files import SPACE_COPY
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.screen import say
from mythos_lab.recipe.urls import recorded, without_password
from mythos_lab.report.markdown import as_code, in_text
from mythos_lab.search.attributes import MLFLOW_BEFORE, MLFLOW_RUN, MLFLOW_STORE, UID
from mythos_lab.search.spaces.space import Space
from mythos_lab.tracking.claim import claimed
from mythos_lab.tracking.mlflow import Tracker, find_run, has_run
from mythos_lab.tracking.store import default_uri, prepare
from mythos_lab.training.sealed import write_yaml

_PATIENCE_SECONDS = 60.0  # for another process that makes it


def parent_run(space: Space, study: optuna.Study, *, may_move: bool = False) -> Tracker:
    """The study's own MLflow run: one in each store, whoever begins it, and if they do so at once.

    Args:
        space: The study's space.
        study: The study.
        may_move: Whether it may go on in another store than the last time. It has a run of its own there, which says
            where those before are, and which is known by the study's identity: of its name there may be others.

    Raises:
        RecipeError: The store that is named here is another one, and the study may not move, or trials are running.
    """
    recipe = validate(dict(space.base), space.source)
    tracking = recipe.tracking
    where = tracking.uri, tracking.experiment
    prepare(*where)
    space.folder.mkdir(parents=True, exist_ok=True)
    with claimed(space.folder / "parent.lock", _PATIENCE_SECONDS):
        key, store = f"study-{study.user_attrs[UID]}", without_password(tracking.uri or default_uri())
        run_id = study.user_attrs.get(MLFLOW_RUN)
        is_moved = run_id is not None and not has_run(*where, run_id, key)
        if is_moved:
            _check_move(space, study, store, may_move)
        is_new = run_id is None or is_moved
        if is_new:
            run_id = find_run(*where, key)
        tracker = Tracker(*where, space.file.name, run_id=run_id, tags={"mythos.study": space.file.name}, key=key)
        if is_moved:
            _move(study, tracker.run_id, store)
        if is_new:
            study.set_user_attr(MLFLOW_STORE, store)
            study.set_user_attr(MLFLOW_RUN, tracker.run_id)
            tracker.describe(description(space, elsewhere(study)))
            tracker.flush()
            copy = space.folder / SPACE_COPY
            write_yaml(copy, copied(space), space.file.name)
            tracker.artifact(copy)
            if (sources := archive(recipe.imports)) is not None:
                write_whole(space.folder / SOURCES, sources)
                tracker.artifact(space.folder / SOURCES)
    return tracker


def _check_move(space: Space, study: optuna.Study, store: str, may_move: bool) -> None:
    run = f"{space.source}: the study's MLflow run {study.user_attrs[MLFLOW_RUN]} is not in {store}"
    if not may_move:
        raise RecipeError(f"{run}; MLFLOW_TRACKING_URI has to name the store that the study is logged in")
    if num := sum(trial.state is TrialState.RUNNING for trial in study.get_trials(deepcopy=False)):
        raise RecipeError(
            f"{run}, and {num} of its trials {'is' if num == 1 else 'are'} running; it goes on in another store once "
            "they have ended, or now in its own: MLFLOW_TRACKING_URI names it"
        )


def _move(study: optuna.Study, run_id: str, store: str) -> None:
    """Write down where the study was logged until now, and say so."""
    attrs = study.user_attrs
    left = {"store": attrs.get(MLFLOW_STORE, "another store"), "run": attrs[MLFLOW_RUN]}
    others = [each for each in attrs.get(MLFLOW_BEFORE, []) if each["run"] not in (run_id, left["run"])]
    study.set_user_attr(MLFLOW_BEFORE, [*others, left])
    stays = f"what ran before stays under the run {left['run']} of {left['store']}"
    say(f"MLflow: the study goes on in {store}; {stays}", file=sys.stderr)


def elsewhere(study: optuna.Study) -> str:
    """Where else runs of the study are, in Markdown; empty where it was logged in one store only."""
    before = study.user_attrs.get(MLFLOW_BEFORE, [])
    places = ", and ".join(f"under the run {as_code(each['run'])} of {as_code(each['store'])}" for each in before)
    return f"Trials that were run before are {places}: the study went on in another store." if before else ""


def description(space: Space, elsewhere: str = "", answer: str = "") -> str:
    """What people read of a study in MLflow, in Markdown.

    Args:
        space: What it asks, and of what.
        elsewhere: Where else runs of it are, in Markdown.
        answer: The answer, once there is one.
    """
    file = space.file
    said = [in_text(file.description)] if file.description else []
    named = " ".join([as_code(file.recipe), *map(as_code, file.overrides)])
    if file.arms:
        said.append(
            "\n".join([f"Arms of {named}:", *(f"- {_arm(name, values)}" for name, values in file.arms.items())])
        )
    else:
        said.append(f"Of {named}, {', '.join(map(as_code, file.space))} vary.")
    return "\n\n".join([*said, *filter(None, (elsewhere, in_text(answer)))])


def _arm(name: str, values: Mapping[str, Any]) -> str:
    return f"{in_text(name)}: {', '.join(as_code(f'{path}={value}') for path, value in values.items()) or 'as it is'}"


def copied(space: Space) -> str:
    """A study's file for its folder: what its author wrote, and no default, which may be refused where it stands."""
    return to_yaml(recorded(space.file.model_dump(mode="json", exclude={"storage"}, exclude_unset=True)))

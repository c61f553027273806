"""What surrounds a run in MLflow: experiment, run and tags that its variables, or the caller's own code, name."""

from __future__ import annotations

import json
import os
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.default_context import DefaultRunContext

from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.urls import without_password

DEFAULT = "mythos"
"""The experiment where neither the recipe nor a variable names one."""

_NAME, _ID, _RUN = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"
_CONTEXT = "MLFLOW_RUN_CONTEXT"


def experiment_name(client: MlflowClient, place: str) -> str:
    """The experiment that MLflow's variables name; ``mlflow.set_experiment`` sets the second.

    Raises:
        Misplaced: The store has no such experiment, or the two name different ones.
    """
    name, number = os.environ.get(_NAME), os.environ.get(_ID)
    if not number:
        return name or DEFAULT
    try:
        found = str(client.get_experiment(number).name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise Misplaced(f"tracking: {_ID}={number}: {without_password(place)} has no such experiment") from None
    if name and name != found:
        raise Misplaced(f"tracking: {_NAME}={name}, and {_ID}={number} is {found!r}; unset one of them")
    return found


def enclosing_run(client: MlflowClient, place: str) -> str | None:
    """The run that a new one is nested under: that of ``MLFLOW_RUN_ID``, or the one that the caller has active.

    Several runs, and a run that is gone on with, would mix in one; so a run of ours is always its own.

    Raises:
        Misplaced: The variable names none of the store.
    """
    named = os.environ.get(_RUN)
    active = mlflow.active_run()
    run_id = named or (active.info.run_id if active is not None else None)
    if run_id is None:
        return None
    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        if named is None:  # of another store
            return None
        raise Misplaced(f"tracking: {_RUN}={named}: {without_password(place)} has no such run; unset it") from None
    return str(run_id)


def started_by() -> dict[str, str]:
    """The tags by which MLflow tells who started a run, and with which program; nobody where the user has no name."""
    context: Any = DefaultRunContext()
    try:
        return dict(context.tags())
    except (KeyError, OSError):  # a container's user may be a number that its files do not name
        return {}


def context_tags() -> dict[str, str]:
    """The tags that ``MLFLOW_RUN_CONTEXT`` gives every new run, as it does to MLflow's own.

    Raises:
        Misplaced: It is no JSON object.
    """
    written = os.environ.get(_CONTEXT)
    if not written:
        return {}
    try:
        tags = json.loads(written)
    except ValueError:
        tags = None
    if not isinstance(tags, dict):
        raise Misplaced(f'tracking: {_CONTEXT} is no JSON object; expected tags such as {{"team": "vision"}}')
    return {str(name): str(value) for name, value in tags.items()}

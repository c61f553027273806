"""The MLflow run of a study, under which its trials' runs stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from mlflow.exceptions import MlflowException

from mythos_lab.recipe.code import SOURCES, archive
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.documents import to_yaml
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.files import SPACE_COPY
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.urls import recorded, without_password
from mythos_lab.report.markdown import as_code, in_text
from mythos_lab.search.attributes import MLFLOW_RUN, UID
from mythos_lab.search.spaces.space import Space
from mythos_lab.tracking.claim import claimed
from mythos_lab.tracking.mlflow import Tracker, default_uri, find_run, prepare
from mythos_lab.training.sealed import write_yaml

_PATIENCE_SECONDS = 60.0  # for another process that makes it


def parent_run(space: Space, study: optuna.Study) -> Tracker:
    """The study's own MLflow run: one, whoever begins it, and if they do so at once.

    Raises:
        RecipeError: The store that is named here is not the one that the study was begun with.
    """
    recipe = validate(dict(space.base), space.source)
    tracking = recipe.tracking
    where = tracking.uri, tracking.experiment
    prepare(*where)
    space.folder.mkdir(parents=True, exist_ok=True)
    with claimed(space.folder / "parent.lock", _PATIENCE_SECONDS):
        key = f"study-{study.user_attrs[UID]}"
        run_id = study.user_attrs.get(MLFLOW_RUN) or find_run(*where, key)
        is_new = MLFLOW_RUN not in study.user_attrs
        try:
            tags = {"mythos.study": space.file.name}
            tracker = Tracker(*where, space.file.name, run_id=run_id, tags=tags, key=key)
        except MlflowException as error:
            if run_id is None or error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            store = without_password(tracking.uri or default_uri())
            raise RecipeError(
                f"{space.source}: the study's MLflow run {run_id} is not in {store}; MLFLOW_TRACKING_URI has to name "
                "the store that the study was begun with"
            ) from None
        if is_new:
            study.set_user_attr(MLFLOW_RUN, tracker.run_id)
            tracker.describe(description(space))
            tracker.flush()
            copy = space.folder / SPACE_COPY
            write_yaml(copy, copied(space), space.file.name)
            tracker.artifact(copy)
            if (sources := archive(recipe.imports)) is not None:
                write_whole(space.folder / SOURCES, sources)
                tracker.artifact(space.folder / SOURCES)
    return tracker


def description(space: Space, answer: str = "") -> str:
    """What people read of a study in MLflow, in Markdown: what it asks, of what, and the answer once there is one."""
    file = space.file
    said = [in_text(file.description)] if file.description else []
    named = " ".join([as_code(file.recipe), *map(as_code, file.overrides)])
    if file.arms:
        said.append(
            "\n".join([f"Arms of {named}:", *(f"- {_arm(name, values)}" for name, values in file.arms.items())])
        )
    else:
        said.append(f"Of {named}, {', '.join(map(as_code, file.space))} vary.")
    return "\n\n".join([*said, *([in_text(answer)] if answer else [])])


def _arm(name: str, values: Mapping[str, Any]) -> str:
    return f"{in_text(name)}: {', '.join(as_code(f'{path}={value}') for path, value in values.items()) or 'as it is'}"


def copied(space: Space) -> str:
    """A study's file for its folder: what its author wrote, and no default, which may be refused where it stands."""
    return to_yaml(recorded(space.file.model_dump(mode="json", exclude={"storage"}, exclude_unset=True)))

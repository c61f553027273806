"""One MLflow run: parameters, tags and metrics sent together, artifacts."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from mythos_lab.recipe.stores import local_path
from mythos_lab.recipe.urls import without_password
from mythos_lab.tracking.artifacts import file_of
from mythos_lab.tracking.ours import check_artifacts, clear_artifact
from mythos_lab.tracking.store import connect, place_of, prepare
from mythos_lab.tracking.surroundings import context_tags, enclosing_run, started_by

# The backend's limits for one call: 1,000 entries, 100 of them parameters and 100 tags.
_MAX_METRICS, _MAX_PARAMS, _MAX_TAGS, _MAX_VALUE = 800, 100, 100, 6000
_MAX_DIGEST, _MAX_SOURCE = 36, 65535
FOLDER = "mythos.folder"
"""The tag of a run that says where its files are, as seen from where it was trained."""

_KEY = "mythos.key"


def describe(uri: str | None, run_id: str, text: str) -> None:
    """Add a paragraph to what people read of a run that has ended.

    Args:
        uri: MLflow's tracking URI; ``None`` takes the default.
        run_id: The run.
        text: The paragraph, in Markdown.
    """
    client = MlflowClient(place_of(uri))
    before = client.get_run(run_id).data.tags.get(MLFLOW_RUN_NOTE, "")
    client.set_tag(run_id, MLFLOW_RUN_NOTE, f"{before}\n\n{text}".strip()[:_MAX_VALUE])


def find_run(uri: str | None, experiment: str | None, key: str) -> str | None:
    """The run that was made with a key, if it was made: whoever made it may not have lived to write down its id."""
    client, experiment_id = prepare(uri, experiment)
    found = client.search_runs([experiment_id], f"tags.`{_KEY}` = '{key}'", max_results=1)
    return str(found[0].info.run_id) if found else None


def has_run(uri: str | None, experiment: str | None, run_id: str, key: str) -> bool:
    """Whether a store has a run of an id, and it is the one that was made with a key: ids are read from records."""
    client, _ = prepare(uri, experiment)
    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return False
    return bool(found.data.tags.get(_KEY) == key)


def attach(uri: str | None, run_id: str, key: str, path: Path) -> str | None:
    """Log a file to a run that has ended, and change nothing else of it; no store and no run is made.

    Args:
        uri: MLflow's tracking URI; ``None`` takes the default.
        run_id: The run.
        key: What it was made with: a record may name a run that is none of its own.
        path: The file.

    Returns:
        Why it was not logged; ``None`` where it was.

    Raises:
        Misplaced: The store cannot be opened, or has its artifacts elsewhere.
    """
    place = place_of(uri)
    store = file_of(place) or local_path(place)
    if store is not None and not store.exists():
        return f"there is no store {without_password(place)}"
    client, _, _ = connect(place, "Default")
    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return f"{without_password(place)} has no run {run_id}"
    if found.data.tags.get(_KEY) != key:
        return f"the run {run_id} of {without_password(place)} is another one"
    artifacts = str(found.info.artifact_uri)
    check_artifacts(place, artifacts)
    clear_artifact(artifacts, path.name)
    client.log_artifact(run_id, str(path))
    return None


class Tracker:
    """Logs to one MLflow run.

    Parameters, metrics and tags are kept until :meth:`flush`: one call for many costs a hundredth of a call each.

    Args:
        uri: MLflow's tracking URI; ``None`` takes the default.
        experiment: Name of the experiment; ``None`` takes what MLflow's variables name.
        name: Name of a new run.
        run_id: An earlier run to go on with.
        parent: Run to nest a new one under; ``None`` takes the one that surrounds it, if there is one.
        tags: Of a new run, besides those of MLflow's variable for them.
        key: By which :func:`find_run` finds a new run.
    """

    def __init__(
        self,
        uri: str | None,
        experiment: str | None,
        name: str,
        *,
        run_id: str | None = None,
        parent: str | None = None,
        tags: dict[str, str] | None = None,
        key: str | None = None,
    ) -> None:
        self._client, experiment_id = prepare(uri, experiment)
        if run_id is None:
            parent = parent or enclosing_run(self._client, place_of(uri))
            own = {MLFLOW_PARENT_RUN_ID: parent, _KEY: key}
            all_tags = {
                **started_by(),
                **context_tags(),
                **(tags or {}),
                **{name: value for name, value in own.items() if value},
            }
            run_id = str(self._client.create_run(experiment_id, run_name=name, tags=all_tags).info.run_id)
        else:
            self._client.update_run(run_id, status="RUNNING")
        self._place = str(self._client.get_run(run_id).info.artifact_uri)
        check_artifacts(place_of(uri), self._place)
        self.run_id: str = run_id
        self.experiment_id = experiment_id
        self._metrics: list[Metric] = []
        self._params: list[Param] = []
        self._tags: list[RunTag] = []

    def params(self, values: dict[str, Any]) -> None:
        """Keep parameters, by dotted name, for the next flush."""
        self._params += [Param(key, str(value)[:_MAX_VALUE]) for key, value in values.items()]

    def metrics(self, values: dict[str, float], step: int, at: float | None = None) -> None:
        """Keep metrics for the next flush.

        Args:
            values: By name.
            step: The training step that they belong to.
            at: When they were measured, in seconds since the epoch; ``None`` is now. MLflow keeps one of two equal
                values of one time and step.
        """
        milliseconds = int((time.time() if at is None else at) * 1000)
        self._metrics += [Metric(key, value, milliseconds, step) for key, value in values.items()]

    def tag(self, key: str, value: str) -> None:
        """Keep a tag for the next flush."""
        self._tags.append(RunTag(key, value))

    def describe(self, text: str) -> None:
        """Keep what people read of the run, in Markdown, for the next flush."""
        self.tag(MLFLOW_RUN_NOTE, text[:_MAX_VALUE])

    def dataset(self, name: str, digest: str, declared: str, profile: str) -> None:
        """Log what the run is trained on.

        Args:
            name: The task.
            digest: Of its data, in hexadecimal.
            declared: How it is declared, in JSON.
            profile: What is known of it, in JSON.
        """
        dataset = Dataset(name, digest[:_MAX_DIGEST], "mythos task", declared[:_MAX_SOURCE], profile=profile)
        self._client.log_inputs(self.run_id, [DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])])

    def flush(self) -> None:
        """Send what was kept."""
        metrics, params, tags = self._metrics, self._params, self._tags
        self._metrics, self._params, self._tags = [], [], []
        while metrics or params or tags:
            self._client.log_batch(self.run_id, metrics[:_MAX_METRICS], params[:_MAX_PARAMS], tags[:_MAX_TAGS])
            metrics, params, tags = metrics[_MAX_METRICS:], params[_MAX_PARAMS:], tags[_MAX_TAGS:]

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file."""
        clear_artifact(self._place, f"{folder}/{path.name}" if folder else path.name)
        self._client.log_artifact(self.run_id, str(path), folder)

    def text(self, name: str, content: str) -> None:
        """Log a text as a file of that name."""
        clear_artifact(self._place, name)
        self._client.log_text(self.run_id, content, name)

    def finish(self, status: str) -> None:
        """Flush and end the run: ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self.flush()
        self._client.set_terminated(self.run_id, status)

    def abandon(self, status: str) -> None:
        """End the run after an error, which may be MLflow's own."""
        with suppress(MlflowException):
            self.finish(status)


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat

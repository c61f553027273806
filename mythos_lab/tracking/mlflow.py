"""One MLflow run: parameters, buffered metrics, artifacts."""

from __future__ import annotations

import logging
import os
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

# The backend's limits for one call.
_MAX_METRICS, _MAX_PARAMS, _MAX_VALUE = 1000, 100, 6000


def default_uri() -> str:
    """MLFLOW_TRACKING_URI, or SQLite in the working directory, as MLflow itself does."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def prepare(uri: str | None, experiment: str) -> tuple[MlflowClient, str]:
    """A client, and the id of the experiment, which is made where it is missing.

    Opening a fresh SQLite store runs its migrations, and processes that do so at once fail; so they take turns.
    """
    place = uri or default_uri()
    for name in ("mlflow.store.db.utils", "alembic"):  # which tell of every migration of a fresh store
        logging.getLogger(name).setLevel(logging.WARNING)
    with _turn(place):
        client = MlflowClient(place)
        found = client.get_experiment_by_name(experiment)
    if found is not None:
        return client, str(found.experiment_id)
    try:
        return client, str(client.create_experiment(experiment))
    except MlflowException:  # another process was faster
        found = client.get_experiment_by_name(experiment)
        assert found is not None
        return client, str(found.experiment_id)


def _turn(uri: str) -> AbstractContextManager[object]:
    """A lock beside the file of a SQLite store; other stores are servers, which see to it themselves."""
    path = uri.removeprefix("sqlite:///")
    if path == uri or not path:
        return nullcontext()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}.lock")


class Tracker:
    """Logs to one MLflow run.

    Metrics are kept until :meth:`flush`: one call for many metrics costs a hundredth of a call each.
    """

    def __init__(
        self,
        uri: str | None,
        experiment: str,
        name: str,
        *,
        run_id: str | None = None,
        parent: str | None = None,
        tags: dict[str, str] | None = None,
    ) -> None:
        self._client, experiment_id = prepare(uri, experiment)
        if run_id is None:
            all_tags = {**(tags or {}), **({MLFLOW_PARENT_RUN_ID: parent} if parent else {})}
            run_id = self._client.create_run(experiment_id, run_name=name, tags=all_tags).info.run_id
        else:
            self._client.update_run(run_id, status="RUNNING")
        self.run_id: str = run_id
        self.experiment_id = experiment_id
        self._metrics: list[Metric] = []

    def params(self, values: dict[str, Any]) -> None:
        """Log parameters, by dotted name."""
        params = [Param(key, str(value)[:_MAX_VALUE]) for key, value in values.items()]
        for start in range(0, len(params), _MAX_PARAMS):
            self._client.log_batch(self.run_id, params=params[start : start + _MAX_PARAMS])

    def metrics(self, values: dict[str, float], step: int) -> None:
        """Keep metrics for the next flush."""
        now = int(time.time() * 1000)
        self._metrics += [Metric(key, value, now, step) for key, value in values.items()]

    def flush(self) -> None:
        """Send the metrics that were kept."""
        kept, self._metrics = self._metrics, []
        for start in range(0, len(kept), _MAX_METRICS):
            self._client.log_batch(self.run_id, metrics=kept[start : start + _MAX_METRICS])

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file."""
        self._client.log_artifact(self.run_id, str(path), folder)

    def tag(self, key: str, value: str) -> None:
        """Set a tag."""
        self._client.set_tag(self.run_id, key, value)

    def finish(self, status: str) -> None:
        """Flush and end the run: ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self.flush()
        self._client.set_terminated(self.run_id, status)


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat

"""A trial's files, as Optuna's own clients find them: what its run came to, and its depth curve."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact

from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.places import inside
from mythos_lab.report.depth_svg import depth_svg
from mythos_lab.search import patience
from mythos_lab.search.artifacts import artifacts_of
from mythos_lab.search.notes import MOST
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.trial_folder import first_run
from mythos_lab.training.result import RESULT, read_result

FILES = "artifacts"
"""The folder, in a study's or in its place for artifacts, that ``optuna-dashboard --artifact-dir`` takes."""


def attach_files(space: Space, study: optuna.Study, trial: optuna.Trial) -> None:
    """Register files of a trial whose runs have ended, before it has: Optuna lets a trial that has ended have no more.

    Each is copied, 12 KB in all at most so far, as Optuna finds files by names of its own.

    Args:
        space: Of the study.
        study: The study.
        trial: The trial.
    """
    if trial.number >= MOST or (folder := first_run(space, trial)) is None:
        return
    store = _store(space)
    said: dict[str, Any] = {"artifact_store": store, "study_or_trial": trial, "storage": study._storage}
    upload_artifact(file_path=str(folder / RESULT), **said)
    if figure := _figure(read_result(folder)):
        with tempfile.TemporaryDirectory() as drawn:
            path = Path(drawn) / "depth_curve.svg"
            write_whole(path, figure)
            upload_artifact(file_path=str(path), **said)


def _store(space: Space) -> Any:
    if (kept := artifacts_of(space, patience.SECONDS)) is not None:
        return kept.store(FILES)
    place = inside(space.folder, FILES, str(space.source))
    place.mkdir(exist_ok=True)
    return FileSystemArtifactStore(place)


def _figure(result: Mapping[str, Any]) -> str:
    """The depth curve of a run; empty where it has none."""
    quality = "loss" if result.get("chance") is None else "accuracy"
    known = [row for row in result.get("depth_curve") or [] if row[quality] is not None]
    if not known:
        return ""
    ends = [(row.get(f"{quality}_low"), row.get(f"{quality}_high")) for row in known]
    return depth_svg(
        [row["loops"] for row in known],
        [row[quality] for row in known],
        [] if any(None in each for each in ends) else ends,
        "accuracy" if quality == "accuracy" else "loss (nats/token)",
        is_share=quality == "accuracy",
    )

"""Which folders are meant: that of a run, those of a trial's seeds, or the one that an MLflow run names."""

from __future__ import annotations

import re
from pathlib import Path

from mythos_lab.recipe.errors import RecipeError
from mythos_lab.training.result import STATE, read_state

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_SEEDS = "seed-*"


def run_folder(run: str | Path, store: str | None = None) -> Path:
    """The folder of a run.

    Args:
        run: The folder; that of a trial with one seed; or the id of the run in MLflow.
        store: MLflow's tracking URI, for an id; ``None`` takes the default one.

    Raises:
        RecipeError: There is no such run here; or the trial has several seeds.
        Misplaced: MLflow's store cannot be opened, or the folder that it names holds another run.
    """
    found = run_folders(run, store)
    if len(found) > 1:
        raise RecipeError(f"{run}: holds {len(found)} runs; expected one of: {', '.join(map(str, found))}")
    return found[0]


def run_folders(run: str | Path, store: str | None = None) -> list[Path]:
    """The folders of the runs of one arm: those of all seeds, where a trial is named.

    Args:
        run: The folder of a run; that of a trial; or the id of a run in MLflow.
        store: MLflow's tracking URI, for an id; ``None`` takes the default one.

    Raises:
        RecipeError: There is no such run here.
        Misplaced: MLflow's store cannot be opened, or the folder that it names holds another run.
    """
    folder = Path(run)
    if (folder / STATE).is_file():
        return [folder]
    if not folder.is_dir() and _RUN_ID.fullmatch(str(run)):
        return [_tracked(str(run), store)]
    if seeds := sorted(each.parent for each in folder.glob(f"{_SEEDS}/{STATE}")):
        return seeds
    expected = f"expected a folder that has a {STATE}, or the id of a run in MLflow"
    raise RecipeError(f"{run}: is no run; {expected}{_near(folder)}")


def joined(text: str) -> list[str]:
    """What is joined by commas, each a run; what exists as a path is one, whatever its name.

    Raises:
        RecipeError: One of them is empty, which would be the working directory.
    """
    parts = [text] if text.strip() and Path(text).exists() else text.split(",")
    if not all(part.strip() for part in parts):
        raise RecipeError(f"{text!r}: expected the folders of runs, joined by commas; one of them is empty")
    return parts


def _tracked(run_id: str, store: str | None) -> Path:
    """The folder that MLflow has of a run, which has to hold that run: a store says what its writers like."""
    from mlflow.exceptions import MlflowException

    from mythos_lab.tracking.mlflow import FOLDER
    from mythos_lab.tracking.store import opened

    try:
        named = opened(store).get_run(run_id).data.tags.get(FOLDER)
    except MlflowException:
        raise RecipeError(f"{run_id}: MLflow has no such run{'' if store else '; name its store'}") from None
    if named is None or not (Path(named) / STATE).is_file():
        raise RecipeError(f"{run_id}: was trained in {named}, which is not here; name its folder")
    if read_state(Path(named)).get("run_id") != run_id:
        raise RecipeError(f"{run_id}: MLflow names {named}, which holds another run")
    return Path(named)


def _near(folder: Path) -> str:
    """The runs that lie beside, newest first."""
    beside = folder.parent if folder.parent.is_dir() else Path()
    found = sorted(beside.glob(f"*/{STATE}"), key=lambda path: path.stat().st_mtime, reverse=True)[:3]
    return f"; {beside} has {', '.join(path.parent.name for path in found)}" if found else ""

"""Weights of trials that a study did not choose: what they came to is kept, and nothing asks for them again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mythos_lab.comparison.holdout import check_finished, chosen
from mythos_lab.finished.cleaning import Removable, weights_of
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.files import SPACE_COPY
from mythos_lab.search.attributes import FOLDER
from mythos_lab.search.opening import MARK, find_study
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.trial_folder import folder_of
from mythos_lab.search.trial_states import is_settled


def spent_weights(places: Sequence[Path], storage: str | None = None) -> tuple[list[Removable], list[str]]:
    """Weights of the trials that finished studies did not choose, and which studies were left alone, and why.

    Args:
        places: Folders of studies, or folders that hold such.
        storage: Optuna's storage URL, where a study is not kept in its folder.
    """
    found: list[Removable] = []
    left: list[str] = []
    for folder in dict.fromkeys(mark.parent for place in places for mark in _marks(place)):
        try:
            found += _of_study(folder, storage)
        except RecipeError as error:
            left.append(f"{folder}: weights are kept: {error.lines[0]}")
    return found, left


def _marks(place: Path) -> list[Path]:
    return [
        mark for depth in ("", "*/") for mark in sorted(place.glob(f"{depth}{MARK}")) if not mark.parent.is_symlink()
    ]


def _of_study(folder: Path, storage: str | None) -> list[Removable]:
    if not (folder / SPACE_COPY).is_file():
        raise RecipeError(f"its {SPACE_COPY} is missing")
    space = load_space(str(folder / SPACE_COPY), folder, storage)
    study = find_study(space)
    check_finished(space, study)
    kept = {folder_of(space, trial) for trial in chosen(space, study)}
    settled = [trial for trial in study.get_trials(deepcopy=False) if is_settled(trial) and FOLDER in trial.user_attrs]
    runs = [
        run for trial in sorted({folder_of(space, each) for each in settled} - kept) for run in trial.glob("seed-*")
    ]
    here = Path.cwd()  # as which the other folders are named
    near = [run.relative_to(here) if run.is_relative_to(here) else run for run in runs if not run.is_symlink()]
    found = [weights_of(run, "weights (trial not chosen)") for run in near]
    return [each for each in found if each is not None]

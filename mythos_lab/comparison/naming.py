"""What a command line calls a study, or an arm: runs by folder or id in MLflow, or a study and its arm by name."""

from __future__ import annotations

from pathlib import Path

from mythos_blocks.declaring.registry import suggest
from mythos_lab.comparison.arms import folders_of
from mythos_lab.finished.locating import joined, run_folders
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.files import SPACE_COPY, data_dir
from mythos_lab.search.artifacts import bring_run
from mythos_lab.search.opening import MARK, find_study
from mythos_lab.search.spaces.space import ARM, Space, load_space
from mythos_lab.search.standing import complete
from mythos_lab.training.result import STATE

_STUDIES = Path("studies")


def arm_folders(
    text: str, *, store: str | None = None, storage: str | None = None, artifacts: str | None = None
) -> list[Path]:
    """The folders of an arm's runs.

    Args:
        text: ``STUDY/ARM``, a study's name or folder and an arm of it; or what :func:`run_folders` takes: the folder of
            a run, that of a trial, which stands for all its seeds, or an id in MLflow; several are joined by commas.
        store: MLflow's tracking URI, for an id.
        storage: Optuna's storage URL of a study.
        artifacts: Where a study keeps its runs, if its machines share no folder.

    Raises:
        RecipeError: There is no such run, or no such arm of the study.
    """
    found: list[Path] = []
    for part in joined(text):
        if artifacts:
            bring_run(Path(part), artifacts)
        study, _, arm = part.rpartition("/")
        if not Path(part).exists() and study and is_study(study):
            found += _of_study(study_space(study, storage, artifacts), arm)
        elif is_study(part) and not (Path(part) / STATE).is_file():
            arms = ", ".join(study_space(part, storage, artifacts).file.variants)
            raise RecipeError(f"{part}: is a study; expected one arm of it, {part}/ARM{arms and f', of {arms}'}")
        else:
            found += run_folders(part, store)
    return found


def is_study(target: str) -> bool:
    """Whether a text names a study: by its folder, by its name, or by the name or file of its search space."""
    folders = (Path(target), _STUDIES / target)
    return any((folder / MARK).is_file() for folder in folders) or Path(target).is_file() or _is_ours(target)


def study_space(target: str, storage: str | None = None, artifacts: str | None = None) -> Space:
    """The space of a study.

    Args:
        target: Its folder, its name, or the name or file of its search space.
        storage: Optuna's storage URL.
        artifacts: Where it keeps its runs, if its machines share no folder.

    Raises:
        RecipeError: There is no such study, or its copy of the space is missing.
    """
    folder = Path(target)
    if not (folder / MARK).is_file():
        if folder.is_dir():
            raise RecipeError(f"{folder}: holds no run, no study and no folders of runs")
        folder = _STUDIES / target
        if _is_ours(target) or not (folder / MARK).is_file():
            return load_space(target, storage=storage, artifacts=artifacts)
    if not (folder / SPACE_COPY).is_file():
        raise RecipeError(f"{folder}: its {SPACE_COPY} is missing, which says what the study is; name the study's file")
    return load_space(str(folder / SPACE_COPY), folder, storage, artifacts)


def _is_ours(target: str) -> bool:
    return Path(target).name == target and (data_dir("search_spaces") / f"{target}.yaml").is_file()


def _of_study(space: Space, arm: str) -> list[Path]:
    name = space.file.name
    if not space.file.arms or space.file.space:
        raise RecipeError(f"{name}/{arm}: the study has no arms of fixed values; name the folders of its trials")
    if arm not in space.file.variants:
        raise RecipeError(f"{name}/{arm}: the study has no such arm; {suggest(arm, list(space.file.variants))}")
    trials = [trial for trial in complete(find_study(space)) if trial.params.get(ARM) == arm]
    if not trials:
        raise RecipeError(f"{name}/{arm}: was not trained to its end; mythos study {space.source} says why")
    return folders_of(space, trials[0])

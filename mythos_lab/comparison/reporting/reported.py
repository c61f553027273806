"""What a report is of: a run, a study, or folders of several runs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mythos_lab.comparison.naming import study_space
from mythos_lab.comparison.reporting.arms_page import arms_page, grouped
from mythos_lab.comparison.reporting.recorded import read_run
from mythos_lab.comparison.reporting.run_page import run_page
from mythos_lab.comparison.reporting.study_page import study_page
from mythos_lab.comparison.table import called
from mythos_lab.finished.locating import joined
from mythos_lab.metrics import known
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.stores import check_tracker
from mythos_lab.report.page import Page
from mythos_lab.search.opening import MARK, UID, find_study
from mythos_lab.search.trial import MLFLOW_RUN
from mythos_lab.tracking.mlflow import attach
from mythos_lab.training.result import RECIPE, STATE, read_state

FOLDER = "report"
"""The folder of a page within that of a run or a study."""

_MOST_RUNS = 256


@dataclass(frozen=True)
class Tracked:
    """The MLflow run that a page is an artifact of.

    Attributes:
        uri: The tracker.
        folder: The folder of the run whose record alone names it; ``None`` where the command line did.
        run_id: The run.
        key: What it was made with.
    """

    uri: str | None
    folder: Path | None
    run_id: str
    key: str

    def told(self, page: Path) -> str | None:
        """Make a page an artifact of the run; says why not, where it is not.

        A record may be somebody else's: the environment has to name its tracker too, and the run has to be its own.
        """
        try:
            if self.folder is not None:
                check_tracker(self.uri, [], [self.folder], self.folder / RECIPE)
            return attach(self.uri, self.run_id, self.key, page)
        except RecipeError as error:
            return error.lines[0]


@dataclass(frozen=True)
class Reported:
    """A page, and where it goes.

    Attributes:
        page: The page.
        folder: Where its files go by default.
        tracked: Its MLflow run; ``None`` where there is no one run.
    """

    page: Page
    folder: Path
    tracked: Tracked | None


def report_of(
    targets: Sequence[str],
    *,
    storage: str | None = None,
    artifacts: str | None = None,
    metric: str | None = None,
    declared: Sequence[str] = (),
    matters: float = 0.01,
) -> Reported:
    """The page of what a command line names.

    Args:
        targets: A run's folder; a study's, or its search space's name or file; or folders of several runs, those of an
            arm joined by commas. A folder that holds runs stands for all of them.
        storage: Optuna's storage URL of a study.
        artifacts: Where a study keeps its runs, if its machines share no folder.
        metric: What several arms are compared by.
        declared: Inputs in which they are meant to differ.
        matters: The smallest difference that matters.

    Raises:
        RecipeError: There is no such run or study, or it cannot be read.
    """
    if metric is not None:
        try:
            known(metric)
        except ValueError as error:
            raise RecipeError(f"--metric: {error}") from None
    given = [[Path(folder) for folder in joined(target)] for target in targets]
    if len(given) == 1 and len(given[0]) == 1:
        folder = Path(targets[0])
        is_run = (folder / STATE).is_file()
        runs = [] if is_run else _runs_in(folder)
        if (metric is not None or declared) and not runs:
            raise RecipeError(
                f"{targets[0]}: --metric and --declare are of several runs; a study's file says what it compares"
            )
        if is_run:
            return _of_run(folder)
        if not runs:
            return _of_study(targets[0], storage, artifacts)
        return _of_arms([[run] for run in runs], targets, metric, declared, matters)
    return _of_arms(given, targets, metric, declared, matters)


def _of_run(folder: Path) -> Reported:
    run, state = read_run(folder), read_state(folder)
    tracked = _tracked(run.recipe.tracking.uri, folder, state.get("run_id"), state.get("key"))
    return Reported(run_page(run), folder / FOLDER, tracked)


def _of_arms(
    given: Sequence[Sequence[Path]], targets: Sequence[str], metric: str | None, declared: Sequence[str], matters: float
) -> Reported:
    if (num := sum(map(len, given))) > _MOST_RUNS:
        raise RecipeError(f"{num} runs on one page; at most {_MOST_RUNS} are read")
    arms = grouped([[read_run(folder) for folder in folders] for folders in given])
    options = [*(["--metric", metric] if metric else []), *(o for name in declared for o in ("--declare", name))]
    options += ["--matters", f"{matters:g}"] if matters != 0.01 else []
    return Reported(arms_page(arms, metric, declared, matters, [*targets, *options]), Path(FOLDER), None)


def _of_study(target: str, storage: str | None, artifacts: str | None) -> Reported:
    space = study_space(target, storage, artifacts)
    study = find_study(space)
    name = target if Path(target).is_dir() else called(space.source)
    page = study_page(space, study, f"mythos report {shlex.quote(name)}")
    uri = validate(dict(space.base), space.source).tracking.uri
    tracked = _tracked(uri, None, study.user_attrs.get(MLFLOW_RUN), f"study-{study.user_attrs.get(UID)}")
    return Reported(page, space.folder / FOLDER, tracked)


def _runs_in(folder: Path) -> list[Path]:
    """The runs directly below a folder that is none of a study."""
    if not folder.is_dir() or (folder / MARK).is_file():
        return []
    return sorted(each for each in folder.iterdir() if (each / STATE).is_file())


def _tracked(uri: str | None, folder: Path | None, run_id: object, key: object) -> Tracked | None:
    """What a record says of its MLflow run; nothing where it says nothing of the kind."""
    return Tracked(uri, folder, run_id, key) if isinstance(run_id, str) and isinstance(key, str) else None

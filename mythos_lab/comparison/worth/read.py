"""From the folders of finished runs to the cells of a sweep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mythos_blocks import load_plugins
from mythos_lab.comparison.inputs import surroundings
from mythos_lab.comparison.worth.cells import Cell
from mythos_lab.comparison.worth.counts import Counted, once_and_recurrent
from mythos_lab.comparison.worth.sweep import METRIC
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.compose import build_on_meta
from mythos_lab.recipe.cost import cost
from mythos_lab.recipe.differences import differences
from mythos_lab.training.result import DATA, ENVIRONMENT, RECIPE, RESULT, STATE, read_recipe, read_result, read_values

_MAY_DIFFER = {"name", "description", "seed", "tracking", "waive", "model"}


@dataclass(frozen=True)
class Gathered:
    """What a sweep has measured so far.

    Attributes:
        cells: By size, loop count and tokens, in this order.
        left_out: Folders of runs that count in no cell, with the reason.
        num_runs: Runs that do.
        unlike: What differs between them that their recipes do not say: data, device, source and the like.
    """

    cells: tuple[Cell, ...]
    left_out: dict[Path, str]
    num_runs: int
    unlike: tuple[str, ...] = ()

    @property
    def num_diverged(self) -> int:
        """Runs that are left out because they diverged."""
        return sum(reason == "diverged" for reason in self.left_out.values())


def gather(folder: Path, counted: Counted = "non_embedding", metric: str = METRIC) -> Gathered:
    """Read every run below a folder: its recipe says what was trained, its result how well.

    Raises:
        RecipeError: There is no finished run, a run has no such metric, two have the same cell and seed, or the runs
            differ in more than model, steps and seed, so that their losses say more than size, loops and data.
    """
    runs = {path.parent for name in (STATE, RECIPE, RESULT) for path in folder.rglob(name)}
    if not (found := gather_runs(sorted(runs), counted, metric)).num_runs:
        raise RecipeError(f"{folder}: holds no finished run")
    return found


def gather_runs(runs: Iterable[Path], counted: Counted = "non_embedding", metric: str = METRIC) -> Gathered:
    """The same of the folders of runs, none of which has to have finished.

    Raises:
        RecipeError: As of :func:`gather`, but that there may be no finished run.
    """
    load_plugins()
    losses: dict[tuple[int, int, float, int], dict[int, float]] = defaultdict(dict)
    left_out: dict[Path, str] = {}
    first: tuple[Path, dict[str, Any]] | None = None
    met: list[dict[str, Any]] = []
    for run in runs:
        reason = _unfinished(run)
        if reason is not None:
            left_out[run] = reason
            continue
        recipe = read_recipe(run)
        content = _shared(recipe)
        if first is None:
            first = run, content
        changed = [name for name, _, _ in differences(first[1], content)]
        if changed:
            raise RecipeError(
                f"{run}: differs from {first[0]} in {', '.join(changed)}, not in model, steps and seed alone"
            )
        metrics = read_result(run)["metrics"]
        if metric not in metrics:
            raise RecipeError(f"{run}: the run has no metric {metric}")
        cell = losses[_place(recipe, counted)]
        if recipe.seed in cell:
            raise RecipeError(f"{run}: another run has the same model, steps and seed {recipe.seed}")
        cell[recipe.seed] = float(metrics[metric])
        met.append(_surroundings(run))
    cells = tuple(Cell(*place, losses=losses[place]) for place in sorted(losses))
    unlike = tuple(name for name in met[0] if any(other[name] != met[0][name] for other in met)) if met else ()
    return Gathered(cells, left_out, len(met), unlike)


def _surroundings(run: Path) -> dict[str, Any]:
    return surroundings(*(read_values(run, name) for name in (DATA, ENVIRONMENT)))


def _place(recipe: Recipe, counted: Counted) -> tuple[int, int, float, int]:
    once, recurrent, loops = _counts(recipe.model_dump_json(exclude={"seed"}), counted)
    return once, recurrent, loops, cost(recipe).training_tokens


@lru_cache(maxsize=1024)
def _counts(written: str, counted: Counted) -> tuple[int, int, float]:
    """Parameters used once and in every loop, and the mean loop count."""
    recipe = Recipe.model_validate_json(written)
    model, _ = build_on_meta(recipe)
    return *once_and_recurrent(recipe, counted), round(model.core.loops.mean, 6)


def _shared(recipe: Recipe) -> dict[str, Any]:
    """What has to be the same in all runs of a sweep."""
    content = recipe.model_dump(mode="json", exclude=_MAY_DIFFER)
    del content["training"]["max_steps"]
    return content


def _unfinished(run: Path) -> str | None:
    if not (run / RESULT).is_file():
        return "unfinished"
    status = read_result(run)["status"]
    return None if status == "finished" else str(status)

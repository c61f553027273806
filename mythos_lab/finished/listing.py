"""The runs that lie in a folder and below it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mythos_blocks.declaring.registry import suggest
from mythos_lab.recipe.documents import parse_yaml
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.report.report import Report
from mythos_lab.report.table import Column, Table, name, nothing, number, prose
from mythos_lab.training.result import RECIPE, RESULT, STATE, key_of, read_result
from mythos_lab.training.sealed import read_yaml

_DEPTHS = ("", "*/", "*/*/", "*/*/*/", "*/*/*/*/")
"""How far below runs lie: ``studies/NAME/trials/NUMBER/seed-N`` is the farthest of ours, from ``.`` or ``studies``."""

_MOST_NAMED = 5
_UNTIL_NOW = "unfinished"
_USUAL = ("val/accuracy", "val/loss")


@dataclass(frozen=True)
class Listed:
    """One run, as its files say, without building anything of it.

    Attributes:
        folder: Its folder.
        began: When it was begun.
        recipe: The recipe's name; empty where it cannot be read.
        seed: Its seed.
        status: How it ended; ``unfinished``; or ``unreadable``.
        metrics: Its last metrics.
        problem: Why it cannot be read.
    """

    folder: Path
    began: datetime
    recipe: str = ""
    seed: int | None = None
    status: str = _UNTIL_NOW
    metrics: dict[str, float] | None = None
    problem: str = ""


def listed(places: Sequence[Path]) -> list[Listed]:
    """The runs in these folders, the latest first.

    Raises:
        RecipeError: One is no folder.
    """
    if gone := [place for place in places if not place.is_dir()]:
        raise RecipeError(f"{gone[0]}: there is no such folder")
    found = {folder: None for place in places for folder in below(place)}
    return sorted((_read(folder) for folder in found), key=lambda run: run.began, reverse=True)


def listing(
    runs: Sequence[Listed],
    metrics: Sequence[str] = (),
    by: str | None = None,
    most: int | None = None,
    recipe: str | None = None,
) -> Report:
    """A table of runs.

    Args:
        runs: The runs.
        metrics: Metrics to show; none shows accuracy and loss.
        by: The metric to sort by, largest first; runs without it come last.
        most: Runs to list; ``None`` lists all.
        recipe: Name of the recipe whose runs alone are listed; ``None`` lists those of all.

    Raises:
        RecipeError: No run has such a metric.
    """
    everything, runs = runs, [run for run in runs if recipe in (None, run.recipe)]
    shown = list(dict.fromkeys([*(metrics or _USUAL), *([by] if by else [])]))
    known = {each for run in runs for each in run.metrics or {}}
    for each in (*metrics, *([by] if by else [])):
        if known and each not in known:
            raise RecipeError(f"metric {each!r}: no run has it; {suggest(each, known)}")
    if by is not None:
        runs = sorted(runs, key=lambda run: -_sortable((run.metrics or {}).get(by)))
    columns = [name("folder"), Column("recipe", importance=3), Column("seed", importance=3), Column("status")]
    columns += [Column("begun", importance=2), *map(number, shown), prose("problem")]
    rows = [
        [
            str(run.folder),
            run.recipe,
            nothing() if run.seed is None else run.seed,
            run.status,
            run.began.strftime("%Y-%m-%d %H:%M"),
            *((run.metrics or {}).get(each, nothing()) for each in shown),
            run.problem,
        ]
        for run in runs[:most]
    ]
    report = Report()
    if rows:
        table, are_whole = Table(columns, rows), not any(run.problem for run in runs[:most])
        report.show("runs", Table(columns[:-1], [row[:-1] for row in rows]) if are_whole else table)
        report.know({"runs": table.records()})
        ended = Counter(run.status for run in runs)
        said = ", ".join(f"{num} {status}" for status, num in ended.items())
        part = f", of which {len(rows)} are listed" if len(runs) > len(rows) else ""
        facts = {"num_runs": len(runs), "num_listed": len(rows), "outcomes": ended}
        many = f"{len(runs)} run{'s' * (len(runs) != 1)}"
        report.say(f"{many}: {said}{part}; mythos report FOLDER says what one came to", facts)
    else:
        others = Counter(run.recipe or "a recipe that cannot be read" for run in everything)
        said = f" of the recipe {recipe!r}; {len(everything)} of {_first(others)}" if others else ""
        report.say(f"no runs{said}", {"runs": [], "num_of_others": len(everything)})
    return report


def below(place: Path) -> Iterator[Path]:
    """The folders of runs that lie in a folder and below it, as far as ours lie; none that a link leads to."""
    for depth in _DEPTHS:
        for state in sorted(place.glob(f"{depth}{STATE}")):
            if not any(each.is_symlink() for each in (state, state.parent)):
                yield state.parent


def _read(folder: Path) -> Listed:
    began = datetime.fromtimestamp((folder / STATE).stat().st_mtime)
    try:
        declared: Any = parse_yaml(read_yaml(folder / RECIPE, key_of(folder)), folder / RECIPE)
        if not isinstance(declared, dict):
            raise RecipeError(f"{folder / RECIPE}: holds no recipe")
        seed = declared.get("seed")
        said = Listed(folder, began, str(declared.get("name", "")), seed if isinstance(seed, int) else None)
        if not (folder / RESULT).is_file():
            return said
        result = read_result(folder)
        return Listed(folder, began, said.recipe, said.seed, str(result["status"]), result["metrics"])
    except RecipeError as error:
        return Listed(folder, began, status="unreadable", problem=str(error))


def _first(recipes: Mapping[str, int]) -> str:
    """The names of a few recipes, and how many more there are."""
    names = list(recipes)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{'other recipes' if len(names) > 1 else 'another'}: {', '.join(names[:_MOST_NAMED])}{more}"


def _sortable(value: float | None) -> float:
    return -math.inf if value is None or math.isnan(value) else value

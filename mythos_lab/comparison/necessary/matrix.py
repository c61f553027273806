"""From the runs of a study to the matrix: what a model that was trained at one depth comes to at each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import optuna

from mythos_blocks import build
from mythos_lab.comparison.arms import arm_of, declared, objective, without_verdict
from mythos_lab.comparison.compare import covers
from mythos_lab.comparison.inputs import Arm, unequal
from mythos_lab.comparison.necessary.design import depth_of
from mythos_lab.measures.evaluate import evaluate_counts
from mythos_lab.recipe import RecipeError
from mythos_lab.search.spaces.space import ARM, Space
from mythos_lab.search.standing import complete
from mythos_lab.tasks.base import Task
from mythos_lab.training.result import load_run, read_result


@dataclass(frozen=True)
class Matrix:
    """What every arm came to at every depth, seed by seed.

    Attributes:
        metric: What is measured: ``val/accuracy`` or ``val/loss``.
        delta: The largest difference in it that does not matter, declared before anything trained.
        seeds: The seeds that every arm has, in the order of the values.
        values: By the depth that a model was trained at, and the one that it was evaluated at, its metric by seed.
        chance: Accuracy of guessing, where the task has one.
        resolution: The least step that the metric takes: one answer, or 0 for a loss.
        hops: What the task counts its difficulty in, and the most that its training samples have; ``None`` without.
        undeclared: Inputs in which an arm differs from the deepest though nobody declared them, by depth.
        lost: Depths whose arm was not trained to its end, and what became of it.
    """

    metric: str
    delta: float
    seeds: tuple[int, ...]
    values: Mapping[tuple[int, int], tuple[float, ...]]
    chance: float | None = None
    resolution: float = 0.0
    hops: tuple[str, int] | None = None
    undeclared: Mapping[int, Sequence[str]] = field(default_factory=dict)
    lost: Mapping[int, str] = field(default_factory=dict)

    @property
    def depths(self) -> list[int]:
        """The depths that models were trained at, ascending."""
        return sorted({trained for trained, _ in self.values})

    def quality(self, trained: int, evaluated: int) -> tuple[float, ...]:
        """A cell by seed, as accuracies or negative losses: higher is better."""
        sign = 1 if self.metric == "val/accuracy" else -1
        return tuple(sign * value for value in self.values[trained, evaluated])

    def mean(self, trained: int, evaluated: int) -> float:
        """The mean over seeds of a cell's metric."""
        cell = self.values[trained, evaluated]
        return sum(cell) / len(cell)


def gather(space: Space, study: optuna.Study, arms: Mapping[str, int] | None = None) -> Matrix:
    """Read the matrix of a study's runs; what their depth curves have not is evaluated.

    Args:
        space: The study's file.
        study: Its trials.
        arms: The depth of each arm that is read, by name; all arms of :func:`necessary` without.

    Raises:
        RecipeError: Fewer than two arms were trained to their end, or they have no seed in common.
    """
    arms = {name: depth_of(name) for name in space.file.arms} if arms is None else arms
    metric, _ = objective(space)
    done = {trial.params[ARM]: trial for trial in complete(study) if trial.params.get(ARM) in arms}
    found = {arms[name]: arm_of(space, trial) for name, trial in done.items()}
    if len(found) < 2:
        raise RecipeError(f"{space.folder}: holds {len(found)} of {len(arms)} arms that were trained to their end")
    seeds = sorted(set.intersection(*(set(arm.folders) for arm in found.values())))
    if not seeds:
        raise RecipeError(f"{space.folder}: no seed is in all arms")
    task: Task = build(found[max(found)].recipe.task)
    values: dict[tuple[int, int], list[float]] = {}
    for trained, arm in found.items():
        for seed in seeds:
            curve = _curve(arm.folders[seed], sorted(found), metric)
            for evaluated in found:
                values.setdefault((trained, evaluated), []).append(curve[evaluated])
    missing = without_verdict(space, study)
    return Matrix(
        metric=metric,
        delta=space.file.matters,
        seeds=tuple(seeds),
        values={cell: tuple(of) for cell, of in sorted(values.items()) if all(map(math.isfinite, of))},
        chance=task.chance,
        resolution=1 / task.size("validation") if metric == "val/accuracy" else 0.0,
        hops=_hops(task),
        undeclared=dict(_undeclared(space, arms, found)),
        lost={arms[name]: what for name, what in missing.items() if name in arms},
    )


def _curve(folder: Path, depths: Sequence[int], metric: str) -> dict[int, float]:
    """The metric of a run at these depths."""
    name = metric.removeprefix("val/")
    rows = {int(row["loops"]): row[name] for row in read_result(folder)["depth_curve"]}
    curve = {depth: math.nan if rows[depth] is None else float(rows[depth]) for depth in depths if depth in rows}
    if absent := [depth for depth in depths if depth not in rows]:
        recipe, model, task = load_run(folder)
        scores = evaluate_counts(model, task, recipe, absent)
        curve |= {depth: float(getattr(scores[depth], name)) for depth in absent}
    return curve


def _undeclared(space: Space, arms: Mapping[str, int], found: Mapping[int, Arm]) -> Iterator[tuple[int, list[str]]]:
    reference = found[max(found)]
    for arm, depth in arms.items():
        if depth not in found or depth == max(found):
            continue
        may = declared(space, arm)
        differs = [name for name in unequal(reference, found[depth]) if not any(covers(each, name) for each in may)]
        if differs:
            yield depth, differs


def _hops(task: Task) -> tuple[str, int] | None:
    high = getattr(task, "high", None)
    return (task.difficulty_name, high) if task.difficulty_name is not None and isinstance(high, int) else None

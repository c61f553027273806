"""The result of a run, and the files that repeat it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from mythos_blocks import LoopedTransformer, build, load_plugins
from mythos_blocks.checkpoints import load_into, save
from mythos_lab.checks import Finding
from mythos_lab.measures.depth_curve import DepthCurve
from mythos_lab.measures.tally import Interval, Tally
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.cost import Cost
from mythos_lab.tasks.base import Task
from mythos_lab.training.held import DATA as DATA
from mythos_lab.training.held import ENVIRONMENT as ENVIRONMENT
from mythos_lab.training.held import hold

RESUMED = "resumed"  # environments that a run went on in, after its first
RECIPE, STATE, WEIGHTS, CHECKPOINT, RESULT = "recipe.yaml", "run.json", "model.safetensors", "last.ckpt", "result.json"


@dataclass(frozen=True)
class RunResult:
    """What a run left.

    Attributes:
        status: ``finished``, ``diverged`` or ``pruned``.
        reason: Why it did not finish.
        folder: The run's directory.
        run_id: The MLflow run.
        metrics: The last value of every metric.
        cost: What it cost.
        intervals: 95 % intervals of metrics that samples were counted for. They are of other samples that might have
            been drawn, not of other seeds that might have been trained.
        findings: What the effect check found, all waived.
        curve: The depth curve of a finished run.
        ood: The same out of distribution, for tasks that have such samples.
        slices: What each value of each slice of the validation split came to.
    """

    status: Literal["finished", "diverged", "pruned"]
    folder: Path
    run_id: str
    metrics: dict[str, float]
    cost: Cost
    intervals: dict[str, Interval] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    curve: DepthCurve | None = None
    ood: DepthCurve | None = None
    slices: dict[str, dict[int, Tally]] = field(default_factory=dict)
    reason: str = ""


def write_whole(path: Path, text: str) -> None:
    """Write a file beside and move it: a kill or a full disk leaves what was there before, or all of the new one."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def dump_recipe(recipe: Recipe, path: Path) -> None:
    """Write the composed recipe."""
    write_whole(path, yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a run.

    Raises:
        RecipeError: The folder holds no run.
    """
    load_plugins()
    if not (folder / RECIPE).is_file():
        raise RecipeError(f"{folder}: not the folder of a run: it has no {RECIPE}")
    return validate(yaml.safe_load((folder / RECIPE).read_text(encoding="utf-8")), folder / RECIPE)


def save_weights(model: LoopedTransformer, folder: Path) -> Path:
    """Write the model of a run that has ended, for ``mythos_blocks.checkpoints.load_model``; returns its file."""
    save(model, folder / WEIGHTS)
    return folder / WEIGHTS


def numbers_of(result: RunResult) -> str:
    """What ``result.json`` says of a run that has ended."""
    numbers: dict[str, Any] = {
        "status": result.status,
        "precision": result.cost.recipe.training.precision,
        "reason": result.reason,
        "run_id": result.run_id,
        "metrics": result.metrics,
        "intervals": result.intervals,
        "depth_curve": None if result.curve is None else result.curve.rows(),
        "ood_depth_curve": None if result.ood is None else result.ood.rows(),
        "slices": {
            name: [
                {"value": v, "accuracy": t.accuracy, "interval": t.accuracy_interval(), "num_scored": t.num_scored}
                for v, t in values.items()
            ]
            for name, values in result.slices.items()
        },
    }
    return json.dumps(numbers, indent=1)


def load_run(folder: Path) -> tuple[Recipe, LoopedTransformer, Task]:
    """The recipe, the trained model and the task of a finished run.

    Raises:
        RecipeError: The folder holds no finished run, the weights are not of its recipe's model, or the data or the
            code that the recipe imports has changed since.
    """
    for name in (RECIPE, WEIGHTS, DATA, ENVIRONMENT):
        if not (folder / name).is_file():
            raise RecipeError(f"{folder}: not the folder of a finished run: it has no {name}")
    recipe = read_recipe(folder)
    task: Task = build(recipe.task)
    hold(folder, recipe, task)
    model: LoopedTransformer = recipe.model_spec().build(task.vocab_size)
    try:
        load_into(model, folder / WEIGHTS)  # whether or not the file has the declaration, which older ones have not
    except ValueError as error:
        raise RecipeError(str(error)) from error
    return recipe, model, task

"""The result of a run, and the files that repeat it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from safetensors.torch import load_model, save_model

from mythos_blocks import LoopedTransformer, build
from mythos_lab.checks import Finding
from mythos_lab.measures.depth import DepthCurve
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.cost import Cost
from mythos_lab.tasks.base import Task

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
        findings: What the effect check found, all waived.
        curve: The depth curve of a finished run.
        ood: The same out of distribution, for tasks that have such samples.
        slices: Accuracy and scored tokens for each value of each slice of the validation split.
    """

    status: Literal["finished", "diverged", "pruned"]
    folder: Path
    run_id: str
    metrics: dict[str, float]
    cost: Cost
    findings: list[Finding] = field(default_factory=list)
    curve: DepthCurve | None = None
    ood: DepthCurve | None = None
    slices: dict[str, dict[int, tuple[float, int]]] = field(default_factory=dict)
    reason: str = ""


def dump_recipe(recipe: Recipe, path: Path) -> None:
    """Write the composed recipe."""
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False), encoding="utf-8")


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a run.

    Raises:
        RecipeError: The folder holds no run.
    """
    if not (folder / RECIPE).is_file():
        raise RecipeError(f"{folder}: not the folder of a run: it has no {RECIPE}")
    return validate(yaml.safe_load((folder / RECIPE).read_text(encoding="utf-8")), folder / RECIPE)


def save(result: RunResult, model: LoopedTransformer) -> None:
    """Write weights and numbers of a finished run."""
    save_model(model, str(result.folder / WEIGHTS))
    numbers: dict[str, Any] = {
        "status": result.status,
        "run_id": result.run_id,
        "metrics": result.metrics,
        "depth_curve": None if result.curve is None else result.curve.rows(),
        "ood_depth_curve": None if result.ood is None else result.ood.rows(),
        "slices": {
            name: [{"value": v, "accuracy": a, "num_scored": n} for v, (a, n) in values.items()]
            for name, values in result.slices.items()
        },
    }
    (result.folder / RESULT).write_text(json.dumps(numbers, indent=1), encoding="utf-8")


def load_run(folder: Path) -> tuple[Recipe, LoopedTransformer, Task]:
    """The recipe, the trained model and the task of a finished run.

    Raises:
        RecipeError: The folder holds no finished run.
    """
    for name in (RECIPE, WEIGHTS):
        if not (folder / name).is_file():
            raise RecipeError(f"{folder}: not the folder of a finished run: it has no {name}")
    recipe = read_recipe(folder)
    task: Task = build(recipe.task)
    model: LoopedTransformer = recipe.model_spec().build(task.vocab_size)
    load_model(model, str(folder / WEIGHTS))
    return recipe, model, task

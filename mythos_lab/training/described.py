"""What MLflow is told of a run so that people find and understand it: parameters, data, and a description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mythos_lab.recipe import Recipe
from mythos_lab.recipe.compose import as_recorded
from mythos_lab.recipe.differences import off_default
from mythos_lab.report.markdown import as_code, in_text
from mythos_lab.tasks.base import HeldOut, Task
from mythos_lab.tracking.mlflow import Tracker, flatten

_ELSEWHERE = ("name", "description", "tracking")  # what the run's own name, its description and its place say
_ALWAYS = ("seed", "training.max_steps")
_SPLITS: tuple[HeldOut, ...] = ("validation", "test", "ood")


def describe_run(tracker: Tracker, recipe: Recipe, task: Task, varied: Mapping[str, Any]) -> None:
    """Keep parameters, and the description, for the next flush of a tracker, and log the dataset.

    Args:
        tracker: Of the run.
        recipe: What was declared; all of it is in the run's recipe file.
        task: Its task.
        varied: What a study varies, by name, with the run's values.
    """
    tracker.params(parameters(recipe, varied))
    tracker.describe(description(recipe, varied))
    sizes = {split: task.size(split) for split in _SPLITS if task.size(split)}
    declared = as_recorded(recipe)["task"]
    tracker.dataset(task.kind, task.fingerprint(), json.dumps(declared), json.dumps({"samples": sizes}))


def parameters(recipe: Recipe, varied: Mapping[str, Any]) -> dict[str, Any]:
    """What is declared otherwise than by default, besides seed and steps, and what a study varies, default or not."""
    values, kept = flatten(as_recorded(recipe)), tuple(off_default(recipe))
    shown = {path: value for path, value in values.items() if path in _ALWAYS or path in kept}
    shown |= {path: value for path, value in values.items() if path.startswith(tuple(f"{each}." for each in kept))}
    return {**varied, **{path: value for path, value in shown.items() if path.partition(".")[0] not in _ELSEWHERE}}


def description(recipe: Recipe, varied: Mapping[str, Any]) -> str:
    """What the recipe is for, in Markdown, and where a study has put the run."""
    said = [in_text(recipe.description)] if recipe.description else []
    if varied:
        said.append(f"Here {', '.join(f'{as_code(name)} is {as_code(str(it))}' for name, it in varied.items())}.")
    return "\n\n".join(said)

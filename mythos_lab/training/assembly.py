"""From a recipe to what it trains: assembled, checked, and its cost counted, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mythos_blocks import LoopedTransformer
from mythos_lab.checks import Assembly, Finding, check
from mythos_lab.measures.live import watched
from mythos_lab.measures.measuring import declared
from mythos_lab.measures.samples import Samples
from mythos_lab.measures.subject import Subject
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.assembled import task_of
from mythos_lab.recipe.compose import build_on_meta
from mythos_lab.recipe.cost import Cost, cost
from mythos_lab.recipe.limits import check_room
from mythos_lab.recipe.mask import surroundings
from mythos_lab.recipe.precision import autocast_for
from mythos_lab.tasks.base import Task
from mythos_lab.training.sharding import check_shards
from mythos_lab.training.start import begin_with_start

_NUM_CHECKED = 4  # samples of the effect check


@dataclass(frozen=True)
class Admitted:
    """A recipe that may train, and what is known of it before it does.

    Attributes:
        recipe: What was declared.
        model: The model at its initial weights.
        task: The task.
        findings: What the effect check found and the recipe waives.
        cost: What it will cost.
    """

    recipe: Recipe
    model: LoopedTransformer
    task: Task
    findings: list[Finding]
    cost: Cost


def admitted(recipe: Recipe, *, resumed: bool = False) -> Admitted:
    """A recipe, once nothing speaks against training it.

    Args:
        recipe: The recipe.
        resumed: Whether training goes on from a checkpoint of its own, so that what it started with need not be there.

    Raises:
        RecipeError: The effect check found an error that the recipe does not waive, or it does not fit into memory.
    """
    model, task = assemble(recipe, started=not resumed)
    check_shards(recipe, model)
    findings = effects(recipe, model, task)
    if standing := [finding for finding in findings if not finding.waived]:
        raise RecipeError(*(f"{recipe.name}: {f.code}: {f.message}" for f in standing))
    return Admitted(recipe, model, task, findings, cost(recipe))


def assemble(recipe: Recipe, *, started: bool = True) -> tuple[LoopedTransformer, Task]:
    """The model at the recipe's initial weights, and the task.

    Args:
        recipe: The recipe.
        started: Whether those weights are what the recipe starts with, where it names any, or its seed's all the same.

    Raises:
        RecipeError: They do not fit into this machine's memory, or what the recipe starts with is not there.
    """
    task = task_of(recipe)
    check_room(recipe, build_on_meta(recipe)[0], task)
    model: LoopedTransformer = recipe.model_spec().build(task.vocab_size)
    model.initialize(recipe.seed)
    if started:
        begin_with_start(model, recipe, task)
    return model, task


def effects(recipe: Recipe, model: LoopedTransformer, task: Task) -> list[Finding]:
    """The effect check's findings.

    Raises:
        RecipeError: The model cannot read the longer samples that are evaluated out of distribution, or a declared
            measure cannot be taken of it.
    """
    if recipe.evaluation.ood and task.size("ood") and task.ood_positions != task.positions:
        sample = task.batch("ood", range(1))
        try:
            with torch.no_grad(), autocast_for(recipe, sample.tokens.device):
                model(sample.tokens, iterations=1, **surroundings(recipe, sample))
        except ValueError as error:
            raise RecipeError(
                f"{recipe.name}: evaluation.ood: the model cannot read samples of {sample.tokens.shape[1]} positions "
                f"({error}); set task.ood_range=0 or evaluation.ood=false"
            ) from None
    if recipe.measures:
        declared(recipe, Subject(model, Samples.of(task, recipe)))
    if recipe.monitor.measures:
        watched(recipe, Subject(model, Samples.of(task, recipe, num_samples=recipe.monitor.num_samples)))
    try:
        return check(Assembly(recipe, model, task, task.batch("train", range(_NUM_CHECKED))))
    except ValueError as error:  # a component of another package, which says so when it reads
        raise RecipeError(f"{recipe.name}: {error}") from None

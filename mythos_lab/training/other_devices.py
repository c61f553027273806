"""A run that goes on with other devices than it was begun with: where it stays the same run, and where it would not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mythos_blocks import LoopedTransformer
from mythos_blocks.tensors.randomness import reseed
from mythos_lab.checks import Assembly
from mythos_lab.recipe import Recipe
from mythos_lab.recipe.compose import as_recorded
from mythos_lab.recipe.differences import differences
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.step import differentiate
from mythos_lab.tasks.base import Batch, Task

DEVICES = "devices"
"""Field of an environment in which a run went on: the values of :data:`FIELDS` there, where its recipe has others."""

FIELDS = ("num_devices", "strategy")
"""Fields of ``training`` that say which devices share a batch, and not what the batch is."""

_NUM_SAMPLES = 4
_MAX_LOOPS = 4  # what depends on the parts of a batch does so at any count
_ROUNDING = 1e-3  # of a parameter's gradient in float32; another noise moves it by its own size


def hold_recipe(folder: Path, stored: Recipe, recipe: Recipe, model: LoopedTransformer, task: Task) -> None:
    """Refuse to go on with a run by another recipe than its own; other devices are the same recipe where that holds.

    It holds where every step reads the samples that it would have read, and a batch's gradient does not depend on how
    the batch is parted, which is measured: noise that each device draws, and terms that are no means over tokens or
    sequences (experts' balance loss), make it another run.

    Where it logs is no part of what is trained, so that it may go on in another store.

    Args:
        folder: The run's.
        stored: The recipe that is recorded there.
        recipe: The one to go on by.
        model: Its model, at its initial weights.
        task: Its task.

    Raises:
        Misplaced: Names the field that is another.
    """
    free = {"tracking.uri", "tracking.experiment", *(f"training.{name}" for name in FIELDS)}
    found = differences(as_recorded(stored), as_recorded(recipe))
    if others := [each for each in found if each[0] not in free]:
        path, was, now = others[0]
        more = f", and {len(others) - 1} more" if len(others) > 1 else ""
        raise Misplaced(
            f"{folder}: holds a run of another recipe: {path} was {was!r}, is {now!r}{more}; resume it with that one, "
            "or choose another folder"
        )
    was, now = stored.training.num_devices, recipe.training.num_devices
    if was != now and (why := _other_samples(stored, recipe) or _parted(recipe, model, task)) is not None:
        raise Misplaced(
            f"{folder}: holds a run of another recipe: training.num_devices was {was}, is {now}, and {why}; resume it "
            "with as many, or begin another run where it ended: --from, training.start_with=everything"
        )


def with_fields(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """A recipe with other values of fields of ``training``, which are taken as they are."""
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=dict(values))})


def devices_of(recipe: Recipe) -> dict[str, Any]:
    """The values of :data:`FIELDS`."""
    return {name: getattr(recipe.training, name) for name in FIELDS}


def _other_samples(stored: Recipe, recipe: Recipe) -> str | None:
    """Why steps read other samples than they would have on the devices that were there; ``None`` where they do not."""
    warmup = recipe.training.batch_warmup
    steps = range(warmup.num_steps(recipe.training.max_steps) if warmup is not None else 1)
    if all(stored.training.samples(index) == recipe.training.samples(index) for index in steps):
        return None
    return "a batch that grows (batch_warmup) has other sequences where other devices share it"


def _parted(recipe: Recipe, model: LoopedTransformer, task: Task) -> str | None:
    """How a step depends on which device has which part of its batch; ``None`` where it does not."""
    batch, names = task.batch("train", range(_NUM_SAMPLES)), [name for name, _ in model.named_parameters()]
    (whole, draws), (halves, _) = (_gradients(recipe, model, task, batch, num) for num in (1, 2))
    if draws:
        return "the model draws noise, of which each device has its own"
    largest = max(float(gradient.norm()) for gradient in whole)
    for name, a, b in zip(names, whole, halves, strict=True):
        if float((a - b).norm()) > _ROUNDING * max(float(a.norm()), _ROUNDING * largest):
            return f"a term is each device's own, and no mean over tokens or sequences (it moves {name})"
    return None


def _gradients(
    recipe: Recipe, model: LoopedTransformer, task: Task, batch: Batch, num_parts: int
) -> tuple[list[Tensor], bool]:
    """The gradient of a batch taken in parts, zeros for a parameter that none reaches; and whether noise was drawn."""
    alone = {"num_microbatches": num_parts, "precision": "float32", "num_devices": 1, "strategy": "auto"}
    learner = Assembly(with_fields(recipe, alone), model, task, batch).rehearsed()
    with torch.random.fork_rng(devices=[]):
        reseed(0, batch.tokens.device)
        before = torch.get_rng_state()
        differentiate(learner, batch, min(model.core.loops.eval_loops, _MAX_LOOPS))
        draws = not torch.equal(before, torch.get_rng_state())
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in learner.model.parameters()], draws

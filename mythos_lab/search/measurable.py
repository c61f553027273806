"""Metrics that only some recipes have, known before anything trains."""

from __future__ import annotations

from collections.abc import Iterable

from mythos_blocks import LoopedTransformer, Penalty, RoutedExperts, build
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.measures.base import Measure
from mythos_lab.measures.measuring import declared as declared_measures
from mythos_lab.measures.monitor import STABILITY, rho_A
from mythos_lab.measures.samples import Samples
from mythos_lab.measures.subject import Subject
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.compose import build_on_meta, validate
from mythos_lab.recipe.cost import cost
from mythos_lab.recipe.mask import surroundings
from mythos_lab.recipe.step import can_halt
from mythos_lab.search.spaces.domains import Choice, Kinds
from mythos_lab.search.spaces.space import Space
from mythos_lab.training.assembly import assemble

_IN_TRAINING = ("train/mean_loops", "train/depth_read")  # of a halting rule: an exit does nothing there


def lacking(recipe: Recipe, metrics: Iterable[str]) -> str | None:
    """Why a run of a recipe would not have one of the metrics; ``None`` where nothing is known against it."""
    for metric in metrics:
        if reason := _lacks(recipe, metric):
            return f"a run has no {metric}: {reason}"
    return None


def refuse_unmeasurable(space: Space) -> None:
    """Refuse objectives, and a guard's metric, that no candidate could have.

    Where components vary, some candidates may have them; each of the others is vetoed untrained.

    Raises:
        RecipeError: No choice of a component varies, and the recipe does not have them.
    """
    varies = any(isinstance(d, Kinds) or (isinstance(d, Choice) and not d.plain) for d in space.domains.values())
    if varies or space.file.arms:
        return
    recipe = validate(dict(space.base), space.source)
    if reason := lacking(recipe, space.file.objectives):
        raise RecipeError(f"{space.source}: objectives: {reason}")
    if space.file.guard is not None and (reason := lacking(recipe, [space.file.guard.metric])):
        raise RecipeError(f"{space.source}: guard.metric: {reason}, and the guard would stop nothing")


def _lacks(recipe: Recipe, metric: str) -> str | None:
    room = metric.partition("/")[0]
    if metric == "experts/load_cv":
        modules = build_on_meta(recipe)[0].modules()
        return None if any(isinstance(module, RoutedExperts) for module in modules) else "the model has no experts"
    if metric in _penalties():
        declared = {build(penalty).metric for penalty in recipe.training.penalties}
        return None if metric in declared else f"no penalty measures it; expected {_penalties()[metric]}"
    if metric in _measured():
        assembled = Subject(*_with_samples(recipe))
        if any(metric in each.quantities for each in declared_measures(recipe, assembled)):
            return None
        return f"no measure of the recipe comes to it; expected {_measured()[metric]!r} in measures"
    if metric in ("stability/rho_A", "stability/rho_A_distance"):
        return "the injection carries nothing on" if rho_A(assemble(recipe)[0]) is None else None
    if metric in STABILITY:
        return "the model has nothing of it" if STABILITY[metric](assemble(recipe)[0]) is None else None
    if room == "halting":
        halts = can_halt(build_on_meta(recipe)[0])
        return None if halts else "nothing halts in the model; loops/executed is what it runs"
    if metric in _IN_TRAINING:
        return None if build_on_meta(recipe)[0].core.halting.kind != "none" else "the model has no halting rule"
    if room == "auxiliary":
        return None if metric.partition("/")[2] in _auxiliary(recipe) else "no component adds such a loss"
    if room == "cost":
        return None if metric in cost(recipe).metrics() else "with this mask nothing is decoded"
    return None


def _measured() -> dict[str, str]:
    kinds = slot_info("measure").kinds.items()
    return {metric: kind for kind, made in kinds if issubclass(made, Measure) for metric in made.quantities}


def _with_samples(recipe: Recipe) -> tuple[LoopedTransformer, Samples]:
    model, task = assemble(recipe)
    return model, Samples.of(task, recipe)


def _penalties() -> dict[str, str]:
    kinds = slot_info("penalty").kinds.items()
    return {made.metric: kind for kind, made in kinds if issubclass(made, Penalty)}


def _auxiliary(recipe: Recipe) -> set[str]:
    model, task = assemble(recipe)
    batch = task.batch("train", range(1))
    return set(model.train()(batch.tokens, iterations=1, **surroundings(recipe, batch)).losses)

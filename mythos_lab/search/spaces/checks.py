"""What is wrong with a search space beyond its form: with its paths, arms, metrics and constraints."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mythos_blocks import build
from mythos_blocks.declaring.registry import suggest
from mythos_lab.input_names import INPUTS
from mythos_lab.metrics import METRICS, VALIDATED, known
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.cost import DECODING, cost
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.paths import field_at, set_path
from mythos_lab.recipe.schema import Recipe
from mythos_lab.search.pruners import NO_PRUNER, read_pruner
from mythos_lab.search.spaces.definition import StudyFile
from mythos_lab.search.spaces.domains import Domain, Kinds, Same
from mythos_lab.search.spaces.expression import Constraint, parse
from mythos_lab.search.spaces.names import check_constraint, has_field
from mythos_lab.tasks.base import Task


def check_file(
    source: Path,
    file: StudyFile,
    base: dict[str, Any],
    recipe: Recipe,
    domains: dict[str, Domain],
    labels: dict[str, Domain],
) -> tuple[Constraint, ...]:
    """Hold a study's file against the recipe that varies; its constraints, read.

    Args:
        source: The file, for errors.
        file: Its settings.
        base: The recipe, composed.
        recipe: The same, validated.
        domains: What varies, by path.
        labels: The domains that carry a label.

    Raises:
        RecipeError: With the place of the first mistake.
    """
    task: Task = build(recipe.task)
    _check_paths(source, file, domains, labels)
    arms = _check_arms(source, file, base)
    _check_metrics(source, file, base, recipe, task)
    return tuple(_constraint(source, text, file, [recipe, *arms], task, domains) for text in file.constraints)


def change(config: dict[str, Any], changes: dict[str, Any], source: str) -> None:
    """Set paths of a composed recipe to an arm's values, in place."""
    for path, value in changes.items():
        set_path(Recipe, config, path, copy.deepcopy(value), source)


_APART = ("version", "name", "description", "imports", "tracking")
"""Fields that say nothing of what is trained: what a run is called, where it is logged, what code there is."""


def _check_paths(source: Path, file: StudyFile, domains: dict[str, Domain], labels: dict[str, Domain]) -> None:
    changed = {path: f"arms: {name}" for name, arm in file.arms.items() for path in arm}
    for task, changes in file.tasks.items():
        for path in changes:
            other = next((each for each in changed if f"{path}.".startswith(f"{each}.")), None)
            other = other or next((each for each in changed if f"{each}.".startswith(f"{path}.")), None)
            if other is not None:
                raise RecipeError(f"{source}: tasks: {task}: {path}: {changed[other]} changes it too; let one of them")
    changed |= {path: f"tasks: {name}" for name, task in file.tasks.items() for path in task}
    for path, where in {**dict.fromkeys(domains, "space"), **changed}.items():
        if path.split(".")[0] in _APART:
            raise RecipeError(
                f"{source}: {where}: {path}: says nothing of what is trained, so it cannot vary; write it in the recipe"
            )
    for path in domains:
        for other in [*domains, *changed]:
            below = f"{path}.".startswith(f"{other}.")
            if (below and other != path) or (other in changed and (below or f"{other}.".startswith(f"{path}."))):
                raise RecipeError(
                    f"{source}: space: {path}: also varies as {changed.get(other, other)}; vary one of them"
                )
    for path in file.hold.paths if file.hold is not None else []:
        if path in domains or path in changed:
            where = changed.get(path, "space")
            raise RecipeError(f"{source}: hold.by: {path}: is solved for, and {where} sets it; do one of them")
    defined = {domain.label: prefix for prefix, _, domain in _all_domains(domains) if not isinstance(domain, Same)}
    for prefix, path, domain in _all_domains(domains):
        if not isinstance(domain, Same):
            continue
        if domain.label not in labels:
            raise RecipeError(f"{source}: space: {path}: label {domain.label!r} is defined nowhere")
        if not prefix.startswith(defined[domain.label]):
            raise RecipeError(
                f"{source}: space: {path}: label {domain.label!r} is defined under {defined[domain.label][:-1]}, "
                "and exists only where that is chosen; define it outside"
            )


def _all_domains(domains: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str, Domain]]:
    """The kind that each domain stands under, with a dot behind it, its path, and the domain."""
    for path, domain in domains.items():
        if isinstance(domain, Domain):
            yield prefix, f"{prefix}{path}", domain
        if isinstance(domain, Kinds):
            for kind, fields in domain.kinds.items():
                yield from _all_domains(dict(fields), f"{prefix}{path}.{kind}.")


def _check_arms(source: Path, file: StudyFile, base: dict[str, Any]) -> list[Recipe]:
    """The recipes of the arms."""
    for name in file.declared:
        if name not in INPUTS and not has_field(Recipe, name.split(".")):
            raise RecipeError(f"{source}: declared: {name!r} is no input of a run; {suggest(name, INPUTS)}")
    recipes = []
    for name, changes in file.variants.items():
        config = copy.deepcopy(base)
        change(config, changes, f"{source}: arms: {name}")
        recipes.append(validate(config, f"{source}: arms: {name}"))
    return recipes


def _check_metrics(source: Path, file: StudyFile, base: dict[str, Any], recipe: Recipe, task: Task) -> None:
    named = [("objectives", name) for name in file.objectives]
    if file.guard is not None:
        named.append(("guard.metric", file.guard.metric))
    if file.hold is not None:
        for metric in file.hold.budgets:
            named.append(("hold.budgets", metric))
            if metric in METRICS and not metric.startswith("cost/"):
                raise RecipeError(f"{source}: hold.budgets: only a cost can be held, and {metric!r} is none")
        for path in file.hold.paths:
            field_at(Recipe, base, path, f"{source}: hold.by")
    for where, name in named:
        try:
            known(name)
        except ValueError as error:
            raise RecipeError(f"{source}: {where}: {error}") from None
        if name == "val/bits_per_byte" and task.bits_per_byte("validation") is None:
            raise RecipeError(f"{source}: {where}: the task {task.kind!r} is no text and has no val/bits_per_byte")
        if reason := _never_measured(name, file, recipe, task):
            raise RecipeError(f"{source}: {where}: {reason}")
    watched = file.guard.metric if file.guard is not None else next(iter(file.objectives))
    if read_pruner(file.pruner).kind != NO_PRUNER and watched not in VALIDATED:
        raise RecipeError(
            f"{source}: pruner: no validation reports {watched}, so nothing would be pruned; expected an objective "
            f"or a guard among {', '.join(VALIDATED)}"
        )
    if read_pruner(file.pruner).kind != NO_PRUNER and len(file.objectives) > 1 and file.guard is None:
        raise RecipeError(
            f"{source}: pruner: Optuna cannot prune by several objectives; expected a guard: {{metric: val/loss}}"
        )


def _never_measured(name: str, file: StudyFile, recipe: Recipe, task: Task) -> str | None:
    """Why no trial can have a metric, where that is so."""
    evaluation = recipe.evaluation
    varied = {*file.space, *(path for arm in file.variants.values() for path in arm)}
    if name.startswith("test/"):
        return f"{name} is what mythos holdout measures, once, at the end; expected one of val/"
    if name.startswith("knockout/") and not evaluation.knockouts and "evaluation.knockouts" not in varied:
        return f"{name} is not measured, as evaluation.knockouts is false"
    if name.startswith("breadth/") and evaluation.breadth == 1 and "evaluation.breadth" not in varied:
        return f"{name} is not measured, as evaluation.breadth is 1"
    if name.startswith("ood/") and not any(path.startswith(("evaluation", "task")) for path in varied):
        if not evaluation.ood:
            return f"{name} is not measured, as evaluation.ood is false"
        if not task.size("ood"):
            return f"{name} is not measured, as the task {task.kind!r} is given no samples out of distribution"
    return None


def _constraint(
    source: Path, text: str, file: StudyFile, recipes: list[Recipe], task: Task, domains: dict[str, Domain]
) -> Constraint:
    """A constraint, read; the first of the recipes is the one that varies, the others are its arms."""
    try:
        constraint = parse(text)
        check_constraint(constraint, recipes, domains)
        for metric in constraint.metrics:
            if metric.removeprefix("cost/") in DECODING and not cost(recipes[0]).decodes:
                raise ValueError(f"{text!r}: the mask lets positions read later ones, so nothing is decoded")
            if reason := _never_measured(metric, file, recipes[0], task):
                raise ValueError(f"{text!r}: {reason}")
    except ValueError as error:
        raise RecipeError(f"{source}: constraints: {error}") from None
    return constraint

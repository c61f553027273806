"""From a recipe's name and overrides to a validated recipe.

Hydra composes the file and its config groups and parses the overrides. Their paths are held against the
schema before they are applied: Hydra's own message for a misspelt path teaches people to add the mistake. References
(``${model.width}``) are followed last, so that they see what was overridden.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mythos_blocks import BuildError, Module, Slot, build, load_plugins
from mythos_blocks.declaring.registry import load_imports, suggest
from mythos_blocks.declaring.types import MAX_LOOPS
from mythos_blocks.initial_state import drawn_states
from mythos_blocks.model.growth import Sides
from mythos_lab.imports import OPTION, are_withheld, say_imported
from mythos_lab.recipe.assembled import shapes_of, task_of
from mythos_lab.recipe.base_sizes import with_base_sizes
from mythos_lab.recipe.code import hold_recorded, imported_code
from mythos_lab.recipe.defaults import choices_for, chosen_for, with_defaults
from mythos_lab.recipe.documents import read_mapping, to_yaml
from mythos_lab.recipe.errors import RecipeError, from_build, from_validation
from mythos_lab.recipe.files import find
from mythos_lab.recipe.interpolation import escaped, resolved
from mythos_lab.recipe.limits import MAX_APPLIED, check_batches, too_large
from mythos_lab.recipe.losses import Losses
from mythos_lab.recipe.overrides import split
from mythos_lab.recipe.parameters import Parameters
from mythos_lab.recipe.paths import set_path
from mythos_lab.recipe.rounding import check_rounding
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.stores import check_tracker, uris_in
from mythos_lab.recipe.urls import recorded
from mythos_lab.tasks.base import Task


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Compose, validate and meta-build a recipe.

    Args:
        name: Name of one of our recipes, or the path of a YAML file.
        overrides: ``path=value`` in Hydra's grammar; ``group=choice`` for a config group.

    Raises:
        RecipeError: Anything that is wrong with it, one line a mistake.
    """
    load_plugins()
    path = find("recipes", name)
    recipe = validate(compose(path, overrides), path)
    check_tracker(recipe.tracking.uri, uris_in(split(overrides)[1]), [path.absolute().parent], path)
    return recipe


def load_task(kind: str, overrides: Sequence[str] = ()) -> Task:
    """One task by its kind and ``field=value`` overrides, without a recipe around it.

    Raises:
        RecipeError: Anything that is wrong with it, one line a mistake.
    """
    load_plugins()
    config: dict[str, Any] = {"task": {"kind": kind}}
    for key, value in split(overrides)[1]:
        set_path(Recipe, config, f"task.{key}", value, source="override")
    try:
        return build(Slot("task").resolve(config["task"]))
    except ValidationError as error:
        raise from_validation(f"task {kind}", error) from None
    except ValueError as error:
        raise RecipeError(f"task {kind}: {error}") from None


def compose(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The composed mapping, before references are followed and before validation.

    Modules under ``imports`` are loaded, so that paths of what they register can be overridden; they are found where
    Python finds modules, beside the file, or in the working directory.
    """
    _check_top_level(path)
    choices = choices_for(path)
    groups, values = split(overrides, choices)
    for key, value in values:
        if key in choices and key not in Recipe.model_fields:
            raise RecipeError(f"override {key}={value}: no such choice; {suggest(str(value), choices[key])}")
    config = with_defaults(path, chosen_for(path, groups))
    for key, value in values:
        if key == "imports":
            set_path(Recipe, config, key, value, source="override")
    _refuse_first(config, values, path)
    _import(config, path, path.absolute().parent)
    with _saying_what_is_missing(config, path):
        for key, value in values:
            set_path(Recipe, config, key, value, source="override")
    return config


def declare(config: Mapping[str, Any], source: str | Path) -> Recipe:
    """The recipe of a composed mapping, held against the schema alone: nothing is built.

    Raises:
        RecipeError: Anything that is wrong with it, one line a mistake.
    """
    try:
        return Recipe.model_validate(with_base_sizes(config, str(source)))
    except ValidationError as error:
        raise from_validation(source, error) from None


def validate(config: Mapping[str, Any], source: str | Path, recorded_code: Mapping[str, str] | None = None) -> Recipe:
    """The recipe of a composed mapping; its model and task are built once, on the meta device.

    Args:
        config: The mapping.
        source: Where it is from, for errors.
        recorded_code: Hashes of the modules that may be imported, by name, where the recipe is a record of a run: whose
            folder it is need not be who reads it. ``None`` imports what the recipe names.
    """
    recipe = declare_recorded(config, source, recorded_code)
    try:
        build_on_meta(recipe)
    except BuildError as error:
        raise from_build(source, recipe, error) from None
    except ValueError as error:
        raise RecipeError(f"{source}: {error}") from None
    return recipe


def declare_recorded(
    config: Mapping[str, Any], source: str | Path, recorded_code: Mapping[str, str] | None = None
) -> Recipe:
    """As :func:`validate`, but nothing is built: the data of the task need not be there."""
    _import(config, source, recorded_code=recorded_code)
    with _saying_what_is_missing(config, source):
        return declare(config, source)


def written(recipe: Recipe) -> str:
    """A recipe as YAML, all that is recorded of it, which :func:`validate` reads back as the same."""
    return to_yaml(escaped(as_recorded(recipe)))


def as_recorded(recipe: Recipe) -> dict[str, Any]:
    """A recipe's plain values as they are written down and sent: URLs without login, the environment by its names."""
    return dict(recorded(recipe.model_dump(mode="json")))


def build_on_meta(recipe: Recipe) -> tuple[Any, Any]:
    """The model on the meta device, and the task; ``ValueError`` where they do not fit each other, or no machine."""
    try:
        return shapes_of(recipe, _shapes), task_of(recipe)
    except (MemoryError, RuntimeError, TypeError) as error:
        if (said := too_large(error)) is None:
            raise
        raise ValueError(f"sizes that no machine can hold ({said})") from None


def _shapes(recipe: Recipe) -> Any:
    import torch

    task = task_of(recipe)
    check_batches(recipe, task)
    if recipe.mask == "task" and not task.has_mask:
        raise ValueError(f"mask: 'task', but the task {task.kind!r} gives no mask; one of: causal, full")
    if recipe.mask == "full" and task.causal:
        raise ValueError(f"mask: 'full', but the targets of the task {task.kind!r} need 'causal'")
    if recipe.mask == "causal" and task.bidirectional:
        raise ValueError(f"mask: 'causal', but the answers of the task {task.kind!r} need later positions; use 'full'")
    if recipe.mask != "task" and task.has_mask:
        raise ValueError(f"mask: {recipe.mask!r}, but the task {task.kind!r} has a mask of its own; use 'task'")
    optimizer = build(recipe.training.optimizer, [one := torch.zeros(1, 1, requires_grad=True)])
    build(recipe.training.schedule, recipe.training.max_steps)
    with torch.device("meta"):
        model = recipe.model_spec().build(task.vocab_size)
    Parameters(model).factors(recipe.training.groups)
    if model.growth.sides:
        optimizer.rate_by_width(one, Sides())
    model.set_checkpointing(recipe.training.checkpointing)
    check_rounding(recipe.training.rounding, model.core)
    _check_loops(recipe, model)
    _check_breadth(recipe, model)
    _check_prefix(model, task)
    losses = Losses.of(recipe)
    losses.check(model)
    if recipe.training.compile:
        _check_compiled(model, losses)
    _check_sequences(recipe, model, task)
    for other in losses.models():
        try:
            _check_sequences(recipe, other, task)
        except BuildError as error:
            raise ValueError(f"training.penalties: the other model that they read with: {error}") from None
    return model


def _check_compiled(model: Any, losses: Losses) -> None:
    """Refuse gradients that compiled layers do not have, with ``ValueError``."""
    if (gradient := model.core.gradient).needs_last_state:
        raise ValueError(
            f"training.compile: core.gradient {gradient.kind!r} goes back through one graph several times, and a "
            "compiled one writes over what it has read; set training.compile=false"
        )
    for penalty in losses.penalties:
        if penalty.differentiates_again:
            raise ValueError(
                f"training.compile: penalty {penalty.kind!r} differentiates a gradient, and compiled layers have no "
                "second derivative; set training.compile=false"
            )


def _check_prefix(model: Any, task: Task) -> None:
    """Refuse a prefix that would stand in the place of a sample's tokens, with ``BuildError``."""
    prefix = getattr(model, "prefix", None)
    if prefix is not None and prefix.num_positions > task.prefix_positions:
        raise BuildError(
            f"a prefix takes the first {prefix.num_positions} positions of every sample, and the task {task.kind!r} "
            f"leaves {task.prefix_positions}; use 'none', or a task of your own with prefix_positions",
            prefix.spec,
        )


def _check_loops(recipe: Recipe, model: Any) -> None:
    """Refuse a depth curve that ends beyond a table which does not say what is there, with ``ValueError``."""
    core, factor = model.core, recipe.evaluation.depth_factor
    depth = sum(1 for module in core.modules() if isinstance(module, Module) and module.slot == "layer")
    if depth * core.loops.max_loops > MAX_APPLIED:
        raise ValueError(
            f"model.core: {depth:,} layers and up to {core.loops.max_loops:,} loops apply more than the "
            f"{MAX_APPLIED:,} layers that a pass may have"
        )
    if core.loops.eval_loops * factor > 4 * MAX_LOOPS:
        raise ValueError(
            f"evaluation.depth_factor={factor} runs {core.loops.eval_loops * factor:,} loops; at most {4 * MAX_LOOPS:,}"
        )
    if core.last_index is None:
        return
    rows, loops = core.last_index + 1, core.loops.eval_loops
    if loops * factor > rows:
        most = f", or evaluation.depth_factor={rows // loops}" if rows >= loops else ""
        raise ValueError(
            f"evaluation.depth_factor={factor} runs {loops * factor} loops, and a table of the core has {rows} rows "
            f"and beyond: 'error'; use another beyond{most}"
        )


def _check_breadth(recipe: Recipe, model: Any) -> None:
    """Refuse several starts of a model that has one only, with ``ValueError``."""
    if recipe.evaluation.breadth > 1:
        try:
            drawn_states(model)
        except ValueError as error:
            raise ValueError(f"evaluation.breadth={recipe.evaluation.breadth}: {error}") from None


def _check_sequences(recipe: Recipe, model: Any, task: Task) -> None:
    """Refuse a model of which a component cannot read the task's samples, with ``BuildError``."""
    full = recipe.mask == "full"
    splits = [(task.positions, task.pads, False)]
    if recipe.evaluation.ood and task.size("ood"):
        splits.append((task.ood_positions or task.positions, task.ood_pads, True))
    for positions, pads, beyond in splits:
        for module in model.modules():
            if not isinstance(module, Module):
                continue
            try:
                module.check_sequences(positions, reads_all=full and not pads)
            except ValueError as error:
                said = f"evaluation.ood: the model cannot read samples of {positions} positions ({error})"
                said = f"{said}; set task.ood_range=0 or evaluation.ood=false" if beyond else str(error)
                raise BuildError(said, module.spec) from None


def _import(
    config: Mapping[str, Any],
    source: str | Path,
    beside: Path | None = None,
    recorded_code: Mapping[str, str] | None = None,
) -> None:
    modules = config.get("imports") or []
    if not isinstance(modules, list) or not all(isinstance(m, str) for m in modules):
        return  # validation names it
    if not (new := missing_modules(config)) or are_withheld():
        return
    folders = [*([beside] if beside is not None else []), Path.cwd()]
    try:
        if recorded_code is not None:
            hold_recorded(new, recorded_code, folders)
        load_imports(new, folders)
        imported_code(modules)  # as it is now that it was imported
    except ValueError as error:
        raise RecipeError(f"{source}: imports: {error}") from None
    for module in new:
        say_imported(module)


def missing_modules(config: Mapping[str, Any]) -> list[str]:
    """The modules under a recipe's ``imports`` that this process has not imported."""
    modules = config.get("imports")
    return [m for m in modules if isinstance(m, str) and m not in sys.modules] if isinstance(modules, list) else []


@contextmanager
def _saying_what_is_missing(config: Mapping[str, Any], source: str | Path) -> Iterator[None]:
    """Where nothing is imported, a mistake may be one only because of that."""
    try:
        yield
    except RecipeError as error:
        if not are_withheld() or not (missing := missing_modules(config)):
            raise
        said = (
            f"{source}: imports: not imported ({OPTION}), so that what they register is unknown: {', '.join(missing)}"
        )
        raise RecipeError(*error.lines, said) from None


def _refuse_first(config: Mapping[str, Any], values: Sequence[tuple[str, Any]], path: Path) -> None:
    """Refuse a recipe with a mistake that no import would mend, before any is imported.

    Fields of components that are not known yet are left for later, and so are references and overrides that lead there.
    """
    if not missing_modules(config):
        return
    tried = copy.deepcopy(dict(config))
    try:
        for key, value in values:
            set_path(Recipe, tried, key, value, source="override")
        Recipe.model_validate(resolved(Recipe, tried, str(path)))
    except ValidationError as error:
        if (mistakes := from_validation(path, error, but="unknown_kind")).lines:
            raise mistakes from None
    except RecipeError:
        return


def _check_top_level(path: Path) -> None:
    content = read_mapping(path, "recipe")
    known = [*Recipe.model_fields, "defaults"]
    unknown = [f"{path}: {key}: unknown field; {suggest(key, known)}" for key in content if key not in known]
    if unknown:
        raise RecipeError(*unknown)

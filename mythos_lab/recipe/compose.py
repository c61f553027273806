"""From a recipe's name and overrides to a validated recipe.

Hydra composes the file and its config groups and parses the overrides. Their paths are held against the
schema before they are applied: Hydra's own message for a misspelt path teaches people to add the mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mythos_blocks import BuildError, Module, Slot, build, load_plugins
from mythos_blocks.declaring.registry import load_imports, suggest
from mythos_lab.recipe.code import imported_code
from mythos_lab.recipe.errors import RecipeError, from_build, from_validation
from mythos_lab.recipe.files import data_dir, find, read_mapping
from mythos_lab.recipe.losses import Losses
from mythos_lab.recipe.paths import set_path
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.shared_task import task_of
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
    return validate(compose(path, overrides), path)


def load_task(kind: str, overrides: Sequence[str] = ()) -> Task:
    """One task by its kind and ``field=value`` overrides, without a recipe around it.

    Raises:
        RecipeError: Anything that is wrong with it, one line a mistake.
    """
    load_plugins()
    config: dict[str, Any] = {"task": {"kind": kind}}
    for key, value in _split(overrides)[1]:
        set_path(Recipe, config, f"task.{key}", value, source="override")
    try:
        return build(Slot("task").resolve(config["task"]))
    except ValidationError as error:
        raise from_validation(f"task {kind}", error) from None
    except ValueError as error:
        raise RecipeError(f"task {kind}: {error}") from None


def compose(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The composed mapping, before validation."""
    groups, values = _split(overrides)
    config = _hydra(path, groups)
    _import(config, path)
    for key, value in values:
        set_path(Recipe, config, key, value, source="override")
    return config


def validate(config: dict[str, Any], source: str | Path) -> Recipe:
    """The recipe of a composed mapping; its model and task are built once, on the meta device."""
    _import(config, source)
    try:
        recipe = Recipe.model_validate(config)
    except ValidationError as error:
        raise from_validation(source, error) from None
    try:
        build_on_meta(recipe)
    except BuildError as error:
        raise from_build(source, recipe, error) from None
    except ValueError as error:
        raise RecipeError(f"{source}: {error}") from None
    return recipe


def build_on_meta(recipe: Recipe) -> tuple[Any, Any]:
    """The model on the meta device, and the task; ``ValueError`` where they do not fit each other."""
    import torch

    task = task_of(recipe)
    if recipe.mask == "task" and not task.has_mask:
        raise ValueError(f"mask: 'task', but the task {task.kind!r} gives no mask; one of: causal, full")
    if recipe.mask == "full" and task.causal:
        raise ValueError(f"mask: 'full', but the targets of the task {task.kind!r} need 'causal'")
    if recipe.mask == "causal" and task.bidirectional:
        raise ValueError(f"mask: 'causal', but the answers of the task {task.kind!r} need later positions; use 'full'")
    if recipe.mask != "task" and task.has_mask:
        raise ValueError(f"mask: {recipe.mask!r}, but the task {task.kind!r} has a mask of its own; use 'task'")
    build(recipe.training.optimizer, [torch.zeros(1, 1, requires_grad=True)])
    build(recipe.training.schedule, recipe.training.max_steps)
    with torch.device("meta"):
        model = recipe.model_spec().build(task.vocab_size)
    _check_loops(recipe, model)
    losses = Losses.of(recipe)
    losses.check(model)
    _check_sequences(recipe, model, task)
    for other in losses.models():
        try:
            _check_sequences(recipe, other, task)
        except BuildError as error:
            raise ValueError(f"training.penalties: the other model that they read with: {error}") from None
    return model, task


def _check_loops(recipe: Recipe, model: Any) -> None:
    """Refuse a depth curve that ends beyond a table which does not say what is there, with ``ValueError``."""
    core, factor = model.core, recipe.evaluation.depth_factor
    if core.last_index is None:
        return
    rows, loops = core.last_index + 1, core.loops.eval_loops
    if loops * factor > rows:
        most = f", or evaluation.depth_factor={rows // loops}" if rows >= loops else ""
        raise ValueError(
            f"evaluation.depth_factor={factor} runs {loops * factor} loops, and a table of the core has {rows} rows "
            f"and beyond: 'error'; use another beyond{most}"
        )


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


def _import(config: dict[str, Any], source: str | Path) -> None:
    modules = config.get("imports") or []
    if not isinstance(modules, list) or not all(isinstance(m, str) for m in modules):
        return  # validation names it
    try:
        load_imports(modules)
        imported_code(modules)  # as it is now that it was imported
    except ValueError as error:
        raise RecipeError(f"{source}: imports: {error}") from None


def _groups() -> dict[str, list[str]]:
    return {d.name: sorted(p.stem for p in d.glob("*.yaml")) for d in data_dir("recipes").iterdir() if d.is_dir()}


def _split(overrides: Sequence[str]) -> tuple[list[str], list[tuple[str, Any]]]:
    """Choices of config groups, and values for paths."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    parser = OverridesParser.create()
    groups, values = [], []
    for text in overrides:
        if text[:1] in ("+", "~"):
            raise RecipeError(
                f"override {text!r}: '{text[0]}' adds or deletes fields, and the schema fixes them; write path=value"
            )
        try:
            override = parser.parse_override(text)
        except HydraException as error:
            raise RecipeError(
                f"override {text!r}: expected path=value ({' '.join(str(error).split())[:120]})"
            ) from None
        if override.is_sweep_override():
            raise RecipeError(f"override {text!r}: a sweep; one run takes one value, a search space takes many")
        known = _groups()
        value = override.value()
        if override.key_or_group in known and isinstance(value, str):
            if value in known[override.key_or_group]:
                groups.append(text)
                continue
        plain = OmegaConf.to_container(OmegaConf.create({"value": value}), resolve=True)
        assert isinstance(plain, dict)
        values.append((override.key_or_group, plain["value"]))
    return groups, values


def _hydra(path: Path, groups: list[str]) -> dict[str, Any]:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    _check_top_level(path)
    search = f"hydra.searchpath=[file://{data_dir('recipes')}]"
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(path.resolve().parent)):
            config = hydra_compose(config_name=path.name, overrides=[search, *groups])
            container = OmegaConf.to_container(config, resolve=True)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise RecipeError(f"{path}: {' '.join(str(error).split())[:300]}") from None
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _check_top_level(path: Path) -> None:
    content = read_mapping(path, "recipe")
    known = [*Recipe.model_fields, "defaults"]
    unknown = [f"{path}: {key}: unknown field; {suggest(str(key), known)}" for key in content if key not in known]
    if unknown:
        raise RecipeError(*unknown)

"""Everything that went into a run and could explain a difference in what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from mythos_blocks import build, load_plugins
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.assembled import task_of
from mythos_lab.recipe.differences import differences
from mythos_lab.training.assembly import assemble
from mythos_lab.training.held import changed_since
from mythos_lab.training.other_devices import DEVICES, with_fields
from mythos_lab.training.result import DATA, ENVIRONMENT, RESUMED, key_of, read_recipe, read_result, read_values
from mythos_lab.training.start import START, STEPS

TOLERANCE = 0.01
"""Budgets within one per cent of each other are equal."""

_DECIDING = ("torch", "triton", "lightning", "mythos-kernels", "mythos-blocks", "mythos-lab")
"""Packages that compute numbers."""

_NAMED = (
    "model",
    "mask",
    "task",
    *(f"training.{name}" for name in ("max_steps", "batch_size", "optimizer", "schedule", "gradient_clip")),
    *(f"training.{name}" for name in ("objective", "penalties", "precision", "strategy", "num_devices", "accelerator")),
    "training.start",
)
"""Fields of a recipe that are compared by what they come to, under names of their own; all others by their path."""


@dataclass(frozen=True)
class Arm:
    """One or more finished runs of a recipe that differ in their seed.

    Attributes:
        folders: The runs' folders, by seed.
        recipe: The recipe of the first.
        metrics: Each run's last metrics, by seed.
        inputs: What went into each run, by seed and name.
        changed: How the data or the code that a run was trained with are others by now, by seed; only of such runs.
    """

    folders: dict[int, Path]
    recipe: Recipe
    metrics: dict[int, dict[str, float]]
    inputs: dict[int, dict[str, Any]]
    changed: dict[int, str]


_COSTS = {
    "cost/params": "parameters",
    "cost/training_flops": "training FLOPs",
    "cost/inference_flops_per_token": "inference FLOPs per token",
}


def read_arm(folders: list[Path]) -> Arm:
    """Read finished runs.

    Raises:
        RecipeError: A folder holds no finished run, two have the same seed, or they differ in more than the seed.
    """
    load_plugins()
    by_seed: dict[int, Path] = {}
    recipes: dict[int, Recipe] = {}
    metrics: dict[int, dict[str, float]] = {}
    for folder in folders:
        recipe, written = read_recipe(folder), read_result(folder)
        if written["status"] != "finished":
            raise RecipeError(f"{folder}: the run is {written['status']}; only finished ones can be compared")
        if lacking := [name for name in _COSTS if name not in written["metrics"]]:
            raise RecipeError(f"{folder}: its result.json has no {lacking[0]}, by which runs are compared")
        if recipe.seed in by_seed:
            raise RecipeError(f"{folder}: has seed {recipe.seed}, as {by_seed[recipe.seed]} has")
        by_seed[recipe.seed], recipes[recipe.seed], metrics[recipe.seed] = folder, recipe, written["metrics"]
    first = recipes[min(recipes)]
    for seed, recipe in recipes.items():
        changed = [path for path, _, _ in differences(content_of(first), content_of(recipe))]
        if changed:
            raise RecipeError(
                f"{by_seed[seed]}: differs from {by_seed[first.seed]} in {', '.join(changed)}, not the seed"
            )
    changed_by_now = {
        seed: found[1]
        for seed, folder in by_seed.items()
        if (found := changed_since(folder, recipes[seed], task_of(recipes[seed]), key_of(folder)))
    }
    inputs = {
        seed: _inputs(recipes[seed], metrics[seed], read_values(folder, DATA), read_values(folder, ENVIRONMENT))
        for seed, folder in by_seed.items()
    }
    return Arm(by_seed, first, metrics, inputs, changed_by_now)


def unequal(a: Arm, b: Arm) -> dict[str, tuple[Any, Any]]:
    """The inputs in which two arms differ, by name; fields of the recipe by their path.

    Runs of the same seed are held against each other: what differs in one pair differs.
    """
    found: dict[str, tuple[Any, Any]] = {}
    for seed in sorted(set(a.inputs) & set(b.inputs)):
        one, other = a.inputs[seed], b.inputs[seed]
        for name in one:
            if not _same(one[name], other[name]):
                found.setdefault(name, (one[name], other[name]))
    if sorted(a.folders) != sorted(b.folders):
        found["seeds"] = sorted(a.folders), sorted(b.folders)
    one, other = (arm.recipe.model_spec().model_dump(mode="json") for arm in (a, b))
    found |= {f"model.{path}": (x, y) for path, x, y in differences(one, other)}
    found |= {
        path: (x, y)
        for path, x, y in differences(content_of(a.recipe), content_of(b.recipe))
        if not any(path == named or path.startswith(f"{named}.") for named in _NAMED)
    }
    shared = _initial_weights(a.recipe, b.recipe)
    if shared is not None:
        found["initial weights"] = shared
    return found


def _inputs(
    recipe: Recipe, metrics: Mapping[str, float], data: Mapping[str, str], where: Mapping[str, Any]
) -> dict[str, Any]:
    training = recipe.training
    schedule = build(training.schedule, training.max_steps)
    optimizer = dict(training.optimizer)  # type: ignore[arg-type]
    steps = range(0, training.max_steps + 1, max(1, training.max_steps // 100))
    rates = [round(optimizer["lr"] * schedule.share(step), 12) for step in steps]
    return {
        **{shown: metrics[name] for name, shown in _COSTS.items()},
        "steps": training.max_steps,
        "batch size": [len(training.samples(step)) for step in steps] if training.batch_warmup else training.batch_size,
        "tokens seen": training.num_samples * task_of(recipe).positions,
        "learning rate curve": rates,
        "optimizer": {name: value for name, value in optimizer.items() if name != "lr"},
        "gradient clip": training.gradient_clip,
        "objective": [_dumped(training.objective), *map(_dumped, training.penalties)],
        "attention mask": recipe.mask,
        "precision": training.precision,
        "number of devices": _in_turn(recipe, where, "num_devices"),
        "strategy": _in_turn(recipe, where, "shared_by"),
        "data order": data.get("order"),
        "start": _start(data),
        **surroundings(data, where),
    }


def surroundings(data: Mapping[str, str], where: Mapping[str, Any]) -> dict[str, Any]:
    """What a run met that its recipe does not say.

    Args:
        data: Its ``data.json``.
        where: Its ``environment.json``.
    """
    return {
        "data": data.get("fingerprint"),
        "tokenizer": data.get("tokenizer_sha256", ""),
        "device": where.get("device"),
        "kernel path": {"state update": where.get("kernels"), "attention": where.get("attention")},
        "versions": {name: where.get("packages", {}).get(name) for name in _DECIDING},
        "source": where.get("source"),
        "imported code": where.get("code", {}),
        "git commit": " with changes ".join(filter(None, (where.get("git_commit"), where.get("git_changes")))),
        "resumed elsewhere": _elsewhere(where),
    }


def _start(data: Mapping[str, str]) -> str:
    """What a run began with: its seed's weights, those of another run, or all that another was at a step."""
    if START not in data:
        return "the seed's weights"
    return f"all of {data[START]} at step {data[STEPS]}" if STEPS in data else f"the weights {data[START]}"


def _in_turn(recipe: Recipe, where: Mapping[str, Any], field: str) -> Any:
    """A field of the devices: its value, or, where the run went on with others, all its values, one after the other."""
    places = [where, *where.get(RESUMED, [])]
    trainings = [with_fields(recipe, place.get(DEVICES, {})).training for place in places]
    values = [value for value, _ in groupby(getattr(training, field) for training in trainings)]
    return values[0] if len(values) == 1 else values


def _elsewhere(where: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The machines in which a run went on that were others than the one before; other devices there are named apart."""
    first = {name: value for name, value in where.items() if name != RESUMED}
    places = [{n: v for n, v in place.items() if n != DEVICES} for place in (first, *where.get(RESUMED, []))]
    return [place for before, place in pairwise(places) if place != before]


def _same(x: Any, y: Any) -> bool:
    if isinstance(x, float) and isinstance(y, float):
        return abs(x - y) <= TOLERANCE * max(abs(x), abs(y))
    return bool(x == y)


def _initial_weights(a: Recipe, b: Recipe) -> tuple[str, str] | None:
    """Parameters that both models have by name and shape, and do not begin with the same values; ``None`` if all do."""
    if a.training.start or b.training.start:
        return None  # told by what they start with
    one, other = (dict(assemble(recipe)[0].named_parameters()) for recipe in (a, b))
    shared = [name for name in one if name in other and one[name].shape == other[name].shape]
    unlike = [name for name in shared if not bool((one[name] == other[name]).all())]
    if not unlike:
        return None
    said = f"{len(unlike)} of {len(shared)} shared parameters begin otherwise"
    return f"{said} ({unlike[0]})", ""


def content_of(recipe: Recipe) -> dict[str, Any]:
    """What decides a run's numbers, but for the seed."""
    return recipe.model_dump(mode="json", exclude={"name", "description", "seed", "tracking"})


def _dumped(spec: Any) -> Any:
    return spec.model_dump(mode="json")

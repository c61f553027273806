"""From a protocol to the study that works it off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mythos_lab.comparison.reproduce.protocol import Protocol, ProtocolArm, overrides_at
from mythos_lab.comparison.study_file import study_file
from mythos_lab.recipe import Recipe, RecipeError, load_recipe
from mythos_lab.recipe.assembled import assembled_once
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.paths import get_path, set_path
from mythos_lab.search.budgets.hold import Vetoed, held

_WHOLE = ("model", "task", "mask")
_FIELD_BY_FIELD = ("training", "evaluation", "stability")


@assembled_once()
def plan(
    protocol: Protocol, size: str = "tiny", *, seeds: int | None = None, name: str | None = None
) -> dict[str, Any]:
    """The study file of a protocol.

    Args:
        protocol: The protocol.
        size: ``tiny``, or another that it has.
        seeds: Paired seeds instead of the protocol's.
        name: The study's name; ``reproduce-NAME`` without, and the size where it is another than tiny.

    Raises:
        RecipeError: An arm is no valid recipe, or no size of it comes to its budgets.
    """
    overrides = overrides_at(protocol, size)
    base = load_recipe(protocol.recipe, overrides)
    arms: dict[str, dict[str, Any]] = {}
    first: Recipe | None = None
    for arm_name, arm in protocol.arms.items():
        where = f"{protocol.name}: arms.{arm_name}"
        changes = {**dict(_of_another(base, arm, overrides)), **arm.set}
        recipe = _changed(base, changes, where)
        first = first or recipe
        if arm.hold is not None:
            solved = _held(recipe, first, arm, where)
            changes |= {path: get_path(solved, path) for path in arm.hold.paths}
        arms[arm_name] = changes
    ((metric, direction),) = protocol.objectives.items()
    return study_file(
        name or f"reproduce-{protocol.name}{'' if size == 'tiny' else f'-{size}'}",
        protocol.question,
        protocol.recipe,
        overrides,
        arms,
        metric=metric,
        is_maximised=direction == "maximize",
        seeds=protocol.seeds if seeds is None else seeds,
        matters=protocol.matters,
        declared=protocol.declared,
        hold=[],  # solved for above: an arm may be another recipe, with fields of its own to solve for
        vary=[],
    )


def _of_another(base: Recipe, arm: ProtocolArm, overrides: list[str]) -> Iterator[tuple[str, Any]]:
    """What to set in the recipe so that it is another one, name and tracking apart."""
    if arm.recipe is None:
        return
    ours = base.model_dump(mode="json")
    other = load_recipe(arm.recipe, [*overrides, *arm.overrides]).model_dump(mode="json")
    for field in _WHOLE:
        if other[field] != ours[field]:
            yield field, other[field]
    for field in _FIELD_BY_FIELD:
        for key, value in other[field].items():
            if value != ours[field][key]:
                yield f"{field}.{key}", value
    if waived := sorted({*ours["waive"], *other["waive"]} - set(ours["waive"])):
        yield "waive", [*ours["waive"], *waived]


def _changed(base: Recipe, changes: dict[str, Any], where: str) -> Recipe:
    config = base.model_dump(mode="json")
    for path, value in changes.items():
        set_path(Recipe, config, path, value, where)
    return validate(config, where)


def _held(recipe: Recipe, first: Recipe, arm: ProtocolArm, where: str) -> dict[str, Any]:
    assert arm.hold is not None
    try:
        return held(recipe.model_dump(mode="json"), arm.hold.resolved(first), where)
    except Vetoed as veto:
        raise RecipeError(f"{where}: hold: {veto}") from None

"""The file of a study that a verb declares: arms against the first, at equal budgets, over paired seeds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mythos_lab.comparison.match import BUDGETS, budget_named
from mythos_lab.recipe import RecipeError
from mythos_lab.recipe.documents import to_yaml
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.places import check_name
from mythos_lab.recipe.urls import recorded
from mythos_lab.search.identity import changes as changes_of
from mythos_lab.search.identity import meaning_of
from mythos_lab.search.spaces.space import Space, load_space
from mythos_lab.tracking.claim import claimed

RATE = "training.optimizer.lr"
_PATIENCE_SECONDS = 60.0  # for another process that writes the same file


def study_file(
    name: str,
    description: str,
    recipe_name: str,
    overrides: Sequence[str],
    arms: Mapping[str, Mapping[str, Any]],
    *,
    metric: str,
    is_maximised: bool,
    seeds: int,
    matters: float,
    declared: Sequence[str],
    hold: Sequence[str],
    vary: Sequence[str],
) -> dict[str, Any]:
    """What the file says.

    Args:
        name: The study's name.
        description: What is asked.
        recipe_name: The recipe, as the user named it.
        overrides: What every arm gets.
        arms: What each sets, by name; the others are held against the first.
        metric: What is compared.
        is_maximised: Whether more of it is better.
        seeds: Paired seeds.
        matters: The smallest difference in it that matters.
        declared: Inputs that may differ besides what the arms set.
        hold: Budgets that every arm gets, as much as the recipe has.
        vary: Whole-number fields that are solved for to hold them.

    Raises:
        RecipeError: There is no such budget.
    """
    file: dict[str, Any] = {
        "name": name,
        "description": description,
        "recipe": recipe_name,
        "overrides": recorded(list(overrides)),
        "arms": dict(arms),
        "objectives": {metric: "maximize" if is_maximised else "minimize"},
        "seeds": seeds,
        "matters": matters,
        "declared": list(declared),
    }
    if hold:
        file["hold"] = {"budgets": {BUDGETS[budget_named(each)]: "recipe" for each in hold}, "by": list(vary)}
    return file


def check_begun(file: Mapping[str, Any], folder: Path = Path("studies"), *, rates_to_come: bool = False) -> None:
    """Refuse a study whose name another one was begun under, before anything is written.

    Args:
        file: The study's file.
        folder: Where it would stand.
        rates_to_come: Whether each arm is to get a learning rate that is not known yet.

    Raises:
        RecipeError: Says what is other.
    """
    path = folder / f"{check_name(file['name'], '--name')}.yaml"
    if not (path.is_file() and path.with_suffix("").is_dir()):
        return
    begun, now = meaning_of(load_space(str(path))), meaning_of(_loaded(file, path))
    changed: list[str] = []
    if rates_to_come:
        changed += [
            f"arms: {arm} without a learning rate of its own" for arm, x in begun["arms"].items() if RATE not in x
        ]
        begun["arms"] = {arm: {k: v for k, v in leaves.items() if k != RATE} for arm, leaves in begun["arms"].items()}
    changed += changes_of(begun, now)
    if changed:
        raise RecipeError(
            f"{path}: was begun with other {'; '.join(changed[:3])}; give this study a --name of its own, or delete "
            f"{path} and {path.with_suffix('')}"
        )


def write(file: Mapping[str, Any], folder: Path = Path("studies")) -> Space:
    """Put the study's file on disk, where `mythos study` finds it too, and load it.

    Raises:
        RecipeError: It is no valid study, or one of that name was begun with another file; what stood there stays.
    """
    path = folder / f"{check_name(file['name'], '--name')}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    with claimed(path.with_suffix(".lock"), _PATIENCE_SECONDS):
        check_begun(file, folder)
        _loaded(file, path)
        write_whole(path, _text(file))
    return load_space(str(path))


def _loaded(file: Mapping[str, Any], path: Path) -> Space:
    """A study's file, loaded as it would be from its path, where another one may stand."""
    draft = path.with_name(f".{path.stem}-{os.getpid()}.yaml")
    write_whole(draft, _text(file))
    try:
        return load_space(str(draft))
    except RecipeError as error:
        raise RecipeError(*(line.replace(str(draft), str(path)) for line in error.lines)) from None
    finally:
        draft.unlink()


def _text(file: Mapping[str, Any]) -> str:
    return to_yaml(dict(file))

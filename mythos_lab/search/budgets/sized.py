"""Recipes that differ in a few whole-number fields, and what they cost."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, get_args

from mythos_lab.recipe.compose import build_on_meta, declare
from mythos_lab.recipe.cost import cost_metric, count
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.paths import field_at, set_path
from mythos_lab.recipe.schema import Recipe
from mythos_lab.search.budgets.solve import NoEffect, Sizes, Solution, solve

PARAMS = "cost/params"
_UNSET = 64  # where to begin with a field that is left to its component


class Sized:
    """A composed recipe of which some whole-number fields are open.

    Args:
        config: The composed mapping.
        paths: The open fields.
        source: Where a mistake is to be looked for.

    Raises:
        RecipeError: A path is no field, or none of whole numbers; or the recipe is wrong whatever stands there.
    """

    def __init__(self, config: Mapping[str, Any], paths: Sequence[str], source: str) -> None:
        self._paths, self._source = list(paths), source
        self._config = copy.deepcopy(dict(config))
        for path in self._paths:
            if not _is_whole(field_at(Recipe, self._config, path, source).annotation):
                raise RecipeError(f"{source}: {path}: not a whole number")
        declared = declare(self._config, source)
        values = [_value_at(declared, path) for path in self._paths]
        self.start: Sizes = tuple(_UNSET if value is None else max(1, value) for value in values)
        self._recipe = lru_cache(maxsize=None)(self._built)

    def solve(self, budgets: Mapping[str, float], tolerance: float) -> Solution | None:
        """The sizes at which the recipe costs nearest to these budgets, by metric.

        Raises:
            RecipeError: No size changes a budget that is missed, or a budget is not counted for such a recipe.
        """
        # Stored parameters are the quickest to count, and what needs no training step comes next.
        metrics = sorted(budgets, key=_expense)
        try:
            found = solve(
                lambda sizes, j: self.cost(sizes, metrics[j]), [budgets[m] for m in metrics], self.start, tolerance
            )
        except NoEffect as error:
            names = " and ".join(self._paths)
            raise RecipeError(f"{self._source}: {names}: does not change {metrics[error.budget]}") from None
        if found is None:
            return None
        order = [metrics.index(metric) for metric in budgets]
        return Solution(found.sizes, *(tuple(row[j] for j in order) for row in (found.values, found.misses)))

    def config(self, sizes: Sizes) -> dict[str, Any]:
        """The composed mapping with these sizes."""
        config = copy.deepcopy(self._config)
        for path, size in zip(self._paths, sizes, strict=True):
            set_path(Recipe, config, path, size, self._source)
        return config

    def cost(self, sizes: Sizes, metric: str) -> float | None:
        """What the recipe of these sizes costs; ``None`` where there is no such recipe, or it costs nothing."""
        built = self._recipe(sizes)
        if built is None:
            return None
        recipe, params = built
        return float(params) if metric == PARAMS else cost_metric(recipe, metric) or None

    def _built(self, sizes: Sizes) -> tuple[Recipe, int] | None:
        try:
            recipe = declare(self.config(sizes), self._source)
            return recipe, count(build_on_meta(recipe)[0])
        except ValueError:
            return None


def _is_whole(annotation: Any) -> bool:
    """Whether a field takes whole numbers, among other things or alone."""
    return annotation is int or any(_is_whole(part) for part in get_args(annotation))


def _value_at(declared: Any, path: str) -> int | None:
    for part in path.split("."):
        declared = getattr(declared, part)
    return declared if isinstance(declared, int) else None


def _expense(metric: str) -> int:
    order = (PARAMS, "cost/training_tokens", "cost/params_active")
    if metric in order:
        return order.index(metric)
    return 4 if metric in ("cost/training_flops", "cost/activation_bytes", "cost/peak_memory_bytes") else 3

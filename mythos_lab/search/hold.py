"""Equal budgets: solve for the one field that brings every candidate to the same cost."""

from __future__ import annotations

import copy
from typing import Any

from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.cost import cost, count
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.paths import set_path
from mythos_lab.recipe.schema import Recipe
from mythos_lab.search.space import Hold

_LARGEST = 2**16
_NEIGHBOURS = 8  # values on either side that are tried, since not every one builds (heads must divide widths)


class Vetoed(Exception):
    """A candidate that is not trained, and why."""


def held(config: dict[str, Any], hold: Hold, source: str) -> dict[str, Any]:
    """The candidate with ``hold.by`` set so that its cost is nearest to the budget.

    Raises:
        Vetoed: The nearest misses by more than the tolerance.
    """
    low, high = 1, 2
    while high < _LARGEST and (_cost_at(config, hold, high, source, nearby=True) or 0) < hold.value:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        value = _cost_at(config, hold, middle, source, nearby=True)
        low, high = (middle, high) if value is not None and value < hold.value else (low, middle)
    near = {
        n: value
        for n in range(max(1, high - _NEIGHBOURS), high + _NEIGHBOURS + 1)
        if (value := _cost_at(config, hold, n, source)) is not None
    }
    if not near:
        raise Vetoed(f"no legal {hold.by} near {high}")
    best = min(near, key=lambda n: abs(near[n] - hold.value))
    miss = near[best] / hold.value - 1
    if abs(miss) > hold.tolerance:
        raise Vetoed(f"{hold.metric} misses {hold.value:g} by {miss:+.1%} at the nearest {hold.by}={best}")
    return _with(config, hold.by, best, source)


def _cost_at(config: dict[str, Any], hold: Hold, n: int, source: str, nearby: bool = False) -> float | None:
    """The held cost at a value; with ``nearby``, of the next larger value that builds."""
    for candidate in range(n, n + _NEIGHBOURS if nearby else n + 1):
        try:
            recipe = validate(_with(config, hold.by, candidate, source), source)
        except RecipeError:
            continue
        if hold.metric == "cost/params":
            from mythos_lab.recipe.compose import build_on_meta

            return float(count(build_on_meta(recipe)[0]))
        return cost(recipe).metrics()[hold.metric]
    return None


def _with(config: dict[str, Any], path: str, value: int, source: str) -> dict[str, Any]:
    changed = copy.deepcopy(config)
    set_path(Recipe, changed, path, value, source)
    return changed

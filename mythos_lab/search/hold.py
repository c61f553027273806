"""Equal budgets: solve for the one field that brings every candidate to the same cost."""

from __future__ import annotations

import copy
from typing import Annotated, Any

from pydantic import Field

from mythos_blocks.spec import Declaration
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.cost import cost, count
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.paths import set_path
from mythos_lab.recipe.schema import Recipe

_LARGEST = 2**16
_NEIGHBOURS = 8  # values on either side that are tried, since not every one builds (heads must divide widths)


class Hold(Declaration):
    """Budgets that every candidate gets, by solving for whole-number fields."""

    budgets: dict[str, Annotated[float, Field(gt=0)]] = Field(
        min_length=1, description="Costs that are held, by metric (cost/params, ...), and their values."
    )
    by: str | list[str] = Field(
        min_length=1, description="The whole-number field that is solved for, or several; costs must grow with them."
    )
    tolerance: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.01, description="Largest share by which a candidate may miss any of the budgets."
    )

    @property
    def paths(self) -> list[str]:
        """``by`` as a list."""
        return [self.by] if isinstance(self.by, str) else self.by


class Vetoed(Exception):
    """A candidate that is not trained, and why."""


def held(config: dict[str, Any], hold: Hold, source: str) -> dict[str, Any]:
    """The candidate with ``hold.by`` set so that its cost is nearest to the budget.

    Raises:
        Vetoed: The nearest misses by more than the tolerance.
    """
    if len(hold.budgets) > 1 or len(hold.paths) > 1:
        raise RecipeError(f"{source}: hold: one budget and one field")
    [(metric, budget)], [path] = hold.budgets.items(), hold.paths
    low, high = 1, 2
    while high < _LARGEST and (_cost_at(config, hold, high, source, nearby=True) or 0) < budget:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        value = _cost_at(config, hold, middle, source, nearby=True)
        low, high = (middle, high) if value is not None and value < budget else (low, middle)
    near = {
        n: value
        for n in range(max(1, high - _NEIGHBOURS), high + _NEIGHBOURS + 1)
        if (value := _cost_at(config, hold, n, source)) is not None
    }
    if not near:
        raise Vetoed(f"no legal {path} near {high}")
    best = min(near, key=lambda n: abs(near[n] - budget))
    miss = near[best] / budget - 1
    if abs(miss) > hold.tolerance:
        raise Vetoed(f"{metric} misses {budget:g} by {miss:+.1%} at the nearest {path}={best}")
    return _with(config, path, best, source)


def _cost_at(config: dict[str, Any], hold: Hold, n: int, source: str, nearby: bool = False) -> float | None:
    """The held cost at a value; with ``nearby``, of the next larger value that builds."""
    [metric], [path] = hold.budgets, hold.paths
    for candidate in range(n, n + _NEIGHBOURS if nearby else n + 1):
        try:
            recipe = validate(_with(config, path, candidate, source), source)
        except RecipeError:
            continue
        if metric == "cost/params":
            from mythos_lab.recipe.compose import build_on_meta

            return float(count(build_on_meta(recipe)[0]))
        return cost(recipe).metrics()[metric]
    return None


def _with(config: dict[str, Any], path: str, value: int, source: str) -> dict[str, Any]:
    changed = copy.deepcopy(config)
    set_path(Recipe, changed, path, value, source)
    return changed

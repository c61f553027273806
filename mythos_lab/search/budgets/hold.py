"""Equal budgets: solve for the fields that bring every candidate to the same costs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mythos_blocks.declaring.spec import Declaration
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.cost import cost_metric
from mythos_lab.search.budgets.sized import Sized


class Hold(Declaration):
    """Budgets that every candidate gets, by solving for whole-number fields."""

    budgets: dict[str, Annotated[float, Field(gt=0)] | Literal["recipe"]] = Field(
        min_length=1,
        description="Costs that are held, by metric (cost/params, ...): a number each, or recipe, for what it costs.",
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

    def resolved(self, recipe: Recipe) -> Hold:
        """The same with a number for every budget.

        Args:
            recipe: The one that varies.

        Raises:
            RecipeError: It has none of what is to be held.
        """
        budgets = {
            name: cost_metric(recipe, name) if value == "recipe" else value for name, value in self.budgets.items()
        }
        for name, value in budgets.items():
            if not value:
                raise RecipeError(f"{name}: {recipe.name} has none to hold")
        return self.model_copy(update={"budgets": budgets})


class Vetoed(Exception):
    """A candidate that is not trained, and why."""


def held(config: dict[str, Any], hold: Hold, source: str) -> dict[str, Any]:
    """The candidate with the fields of ``hold.by`` set so that its costs are nearest to the budgets.

    Args:
        config: The candidate, composed.
        hold: Budgets, :meth:`~Hold.resolved`.
        source: Where a mistake is to be looked for.

    Raises:
        RecipeError: A path is no whole-number field, no size changes a budget that is missed, or a budget is not
            counted for such a recipe.
        Vetoed: The nearest misses by more than the tolerance.
    """
    sized = Sized(config, hold.paths, f"{source}: hold.by")
    budgets = {metric: float(value) for metric, value in hold.budgets.items()}
    found = sized.solve(budgets, hold.tolerance)
    if found is None:
        raise Vetoed(f"no legal {' and '.join(hold.paths)} near {', '.join(map(str, sized.start))}")
    if found.mismatch > hold.tolerance:
        missed = ", ".join(
            f"{metric} misses {budget:g} by {miss:+.1%}"
            for (metric, budget), miss in zip(budgets.items(), found.misses, strict=True)
        )
        sizes = ", ".join(f"{path}={size}" for path, size in zip(hold.paths, found.sizes, strict=True))
        raise Vetoed(f"{missed} at the nearest {sizes}")
    return sized.config(found.sizes)

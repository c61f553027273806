"""Equal budgets: solve for the fields that bring every candidate to the same costs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mythos_blocks.spec import Declaration
from mythos_lab.search.budgets.sized import Sized


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
    """The candidate with the fields of ``hold.by`` set so that its costs are nearest to the budgets.

    Raises:
        RecipeError: A path is no whole-number field, no size changes a budget that is missed, or a budget is not
            counted for such a recipe.
        Vetoed: The nearest misses by more than the tolerance.
    """
    sized = Sized(config, hold.paths, f"{source}: hold.by")
    found = sized.solve(hold.budgets, hold.tolerance)
    if found is None:
        raise Vetoed(f"no legal {' and '.join(hold.paths)} near {', '.join(map(str, sized.start))}")
    if found.mismatch > hold.tolerance:
        missed = ", ".join(
            f"{metric} misses {budget:g} by {miss:+.1%}"
            for (metric, budget), miss in zip(hold.budgets.items(), found.misses, strict=True)
        )
        sizes = ", ".join(f"{path}={size}" for path, size in zip(hold.paths, found.sizes, strict=True))
        raise Vetoed(f"{missed} at the nearest {sizes}")
    return sized.config(found.sizes)

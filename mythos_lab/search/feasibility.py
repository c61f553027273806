"""What is known of a candidate before anything trains, and whether it may train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mythos_lab.measures.monitor import rho_A
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.compose import build_on_meta, validate
from mythos_lab.recipe.cost import cost_metric
from mythos_lab.search.budgets.hold import Vetoed, held
from mythos_lab.search.measurable import lacking
from mythos_lab.search.spaces.expression import Constraint
from mythos_lab.search.spaces.names import known_values
from mythos_lab.search.spaces.space import Space
from mythos_lab.training.assembly import assemble

VALID = "valid recipe"
"""The constraint that a candidate builds, keeps its budgets, passes the effect check, and fits into memory."""

_RHO = "stability/rho_A"
_NOTHING_CARRIED = 0.0  # the rho of a loop without an injection that carries the state on: nothing to grow
_HALTING = ("halting/mean_loops", "halting/depth_read")


class Infeasible(Exception):
    """A candidate that is not trained.

    Attributes:
        constraints: By how much each constraint that was weighed is violated.
    """

    def __init__(self, reason: str, constraints: Mapping[str, float]) -> None:
        super().__init__(reason)
        self.constraints = dict(constraints)

    def __reduce__(self) -> Any:
        return type(self), (str(self), self.constraints)


def admit(space: Space, config: dict[str, Any], source: str, arm: str | None = None) -> tuple[Recipe, dict[str, float]]:
    """The recipe of a candidate that may train, and what its constraints came to.

    Constraints are weighed cheapest first: those on fields, on stored parameters, on other costs, on rho(A).

    Args:
        space: The study's space.
        config: The candidate, composed.
        source: Where a mistake is to be looked for.
        arm: Its arm, of declared ones.

    Raises:
        Infeasible: It may not train.
    """
    if (hold := space.hold_of(arm)) is not None:
        config = _or_veto(held, config, hold, source)
    recipe: Recipe = _or_veto(validate, config, source)
    model = build_on_meta(recipe)[0]
    if reason := lacking(recipe, space.file.objectives):
        raise Infeasible(reason, {VALID: 1.0})
    known: dict[str, float] = {VALID: 0.0}
    early = [c for c in space.constraints if all(map(_known_before, c.metrics))]
    for constraint in sorted(early, key=_expense):
        violation = _violation(constraint, recipe, model, {name: _metric(name, recipe) for name in constraint.metrics})
        if violation is None:
            continue
        known[constraint.text] = violation
        if violation > 0:
            raise Infeasible(f"{constraint.text} does not hold", known)
    return recipe, known


def afterwards(space: Space, recipe: Recipe, metrics: Mapping[str, float]) -> dict[str, float]:
    """What the constraints on trained models came to.

    A metric that the run does not have, or that is no number, violates its constraint. Where nothing halts, every
    position runs and reads what is executed.
    """
    found = {}
    everywhere = {name: metrics["loops/executed"] for name in _HALTING if "loops/executed" in metrics}
    metrics = {_RHO: _NOTHING_CARRIED, **everywhere, **metrics}
    for constraint in space.constraints:
        if all(_known_before(metric) for metric in constraint.metrics) and _RHO not in constraint.metrics:
            continue
        if any(metric not in metrics for metric in constraint.metrics):
            found[constraint.text] = 1.0
            continue
        try:
            violation = _violation(constraint, recipe, None, metrics)
        except Infeasible:
            violation = 1.0
        if violation is not None:
            found[constraint.text] = violation
    return found


def _or_veto(step: Any, *arguments: Any) -> Any:
    try:
        return step(*arguments)
    except (RecipeError, Vetoed) as error:
        raise Infeasible(str(error), {VALID: 1.0}) from None


def _violation(constraint: Constraint, recipe: Recipe, model: Any, metrics: Mapping[str, float]) -> float | None:
    """By how much a constraint is violated; ``None`` where it is on fields of kinds that are not chosen."""
    fields = known_values(constraint.fields, recipe, model)
    try:
        return constraint.violation({**fields, **metrics})
    except ValueError as error:
        raise Infeasible(str(error), {constraint.text: 1.0}) from None


def _known_before(metric: str) -> bool:
    return metric.startswith("cost/") or metric == _RHO


def _metric(name: str, recipe: Recipe) -> float:
    if name != _RHO:
        return cost_metric(recipe, name)
    rho = rho_A(assemble(recipe)[0])
    return _NOTHING_CARRIED if rho is None else float(rho)


def _expense(constraint: Constraint) -> int:
    order = ("cost/params", "cost/", _RHO)
    return max((next(i for i, p in enumerate(order, 1) if m.startswith(p)) for m in constraint.metrics), default=0)

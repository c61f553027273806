"""Measures that are taken of a model while it trains, on the same few samples each time."""

from __future__ import annotations

from collections.abc import Sequence

from mythos_blocks import LoopedTransformer
from mythos_lab.measures.base import Measure
from mythos_lab.measures.evaluate import sampler
from mythos_lab.measures.loop_jacobian import LoopJacobian
from mythos_lab.measures.lyapunov import Lyapunov
from mythos_lab.measures.measuring import built, by_loop, refuse, scalars, taken
from mythos_lab.measures.regime import Regime
from mythos_lab.measures.samples import Samples
from mythos_lab.measures.subject import Subject
from mythos_lab.recipe import Recipe
from mythos_lab.tasks.base import Task

PREFIX = "live/"
"""What their metrics' names begin with, before the quantity; ``_loop_<t>`` follows where it is of one iteration."""

_NUM_PRODUCTS = 6
_NUM_LOOPS = 16  # of the regime


class Live:
    """Measures of a model in training, on samples that stay the same, so that what changes is the model.

    Passes run in evaluation mode with noise of their own; modes and the state of torch's generators are what they were
    before, and no gradient of a parameter is computed, so that training goes on to the same bits.

    Args:
        recipe: Which measures, and on how many samples of the validation split.
        task: The samples.
    """

    def __init__(self, recipe: Recipe, task: Task) -> None:
        self._recipe = recipe
        self._samples = Samples.of(task, recipe, num_samples=recipe.monitor.num_samples)

    def metrics(self, model: LoopedTransformer) -> dict[str, float]:
        """What the measures come to, by metric name.

        Args:
            model: The whole model, where it trains.
        """
        subject = Subject(model, self._samples)
        outcomes = taken(watched(self._recipe, subject), subject)
        found = {PREFIX + name: value.value for name, value in scalars(outcomes).items()}
        for loop, values in by_loop(outcomes).items():
            found |= {f"{PREFIX}{name}_loop_{loop}": value for name, value in values.items()}
        return found


def watched(recipe: Recipe, subject: Subject) -> list[Measure]:
    """The measures that a recipe declares for training, or the stability of a model that loops where it declares none.

    Raises:
        RecipeError: One that it declares cannot be taken of its model.
    """
    declared = recipe.monitor.measures
    if declared is None:
        loops = subject.num_loops > 1
        return [each for each in stability(subject.model) if loops and each.refuses(subject) is None]
    return refuse([built(each) for each in declared], subject, f"{recipe.name}: monitor.measures")


def stability(model: LoopedTransformer) -> Sequence[Measure]:
    """sigma_max and rho of the last evaluated iteration's Jacobian, the largest exponent, and where the state goes."""
    last = sampler(model).eval_loops
    return (
        LoopJacobian(num_products=_NUM_PRODUCTS, loops=[last]),
        Lyapunov(num_exponents=1),
        Regime(num_loops=max(_NUM_LOOPS, last)),
    )

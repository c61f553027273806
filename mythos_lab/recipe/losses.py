"""What a training step minimises, term by term."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mythos_blocks import LoopedTransformer, ModelOutput, Objective, Penalty, build
from mythos_lab.recipe.schema import Recipe


@dataclass(frozen=True)
class Losses:
    """The objective and the penalties of a recipe.

    Attributes:
        objective: What is minimised.
        penalties: Terms added to it.
    """

    objective: Objective
    penalties: list[Penalty]

    @classmethod
    def of(cls, recipe: Recipe) -> Losses:
        """Those that the recipe declares."""
        return cls(build(recipe.training.objective), [build(penalty) for penalty in recipe.training.penalties])

    @property
    def every_step(self) -> bool:
        """Whether a term reads the states of all iterations, which the forward pass must then record."""
        return self.objective.every_step or any(penalty.every_step for penalty in self.penalties)

    def check(self, model: LoopedTransformer) -> None:
        """Refuse a model on which a term would have no effect, with ``ValueError``."""
        self.objective.check(model)
        for penalty in self.penalties:
            penalty.check(model)

    def __call__(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What to minimise, and what the terms act on, by metric name."""
        objective = self.objective.loss(model, out, targets)
        total, shown = objective, {"train/objective": objective.detach()}
        if out.auxiliary_loss is not None:
            total = total + out.auxiliary_loss
            shown |= {f"auxiliary/{name}": loss.detach() for name, loss in out.losses.items()}
        for penalty in self.penalties:
            term, quantity = penalty.loss(model, out, targets)
            total = total + term
            shown[penalty.metric] = quantity.detach()
        return total, shown

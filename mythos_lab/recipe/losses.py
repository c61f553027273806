"""What a training step minimises, term by term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mythos_blocks import LoopedTransformer, ModelOutput, Objective, Penalty, build
from mythos_lab.recipe.schema import Recipe


@dataclass(frozen=True)
class Weights:
    """Factors on the means of a part of a batch, with which the mean over parts is that over the batch.

    Parts have as many sequences as each other, but not as many scored tokens or real positions. ``None`` for a batch of
    its own.

    Attributes:
        scored: On means over scored tokens.
        real: On means over positions that are no padding.
        share: On what is no mean over either, where parts are added up: the part's share of the sequences.
    """

    scored: Tensor | None = None
    real: Tensor | None = None
    share: float = 1.0


_WHOLE = Weights()


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

    @property
    def record(self) -> bool | Literal["states", "window"]:
        """What the forward pass must record: nothing; all states; or those that cannot be had again."""
        if not self.every_step:
            return False
        by_weight = self.objective.by_weight or not self.objective.every_step
        return "window" if by_weight and not any(penalty.every_step for penalty in self.penalties) else "states"

    def check(self, model: LoopedTransformer) -> None:
        """Refuse a model on which a term would have no effect, and a term that hides another, with ``ValueError``."""
        for place, penalty in enumerate(self.penalties):
            if any(penalty.metric == earlier.metric for earlier in self.penalties[:place]):
                raise ValueError(
                    f"training.penalties.{place}: {penalty.kind} stands there twice, and {penalty.metric} would tell "
                    "of one alone"
                )
        self.objective.check(model)
        for penalty in self.penalties:
            penalty.check(model)

    def models(self) -> list[LoopedTransformer]:
        """Models that read batches besides the one that is trained."""
        return [model for penalty in self.penalties for model in penalty.models()]

    def __call__(
        self, model: LoopedTransformer, out: ModelOutput, targets: Tensor, weights: Weights = _WHOLE
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What to minimise, and what the terms act on, by metric name.

        Args:
            model: The model.
            out: What its forward pass returned.
            targets: ``(batch, positions)``, ``IGNORE`` where a position is not scored.
            weights: Factors on means, where the batch is a part of one.
        """
        objective = weighed(self.objective.loss(model, out, targets), weights.scored)
        total, shown = objective, {"train/objective": objective.detach()}
        if out.auxiliary_loss is not None:
            total = total + weighed(out.auxiliary_loss, weights.real)
            shown |= {f"auxiliary/{name}": weighed(loss.detach(), weights.real) for name, loss in out.losses.items()}
        for penalty in self.penalties:
            term, quantity = penalty.loss(model, out, targets)
            if penalty.over_scored or penalty.over_real:
                weight = weights.scored if penalty.over_scored else weights.real
                term, quantity = weighed(term, weight), weighed(quantity, weight)
            else:
                term, quantity = term * weights.share, quantity * weights.share
            total = total + term
            shown[penalty.metric] = quantity.detach()
        return total, shown


def weighed(mean: Tensor, weight: Tensor | None) -> Tensor:
    """A mean times its weight; zero where there is nothing to take it of, and no mean."""
    return mean if weight is None else torch.where(weight > 0, mean * weight, torch.zeros_like(mean))

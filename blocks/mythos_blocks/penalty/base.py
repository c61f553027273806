"""The contract of a penalty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from mythos_blocks.declaring.component import Component
from mythos_blocks.declaring.contract import contract
from mythos_blocks.objective.base import check_iterations

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@contract("penalty")
class Penalty(Component):
    """A term of the training loss.

    Attributes:
        metric: The name of the metric that shows what the penalty acts on.
        every_step: Whether the penalty reads the states of all iterations, which the model then records.
        over_scored: Whether it is a mean over scored tokens.
        over_real: Whether it is a mean over positions that are no padding; where it is neither, over sequences, or of
            the weights.
        differentiates_again: Whether its loss has a gradient in it, so that layers are differentiated twice, which
            compiled ones cannot be.
    """

    metric: str
    every_step: bool = False
    over_scored: bool = False
    over_real: bool = False
    differentiates_again: bool = False

    def check(self, model: LoopedTransformer) -> None:
        """Refuse a model that the penalty would have no effect on, or cannot read, with ``ValueError``."""
        if self.every_step:
            check_iterations(model, f"penalty {self.kind!r} reads the state after every iteration")

    def models(self) -> list[LoopedTransformer]:
        """Further models that read what the model reads."""
        return []

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The term with its weight, and the quantity that it acts on; two scalars.

        Args:
            model: The model.
            out: What its forward pass returned, with the loop's last state.
            targets: ``(batch, positions)``, ``IGNORE`` where a position is not scored.
        """
        raise NotImplementedError


def check_one_more(model: LoopedTransformer, penalty: Penalty) -> None:
    """Refuse a core that cannot run one more iteration than training draws.

    Raises:
        ValueError: Its layers run one after the other, or a table ends with the loops that are drawn.
    """
    core, why = model.core, f"penalty {penalty.kind!r} runs one iteration more"
    check_iterations(model, why)
    if core.last_index is not None and core.last_index < core.loops.max_loops:
        raise ValueError(
            f"{why} than the {core.loops.max_loops} that training draws, and a table of the core has no row for it "
            "(beyond: 'error'); use another beyond"
        )


def real_values(x: Tensor, out: ModelOutput) -> Tensor:
    """Of ``x``, ``(batch, positions, ...)``, what stands where nothing is padded: ``(real, ...)``."""
    return x.flatten(0, 1) if out.frame.real is None else x[out.frame.real]

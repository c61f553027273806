"""Cross-entropy of the readout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.objective.base import Objective, scored, scored_logits, token_loss

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@component("objective", "final")
class Final(Objective):
    """Cross-entropy of what the model reads after its last iteration (Huginn, Parcae, Chen's "silent thinking")."""

    def __init__(self) -> None:
        pass

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> Tensor:
        return token_loss(scored_logits(out.logits, targets), scored(targets, targets)).mean()

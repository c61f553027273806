"""A pull of the predictions towards a teacher's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.objective.base import scored, scored_logits
from mythos_blocks.penalty.base import Penalty
from mythos_blocks.tensors.precision import at_least_float32

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput


@component("penalty", "distillation")
class Distillation(Penalty):
    """``weight * temperature^2 * KL(teacher || student)`` on scored tokens (arXiv 1503.02531; Relaxed Recursive
    Transformers, arXiv 2410.20672, section 3).

    Args:
        teacher: A model saved by ``mythos_blocks.checkpoints.save``, or the folder of a run, over the same vocabulary.
        weight: Weight of the divergence beside the objective.
        temperature: Divides both models' logits.
    """

    metric = "penalty/distillation"
    over_scored = True

    def __init__(self, *, teacher: str, weight: Positive = 1.0, temperature: Positive = 1.0) -> None:
        self.teacher, self.weight, self.temperature = Path(teacher), weight, temperature
        self._model: LoopedTransformer | None = None

    def check(self, model: LoopedTransformer) -> None:
        if not self.teacher.exists():
            raise ValueError(f"penalty 'distillation': teacher {str(self.teacher)!r} is not a file or folder")
        try:
            teacher = self._load(torch.device("cpu"))
        except ValueError as error:
            raise ValueError(f"penalty 'distillation': teacher {error}") from error
        if teacher.embedding.num_embeddings != model.embedding.num_embeddings:
            raise ValueError(
                f"penalty 'distillation': the teacher has {teacher.embedding.num_embeddings} tokens and the model "
                f"{model.embedding.num_embeddings}"
            )

    def models(self) -> list[LoopedTransformer]:
        return [self._load(torch.device("cpu"))]

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> tuple[Tensor, Tensor]:
        tokens = out.frame.tokens
        assert tokens is not None
        with torch.no_grad():
            wanted = self._load(tokens.device)(tokens, out.frame.mask, real=out.frame.real).logits
        student = F.log_softmax(at_least_float32(scored_logits(out.logits, targets)) / self.temperature, dim=-1)
        teacher = F.log_softmax(at_least_float32(scored(wanted, targets)) / self.temperature, dim=-1)
        divergence = F.kl_div(student, teacher, log_target=True, reduction="batchmean")
        return self.weight * self.temperature**2 * divergence, divergence

    def _load(self, device: torch.device) -> LoopedTransformer:
        from mythos_blocks.checkpoints import load_model

        if self._model is None:
            self._model = load_model(self.teacher).eval().requires_grad_(False)
        return self._model.to(device)

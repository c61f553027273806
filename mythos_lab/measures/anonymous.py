"""Whether a loop is told which iteration it is in."""

from __future__ import annotations

import copy

import torch

from mythos_blocks import LoopedTransformer
from mythos_lab.measures.subject import Subject
from mythos_lab.tasks.base import Batch

_NOISE = 0.05  # on every weight: what begins at zero, as a table may, is seen too


@torch.no_grad()
def is_anonymous(subject: Subject, batch: Batch) -> bool:
    """Whether the loop computes the same, bit for bit, whatever index it is told, and whatever its weights are.

    Args:
        subject: The model.
        batch: A few samples.
    """
    model = _other_weights(subject.model)
    last = []
    for word in (tuple(range(subject.num_loops)), (0,) * subject.num_loops):
        last.append(subject.run(batch, word, model=model).logits)
    return torch.equal(*last)


def _other_weights(model: LoopedTransformer) -> LoopedTransformer:
    """The model with a core of other weights; all else is shared."""
    other = copy.copy(model)
    core = copy.deepcopy(model.core)
    generator = torch.Generator().manual_seed(0)
    for parameter in core.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.add_(noise.to(parameter), alpha=_NOISE)
    other._modules = {**model._modules, "core": core}
    return other

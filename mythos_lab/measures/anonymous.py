"""Whether a loop is told which iteration it is in."""

from __future__ import annotations

import copy
from contextlib import ExitStack

import torch

from mythos_blocks import LoopedTransformer
from mythos_blocks.model.knock_out import knocked_out
from mythos_lab.measures.subject import Subject
from mythos_lab.tasks.base import Batch

_NOISE = 0.05  # on every weight: what begins at zero, as a table may, is seen too


@torch.no_grad()
def is_anonymous(subject: Subject, batch: Batch) -> bool:
    """Whether the loop computes the same, bit for bit, whatever index it is told, and whatever its weights are.

    It is tried with and without what stops positions, since of iterations that none runs nothing would be seen.

    Args:
        subject: The model.
        batch: A few samples.
    """
    model = _other_weights(subject.model)
    if not _runs_alike(subject, batch, model):
        return False
    with ExitStack() as off:
        for rule in ("halting", "exit"):
            off.enter_context(knocked_out(model.core, rule))
        return _runs_alike(subject, batch, model)


def _runs_alike(subject: Subject, batch: Batch, model: LoopedTransformer) -> bool:
    whole = tuple(range(subject.num_loops))
    told, untold = (subject.run(batch, word, model=model).logits for word in (whole, (0,) * len(whole)))
    return torch.equal(told, untold)


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

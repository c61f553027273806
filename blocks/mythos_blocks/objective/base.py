"""The contract of an objective."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import Component
from mythos_blocks.declaring.contract import contract
from mythos_blocks.objective.known import known_sum
from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.spread import is_spread
from mythos_blocks.tensors.tracing import is_computed_as_written, is_empty

if TYPE_CHECKING:
    from mythos_blocks.model import LoopedTransformer, ModelOutput

IGNORE = -100
"""Target of a position that is not scored, as torch's cross-entropy has it."""


@contract("objective")
class Objective(Component):
    """What training minimises, apart from the terms that components and penalties add.

    Attributes:
        every_step: Whether the objective reads the states of all iterations, which the model then records.
        by_weight: Whether it reads them by :func:`weighed_cross_entropy` alone, which can have those before the
            gradient window again.
    """

    every_step: bool = False
    by_weight: bool = False

    def check(self, model: LoopedTransformer) -> None:
        """Refuse a model that the objective would have no effect on, or cannot read, with ``ValueError``."""
        if self.every_step:
            check_iterations(model, f"objective {self.kind!r} reads the state after every iteration")

    def loss(self, model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> Tensor:
        """The loss, a scalar in nats per scored token.

        Args:
            model: The model.
            out: What its forward pass returned, recorded where ``every_step`` says so.
            targets: ``(batch, positions)``, :data:`IGNORE` where a position is not scored.
        """
        raise NotImplementedError


def check_iterations(model: LoopedTransformer, why: str) -> None:
    """Refuse a core of which an iteration does not run all layers.

    Args:
        model: The model.
        why: Who needs whole iterations, and for what.

    Raises:
        ValueError: It runs its layers one after the other.
    """
    if model.core.tying == "sequence" and len(model.core.layers) > 1:
        raise ValueError(f"{why}, and with core.tying 'sequence' none runs all layers; use 'cycle'")


def scored(x: Tensor, targets: Tensor) -> Tensor:
    """The rows of ``x``, ``(batch, positions, ...)``, that are scored: ``(scored, ...)``.

    Where targets have no numbers to choose by, as on the meta device, all of them.
    """
    return x.flatten(0, 1) if is_empty(targets) else x[targets != IGNORE]


def scored_logits(logits: Tensor, targets: Tensor) -> Tensor:
    """The logits of scored positions, ``(scored, vocab_size)``; as they are where the model read no others."""
    return logits if logits.dim() == 2 else scored(logits, targets)


def cross_entropies(model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> Tensor:
    """Cross-entropy of every scored token after each iteration, ``(num_loops, scored)``.

    The state of an iteration is read as the last one is: through interface, coda, norm and head.
    """
    read = _losses(model, out, targets)
    return torch.stack([read(h) for h in out.states])


def weighed_cross_entropy(model: LoopedTransformer, out: ModelOutput, targets: Tensor, weights: Tensor) -> Tensor:
    """``mean_i sum_t weights[t, i] * CE_i(t)`` over the scored tokens i, with CE as :func:`cross_entropies` has it.

    Each iteration is done with once it is read: its gradient is taken at once
    (:mod:`mythos_blocks.objective.known`), so that one readout is alive at a time, whatever the loop count. That
    gradient cannot be differentiated again.

    Args:
        model: The model.
        out: What its forward pass returned, with the states of all iterations or those from the window on.
        targets: ``(batch, positions)``, :data:`IGNORE` where a position is not scored.
        weights: What each iteration of each scored token weighs, ``(num_loops, scored)``.
    """
    read, states = _losses(model, out, targets), iter(out.states)
    if out.beginning is not None:
        states = itertools.chain(out.beginning.states(), states)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if torch.is_grad_enabled() and is_computed_as_written(weights) and _are_plain(learning, out.logits):
        total = known_sum(read, states, weights, learning)
    else:
        parts = [(weight * read(h)).sum() for weight, h in zip(weights, states, strict=True)]
        total = torch.stack(parts).sum()
    return total / max(1, weights.shape[1])  # a part of a batch may have nothing that is scored


def _are_plain(parameters: Iterable[Tensor], logits: Tensor) -> bool:
    """Whether gradients taken before the backward pass are those that it would take.

    A layer that is spread by itself computes with other tensors than its parameters; and who trains in float16 scales
    the loss, without which small gradients vanish.
    """
    device = logits.device.type
    computed = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else logits.dtype
    return computed != torch.float16 and not any(map(is_spread, parameters))


def _losses(model: LoopedTransformer, out: ModelOutput, targets: Tensor) -> Callable[[Tensor], Tensor]:
    """From a state to the cross-entropy of every scored token, ``(scored,)``."""
    wanted = scored(targets, targets)
    return lambda h: token_loss(scored_logits(model.read(h, out.frame), targets), wanted)


def iterations_run(out: ModelOutput, targets: Tensor) -> Tensor:
    """Which iterations each scored token has run: ``(num_loops, scored)`` booleans.

    Positions may run fewer than others; those after their last are no iterations of theirs.
    """
    iterations = torch.arange(out.num_loops, device=targets.device)[:, None]
    return iterations < scored(out.executed, targets)


def mean_over_own(x: Tensor, run: Tensor) -> Tensor:
    """The mean over scored tokens of each one's mean over the iterations that it has run.

    Shapes: ``(num_loops, scored), (num_loops, scored) -> ()``.
    """
    return ((x * run).sum(0) / run.sum(0).clamp_min(1)).mean()


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each token, in float32 or wider: ``(scored, vocab_size), (scored,) -> (scored,)``."""
    return F.cross_entropy(at_least_float32(logits), targets, reduction="none")

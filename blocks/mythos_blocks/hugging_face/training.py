"""What a declared training does besides computing a loss: it draws loop counts, and acts after optimisers' steps."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from mythos_blocks.core.loop import Loop
from mythos_blocks.feedforward.loads import share_loads
from mythos_blocks.loops import Curriculum
from mythos_blocks.tensors.randomness import keyed_generator


class Draws:
    """The loop counts of training.

    Each call draws anew, from a seed of torch's global generator, so that ``torch.manual_seed`` and a resumed Trainer
    repeat them. Calls that are parts of one optimiser's step, as ``num_items_in_batch`` tells, draw once: whatever a
    batch is divided into, its gradient is the same.
    """

    def __init__(self) -> None:
        self._seed: int | None = None  # of the step that has begun
        self._rows = 0  # of its earlier parts

    def next(self, core: Loop, shape: torch.Size, is_part: bool) -> int | Tensor:
        """The counts of a call with ``(batch, positions)`` tokens.

        Args:
            core: The loop.
            shape: ``(batch, positions)``.
            is_part: Whether the call is a part of a step, which has begun where there are gradients.

        Raises:
            ValueError: They follow the progress of training, which nobody has told.
        """
        if isinstance(core.loops, Curriculum) and "progress" not in vars(core.loops):
            raise ValueError(
                "loops 'curriculum' follows the share of training that is done, which transformers does not tell: set "
                "model.progress = step / max_steps before each step, or num_loops in the config"
            )
        if self._seed is None or not is_part or all(p.grad is None for p in core.parameters()):
            self._seed, self._rows = int(torch.randint(2**62, ())), 0
        if core.loops_per == "batch":  # one for the step, and for every process
            return core.draw(keyed_generator("loops", self._seed), shape)
        rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        before, self._rows = self._rows, self._rows + shape[0]
        counts = core.draw(keyed_generator("loops", self._seed, rank), torch.Size((self._rows, *shape[1:])))
        assert isinstance(counts, Tensor)
        return counts[before:]

    def end_step(self) -> None:
        """An optimiser has stepped."""
        self._seed = None


_trained: WeakSet[Any] = WeakSet()
_handle: Any = None


def watch(model: Any) -> None:
    """Let a backbone know of every step that an optimiser of torch's takes on its parameters."""
    global _handle
    if _handle is None:
        _handle = register_optimizer_step_post_hook(_after_step)
    _trained.add(model)


def _after_step(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    stepped = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for model in list(_trained):
        if any(id(p) in stepped for p in model.looped.parameters()):
            model.draws.end_step()
            if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
                share_loads(model.looped, _total)
            model.looped.after_optimizer_step()


def _total(values: Tensor) -> Tensor:
    dist.all_reduce(values)
    return values

"""Halting by a learned value of halting."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Real
from mythos_blocks.halting.base import Evaluation, Halting, HaltingState
from mythos_blocks.tensors.exact_linear import ExactLinear
from mythos_blocks.tensors.rows import Index


@component("halting", "q_head")
class QHead(Halting):
    """Halts where the value of halting says that the answer is right (HRM, arXiv 2506.21734; TRM, arXiv 2510.04871).

    The objective ``supervised_halting`` teaches the head whether the present prediction is correct. In training all
    iterations run; outside, a position stops where ``q_halt > 0`` (TRM's rule), or ``q_halt > q_continue`` (HRM's). The
    code of both is the other way round: it stops in training, after random least counts, and its evaluation is
    ``run_on``.

    Args:
        width: Channels of the state.
        head: ``halt`` alone, or ``halt_continue`` with a value of going on, which learns from the next iteration.
        read: What the head reads: the ``first`` position of a sequence that is no padding, for all of them, or each
            ``position``.
        initial_bias: Initial bias of the head; the systems take -5, so that it begins by going on.
        evaluation: ``stop`` a position where the head says so; ``select`` its state there, while all iterations run; or
            ``run_on`` and read the last state, as the code of both systems does.
    """

    chooses = True

    def __init__(
        self,
        width: int,
        *,
        head: Literal["halt", "halt_continue"] = "halt",
        read: Literal["first", "position"] = "first",
        initial_bias: Real = -5.0,
        evaluation: Evaluation = "stop",
    ) -> None:
        super().__init__()
        self.evaluation = evaluation
        self.head, self.read, self.initial_bias = head, read, initial_bias
        self.per_position = read == "position" or evaluation == "run_on"
        self.value = ExactLinear(width, 1 if head == "halt" else 2)

    @property
    def freezes(self) -> bool:  # type: ignore[override]
        """Positions stop outside training only."""
        return self.evaluation == "stop" and not self.training

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.zeros_(self.value.weight)
        nn.init.constant_(self.value.bias, self.initial_bias)

    def start(self, h: Tensor, real: Tensor) -> HaltingState:
        return HaltingState(readout=h, real=real, halted=torch.zeros(h.shape[:-1], device=h.device, dtype=torch.bool))

    def observe(
        self, state: HaltingState, h: Tensor, *, x: Tensor, t: Index, running: Tensor, last: Tensor
    ) -> HaltingState:
        assert state.halted is not None
        read = _first(h, state.real) if self.read == "first" else h
        value = self.value(read)
        ends = torch.zeros_like(state.halted) | last
        readout, halted = h, state.halted
        if not self.training:
            if self.evaluation != "run_on":
                ends = ends | (value[..., 0] > (value[..., 1] if self.head == "halt_continue" else 0))
            if self.evaluation == "select":
                readout = torch.where(state.halted.unsqueeze(-1), state.readout, h)
            ends = ends & ~state.halted
            halted = state.halted | ends
        return HaltingState(
            readout=readout,
            real=state.real,
            weights=[*state.weights, ends.to(value.dtype)],
            halted=halted,
            scores=[*state.scores, value],
        )


def _first(h: Tensor, real: Tensor) -> Tensor:
    """The state of each sequence's first position that counts, at all its positions."""
    first = real.to(torch.uint8).argmax(1)
    return h.gather(1, first[:, None, None].expand(-1, 1, h.shape[-1])).expand_as(h)

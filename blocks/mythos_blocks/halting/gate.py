"""What halting rules with a gate after every iteration share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.halting.base import Evaluation, Halting, HaltingState
from mythos_blocks.tensors.exact_linear import ExactLinear
from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.rows import Index


class GatedHalting(Halting):
    """A gate ``lambda_t = sigmoid(w . h_t + b)`` whose chances make a distribution over iterations.

    ``q(t) = lambda_t prod_{j<t} (1 - lambda_j)``, and the last iteration takes the rest. In training all iterations run
    and the readout is the last state; the weights are q, for an objective that expects over them. Outside training a
    position stops as :meth:`stops` says, and the readout is its state there.

    Args:
        width: Channels of the state.
        initial_bias: Initial bias of the gate.
        evaluation: What evaluation does where a position stops.
    """

    def __init__(self, width: int, initial_bias: float, evaluation: Evaluation) -> None:
        super().__init__()
        self.initial_bias, self.evaluation = initial_bias, evaluation
        self.probability = ExactLinear(width, 1)

    @property
    def freezes(self) -> bool:  # type: ignore[override]
        """Positions stop outside training only."""
        return self.evaluation == "stop" and not self.training

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.probability.bias, self.initial_bias)

    def start(self, h: Tensor, real: Tensor) -> HaltingState:
        mass = at_least_float32(torch.zeros_like(h[..., 0]))
        halted, num_updates = torch.zeros_like(mass, dtype=torch.bool), torch.zeros_like(mass)
        return HaltingState(readout=h, real=real, halted=halted, mass=mass, num_updates=num_updates)

    def stops(self, gate: Tensor, mass: Tensor) -> Tensor:
        """The positions that stop, by their gate and by their mass with this iteration: booleans."""
        raise NotImplementedError

    def observe(
        self, state: HaltingState, h: Tensor, *, x: Tensor, t: Index, running: Tensor, last: Tensor
    ) -> HaltingState:
        assert state.mass is not None and state.halted is not None and state.num_updates is not None
        gate = torch.sigmoid(self.probability(h)).squeeze(-1)
        # The product itself: what is left of 1 beside the sum of the weights would round long before it is gone.
        left = state.kept["left"] if state.kept else torch.ones_like(state.mass)
        weight = torch.where(last, left, gate * left)
        mass = state.mass + weight
        readout, halted, shown = h, state.halted, weight
        if not self.training:
            stops = torch.zeros_like(state.halted) if self.evaluation == "run_on" else self.stops(gate, mass)
            ends = (last | stops) & ~state.halted
            if self.evaluation == "select":
                readout = torch.where(state.halted.unsqueeze(-1), state.readout, h)
            halted, shown = state.halted | ends, ends.to(gate.dtype)
        return HaltingState(
            readout=readout,
            real=state.real,
            weights=[*state.weights, shown],
            halted=halted,
            mass=mass,
            num_updates=state.num_updates + 1,
            kept={"left": left * (1 - gate)},
        )

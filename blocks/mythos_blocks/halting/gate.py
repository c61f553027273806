"""What halting rules with a gate after every iteration share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.halting.base import Halting, HaltingState
from mythos_blocks.tensors.exact_linear import ExactLinear
from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.rows import Index


class GatedHalting(Halting):
    """A gate ``lambda_t = sigmoid(w . h_t + b)`` whose chances make a distribution over iterations.

    ``q(t) = lambda_t prod_{j<t} (1 - lambda_j)``, and the last iteration takes the rest. In training all iterations run
    and the readout is the last state; the weights are q, for an objective that expects over them. Outside training a
    position stops as :meth:`stops` says, and the readout is its state there.
    """

    def __init__(self, width: int, initial_bias: float) -> None:
        super().__init__()
        self.initial_bias = initial_bias
        self.probability = ExactLinear(width, 1)

    @property
    def freezes(self) -> bool:  # type: ignore[override]
        """Positions stop outside training only."""
        return not self.training

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
        left = 1 - state.mass
        weight = torch.where(last, left, gate * left)
        mass = state.mass + weight
        halted = state.halted if self.training else last | self.stops(gate, mass)
        return HaltingState(
            readout=h,
            real=state.real,
            weights=[*state.weights, weight if self.training else halted.to(gate.dtype)],
            halted=halted,
            mass=mass,
            num_updates=state.num_updates + 1,
        )

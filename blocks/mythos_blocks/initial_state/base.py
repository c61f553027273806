"""The contract of an initial state, and the noise that some start from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.frame.frame import Frame
from mythos_blocks.tensors.randomness import keyed_generator
from mythos_blocks.tensors.tracing import constant_in_graphs, is_empty, is_traced, outside_of_graphs, real_tensors

_BLOCK = 256  # positions that one generator serves


@contract("initial_state")
class InitialState(Module):
    """The state before the first iteration: ``(batch, positions, input_width) -> (batch, positions, width)``.

    Attributes:
        reads_input: Whether the state is one of the input's values.
    """

    reads_input: bool = False

    def forward(self, e: Tensor, frame: Frame | None = None) -> Tensor:
        """The state that the loop starts from for the input e."""
        raise NotImplementedError


class NoiseState(InitialState):
    """A state that is drawn.

    In training it comes from torch's global generator. At evaluation it is ``fixed`` for each position of a sequence,
    whatever the batch, the padding or the chunk, or ``fresh``.

    Attributes:
        start: Which of the fixed draws; see :func:`restarted`.
    """

    def __init__(self, width: int, at_evaluation: Literal["fixed", "fresh"], seed: int) -> None:
        super().__init__()
        self.width, self.at_evaluation, self.seed = width, at_evaluation, seed
        self.start = 0
        self._blocks: dict[tuple[int, torch.device], Tensor] = {}

    def sample(self, shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device) -> Tensor:
        """Noise of this shape, float32; ``None`` draws from torch's global generator."""
        raise NotImplementedError

    def forward(self, e: Tensor, frame: Frame | None = None) -> Tensor:
        shape = (*e.shape[:-1], self.width)
        if is_empty(e):
            return e.new_empty(shape)
        if self.training or self.at_evaluation == "fresh":
            return self.sample(shape, None, e.device).to(e.dtype)
        if frame is None or frame.positions is None:
            # Known without asking the positions, whose numbers a traced graph does not have.
            num_positions = e.shape[1]
            blocks_read = range(-(-num_positions // _BLOCK))
            noise = torch.cat([self._block(block, e.device) for block in blocks_read])[:num_positions]
            return noise.to(e.dtype).expand(shape)
        if is_traced(frame.positions):
            outside_of_graphs(
                f"initial_state {self.kind!r} looks its noise up by the numbers of positions; in a graph that is "
                "traced, leave positions out where they count from 0, or declare at_evaluation: fresh"
            )
        positions = frame.positions.clamp_min(0)
        blocks, places = (positions // _BLOCK).unique(return_inverse=True)
        noise = torch.cat([self._block(block, e.device) for block in blocks.tolist()])
        return noise[places * _BLOCK + positions % _BLOCK].to(e.dtype).expand(shape)

    @constant_in_graphs
    def _block(self, block: int, device: torch.device) -> Tensor:
        """The noise of ``_BLOCK`` positions, drawn on the CPU once, so that all devices have the same."""
        if (block, device) not in self._blocks:
            # A program that is exported holds these numbers; under its tracer it would draw others at every call.
            with real_tensors():
                key = ("start", self.start) if self.start else ()
                generator = keyed_generator(self.seed, "initial state", block, *key)
                noise = self.sample((_BLOCK, self.width), generator, torch.device("cpu")).to(device)
            self._blocks[block, device] = noise
        return self._blocks[block, device]


def standard_normal(shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """What ``torch.randn`` draws, float32. With a generator among its arguments, that takes no sizes of a graph."""
    return torch.empty(shape, device=device, dtype=torch.float32).normal_(generator=generator)


def drawn_states(model: nn.Module) -> list[NoiseState]:
    """The initial states of a model that are drawn.

    Raises:
        ValueError: It has none.
    """
    found = [module for module in model.modules() if isinstance(module, NoiseState)]
    if not found:
        kinds = sorted({module.kind for module in model.modules() if isinstance(module, InitialState)})
        raise ValueError(f"no initial state of the model is drawn ({', '.join(kinds)}), so that all its starts are one")
    return found


@contextmanager
def restarted(model: nn.Module, start: int) -> Iterator[None]:
    """The span in which a model in evaluation starts from another draw of its initial states, fixed by their seed.

    Args:
        model: The model.
        start: Which draw; 0 is the one that ``at_evaluation: fixed`` takes.

    Raises:
        ValueError: No initial state of the model is drawn.
    """
    states = drawn_states(model)
    before = [(state.at_evaluation, state.start, state._blocks) for state in states]
    for state in states:
        state.at_evaluation, state.start, state._blocks = "fixed", start, {}
    try:
        yield
    finally:
        for state, (at_evaluation, own, blocks) in zip(states, before, strict=True):
            state.at_evaluation, state.start, state._blocks = at_evaluation, own, blocks

"""The Jacobian of one iteration of the loop, by its products with vectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from mythos_blocks import Frame, LoopState
from mythos_blocks.tensors.randomness import reseed
from mythos_lab.measures.krylov import Product
from mythos_lab.measures.subject import Subject
from mythos_lab.recipe.mask import surroundings_of
from mythos_lab.tasks.base import Batch


class Jacobian:
    """``J = d h_{t+1} / d h_t`` of each sequence, all of its positions together but those that pad it.

    All else that the iteration reads is held: the input e, keys and values of other iterations, and what the update
    carries. Products are those of reverse differentiation: ``J v`` is the transpose of ``w -> J^T w``, which is linear.

    Args:
        subject: The model.
        state: The loop before the iteration.

    Attributes:
        size: Numbers in a state of one sequence; those of padding are zero in every product.
    """

    def __init__(self, subject: Subject, state: LoopState) -> None:
        self._h = state.h.detach().float().requires_grad_()
        self._real = state.frame.real
        with _differentiable():
            self._after = subject.model.core.next_state(state, self._h).float()
            self._w = torch.zeros_like(self._after, requires_grad=True)
            self._transposed = self._pulled(self._w, create_graph=True)
        self.size = self._h[0].numel()

    def times(self, v: Tensor) -> Tensor:
        """``J v`` for each sequence: ``(batch, size) -> (batch, size)``."""
        with _differentiable():
            (out,) = torch.autograd.grad(self._transposed, self._w, self._shaped(v), retain_graph=True)
        return self._flat(out)

    def transposed_times(self, v: Tensor) -> Tensor:
        """``J^T v`` for each sequence: ``(batch, size) -> (batch, size)``."""
        with _differentiable():
            return self._flat(self._pulled(self._shaped(v)).detach())

    def times_each(self, vectors: Tensor) -> Tensor:
        """``J V`` for each sequence: ``(batch, size, k) -> (batch, size, k)``."""
        return torch.stack([self.times(vectors[..., i]) for i in range(vectors.shape[2])], 2)

    def normal(self, v: Tensor) -> Tensor:
        """``J^T J v``, whose largest eigenvalue is the square of the largest singular value of J."""
        return self.transposed_times(self.times(v))

    def noise(self, *more: int) -> Tensor:
        """Vectors to begin with, ``(batch, size, *more)``."""
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randn(self._h.shape[0], self.size, *more, generator=generator).to(self._h.device)
        return self._flat(self._shaped(drawn)) if not more else drawn

    def _pulled(self, w: Tensor, *, create_graph: bool = False) -> Tensor:
        (out,) = torch.autograd.grad(self._after, self._h, w, create_graph=create_graph, retain_graph=True)
        return out

    def _shaped(self, v: Tensor) -> Tensor:
        v = v.reshape(self._h.shape)
        return v if self._real is None else v * self._real[..., None]

    def _flat(self, v: Tensor) -> Tensor:
        return (v if self._real is None else v * self._real[..., None]).flatten(1)


@contextmanager
def _differentiable() -> Iterator[None]:
    # The fused attention kernels have no second derivative.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        yield


def states(subject: Subject, batch: Batch, num_loops: int) -> Iterator[LoopState]:
    """The loop before each of so many iterations, in float32, without what would stop positions."""
    core = subject.model.core
    frame = Frame(tokens=batch.tokens, **surroundings_of(subject.samples.mask, batch))
    reseed(0, subject.device)
    with torch.no_grad():
        state = core.start(subject.model.encode(batch.tokens, frame), frame)
        for t in range(num_loops):
            yield state
            state = replace(core.step(state, t), stopped=None)
        yield state


def refuses_jacobian(subject: Subject) -> str | None:
    """Why there is no such Jacobian; ``None`` where there is."""
    core = subject.model.core
    if core.tying == "sequence" and len(core.layers) > 1:
        return "with core.tying 'sequence' no iteration runs all layers, and there is no map from state to state"
    return None


def products(subject: Subject, batch: Batch, num_loops: int) -> Iterator[Product]:
    """``V -> J_t V`` for each iteration in order."""
    for t, state in enumerate(states(subject, batch, num_loops)):
        if t < num_loops:
            yield Jacobian(subject, state).times_each

"""The looped transformer, from tokens to logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mythos_blocks.attention.mask import AttentionMask
from mythos_blocks.component import Module, component
from mythos_blocks.halting.base import HaltingState
from mythos_blocks.registry import slot_info
from mythos_blocks.slots import CoreSlot, InitializationSlot, NormSlot, StackSlot
from mythos_blocks.spec import Slot, build
from mythos_blocks.types import Count


@dataclass
class ModelOutput:
    """What a forward pass returns.

    Attributes:
        logits: ``(batch, positions, vocab_size)``.
        halting: What the halting rule saw, iteration by iteration.
        num_loops: Iterations executed.
        auxiliary_loss: What components add to the training loss, a scalar; ``None`` where none adds anything.
    """

    logits: Tensor
    halting: HaltingState
    num_loops: int
    auxiliary_loss: Tensor | None


@component("model", "looped_transformer")
class LoopedTransformer(Module):
    """``logits = head(norm(coda(core^T(prelude(embed(tokens))))))``.

    With one loop, no injection and no halting it is a plain pre-norm transformer.

    Args:
        width: Channels of the residual stream.
        prelude: Layers before the loop; their output is the input e.
        core: The loop.
        coda: Layers after the loop.
        norm: The normalisation before the head.
        tie_embeddings: Use the embedding matrix as the head.
        initialization: The distribution of the initial weights.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        width: Count = 128,
        prelude: StackSlot = {"depth": 0},
        core: CoreSlot = "loop",
        coda: StackSlot = {"depth": 0},
        norm: NormSlot = "rms",
        tie_embeddings: bool = True,
        initialization: InitializationSlot = "normal",
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.prelude = build(prelude, width)
        self.core = build(core, width)
        self.coda = build(coda, width)
        self.norm = build(norm, width)
        self.head = nn.Linear(width, vocab_size, bias=False)
        if tie_embeddings:
            self.head.weight = self.embedding.weight
        self.initialization = build(initialization)
        if self.embedding.weight.device.type != "meta":
            self.initialize(seed=0)

    def initialize(self, seed: int) -> None:
        """Set all parameters to their initial values; the same seed gives the same bytes."""
        with torch.no_grad():
            self.initialization.fill(self, seed)

    def forward(
        self, tokens: Tensor, mask: AttentionMask | None = None, iterations: int | Sequence[int] | None = None
    ) -> ModelOutput:
        """Logits at every position.

        Args:
            tokens: ``(batch, positions)``, integers below the vocabulary size.
            mask: Which positions may read which; ``None`` is causal.
            iterations: A loop count, or iteration indices in order; ``None`` runs the sampler's mean.
        """
        mask = mask or AttentionMask()
        e = self.prelude(self.embedding(tokens), mask)
        state = self.core(e, mask, iterations)
        logits = self.head(self.norm(self.coda(state.halting.readout, mask)))
        return ModelOutput(logits, state.halting, state.num_loops, self.core.halting.loss(state.halting))

    def after_optimizer_step(self) -> None:
        """Let every component update the state that it keeps without a gradient."""
        for module in self.modules():
            if isinstance(module, Module):
                module.after_step()


@contextmanager
def knocked_out(parent: nn.Module, name: str) -> Iterator[None]:
    """Replace a component by its slot's off kind for the duration of the context.

    Args:
        parent: The module that holds it, such as ``model.core``.
        name: The attribute, such as ``"injection"``.

    Raises:
        ValueError: Its slot has no off kind.
    """
    trained = getattr(parent, name)
    info = slot_info(trained.slot)
    if info.off is None:
        raise ValueError(f"slot {info.name!r} has no off kind to put in place of {trained.kind!r}")
    off = Slot(info.name).resolve(info.off).build(*trained.context)
    setattr(parent, name, off.train(trained.training))
    try:
        yield
    finally:
        setattr(parent, name, trained)

"""The contract of an initialisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.component import Component, Module
from mythos_blocks.randomness import keyed_generator

_OUTPUTS = ("out.weight", "down.weight", "down")


class Initialization(Component):
    """Fills every weight matrix of a model, then lets each component set what is its own.

    Each parameter draws from a generator of its own, seeded by its name: models that share a parameter's
    name and shape share its initial value, so comparisons between them start paired.
    """

    def std(self, weight: Tensor) -> float:
        """Standard deviation for a weight matrix ``(..., out, in)``."""
        raise NotImplementedError

    def draw(self, name: str, weight: Tensor, model: nn.Module, generator: torch.Generator) -> None:
        """Set one weight matrix in place."""
        nn.init.normal_(weight, std=self.std(weight), generator=generator)

    def fill(self, model: nn.Module, seed: int) -> None:
        """Initialise all parameters in place."""
        device = next(model.parameters()).device
        for name, parameter in model.named_parameters():
            if parameter.dim() >= 2:
                self.draw(name, parameter, model, keyed_generator(seed, name, device=parameter.device))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        for name, module in model.named_modules():
            if isinstance(module, Module):
                module.reset_parameters(keyed_generator(seed, name, "reset", device=device))


def is_output(name: str) -> bool:
    """Whether a parameter is the matrix by which a layer's attention or feed-forward joins the residual stream."""
    return ".layers." in name and name.endswith(_OUTPUTS)


def base_std(model: nn.Module) -> float:
    """``sqrt(2 / (5 d))`` for the model's width d, which Huginn and Parcae share."""
    embedding = model.get_submodule("embedding")
    assert isinstance(embedding, nn.Embedding)
    return float((2 / (5 * embedding.embedding_dim)) ** 0.5)

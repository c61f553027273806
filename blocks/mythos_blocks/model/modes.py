"""Training and evaluation mode of a model's modules, which need not be one mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def keeping_modes(model: nn.Module) -> Iterator[None]:
    """A span after which each module of a model is in the mode that it had before, whatever it was in between."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A span in which a model is in evaluation mode; a model that is stays as it is, with what trains inside of it."""
    if not model.training:
        yield
        return
    with keeping_modes(model):
        model.eval()
        yield

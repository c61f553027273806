"""Distributions of initial weights."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.component import Component, Module, component
from mythos_blocks.randomness import keyed_generator
from mythos_blocks.types import Positive


class Initialization(Component):
    """Fills every weight matrix of a model, then lets each component set what is its own.

    Each parameter draws from a generator of its own, seeded by its name: models that share a parameter's
    name and shape share its initial value, so comparisons between them start paired.
    """

    def std(self, weight: Tensor) -> float:
        """Standard deviation for a weight matrix ``(..., out, in)``."""
        raise NotImplementedError

    def fill(self, model: nn.Module, seed: int) -> None:
        """Initialise all parameters in place."""
        device = next(model.parameters()).device
        for name, parameter in model.named_parameters():
            if parameter.dim() >= 2:
                nn.init.normal_(
                    parameter, std=self.std(parameter), generator=keyed_generator(seed, name, device=parameter.device)
                )
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        for name, module in model.named_modules():
            if isinstance(module, Module):
                module.reset_parameters(keyed_generator(seed, name, "reset", device=device))


@component("initialization", "normal")
class Normal(Initialization):
    """Normal weights of one standard deviation (OpenMythos: 0.02).

    Args:
        value: The standard deviation.
    """

    def __init__(self, *, value: Positive = 0.02) -> None:
        self.value = value

    def std(self, weight: Tensor) -> float:
        return self.value


@component("initialization", "fan_in")
class FanIn(Initialization):
    """Normal weights of standard deviation ``gain / sqrt(fan_in)`` (LeCun et al., 1998): activations keep their scale.

    Args:
        gain: Factor on the standard deviation.
    """

    def __init__(self, *, gain: Positive = 1.0) -> None:
        self.gain = gain

    def std(self, weight: Tensor) -> float:
        return float(self.gain * weight.shape[-1] ** -0.5)

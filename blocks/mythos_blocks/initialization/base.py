"""The contract of an initialisation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import Component, Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.tensors.randomness import keyed_generator
from mythos_blocks.tensors.spread import whole, whole_parameters

_OUTPUTS = ("out", "down", "second_pointwise")


@contract("initialization")
class Initialization(Component):
    """Fills every weight matrix of a model, then lets each component set what is its own.

    Each parameter draws from a generator of its own, seeded by its name: models that share a parameter's
    name and shape share its initial value, so comparisons between them start paired.
    """

    def std(self, weight: Tensor) -> float:
        """Standard deviation for a weight matrix ``(..., out, in)``."""
        raise NotImplementedError

    def size(self, name: str, weight: Tensor, model: nn.Module) -> float:
        """Root mean square of what :meth:`draw` gives a parameter, up to a factor that no size of the model changes.

        It is asked of shapes alone: the weight may be on the meta device.
        """
        return self.std(weight)

    def draw(self, name: str, weight: Tensor, model: nn.Module, generator: torch.Generator) -> None:
        """Set one weight matrix in place."""
        nn.init.normal_(weight, std=self.std(weight), generator=generator)

    def fill(self, model: nn.Module, seed: int, factors: Mapping[str, float] = MappingProxyType({})) -> None:
        """Initialise all parameters in place; where they are spread over processes, to what one process would have.

        Args:
            model: The model.
            seed: Seed of all that is drawn.
            factors: What is drawn is multiplied by these, by the parameters' names. What components set themselves is
                not.
        """
        device = next(model.parameters()).device
        for name, parameter in model.named_parameters():
            if parameter.dim() >= 2:
                with whole(parameter) as weight:
                    self.draw(name, weight, model, keyed_generator(seed, name, device=weight.device))
                    if name in factors:
                        weight.mul_(factors[name])
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        for name, module in model.named_modules():
            if isinstance(module, Module) and type(module).reset_parameters is not Module.reset_parameters:
                with whole_parameters(module):
                    module.reset_parameters(keyed_generator(seed, name, "reset", device=device))


def is_output(name: str, model: nn.Module) -> bool:
    """Whether a parameter is the matrix by which a part of a layer joins the residual stream.

    It goes by the names that attentions and feed-forwards give theirs, ``out`` and ``down``; where a layer mixes its
    parts, it is the mixing matrix alone.
    """
    path = name.removesuffix(".weight").split(".")
    start = next((i + 2 for i, part in enumerate(path[:-2]) if part.endswith("layers") and path[i + 1].isdigit()), None)
    if start is None:
        return False
    mixed = getattr(model.get_submodule(".".join(path[:start])), "mix", None) is not None
    return path[start:] == ["mix"] if mixed else path[-1] in _OUTPUTS

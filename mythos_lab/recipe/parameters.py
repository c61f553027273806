"""A model's parameters, as optimisers get them: with their names, and the slots of the components that they are of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mythos_blocks import LoopedTransformer, Module
from mythos_blocks.declaring.registry import suggest
from mythos_lab.recipe.schema import Group

_STACKS = ("prelude", "core", "coda")


class Parameters(list[Tensor]):
    """The parameters of a model, each once, in their order.

    Attributes:
        matrices: Weights of the linear layers between hidden states: those of prelude, core and coda with at least two
            rows and columns.
        places: Of each parameter, by its ``id``, the slots of the components around it, and the model's part.
        sides: How parameters have grown from the model's base, by their ``id``; empty where nothing has.
    """

    def __init__(self, model: LoopedTransformer) -> None:
        super().__init__(model.parameters())
        self.places: dict[int, set[str]] = {}
        self.matrices: list[Tensor] = []
        self.sides = {
            id(p): model.growth.sides[name] for name, p in model.named_parameters() if name in model.growth.sides
        }
        for places, module in _placed(model, set()):
            for name, parameter in module.named_parameters(recurse=False):
                known = self.places.setdefault(id(parameter), set())
                known |= places
                is_map = isinstance(module, nn.Linear) and name == "weight" and min(parameter.shape) > 1
                if is_map and places & {*_STACKS} and not any(parameter is each for each in self.matrices):
                    self.matrices.append(parameter)

    def slots(self) -> set[str]:
        """The slots and parts that have a parameter."""
        return set().union(*self.places.values()) - {"model"}

    def factors(self, groups: list[Group]) -> dict[int, tuple[float, float]]:
        """What the learning rate and the weight decay of each parameter are multiplied by, by its ``id``.

        Raises:
            ValueError: No parameter is of a group's slot.
        """
        found = {key: (1.0, 1.0) for key in self.places}
        for index, group in enumerate(groups):
            if group.slot not in self.slots():
                raise ValueError(
                    f"training.groups.{index}.slot: {group.slot!r} has no parameters in this model; "
                    f"{suggest(group.slot, self.slots())}"
                )
            for key, places in self.places.items():
                if group.slot in places:
                    lr, decay = found[key]
                    found[key] = lr * group.lr, decay * group.weight_decay
        return found


LR_FACTOR = "lr_factor"
"""Entry of an optimiser's parameter group: its learning rate over that of parameters that no group of a recipe has."""


def apportion(optimizer: torch.optim.Optimizer, factors: dict[int, tuple[float, float]]) -> None:
    """Divide an optimiser's groups, before its first step, by what their parameters' rates are multiplied by."""
    divided: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        parts: dict[tuple[float, float], list[Tensor]] = {}
        for parameter in group["params"]:
            parts.setdefault(factors[id(parameter)], []).append(parameter)
        for (lr, decay), parameters in parts.items():
            rates = {"lr": group["lr"] * lr, "weight_decay": group["weight_decay"] * decay, LR_FACTOR: lr}
            divided.append({**group, **rates, "params": parameters})
    optimizer.param_groups[:] = divided


def check_decays(optimizer: torch.optim.Optimizer, parameters: Parameters, groups: list[Group]) -> None:
    """Refuse factors on the decay of parameters that an optimiser does not decay.

    Raises:
        ValueError: None of a group's parameters is decayed.
    """
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    for index, group in enumerate(groups):
        if group.weight_decay != 1 and not any(group.slot in parameters.places[key] for key in decayed):
            raise ValueError(
                f"training.groups.{index}.weight_decay: the optimiser decays no parameter of {group.slot!r} in the "
                "first place; leave it out"
            )


def _placed(module: nn.Module, above: set[str]) -> Iterator[tuple[set[str], nn.Module]]:
    """Every module with the slots, and names of the model's parts, that it lies in."""
    here = above | ({module.slot} if isinstance(module, Module) else set())
    yield here, module
    for name, child in module.named_children():
        part = {name} if isinstance(module, LoopedTransformer) else set()
        yield from _placed(child, here | part)

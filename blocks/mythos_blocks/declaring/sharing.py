"""Parameters that stand in several places of a module, and stay one tensor whatever is done to it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Place(NamedTuple):
    """Where a parameter stands: the module that holds it, its attribute there, and its name in the state dict."""

    module: nn.Module
    attribute: str
    name: str


def shared_parameters(module: nn.Module) -> list[list[Place]]:
    """The places of every parameter that has more than one."""
    places: dict[int, list[Place]] = {}
    for prefix, part in module.named_modules(remove_duplicate=False):
        for attribute, parameter in part._parameters.items():
            if parameter is not None:
                name = f"{prefix}.{attribute}" if prefix else attribute
                places.setdefault(id(parameter), []).append(Place(part, attribute, name))
    return [group for group in places.values() if len(group) > 1]


def share(groups: list[list[Place]]) -> None:
    """Make the parameters of each group one again: the first."""
    for (first, attribute, _), *others in groups:
        parameter = first._parameters[attribute]
        for place in others:
            if place.module._parameters[place.attribute] is not parameter:
                setattr(place.module, place.attribute, parameter)


def complete(groups: list[list[Place]], tensors: dict[str, Tensor], prefix: str) -> list[str]:
    """Give a state dict every name of a shared parameter of which it has one.

    Returns:
        A line for each parameter of which it has different values.
    """
    differing = []
    for group in groups:
        given = [name for place in group if (name := prefix + place.name) in tensors]
        for other in given[1:]:
            if not same(tensors[given[0]], tensors[other]):
                differing.append(differ(given[0], other))
        for place in group if given else ():
            tensors.setdefault(prefix + place.name, tensors[given[0]])
    return differing


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are of one shape with equal values; NaN equals itself."""
    if one.shape != other.shape or one is other:
        return one is other
    if any(x.is_meta or type(x) not in (Tensor, nn.Parameter) for x in (one, other)):
        return True  # values that are not there, or not here, cannot differ
    return torch.equal(one, other) or torch.allclose(one, other.to(one), rtol=0, atol=0, equal_nan=True)


def differ(one: str, other: str) -> str:
    """The line that says so."""
    return f"{one!r} and {other!r} are one tensor in the model, and differ here"

"""Parameters that are spread over processes (DTensors, as FSDP2 makes them), filled as whole ones are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def is_spread(parameter: Tensor) -> bool:
    """Whether each process holds a part of the tensor; asked without importing what torch spreads with."""
    return hasattr(parameter, "device_mesh")


def whole_of(tensor: Tensor) -> Tensor:
    """The tensor itself, or gathered where each process holds a part; all processes ask."""
    there: Any = tensor
    return there.full_tensor() if is_spread(tensor) else tensor


@contextmanager
def whole(parameter: Tensor) -> Iterator[Tensor]:
    """The tensor to fill in the place of a parameter: itself, or a whole one of which each process keeps its part.

    All processes fill it alike; nothing is sent. Drawn by part, equal generators would give all parts the same numbers.
    """
    if not is_spread(parameter):
        yield parameter
        return
    filled = torch.empty(parameter.shape, dtype=parameter.dtype, device=parameter.device)
    yield filled
    _keep_part(parameter, filled)


@contextmanager
def whole_parameters(module: nn.Module) -> Iterator[None]:
    """The span in which a module and all within it have whole parameters, gathered; afterwards each process's parts.

    All processes enter.
    """
    spread: list[tuple[nn.Module, str, Tensor]] = [
        (part, name, parameter)
        for part in module.modules()
        for name, parameter in part._parameters.items()
        if parameter is not None and is_spread(parameter)
    ]
    gathered: dict[Tensor, nn.Parameter] = {}
    for part, name, parameter in spread:
        if parameter not in gathered:
            here: Any = parameter
            gathered[parameter] = nn.Parameter(here.full_tensor(), requires_grad=parameter.requires_grad)
        part._parameters[name] = gathered[parameter]
    try:
        yield
    finally:
        for part, name, parameter in spread:
            part._parameters[name] = parameter  # type: ignore[assignment]
    for parameter, filled in gathered.items():
        _keep_part(parameter, filled)


def _keep_part(parameter: Any, filled: Tensor) -> None:
    from torch.distributed.tensor import distribute_tensor

    with torch.no_grad():
        mesh, placements = parameter.device_mesh, parameter.placements
        parameter.copy_(distribute_tensor(filled.detach(), mesh, placements, src_data_rank=None))

"""An optimiser: SGD with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Positive
from mythos_lab.training.optimizers import Optimizer


@component("optimizer", "skeleton")
class Skeleton(Optimizer):
    """``torch.optim.SGD``; any optimiser of torch's form stands here.

    Args:
        parameters: What it trains.
        lr: Peak learning rate.
        momentum: Decay of the sum of gradients.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: Positive = 0.1,
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    ) -> None:
        self.torch = torch.optim.SGD(parameters, lr=lr, momentum=momentum)

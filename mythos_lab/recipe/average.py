"""An exponential moving average of the weights that learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mythos_blocks import LoopedTransformer
from mythos_blocks.tensors.spread import is_spread, whole, whole_of


class Average:
    """``average = decay * average + (1 - decay) * weights`` after every step; after the first, the weights.

    It is what ``torch.optim.swa_utils.AveragedModel`` computes with ``get_ema_multi_avg_fn``, without a second model
    where only the weights are needed. Weights that are spread over ranks have averages that are spread like them.

    Args:
        decay: The decay.
        model: What learns.

    Attributes:
        weights: The average, by the parameter's name.
    """

    def __init__(self, decay: float, model: LoopedTransformer) -> None:
        self._decay, self._num = decay, 0
        self._learning = dict(model.named_parameters())
        self.weights = {name: parameter.detach().clone() for name, parameter in self._learning.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take a step's weights in."""
        averages, weights = ([_local(x) for x in some.values()] for some in (self.weights, self._learning))
        if self._num == 0:
            torch._foreach_copy_(averages, weights)
        else:
            torch._foreach_lerp_(averages, weights, 1 - self._decay)
        self._num += 1

    @torch.no_grad()
    def copy_into(self, model: LoopedTransformer) -> None:
        """Give a model the average for its weights; where they are spread all ranks call it."""
        for name, parameter in model.named_parameters():
            parameter.copy_(whole_of(self.weights[name]))

    def state_dict(self) -> dict[str, Any]:
        """With what it goes on to the same bits; where weights are spread all ranks call it, and each has all of it."""
        return {"num": self._num, "weights": {name: whole_of(x) for name, x in self.weights.items()}}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Raises:
            KeyError, RuntimeError: It is that of another model.
        """
        self._num = int(state["num"])
        for name, average in self.weights.items():
            with whole(average) as filled:
                filled.copy_(state["weights"][name])


def _local(x: Tensor) -> Tensor:
    there: Any = x
    return there.to_local() if is_spread(x) else x.detach()

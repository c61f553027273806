"""The contract of a loop sampler."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from mythos_blocks.declaring.component import Component
from mythos_blocks.declaring.contract import contract
from mythos_blocks.declaring.spec import SpecLike
from mythos_blocks.declaring.types import Count
from mythos_blocks.tensors.tracing import real_tensors

GradientWindow = Count | Literal["half_mean"] | None
"""Gradient flows through the last so many iterations."""


@contract("loops")
class LoopSampler(Component):
    """A distribution over loop counts, with its exact probabilities.

    Everything else follows from :meth:`pmf`, which is asked once: the sampler draws by inverting it, so that the mean
    and the quantiles that it reports are those of what it draws.

    Attributes:
        gradient_window: Gradient flows through the last so many iterations; ``None`` for all, ``"half_mean"`` for half
            the mean, rounded up (Parcae).
        progress: Share of training that is done, which the trainer sets; curricula follow it.
    """

    gradient_window: GradientWindow
    progress: float = 1.0

    def off(self) -> SpecLike | None:
        """One iteration."""
        return None if self.max_loops == 1 else {"kind": "fixed", "num_loops": 1}

    def pmf(self) -> Tensor:
        """Probability of each loop count from 0 up, float64 ``(max_loops + 1,)``, on the CPU."""
        raise NotImplementedError

    def constructed(self) -> None:
        self._extent  # noqa: B018  so that no pass has to ask a tensor for it

    @cached_property
    def _extent(self) -> tuple[float, int]:
        """The mean loop count and the largest one."""
        with real_tensors():
            pmf = self.pmf()
            counts = torch.arange(len(pmf), dtype=pmf.dtype, device=pmf.device)
            return float((pmf * counts).sum()), len(pmf) - 1

    @cached_property
    def _cdf(self) -> Tensor:
        with real_tensors():
            return self.pmf().cumsum(0)

    def pmf_now(self) -> Tensor:
        """The probabilities at the present progress of training; :meth:`pmf` are those at its end."""
        return self.pmf()

    def training_pmf(self) -> Tensor:
        """The probabilities over all of training."""
        return self.pmf()

    def sample(self, generator: torch.Generator) -> int:
        """One loop count."""
        return int(self.draw(generator, 1))

    def draw(self, generator: torch.Generator, num: int) -> Tensor:
        """Loop counts at the present progress of training, int64 ``(num,)``."""
        uniform = torch.rand(num, generator=generator, dtype=torch.float64)
        return self._invert(self._cdf, uniform)

    def _invert(self, cdf: Tensor, uniform: Tensor) -> Tensor:
        return torch.searchsorted(cdf, uniform, right=True).clamp_max(self.max_loops)

    @property
    def mean(self) -> float:
        """The exact mean loop count."""
        return self._extent[0]

    def quantile(self, q: float) -> int:
        """The least loop count whose cumulative probability reaches ``q``."""
        return int(torch.searchsorted(self._cdf, torch.tensor(q, dtype=torch.float64) - 1e-12))

    @property
    def eval_loops(self) -> int:
        """The loop count that evaluation uses when none is asked for: the mean, rounded, where none is declared."""
        return round(self.mean)

    @property
    def max_loops(self) -> int:
        """The largest loop count that training can draw."""
        return self._extent[1]

    def window(self, num_loops: int) -> int:
        """Iterations that get gradient out of ``num_loops``."""
        if self.gradient_window is None:
            return num_loops
        window = math.ceil(self.mean / 2 - 1e-9) if self.gradient_window == "half_mean" else self.gradient_window
        return min(num_loops, int(window))

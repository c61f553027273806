"""The contract of a loop sampler."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from mythos_blocks.component import Component


class LoopSampler(Component):
    """A distribution over loop counts, with its exact probabilities.

    Everything else follows from :meth:`pmf`: the sampler draws by inverting it, so that the mean and
    the quantiles that it reports are those of what it draws.

    Attributes:
        gradient_window: Gradient flows through the last so many iterations; ``None`` for all.
    """

    gradient_window: int | None

    def pmf(self) -> Tensor:
        """Probability of each loop count from 0 up, float64 ``(max_loops + 1,)``, on the CPU."""
        raise NotImplementedError

    @cached_property
    def _cdf(self) -> Tensor:
        return self.pmf().cumsum(0)

    def sample(self, generator: torch.Generator) -> int:
        """One loop count."""
        draw = torch.rand((), generator=generator, dtype=torch.float64)
        return min(int(torch.searchsorted(self._cdf, draw, right=True)), self.max_loops)

    @property
    def mean(self) -> float:
        """The exact mean loop count."""
        pmf = self.pmf()
        return float((pmf * torch.arange(len(pmf), dtype=pmf.dtype, device=pmf.device)).sum())

    def quantile(self, q: float) -> int:
        """The least loop count whose cumulative probability reaches ``q``."""
        return int(torch.searchsorted(self._cdf, torch.tensor(q, dtype=torch.float64) - 1e-12))

    @property
    def eval_loops(self) -> int:
        """The loop count that evaluation uses when none is asked for: the mean, rounded."""
        return round(self.mean)

    @property
    def max_loops(self) -> int:
        """The largest loop count that training can draw."""
        return len(self.pmf()) - 1

    def window(self, num_loops: int) -> int:
        """Iterations that get gradient out of ``num_loops``."""
        return num_loops if self.gradient_window is None else min(num_loops, self.gradient_window)

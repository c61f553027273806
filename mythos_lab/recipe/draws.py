"""The loop counts that training draws, and the mean of what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_blocks import Loop
from mythos_blocks.declaring.component import Module
from mythos_blocks.tensors.randomness import keyed_generator

_STAGES = [(i + 0.5) / 16 for i in range(16)]  # points of training at which a curriculum is looked at
_NUM_DRAWN = 1000  # batches


@dataclass(frozen=True)
class Draw:
    """What a training step may draw.

    Attributes:
        num_loops: Iterations.
        window: How many of them, the last ones, get gradient.
    """

    num_loops: int
    window: int


class Draws:
    """The loop counts of all training steps and their gradient windows, with their probabilities.

    Args:
        core: The loop.
        num_loops: A count to take instead of those that it draws.

    Attributes:
        most: The largest loop count.
    """

    def __init__(self, core: Loop, num_loops: int | None = None) -> None:
        self._core = core
        self._shares: dict[Draw, float] = {}
        self._when: dict[Draw, float] = {}
        for progress in _STAGES:
            with self._at(progress):
                pmf = core.loops.pmf_now().tolist() if num_loops is None else [0.0] * num_loops + [1.0]
                for n, share in enumerate(pmf):
                    if n and share:
                        draw = Draw(n, min(n, core.gradient.window(n)))
                        self._shares[draw] = self._shares.get(draw, 0.0) + share / len(_STAGES)
                        self._when[draw] = progress
        self.most = max(draw.num_loops for draw in self._shares)

    def mean(self, count: Callable[[int], int]) -> float:
        """The mean over the draws of a count at a number of loops.

        Among draws whose iterations all get gradient, and among the others, a further iteration adds the same
        wherever it stands, and so does one more with gradient; so the mean follows from the shortest draws. Where
        iterations differ (they read earlier ones or their keys, or layers run one after the other), every draw is
        counted.
        """
        if not self._alike:
            return sum(share * self._count(count, draw) for draw, share in self._shares.items())
        whole = {draw: share for draw, share in self._shares.items() if draw.window == draw.num_loops}
        cut = {draw: share for draw, share in self._shares.items() if draw.window < draw.num_loops}
        return sum(self._affine_mean(count, shares) for shares in (whole, cut) if shares)

    def spread(self, shape: torch.Size) -> Iterator[tuple[float, Tensor]]:
        """The counts of whole batches as they spread in the course of training, each with its share of the steps.

        Within the loop body, the loop is at that point of training.
        """
        last: list[float] = []
        shares: list[tuple[float, float]] = []
        for progress in _STAGES:
            with self._at(progress):
                now = [*self._core.loops.pmf_now().tolist(), self._core.gradient.window(self.most)]
            if now == last:
                shares[-1] = shares[-1][0], shares[-1][1] + 1 / len(_STAGES)
            else:
                shares.append((progress, 1 / len(_STAGES)))
            last = now
        for progress, share in shares:
            with self._at(progress):
                yield share, spread_counts(self._core, shape)

    @property
    def _alike(self) -> bool:
        reads = any(isinstance(module, Module) and module.reads_memory for module in self._core.modules())
        return self._core.tying == "cycle" and self._core.kv_policy.kind == "per_loop" and not reads

    def _affine_mean(self, count: Callable[[int], int], shares: dict[Draw, float]) -> float:
        """The same, of a count that is affine in loops and window, times the probability of these draws."""
        told: list[Draw] = []
        for draw in sorted(shares, key=lambda draw: (draw.num_loops, draw.window)):
            if torch.linalg.matrix_rank(_points([*told, draw])) > len(told):
                told.append(draw)
        counts = torch.tensor([[self._count(count, draw)] for draw in told], dtype=torch.float64)
        weights = torch.tensor([list(shares.values())], dtype=torch.float64)
        # Draws on one line leave the slope across it open, and are all on it.
        slopes = torch.linalg.lstsq(_points(told), counts, driver="gelsd").solution
        return float(weights @ _points(list(shares)) @ slopes)

    def _count(self, count: Callable[[int], int], draw: Draw) -> int:
        with self._at(self._when[draw]):
            return count(draw.num_loops)

    @contextmanager
    def _at(self, progress: float) -> Iterator[None]:
        before, self._core.loops.progress = self._core.loops.progress, progress
        try:
            yield
        finally:
            self._core.loops.progress = before


def spread_counts(core: Loop, shape: torch.Size) -> Tensor:
    """Loop counts of a training step as they are on average: evenly spaced quantiles of the distribution, shuffled.

    They are those of the loop's present progress in training.

    Args:
        core: The loop, which draws a count for each sequence or position.
        shape: ``(batch, positions)``.
    """
    size = shape[:1] if core.loops_per == "sequence" else shape
    num = size.numel()
    cumulative = core.loops.pmf_now().double().cumsum(0)
    counts = torch.searchsorted(cumulative, (torch.arange(num, dtype=torch.float64) + 0.5) / num - 1e-12)
    return counts[torch.randperm(num, generator=keyed_generator(0, "spread"))].view(size)


def heaviest_counts(core: Loop, num_sequences: int) -> Tensor:
    """The loop counts of that batch of a thousand which runs the most iterations in all, one for each sequence."""
    drawn = core.loops.draw(keyed_generator(0, "heaviest"), _NUM_DRAWN * num_sequences).view(_NUM_DRAWN, num_sequences)
    return drawn[drawn.sum(1).argmax()]


def _points(draws: list[Draw]) -> Tensor:
    return torch.tensor([(1, draw.num_loops, draw.window) for draw in draws], dtype=torch.float64)

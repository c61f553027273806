"""What a fit tells of a recurrence, and what it cannot tell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mythos_lab.comparison.worth.cells import Cell, mean_noise, seed_noise
from mythos_lab.comparison.worth.fit import Fit
from mythos_lab.comparison.worth.read import Gathered

_FEW_LOOPS, _FEW_SIZES, _FEW_BUDGETS = 3, 3, 3
_LEAST_FREEDOM = 3
_WIDE = 0.5  # of phi's interval; published phi differ by 0.2 between recipes
_LOUD = 0.25  # noise of a cell's mean over the standard deviation of the means
_MISFIT = 0.01  # p-value
_MATTERS = 1.5  # residual scatter over seed noise
_LOST = 0.05  # diverged runs for each that finished
_FAR = 2.0  # times outside the measured sizes


@dataclass(frozen=True)
class Judgement:
    """What follows from a fit.

    Attributes:
        told: Whether the data tell phi from nothing gained, or from layers of their own, and the law describes them.
        sentence: What they tell.
        flags: What limits it, a sentence each.
    """

    told: bool
    sentence: str
    flags: tuple[str, ...]


def judge(fit: Fit, gathered: Gathered | None = None) -> Judgement:
    """Say what the fit tells, and everything that speaks against reading more into it.

    Args:
        fit: The law.
        gathered: The runs that it was fitted to, for what speaks against them.
    """
    misfit, lost = _misfit(fit), () if gathered is None else tuple(_runs(gathered))
    flags = (*lost, *_design(fit.cells, fit.freedom), *_noise(fit.cells), *misfit, *_unidentified(fit), *_beyond(fit))
    told, sentence = _of_phi(fit)
    if told and gathered is not None and gathered.num_diverged > _LOST * gathered.num_runs:
        return Judgement(False, "cannot tell: too many runs diverged, and those that did not are no fair sample", flags)
    if told and misfit:
        return Judgement(False, "cannot tell: the law does not describe these runs, so its phi means little", flags)
    return Judgement(told, sentence, flags)


def _runs(gathered: Gathered) -> Iterator[str]:
    if gathered.num_diverged:
        yield f"{gathered.num_diverged} runs diverged and count nowhere: cells rest on the runs that did not"
    if gathered.unlike:
        yield f"the runs also differ in {', '.join(gathered.unlike)}"


def _of_phi(fit: Fit) -> tuple[bool, str]:
    phi = fit.phi
    if phi is None:
        return False, "cannot tell: phi needs at least two loop counts"
    if phi.low <= 0 and phi.high >= 1:
        return False, "cannot tell: both no gain at all (0) and layers of their own (1) are inside phi's interval"
    if phi.low > 1:
        return True, "recurrences are worth more than layers of their own"
    if phi.high < 0:
        return True, "recurrences cost capacity"
    if phi.low > 0 and phi.high < 1:
        return True, "recurrences add capacity, but less than layers of their own"
    if phi.low > 0:
        return True, "recurrences add capacity; that they equal layers of their own is not excluded"
    return True, "recurrences add less than layers of their own; that they add nothing is not excluded"


def _design(cells: Sequence[Cell], freedom: int) -> Iterator[str]:
    loops, budgets = {cell.loops for cell in cells}, {cell.tokens for cell in cells}
    # Arms of one width do not store quite the same: some have an injection or a gate, and the plain stack has not.
    num_sizes = max(len({(c.num_once, c.num_rec) for c in cells if c.loops == count}) for count in loops)
    if len(loops) == 1:
        yield f"one loop count ({next(iter(loops)):g}): phi is not fitted"
    elif len(loops) < _FEW_LOOPS:
        yield "two loop counts: that worth grows as a power of the loop count is assumed, not seen"
    if loops and min(loops) > 1:
        yield "no stack without a loop among the runs: what a loop equals is extrapolated to one"
    if num_sizes < _FEW_SIZES:
        yield f"{'one size' if num_sizes == 1 else 'two sizes'}: E, A and alpha rest on differences between loop counts"
    if len(budgets) == 1:
        yield "one token budget: the data term is not fitted, and E stands for both"
    elif len(budgets) < _FEW_BUDGETS:
        yield "two token budgets: B, beta and E cannot be told apart"
    if freedom < _LEAST_FREEDOM:
        yield f"{len(cells)} cells for {len(cells) - freedom} parameters: too few to see whether the law holds"
    counts = {len(cell.losses) for cell in cells}
    if len(counts) > 1:
        yield f"cells have from {min(counts)} to {max(counts)} seeds: each cell counts once all the same"


def _noise(cells: Sequence[Cell]) -> Iterator[str]:
    noise = mean_noise(cells)
    spread = float(np.std([cell.log_loss for cell in cells]))
    if math.isnan(noise):
        yield "one seed a cell: noise cannot be told from what the law misses"
    elif noise > _LOUD * spread:
        yield f"noise: seeds leave a cell's mean uncertain by {noise:.2%}, and cells differ by {spread:.2%}"


def _misfit(fit: Fit) -> tuple[str, ...]:
    """Residuals of the cells' means against their noise by seeds, by an F-test."""
    from scipy import stats

    noise, freedom = mean_noise(fit.cells), seed_noise(fit.cells)[1]
    if fit.freedom < 1 or not freedom or not noise:
        return ()
    ratio = fit.scatter / noise
    if ratio < _MATTERS or float(stats.f.sf(ratio**2, fit.freedom, freedom)) > _MISFIT:
        return ()
    return (
        f"misfit: cells lie {ratio:.1f} times as far from the law as their seeds explain ({fit.scatter:.2%} against "
        f"{noise:.2%} of the loss)",
    )


def _unidentified(fit: Fit) -> Iterator[str]:
    phi = fit.phi
    if phi is not None and math.isfinite(phi.low) and math.isfinite(phi.high) and phi.high - phi.low > _WIDE:
        yield f"phi's interval is {phi.high - phi.low:.2f} wide, where published recipes lie 0.2 apart"
    for name, estimate in fit.parameters.items():
        limits = (-math.inf, math.inf) if name == "phi" else (0.0, math.inf)
        ends = [
            end
            for end, open_end in (("below", estimate.low == limits[0]), ("above", estimate.high == limits[1]))
            if open_end
        ]
        if fit.freedom >= 1 and ends:
            yield f"{name} is not bounded from {' or '.join(ends)}: the fit is hardly worse wherever it is put there"
        if name in fit.at_bound:
            yield f"{name} stands at the end of the range in which it is sought"
    if fit.freedom < 1:
        yield f"no intervals: {len(fit.cells)} cells, and as many parameters or more"


def _beyond(fit: Fit) -> Iterator[str]:
    plain = [cell.num_stored for cell in fit.cells if cell.loops == 1]
    looped = [cell for cell in fit.cells if cell.loops > 1]
    if fit.phi is None or not plain or not looped:
        return
    low, high = min(plain) / _FAR, max(plain) * _FAR
    sizes = {fit.equivalent(cell).value for cell in looped}
    beyond = [size for size in sizes if not low <= size <= high]
    if beyond:
        yield (
            f"extrapolation: {len(beyond)} of {len(sizes)} equivalent sizes lie further than twice outside the stacks "
            f"without a loop that were measured ({min(plain):,} to {max(plain):,} parameters)"
        )

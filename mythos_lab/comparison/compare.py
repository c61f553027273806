"""Two arms side by side: what differs in what went in, and what may be said of what came out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mythos_lab.comparison.ceiling import at_ceiling, telling
from mythos_lab.comparison.inputs import Arm, read_arm, unequal
from mythos_lab.comparison.verdict import Verdict, paired, together
from mythos_lab.metrics import METRICS
from mythos_lab.recipe import RecipeError

Direction = Literal["higher", "lower"]

_LOSSES = ("val/loss", "test/loss", "ood/loss")


@dataclass(frozen=True)
class Comparison:
    """What comparing two arms found.

    Attributes:
        metric: The metric that is compared.
        a: The one arm.
        b: The other.
        unequal: Inputs that differ, with both values.
        undeclared: Those of them that nobody declared.
        verdict: What the paired seeds say.
        matters: The smallest difference that matters.
        better: Which way the metric is better; ``None`` where neither is by itself.
    """

    metric: str
    a: Arm
    b: Arm
    unequal: dict[str, tuple[Any, Any]]
    undeclared: list[str]
    verdict: Verdict
    matters: float
    better: Direction | None

    @property
    def ceiling(self) -> str:
        """That neither arm can go higher, with the metric that would tell them apart; nothing where one can."""
        values = {"A": list(self.a.metrics.values()), "B": list(self.b.metrics.values())}
        if len(at_ceiling(self.metric, values)) < len(values):
            return ""
        told = telling(list(values), values)
        return f"both arms are at the ceiling of {self.metric}, which cannot tell them apart; {told}"

    @property
    def changed(self) -> list[str]:
        """A line for each run whose data or code are others by now: its values are as it recorded them."""
        return [
            f"{arm.folders[seed]}: {said}; what is compared is what the run recorded, which cannot be had again so"
            for arm in (self.a, self.b)
            for seed, said in arm.changed.items()
        ]

    @property
    def ended_early(self) -> list[str]:
        """A line for each arm with runs that ended once their task was solved: they took fewer steps than was declared.

        How soon an arm gets there is no input of it, and what it spared is not held against it.
        """
        lines = []
        for name, arm in (("A", self.a), ("B", self.b)):
            asked, steps = arm.recipe.training.max_steps, [m.get("train/num_steps") for m in arm.metrics.values()]
            early = [int(each) for each in steps if each is not None and each < asked]
            if early:
                said = ", ".join(map(str, early))
                lines.append(
                    f"{name}: {len(early)} of {len(steps)} runs ended after {said} of {asked} steps, when solved "
                    f"(training.solved_at={arm.recipe.training.solved_at}); steps and FLOPs are what was declared"
                )
        return lines

    @property
    def sentence(self) -> str:
        """The finding in words. It says "better", or that nothing matters, only where every difference is declared."""
        v, metric, band = self.verdict, self.metric, f"±{self.matters:g}"
        if self.ceiling:
            return self.ceiling
        seeds = f"{v.num_seeds} paired seed{'s' * (v.num_seeds != 1)}"
        if v.num_seeds == 1:
            return f"one seed tells nothing: {metric} differs by {v.difference:+.4g}, and its scatter is unknown"
        if math.isinf(v.error):
            return (
                f"not enough seeds to tell: {metric} differs by {v.difference:+.4g} in each of {seeds}, though their "
                "losses do not; how it scatters is not seen, so take more seeds or more samples"
            )
        size = f"{v.difference:+.4g}, {v.shown_level} interval {v.low:+.4g} to {v.high:+.4g}, p = {v.p_adjusted:.2g}"
        if v.outcome == "not enough seeds":
            found = f"a true difference of {v.detectable:.2g} would be found in 4 of 5 such comparisons"
            if metric in METRICS and METRICS[metric].unit == "share" and v.detectable > 1:
                found = "no difference that there can be would be found in 4 of 5 such comparisons"
            return f"not enough seeds to tell: {metric} {size} with {seeds}; where they scatter like these, {found}"
        if self.undeclared:
            nothing = v.outcome in ("no effect", "negligible")
            said = f"differs by nothing that matters ({band})" if nothing else f"is {v.outcome}"
            return (
                f"B's {metric} {said} ({size}; {seeds}), and no more can be said: the arms also differ in "
                f"{', '.join(self.undeclared)}. Declare what is meant to differ, or make it equal"
            )
        if v.outcome == "no effect":
            return f"no effect: every difference in {metric} that matters ({band}) is excluded ({size}; {seeds})"
        if v.outcome == "negligible":
            return f"too small to matter: B's {metric} differs by {size}, all of it within {band} ({seeds})"
        if self.better is None:
            return f"B's {metric} is {v.outcome} by {size} ({seeds}, {v.test}); neither way is better by itself"
        winner = "B" if v.outcome == self.better else "A"
        return f"{winner} is better: B's {metric} is {v.outcome} by {size} ({seeds}, {v.test})"


def compare(
    a: Sequence[Path], b: Sequence[Path], metric: str, declared: Sequence[str] = (), matters: float = 0.01
) -> Comparison:
    """Compare two arms, each given by the folders of its runs.

    Args:
        a: Runs of the one arm, one for each seed.
        b: Runs of the other.
        metric: A metric of both, such as ``val/accuracy``.
        declared: Inputs that are meant to differ, by name; ``model`` stands for all fields of the model, and
            ``model.core`` for those below it.
        matters: The smallest difference in the metric that matters.

    Raises:
        RecipeError: A folder is none of a finished run, the metric is unknown, or no seed is in both arms.
    """
    one, other = read_arm(list(a)), read_arm(list(b))
    found = compare_arms(one, other, metric, declared, matters)
    for name in declared:
        if not any(covers(name, key) for key in found.unequal):
            raise RecipeError(
                f"--declare {name}: does not differ; what differs is {', '.join(found.unequal) or 'nothing'}"
            )
    return found


def compare_arms(
    one: Arm, other: Arm, metric: str, declared: Sequence[str], matters: float, better: Direction | None = None
) -> Comparison:
    """Compare two arms that have been read.

    Args:
        one: The one arm, A.
        other: The other, B.
        metric: What is compared.
        declared: Inputs that are meant to differ.
        matters: The smallest difference that matters.
        better: Which way is better, where a study says so; what the metric itself says without.

    Raises:
        RecipeError: The metric is unknown, of none of the runs or not finite, or no seed is in both arms.
    """
    seeds = sorted(set(one.metrics) & set(other.metrics))
    if not seeds:
        raise RecipeError(
            f"no seed is in both arms: {sorted(one.metrics)} and {sorted(other.metrics)}; pairs share data and weights"
        )
    for arm in (one, other):
        for seed in seeds:
            if metric not in arm.metrics[seed]:
                known = "a metric, but not of this run" if metric in METRICS else "no metric"
                raise RecipeError(f"{arm.folders[seed]}: {metric!r} is {known}; it has {', '.join(arm.metrics[seed])}")
            if not math.isfinite(value := arm.metrics[seed][metric]):
                raise RecipeError(f"{arm.folders[seed]}: {metric} is {value}; only finite values can be compared")
    found = unequal(one, other)
    undeclared = [name for name in found if not any(covers(d, name) for d in declared)]
    values = [[arm.metrics[seed][metric] for seed in seeds] for arm in (one, other)]
    verdict = paired(values[0], values[1], matters, ties_tell=not _ties_by_chance(one, other, metric, seeds))
    if better is None and metric in METRICS:
        better = METRICS[metric].better
    return Comparison(metric, one, other, found, undeclared, verdict, matters, better)


def corrected(comparisons: Sequence[Comparison], matters: float, family: int | None = None) -> list[Comparison]:
    """Comparisons that are read together, their verdicts corrected by Holm's method.

    Args:
        comparisons: The comparisons.
        matters: The smallest difference that matters.
        family: How many there were to be, those included that came to nothing.
    """
    verdicts = together([comparison.verdict for comparison in comparisons], matters, family)
    return [replace(c, verdict=verdict) for c, verdict in zip(comparisons, verdicts, strict=True)]


def _ties_by_chance(one: Arm, other: Arm, metric: str, seeds: Sequence[int]) -> bool:
    """Whether equal values of a metric that takes few are those of unequal runs, as their losses tell."""
    if metric not in METRICS or not METRICS[metric].is_coarse:
        return False
    return any(one.metrics[s].get(loss) != other.metrics[s].get(loss) for s in seeds for loss in _LOSSES)


def covers(declared: str, name: str) -> bool:
    """Whether declaring the one declares the other: itself, or a field above it."""
    return name == declared or name.startswith(f"{declared}.")

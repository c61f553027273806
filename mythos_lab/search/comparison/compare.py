"""Two arms side by side: what differs in what went in, and what may be said of what came out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mythos_lab.metrics import METRICS
from mythos_lab.recipe import RecipeError
from mythos_lab.search.comparison.inputs import Arm, read_arm, unequal
from mythos_lab.search.comparison.verdict import Verdict, paired, together

LOWER_IS_BETTER = ("loss", "bits_per_byte", "flops", "params", "overthinking")


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
        sentence: The finding in words. It says "better" only where every difference is declared.
    """

    metric: str
    a: Arm
    b: Arm
    unequal: dict[str, tuple[Any, Any]]
    undeclared: list[str]
    verdict: Verdict
    sentence: str


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
    found = judge(one, other, metric, declared, matters)
    for name in declared:
        if not any(_covers(name, key) for key in found.unequal):
            raise RecipeError(
                f"--declare {name}: does not differ; what differs is {', '.join(found.unequal) or 'nothing'}"
            )
    return found


def judge(one: Arm, other: Arm, metric: str, declared: Sequence[str], matters: float) -> Comparison:
    """Compare two arms that have been read.

    Raises:
        RecipeError: The metric is unknown or of none of the runs, or no seed is in both arms.
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
    found = unequal(one, other)
    undeclared = [name for name in found if not any(_covers(d, name) for d in declared)]
    values = [[arm.metrics[seed][metric] for seed in seeds] for arm in (one, other)]
    verdict = paired(values[0], values[1], matters, ties_tell=not _ties_by_chance(one, other, metric, seeds))
    return Comparison(metric, one, other, found, undeclared, verdict, sentence(metric, verdict, undeclared))


def corrected(comparisons: Sequence[Comparison], matters: float) -> list[Comparison]:
    """Comparisons that are read together, their verdicts corrected by Holm's method."""
    verdicts = together([comparison.verdict for comparison in comparisons], matters)
    return [
        replace(c, verdict=verdict, sentence=sentence(c.metric, verdict, c.undeclared))
        for c, verdict in zip(comparisons, verdicts, strict=True)
    ]


def _ties_by_chance(one: Arm, other: Arm, metric: str, seeds: Sequence[int]) -> bool:
    """Whether equal accuracies are those of unequal runs, as their losses tell."""
    loss = metric.replace("accuracy", "loss")
    return loss != metric and any(one.metrics[s].get(loss) != other.metrics[s].get(loss) for s in seeds)


def _covers(declared: str, name: str) -> bool:
    return name == declared or name.startswith(f"{declared}.")


def sentence(metric: str, verdict: Verdict, undeclared: Sequence[str]) -> str:
    """The finding in words."""
    interval = f"95 % interval {verdict.low:+.4g} to {verdict.high:+.4g}"
    size = f"{verdict.difference:+.4g}, {interval}, p = {verdict.p_adjusted:.2g}"
    seeds = f"{verdict.num_seeds} paired seed{'s' * (verdict.num_seeds != 1)}"
    if verdict.outcome == "no effect":
        return f"no effect: every difference in {metric} that matters is excluded ({size}; {seeds})"
    if verdict.num_seeds == 1:
        return f"one seed tells nothing: {metric} differs by {verdict.difference:+.4g}, and its scatter is unknown"
    if math.isinf(verdict.detectable):
        return (
            f"not enough seeds to tell: {metric} differs by {verdict.difference:+.4g} in each of {seeds}, though their "
            "losses do not; how it scatters is not seen, so take more seeds or more samples"
        )
    if verdict.outcome == "not enough seeds":
        return (
            f"not enough seeds to tell: {metric} {size} with {seeds}; "
            f"a true difference of {verdict.detectable:.3g} would be found in 4 of 5 such comparisons"
        )
    if undeclared:
        return (
            f"B's {metric} is {verdict.outcome} ({size}; {seeds}), and no more can be said: the arms also differ in "
            f"{', '.join(undeclared)}. Declare what is meant to differ, or make it equal"
        )
    lower_wins = any(word in metric for word in LOWER_IS_BETTER)
    better = "B" if (verdict.outcome == "lower") == lower_wins else "A"
    return f"{better} is better: B's {metric} is {verdict.outcome} by {size} ({seeds}, {verdict.test})"

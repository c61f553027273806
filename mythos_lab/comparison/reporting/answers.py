"""The sentence that a page ends in: what was found of what was asked, or why nothing can be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from mythos_lab.comparison.ceiling import at_ceiling, telling
from mythos_lab.comparison.compare import Comparison

_MOST_NAMED = 8


class Scored(Protocol):
    """A run, of which its metrics are read."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Its last metrics, by name."""


def arms_answer(
    found: Mapping[str, Comparison], against: str, without: Mapping[str, str], runs: Mapping[str, Sequence[Scored]]
) -> str:
    """What arms are worth against the first.

    Args:
        found: The comparisons, by arm.
        against: The first arm.
        without: Arms of which there is none, and why.
        runs: The finished runs of every arm.
    """
    if not found:
        why = "; ".join(f"{arm}: {reason}" for arm, reason in list(without.items())[:_MOST_NAMED])
        return f"The question cannot be answered: no two arms can be compared{f' ({why})' if why else ''}."
    first = next(iter(found.values()))
    tops = at_ceiling(first.metric, _measured(runs))
    said = [
        f"which of {arm} and {against} is better is not told, for both are at the ceiling of {first.metric}"
        if arm in tops and against in tops
        else _clause(arm, against, each)
        for arm, each in list(found.items())[:_MOST_NAMED]
    ]
    if len(found) > _MOST_NAMED:
        said.append(f"of {len(found) - _MOST_NAMED} more the verdicts say")
    said += [f"of {arm} nothing can be said ({reason})" for arm, reason in list(without.items())[:_MOST_NAMED]]
    return " ".join(filter(None, (f"{_capital('; '.join(said))}.", _why_both(found), ceiling(first.metric, runs))))


def _clause(arm: str, against: str, found: Comparison) -> str:
    v, metric = found.verdict, found.metric
    between = f"{v.difference:+.3g} [{v.low:+.3g}, {v.high:+.3g}]"
    if v.num_seeds == 1:
        return f"of {arm} one seed tells nothing ({metric} differs by {v.difference:+.3g})"
    if math.isinf(v.error):
        return f"of {arm} {v.num_seeds} seeds do not tell: {metric} differs by {v.difference:+.3g} in each of them"
    if v.outcome == "not enough seeds":
        return f"of {arm} {v.num_seeds} seeds do not tell ({metric} {between} against {against})"
    if v.outcome in ("no effect", "negligible"):
        said = f"{arm} differs from {against} by nothing that matters ({metric} {between}, within ±{found.matters:g})"
    elif found.undeclared or found.better is None:
        said = f"{arm}'s {metric} is {v.outcome} than {against}'s by {between}"
    else:
        said = f"{arm} is {'better' if v.outcome == found.better else 'worse'} than {against} in {metric} by {between}"
    if found.undeclared:
        said += f", and no more can be said, as they also differ in {', '.join(found.undeclared[:_MOST_NAMED])}"
    return said


def _why_both(found: Mapping[str, Comparison]) -> str:
    """Two arms inside the band may get two verdicts: what parts them is said."""
    small = [arm for arm, c in found.items() if c.verdict.outcome in ("no effect", "negligible")]
    open_ = [
        arm
        for arm, c in found.items()
        if c.verdict.outcome == "not enough seeds" and abs(c.verdict.difference) <= c.matters
    ]
    if not small or not open_:
        return ""
    band = next(iter(found.values())).matters
    return (
        f"{', '.join(open_[:_MOST_NAMED])} and {', '.join(small[:_MOST_NAMED])} all differ by less than ±{band:g}, and "
        "only of the latter do the seeds exclude more."
    )


def ceiling(metric: str, runs: Mapping[str, Sequence[Scored]]) -> str:
    """That a metric can go no higher, with the metric that would tell; nothing where it can."""
    tops = at_ceiling(metric, _measured(runs))
    if len(tops) < 2:
        return ""
    several = "All arms" if len(tops) == len(runs) else " and ".join(tops[:_MOST_NAMED])
    return f"{several} are at the ceiling of {metric}, which cannot tell them apart; {telling(tops, _measured(runs))}."


def _measured(runs: Mapping[str, Sequence[Scored]]) -> dict[str, list[Mapping[str, float]]]:
    return {arm: [run.metrics for run in each] for arm, each in runs.items()}


def _capital(text: str) -> str:
    """A sentence begins with a capital, unless it begins with a name."""
    return text[0].upper() + text[1:] if text.startswith(("of ", "which of ")) else text

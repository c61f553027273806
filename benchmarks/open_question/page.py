"""Tables and figures of docs/open-question.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.open_question.arms import DEPTHS, KINDS, METRICS, SEEDS
from benchmarks.open_question.one_operator import flips_of_one_operator
from benchmarks.open_question.runs import Run, judged, of
from mythos_lab.comparison.necessary import DELTAS, Judgement
from mythos_lab.comparison.verdict import Verdict, paired, shown_mean, together
from mythos_lab.report.plotting import drawn
from mythos_lab.report.verdicts import verdict_figure

_JITTER = 0.12


def section(runs: Sequence[Run], problem: str) -> str:
    """One task's table, and what is not measured yet."""
    deepest, metric = DEPTHS[problem][-1], METRICS[problem]
    found = differences(runs, problem)
    heads = (
        "loops differ by",
        "parameters",
        "training FLOPs",
        metric,
        "less tied",
        "used",
        "distinct",
        "one for all",
        "necessary",
    )
    lines = [f"| {' | '.join(heads)} |", "| --- " + "| ---: " * 7 + "| --- |"]
    for kind in KINDS:
        arm = of(runs, kind, deepest)
        if not arm:
            lines.append(f"| {kind} |" + " not measured |" + " |" * 7)
            continue
        first = next(iter(arm.values())).metrics
        cells = [
            kind,
            f"{first['cost/params']:,.0f}",
            f"{first['cost/training_flops']:.2g}",
            _mean([run.metrics[metric] for run in arm.values()]),
            _difference(found[kind]) if kind in found else "",
            *(_by_seed(arm.values(), name) for name in ("loops/used", "loops/distinct")),
            ", ".join(f"{flips_of_one_operator(run.folder):.1%}" for run in arm.values()),
            _necessary(judged(runs, problem, kind, DEPTHS[problem]), DEPTHS[problem][0]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_missing(runs, problem)]).rstrip()


def differences(runs: Sequence[Run], problem: str) -> dict[str, Verdict]:
    """Each kind's quality less the tied block's at the deepest training, over paired seeds, by Holm's method."""
    deepest, metric = DEPTHS[problem][-1], METRICS[problem]
    tied, pairs = of(runs, KINDS[0], deepest), {}
    for kind in KINDS[1:]:
        arm = of(runs, kind, deepest)
        seeds = sorted(set(tied) & set(arm))
        if len(seeds) > 1:
            values = [[each[seed].metrics[metric] for seed in seeds] for each in (tied, arm)]
            losses = [[each[seed].metrics["val/loss"] for seed in seeds] for each in (tied, arm)]
            pairs[kind] = paired(*values, DELTAS[metric], ties_tell=losses[0] == losses[1])
    return dict(zip(pairs, together(list(pairs.values()), DELTAS[metric], len(KINDS) - 1), strict=True))


def figures(runs: Sequence[Run], problem: str, folder: Path) -> list[Path]:
    """Used and distinct loops, a mark a seed; and quality less the tied block's."""
    deepest = DEPTHS[problem][-1]
    path = folder / f"open_question_{problem}.png"
    with drawn(path, 6.4, 3.2) as axes:
        for name, colour, marker, shift in (("used", "0.6", "s", -1), ("distinct", "C0", "o", 1)):
            for x, kind in enumerate(KINDS):
                values = [run.metrics[f"loops/{name}"] for run in of(runs, kind, deepest).values()]
                places = [x + shift * 0.15 + _JITTER * (i - (len(values) - 1) / 2) / 2 for i in range(len(values))]
                axes.plot(places, values, marker, color=colour, label=name if x == 0 else None, alpha=0.8)
        axes.set_xticks(range(len(KINDS)), KINDS)
        axes.set(ylim=(0.5, deepest + 0.5), yticks=range(1, deepest + 1), ylabel=f"loops of {deepest}, a mark a seed")
        axes.legend(frameon=False, fontsize="small")
    found = {kind: verdict for kind, verdict in differences(runs, problem).items() if verdict.test != "none"}
    if not found:  # the same in every seed
        return [path]
    intervals = {kind: (v.difference, v.low, v.high) for kind, v in found.items()}
    metric = METRICS[problem]
    quality = folder / f"open_question_{problem}_quality.png"
    return [path, verdict_figure(intervals, DELTAS[metric], metric, "the tied block", quality)]


def _mean(values: Sequence[float]) -> str:
    """A mean with half its interval; what is the same in each seed has no scatter to show."""
    return f"{values[0]:.4g} in each seed" if len(set(values)) == 1 < len(values) else shown_mean(values)


def _difference(found: Verdict) -> str:
    if found.test == "none":
        return f"{found.difference:+.2g} in each seed"
    told = f"{found.outcome}, p = {found.p_adjusted:.2g}"
    return f"{found.difference:+.2g} [{found.low:+.2g}, {found.high:+.2g}] ({told})"


def _by_seed(runs: Sequence[Run], name: str) -> str:
    return ", ".join(f"{run.metrics[name]:.0f}" for run in runs)


def _necessary(found: Judgement | None, least: int) -> str:
    if found is None:
        return "not measured"
    if found.necessary is not None:
        return f"{found.necessary}"
    bound = "" if found.above is None else f"more than {found.above}; "
    open_below = "at most " * (found.by_means == min(found.against) > least)
    return f"{bound}{open_below}{found.by_means} by the means"


def _missing(runs: Sequence[Run], problem: str) -> Iterator[str]:
    wanted = [(kind, depth) for depth in DEPTHS[problem] for kind in (KINDS if depth > 1 else KINDS[:1])]
    few = [f"{kind} at {depth} ({len(of(runs, kind, depth))})" for kind, depth in wanted]
    short = [text for text, arm in zip(few, wanted, strict=True) if len(of(runs, *arm)) < SEEDS]
    if short:
        yield f"Fewer than {SEEDS} seeds when this was written: {', '.join(short)}."

"""What the test split said of a study, and the sentence that it ends in."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mythos_lab.comparison.arms import by_task, objective
from mythos_lab.comparison.cells import mean
from mythos_lab.comparison.holdout import Holdout
from mythos_lab.comparison.reporting.answers import arms_answer
from mythos_lab.comparison.table import verdict_table
from mythos_lab.report.report import Report
from mythos_lab.report.table import Cell, Table, interval, name, nothing, number
from mythos_lab.search.spaces.space import Space

_MOST_NAMED = 8


@dataclass(frozen=True)
class _Scored:
    """What the test split said of one run."""

    metrics: dict[str, float]


def holdout_report(space: Space, found: Holdout) -> Report:
    """What the test split said, when it was opened, and the sentence that answers the study's question there."""
    report = Report()
    when = f"opened on {found.opened}" + (", and not again" if found.before else "")
    report.show("test", _holdout_table(found, f"{space.file.name}: test split, {when}"))
    report.know({"study": space.file.name, "opened": found.opened, "opened_before": found.before})
    if found.verdicts:
        report.show("verdicts", verdict_table(space, found.verdicts))
    answer = holdout_answer(space, found)
    report.say(answer, {"answer": answer})
    return report


def _holdout_table(found: Holdout, title: str) -> Table:
    """A mean over seeds, or one seed with its interval over samples."""
    metrics = list(next(iter(next(iter(found.metrics.values())).values())))
    rows = []
    for trial, seeds in found.metrics.items():
        between = next(iter(found.intervals[trial].values()))
        cells: list[Any] = []
        for metric in metrics:
            cells.append(mean([values[metric] for values in seeds.values()]))
            ends = between.get(metric) if len(seeds) == 1 else None
            cells.append(nothing() if ends is None else interval(*ends))
        rows.append((found.names[trial], *cells))
    pairs = [(number(m), number(f"{m}_interval", "95 % interval", importance=2)) for m in metrics]
    columns = [name("trial", ""), *(column for pair in pairs for column in pair)]
    empty = {i for i in range(len(columns)) if all(isinstance(r[i], Cell) and r[i].value is None for r in rows)}
    kept = [i for i in range(len(columns)) if i not in empty]
    return Table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows], title)


def holdout_answer(space: Space, found: Holdout) -> str:
    """What the test split says of what the study asked, or why it says nothing.

    Args:
        space: The study's space.
        found: What the test split said.
    """
    judged, _ = objective(space)
    metric = judged.replace("val/", "test/")
    measured = {
        n: [values[metric] for values in seeds.values() if metric in values] for n, seeds in found.metrics.items()
    }
    if not all(measured.values()):
        return f"The question cannot be answered by the test split: {judged}, which the study asks for, is not of it."
    if not found.verdicts:
        said = [_score(found, n, judged, metric, measured[n]) for n in list(measured)[:_MOST_NAMED]]
        more = len(measured) - len(said)
        said += [f"of {more} more the table says"] if more else []
        chosen = "" if space.file.arms else ", by which the study chose: the test split is what to report"
        return f"{'; '.join(said)}{chosen}."
    names = space.file.variants
    scored = {found.names[n]: [_Scored(dict(v)) for v in seeds.values()] for n, seeds in found.metrics.items()}
    lost = dict.fromkeys((each for each in names if each not in scored), "it was not trained to its end")
    parts, without, runs = by_task(space, found.verdicts), by_task(space, lost), by_task(space, scored)
    against = next(iter(space.file.arms))
    return " ".join(
        f"{f'On {task}: ' if task else ''}{arms_answer(parts[task], against, without[task], runs[task])}"
        for task in parts
    )


def _score(found: Holdout, trial: int, judged: str, metric: str, values: list[float]) -> str:
    """One trial's score beside the one that it had before."""
    ends = next(iter(found.intervals[trial].values())).get(metric) if len(values) == 1 else None
    between = f" [{ends[0]:.3g}, {ends[1]:.3g}]" if ends is not None else ""
    seeds = f" in the mean of {len(values)} seeds" if len(values) > 1 else ""
    before = fmean(each[judged] for each in found.validation[trial].values())
    now = f"{found.names[trial]} comes to {metric} {fmean(values):.3g}{between}{seeds}"
    return f"{now}, against {before:.3g} on the validation split"

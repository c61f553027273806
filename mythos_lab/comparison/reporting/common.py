"""Sections that pages of runs, arms and studies share."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mythos_lab.comparison.cells import means, near
from mythos_lab.comparison.reporting.recorded import Recorded
from mythos_lab.metrics import METRICS
from mythos_lab.report.page import Commands, Section, Tabled
from mythos_lab.report.page.charts import ends
from mythos_lab.report.table import Cell, Table, name, number, prose

BUDGETS = ("cost/params", "cost/training_flops", "cost/training_tokens", "cost/inference_flops_per_token")
"""What comparisons are held against."""


def cost_section(run: Recorded) -> Section:
    """What a run cost."""
    rows = [
        [metric, Cell(value, f"{value:,.0f}"), METRICS[metric].unit, METRICS[metric].meaning]
        for metric, value in run.metrics.items()
        if metric.startswith("cost/") and metric in METRICS and math.isfinite(value)
    ]
    table = Table([name("cost"), number("value"), name("unit"), prose("meaning")], rows)
    return Section("Cost", [Tabled("cost", table)] if rows else ["No cost was written down."])


def arms_table(arms: Mapping[str, Sequence[Recorded]], metrics: Sequence[str], title: str = "") -> Table:
    """Means over seeds of some metrics, a row an arm; metrics that no run has are left out."""
    there = [m for m in metrics if any(math.isfinite(run.metrics.get(m, math.nan)) for r in arms.values() for run in r)]
    columns = [name("arm"), number("seeds"), *(number(metric) for metric in there)]
    found = [
        means([[v for run in runs if math.isfinite(v := run.metrics.get(metric, math.nan))] for runs in arms.values()])
        for metric in there
    ]
    rows = [[arm, len(runs), *(column[i] for column in found)] for i, (arm, runs) in enumerate(arms.items())]
    return Table(columns, rows, title)


def metrics_table(run: Recorded, prefixes: Sequence[str]) -> Table:
    """Metrics of a run with their intervals over samples."""
    rows = [
        [metric, value, ends(*run.intervals.get(metric, (None, None))), METRICS[metric].meaning]
        for metric, value in run.metrics.items()
        if metric in METRICS and metric.startswith(tuple(prefixes)) and math.isfinite(value)
    ]
    return Table([name("metric"), number("value"), number("interval", "95 % interval"), prose("meaning")], rows)


def repeat_section(commands: Sequence[str], remarks: Sequence[str] = ()) -> Section:
    """The commands that make the same again."""
    return Section("To repeat", [*remarks, Commands(commands)])


def flow(value: Any) -> str:
    """A value of a recipe on one line, as somebody would write it in YAML."""
    return value if isinstance(value, str) else json.dumps(value, default=str).replace('"', "")


def shown(path: Path) -> str:
    """A path as the working directory sees it."""
    return str(near(path.absolute()))

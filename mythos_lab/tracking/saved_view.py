"""A saved view of MLflow's own: the columns and charts that runs of looped models open with.

MLflow keeps a view as a tag of the experiment, a JSON object whose ``state`` is compressed. Its form is the page's own
and said nowhere else, so a view is made for the versions that it was tried with; the others show the plain page.
"""

from __future__ import annotations

import base64
import json
import re
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

VIEW = "mythos"
"""The view's key, as ``viewStateShareKey`` of the page's address names it."""

TAG = f"mlflow.sharedViewState.{VIEW}"
_NAME = "What the loops do"
_TRIED = ("3.17",)  # of MLflow, whose page reads what is written here
_HEAD = "deflate;"
_LEVEL = re.compile(r"depth/(\w+)_(\d+)")
_MOST_LEVELS = 8  # lines of a run in one chart

_COLUMNS = (
    "params.`model.core.loops.kind`",
    *("metrics.`val/accuracy`", "metrics.`val/loss`", "metrics.`ood/best_accuracy`", "metrics.`loops/gain`"),
    *("metrics.`loops/useful_depth`", "metrics.`loops/used`", "metrics.`loops/distinct`", "metrics.`stability/rho_A`"),
    *("metrics.`halting/depth_read`", "metrics.`cost/params`", "metrics.`cost/training_flops`"),
    *("attributes.`Description`", "attributes.`Dataset`", "attributes.`Source`"),
)

# Metrics that are lines over steps (of depth curves, over loop counts), and those of which the last value is a bar.
_CHARTS: dict[str, dict[str, str]] = {
    "What the loops do": {
        "depth/accuracy": "LINE",
        "depth/loss": "LINE",
        "ood_depth/accuracy": "LINE",
        "loops/gain": "LINE",
        "loops/used": "BAR",
        "loops/distinct": "BAR",
    },
    "Training": {"val/accuracy": "LINE", "val/loss": "LINE", "train/loss": "LINE"},
    "Stability and halting": {
        "stability/rho_A": "LINE",
        "stability/rho_J": "LINE",
        "halting/depth_read": "LINE",
        "halting/mean_loops": "LINE",
    },
    "Costs": {"cost/params": "BAR", "cost/training_flops": "BAR", "speed/tokens_per_second": "LINE"},
}


def is_known() -> bool:
    """Whether the installed MLflow is one whose page reads the view."""
    return ".".join(version("mlflow").split(".")[:2]) in _TRIED


def view_tags(tags: Mapping[str, str], metrics: Iterable[str] = ()) -> dict[str, str]:
    """What an experiment's tags lack of the view: nothing where it is there, or where MLflow's page may not read it.

    Args:
        tags: The experiment's.
        metrics: What its runs have logged. Depth curves by difficulty, which each task names otherwise, are one chart.
    """
    state = _state(_by_difficulty(metrics))
    if not is_known() or state_of(tags.get(TAG, "")) == state:
        return {}
    milliseconds = int(time.time() * 1000)
    packed = _HEAD + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return {
        TAG: json.dumps({"name": _NAME, "createdAt": milliseconds, "updatedAt": milliseconds, "state": packed}),
    }


def state_of(tag: str) -> Any:
    """What a view says, as the page reads it; ``None`` of a tag that is no view."""
    try:
        packed = json.loads(tag)["state"]
        return json.loads(zlib.decompress(base64.b64decode(packed.removeprefix(_HEAD))))
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error):
        return None


def _by_difficulty(metrics: Iterable[str]) -> dict[str, list[str]]:
    """Metrics of depth curves by what their difficulty counts, such as ``hops``, each from the easiest on."""
    found: dict[str, dict[int, str]] = {}
    for metric in metrics:
        if of := _LEVEL.fullmatch(metric):
            found.setdefault(of[1], {})[int(of[2])] = metric
    return {name: [levels[n] for n in sorted(levels)][:_MOST_LEVELS] for name, levels in sorted(found.items())}


def _state(levels: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The page's search, its columns and its charts."""
    first = next(iter(_CHARTS))
    sections = {title: f"mythos-{number}" for number, title in enumerate(_CHARTS)}
    return {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(_COLUMNS),
        "columnOrder": list(_COLUMNS),
        "runsHiddenMode": "FIRST_20_RUNS",
        "hideEmptyCharts": True,
        "isAccordionReordered": True,  # or the page sorts the sections by name
        "compareRunSections": [
            {"uuid": key, "name": title, "display": True, "isReordered": True} for title, key in sections.items()
        ],
        "compareRunCharts": [
            *(_of_levels(name, keys, sections[first]) for name, keys in levels.items()),
            *(
                _chart(metric, kind, sections[title])
                for title, charts in _CHARTS.items()
                for metric, kind in charts.items()
            ),
        ],
    }


def _of_levels(name: str, keys: Sequence[str], section: str) -> dict[str, Any]:
    """Depth curves of each level of a difficulty, over each other; the step is the loop count."""
    chart = {**_chart(f"depth/{name}", "LINE", section), "metricKey": keys[0]}
    return {**chart, "selectedMetricKeys": list(keys)}


def _chart(metric: str, kind: str, section: str) -> dict[str, Any]:
    chart = {
        "uuid": f"mythos-{metric}",
        "type": kind,
        "metricSectionId": section,
        "metricKey": metric,
        "runsCountToCompare": 20,
        "deleted": False,
        "isGenerated": False,
    }
    if kind == "BAR":
        return chart
    return {
        **chart,
        "selectedMetricKeys": [metric],
        "lineSmoothness": 0,
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "range": {},
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "useGlobalXaxisKey": False,
        "useGlobalLineSmoothing": True,
    }

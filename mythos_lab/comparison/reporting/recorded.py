"""What a run's folder says of it, read without its model, its data or its code being made again.

Folders come from anywhere: what is not of the form in which runs write it is refused in one line, and there are bounds
to how much of it there may be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mythos_lab.recipe import Recipe
from mythos_lab.recipe.errors import shortened
from mythos_lab.training.result import MEASURES, RESULT, read_recipe, read_result, read_values
from mythos_lab.training.sealed import Damaged

_MOST_COUNTS, _MOST_LEVELS, _MOST_MEASURES, _MOST_VALUES = 256, 256, 256, 100_000
_LEVEL = re.compile(r"([^=]{1,60})=(-?\d{1,9})")
_KNOWN = ("loss", "accuracy")


@dataclass(frozen=True)
class Depth:
    """A depth curve.

    Attributes:
        counts: Loop counts, ascending.
        quality: ``accuracy`` or ``loss``, whichever is judged.
        values: By loop count.
        low: Lower ends of their 95 % intervals over samples; ``None`` where there is none.
        high: Upper ends.
        level_name: What difficulty counts.
        levels: Accuracy by loop count, for each difficulty.
    """

    counts: list[int]
    quality: str
    values: list[float]
    low: list[float | None]
    high: list[float | None]
    level_name: str = ""
    levels: dict[int, list[float | None]] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """The quality with its unit."""
        return "accuracy" if self.quality == "accuracy" else "loss (nats/token)"


@dataclass(frozen=True)
class Taken:
    """What a measure came to.

    Attributes:
        kind: The measure.
        finding: Its sentence.
        values: A mapping a number, as :mod:`mythos_lab.measures.tidy` has them; what there is nothing of is left out.
    """

    kind: str
    finding: str
    values: list[dict[str, Any]]


@dataclass(frozen=True)
class Recorded:
    """A run that has ended.

    Attributes:
        folder: Its folder.
        recipe: Its recipe.
        status: ``finished``, ``diverged`` or ``pruned``.
        reason: Why it did not finish.
        metrics: Last value of each metric.
        intervals: 95 % intervals over samples.
        curve: Depth curve of the validation split.
        beyond: The same out of distribution.
        eval_loops: Loop count at which it is evaluated.
        chance: Accuracy of the best prediction from nothing.
        histogram: Share of positions by the iterations before halting.
        measures: What was measured of it.
    """

    folder: Path
    recipe: Recipe
    status: str
    reason: str
    metrics: dict[str, float]
    intervals: dict[str, tuple[float | None, float | None]]
    curve: Depth | None
    beyond: Depth | None
    eval_loops: int | None
    chance: float | None
    histogram: list[float]
    measures: list[Taken]

    @property
    def quality(self) -> str:
        """The metric by which it is judged."""
        names = ["val/accuracy"] if self.chance is not None or self.curve is None else []
        if self.curve is not None and self.curve.quality == "accuracy":
            names = ["val/accuracy"]
        return next((name for name in (*names, "val/bits_per_byte", "val/loss") if name in self.metrics), "val/loss")


def read_run(folder: Path) -> Recorded:
    """Read a run that has ended.

    Raises:
        RecipeError: The folder holds none.
        Damaged: A file is not as it was written, another run's, or says what no run says.
    """
    recipe, said = read_recipe(folder), read_result(folder)
    path = folder / RESULT
    chance, loops, histogram = said.get("chance"), said.get("eval_loops"), "halting_histogram"
    return Recorded(
        folder,
        recipe,
        said["status"],
        _text(said.get("reason", ""), path, "reason"),
        said["metrics"],
        _intervals(said.get("intervals"), path),
        _depth(said.get("depth_curve"), chance, path, "depth_curve"),
        _depth(said.get("ood_depth_curve"), chance, path, "ood_depth_curve"),
        None if loops is None else _count(loops, path, "eval_loops"),
        None if chance is None else _number(chance, path, "chance"),
        [_number(x, path, histogram) for x in _list(said.get(histogram), path, histogram)],
        _measures(folder, said),
    )  # fmt: skip


def _measures(folder: Path, said: Mapping[str, Any]) -> list[Taken]:
    """Of runs from before there was the file, the sentences alone."""
    path = folder / MEASURES
    if not path.is_file():
        found = _mapping(said.get("findings"), folder / RESULT, "findings")
        return [Taken(kind, _text(text, folder / RESULT, "findings"), []) for kind, text in found.items()]
    found = read_values(folder, MEASURES)
    _at_most(found, _MOST_MEASURES, path, "measures")
    taken = []
    for kind, each in found.items():
        each = _mapping(each, path, kind)
        values = [_value(value, path, kind) for value in _list(each.get("values"), path, kind, _MOST_VALUES)]
        taken.append(Taken(kind, _text(each.get("finding"), path, kind), values))
    return taken


def _value(value: Any, path: Path, what: str) -> dict[str, Any]:
    found = _mapping(value, path, what)
    texts = {key: _text(found.get(key, ""), path, what) for key in ("quantity", "of", "unit", "note")}
    numbers = {key: _number(found[key], path, what) for key in ("value", "low", "high") if found.get(key) is not None}
    loop = {"loop": _count(found["loop"], path, what)} if found.get("loop") is not None else {}
    return {**texts, **{"value": math.nan}, **numbers, **loop}


def _depth(rows: Any, chance: Any, path: Path, what: str) -> Depth | None:
    if not (found := _list(rows, path, what, _MOST_COUNTS)):
        return None
    table = [_mapping(row, path, what) for row in found]
    first = table[0]
    quality = next((name for name in _KNOWN if f"{name}_low" in first), "loss" if chance is None else "accuracy")
    named = {key: level for key in first if (level := _LEVEL.fullmatch(key)) is not None}
    _at_most(named, _MOST_LEVELS, path, what)
    counts = [_count(row.get("loops"), path, what) for row in table]
    if counts != sorted(set(counts)):
        raise _odd(path, what, "loop counts that ascend", counts)

    def column(name: str) -> list[float | None]:
        return [None if row.get(name) is None else _number(row[name], path, what) for row in table]

    return Depth(
        counts,
        quality,
        [math.nan if value is None else value for value in column(quality)],
        column(f"{quality}_low"),
        column(f"{quality}_high"),
        next(iter(level[1] for level in named.values()), ""),
        {int(level[2]): column(key) for key, level in named.items()},
    )


def _intervals(said: Any, path: Path) -> dict[str, tuple[float | None, float | None]]:
    found = {}
    for name, pair in _mapping(said, path, "intervals").items():
        ends = _list(pair, path, "intervals")
        if len(ends) != 2:
            raise _odd(path, "intervals", "two ends each", pair)
        low, high = (None if end is None else _number(end, path, "intervals") for end in ends)
        found[name] = (low, high)
    return found


def _number(value: Any, path: Path, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
        raise _odd(path, what, "a number", value)
    return float(value)


def _count(value: Any, path: Path, what: str) -> int:
    number = _number(value, path, what)
    if number != int(number) or not 0 <= number < 2**31:
        raise _odd(path, what, "a count", value)
    return int(number)


def _text(value: Any, path: Path, what: str) -> str:
    if not isinstance(value, str):
        raise _odd(path, what, "a text", value)
    return value


def _list(value: Any, path: Path, what: str, most: int = _MOST_COUNTS) -> Sequence[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _odd(path, what, "a list", value)
    _at_most(value, most, path, what)
    return value


def _mapping(value: Any, path: Path, what: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _odd(path, what, "an object", value)
    return value


def _at_most(values: Any, most: int, path: Path, what: str) -> None:
    if len(values) > most:
        raise Damaged(f"{path}: {shortened(what)}: {len(values):,} of them; no run writes more than {most:,}")


def _odd(path: Path, what: str, expected: str, found: Any) -> Damaged:
    return Damaged(f"{path}: {shortened(what)}: expected {expected}, found {shortened(repr(found))}")

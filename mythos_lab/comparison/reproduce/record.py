"""What a page rests on, in a sealed file beside it: the numbers by seed and what became of each band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator

from mythos_blocks.declaring.spec import Declaration
from mythos_lab.comparison.reproduce.bands import Finding, Outcome
from mythos_lab.comparison.reproduce.protocol import Protocol, Size
from mythos_lab.comparison.reproduce.readings import DIVERGED
from mythos_lab.comparison.reproduce.runs import Runs
from mythos_lab.recipe.errors import RecipeError, from_validation
from mythos_lab.recipe.places import Name
from mythos_lab.report.table import plain
from mythos_lab.training.sealed import read_json, write_json

SUFFIX = ".json"

PARAMS, FLOPS, USED, DISTINCT = "cost/params", "cost/training_flops", "loops/used", "loops/distinct"
"""What a record keeps of every arm, whether the page shows it or not."""


class Held(Declaration):
    """What became of a band.

    Attributes:
        claim: What is claimed.
        band: The values that it allows, in words.
        values: The number by seed.
        low: Lower end of the interval of their mean; ``None`` where it is open.
        high: Upper end.
        outcome: Whether it holds.
    """

    claim: str
    band: str
    values: list[float]
    low: float | None
    high: float | None
    outcome: Outcome


class Record(Declaration):
    """The numbers of a system's page.

    Attributes:
        name: The protocol's name.
        title: The system and its source.
        question: What is asked.
        size: The size that it ran at.
        side_by_side: Whether its arms are systems on one task.
        metric: What verdicts compare.
        num_runs: All runs.
        readings: By arm, in the protocol's order, each reading of the page by seed; ``None`` where a run has none.
        bands: What became of each band.
    """

    name: Name
    title: str
    question: str
    size: Size
    side_by_side: bool = False
    metric: str
    num_runs: int
    readings: dict[Name, dict[str, dict[str, float | None]]]
    bands: list[Held]

    @model_validator(mode="after")
    def _has_an_arm(self) -> Self:
        if not self.readings:
            raise ValueError("readings: expected those of an arm or more")
        return self

    @property
    def stem(self) -> str:
        """The name of its page and its files, without a suffix."""
        return stem(self.name, self.size)

    def values(self, read: str, arm: str | None = None) -> list[float]:
        """A reading of an arm, the first without, over the seeds that have it."""
        of_seeds = self.readings[arm or next(iter(self.readings))].get(read, {})
        return [value for value in of_seeds.values() if value is not None]


def stem(name: str, size: str) -> str:
    """The name of a page and its files, without a suffix."""
    return name if size == "tiny" else f"{name}-{size}"


def write_record(folder: Path, protocol: Protocol, size: str, runs: Runs, findings: Sequence[Finding]) -> Path:
    """Write the record of a page into its folder; returns its path."""
    ((metric, _),) = protocol.objectives.items()
    values: dict[str, Any] = {
        "name": protocol.name,
        "title": protocol.title,
        "question": protocol.question,
        "size": size,
        "side_by_side": protocol.side_by_side,
        "metric": metric,
        "num_runs": runs.num,
        "readings": _readings(protocol, metric, runs),
        "bands": [
            {
                "claim": f.band.claim,
                "band": f.allowed,
                "values": list(f.values),
                "low": f.low,
                "high": f.high,
                "outcome": f.outcome,
            }
            for f in findings
        ],
    }
    path = folder / f"{stem(protocol.name, size)}{SUFFIX}"
    write_json(path, plain(values), path.stem)
    return path


def read_records(folder: Path) -> list[Record]:
    """The records in a folder, by name.

    Raises:
        RecipeError: A file is no record, or the page that it is of is not there.
        Damaged: A file is not as it was written.
    """
    return [_read(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def _read(path: Path) -> Record:
    try:
        record = Record.model_validate(read_json(path, path.stem))
    except ValidationError as error:
        raise from_validation(path, error) from None
    if record.stem != path.stem or not path.with_suffix(".md").is_file():
        raise RecipeError(f"{path}: its page, {record.stem}.md, is not beside it; mythos reproduce makes both")
    return record


def _readings(protocol: Protocol, metric: str, runs: Runs) -> dict[str, dict[str, dict[str, float | None]]]:
    """All that the page shows of an arm."""
    found = {}
    for arm in protocol.arms:
        reads = dict.fromkeys([metric, PARAMS, FLOPS, USED, DISTINCT, DIVERGED])
        for shown in protocol.tables:
            if arm in (shown.arms or protocol.arms):
                rows: list[str | None] = [*shown.rows] or [None]
                for row in rows:
                    reads |= dict.fromkeys(shown.readings(row).values())
        found[arm] = {
            read: {
                str(seed): value if math.isfinite(value) else None for seed, value in runs.by_seed(arm, read).items()
            }
            for read in reads
        }
    return found

"""What a page rests on, in a sealed file beside it: the numbers by seed and what became of each band."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator

from mythos_blocks.declaring.spec import Declaration
from mythos_lab.comparison.reproduce.bands import Outcome
from mythos_lab.comparison.reproduce.fits import HeldFit
from mythos_lab.comparison.reproduce.protocol import Size
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
        values: The number by seed; of a fit, what was fitted.
        low: Lower end of the interval of their mean; ``None`` where it is open.
        high: Upper end.
        outcome: Whether it holds.
        fit: The fit that the number is of; ``None`` where it is of runs.
    """

    claim: str
    band: str
    values: list[float]
    low: float | None
    high: float | None
    outcome: Outcome
    fit: Name | None = None


class HeldVerdict(Declaration):
    """An arm against the first.

    Attributes:
        arm: Its name.
        difference: Mean over paired seeds.
        low: Lower end of the interval of that mean; ``None`` where it is open.
        high: Upper end.
        level: The interval's level, in per cent.
        p: The p-value by Holm's method.
        verdict: What may be said.
        undeclared: What else the two differ in.
    """

    arm: Name
    difference: float
    low: float | None
    high: float | None
    level: str
    p: float
    verdict: str
    undeclared: list[str]


class Record(Declaration):
    """The numbers of a system's page: with its protocol, all that the page says.

    Attributes:
        name: The protocol's name.
        title: The system and its source.
        question: What is asked.
        size: The size that it ran at.
        side_by_side: Whether its arms are systems on one task.
        metric: What verdicts compare.
        num_runs: All runs.
        seeds: Paired seeds of each arm.
        readings: By arm, in the protocol's order, each reading of the page by seed; ``None`` where a run has none.
        bands: What became of each band.
        fits: What came of each fit, by name.
        verdicts: Each arm against the first; none of one seed.
        not_trained: Arms that were not trained to their end, and what became of them.
        held_by: By arm, the sizes that were solved for to hold its budgets.
    """

    name: Name
    title: str
    question: str
    size: Size
    side_by_side: bool = False
    metric: str
    num_runs: int
    seeds: int
    readings: dict[Name, dict[str, dict[str, float | None]]]
    bands: list[Held]
    fits: dict[Name, HeldFit] = {}
    verdicts: list[HeldVerdict] = []
    not_trained: dict[Name, str] = {}
    held_by: dict[Name, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _has_an_arm(self) -> Self:
        if not self.readings:
            raise ValueError("readings: expected those of an arm or more")
        return self

    @property
    def stem(self) -> str:
        """The name of its page and its files, without a suffix."""
        return stem(self.name, self.size)

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of the bands."""
        return [band.outcome for band in self.bands]

    def shown(self, arm: str, read: str) -> list[float]:
        """A reading of an arm that its page shows, over the seeds that have it.

        Raises:
            RecipeError: It was not recorded.
        """
        if read not in self.readings[arm]:
            raise RecipeError(f"{self.stem}{SUFFIX}: has no {read} of {arm}; mythos reproduce {self.name} records it")
        return self.values(read, arm)

    def values(self, read: str, arm: str | None = None) -> list[float]:
        """A reading of an arm, the first without, over the seeds that have it; none where it was not recorded."""
        of_seeds = self.readings[arm or next(iter(self.readings))].get(read, {})
        return [value for value in of_seeds.values() if value is not None]


def stem(name: str, size: str) -> str:
    """The name of a page and its files, without a suffix."""
    return name if size == "tiny" else f"{name}-{size}"


def write_record(folder: Path, record: Record) -> Path:
    """Write a record into the folder of its page; returns its path."""
    path = folder / f"{record.stem}{SUFFIX}"
    write_json(path, plain(record.model_dump(mode="json")), path.stem)
    return path


def read_records(folder: Path) -> list[Record]:
    """The records in a folder, by name.

    Raises:
        RecipeError: A file is no record, or the page that it is of is not there.
        Damaged: A file is not as it was written.
    """
    return [_with_its_page(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def read_record(path: Path) -> Record:
    """One record.

    Raises:
        RecipeError: It is not there, or is no record of that name.
        Damaged: It is not as it was written.
    """
    if not path.is_file():
        raise RecipeError(f"{path}: is not there; mythos reproduce {path.stem} makes it and its page")
    try:
        record = Record.model_validate(read_json(path, path.stem))
    except ValidationError as error:
        raise from_validation(path, error) from None
    if record.stem != path.stem:
        raise RecipeError(f"{path}: is the record of {record.stem}")
    return record


def _with_its_page(path: Path) -> Record:
    record = read_record(path)
    if not path.with_suffix(".md").is_file():
        raise RecipeError(f"{path}: its page, {record.stem}.md, is not beside it; mythos reproduce makes both")
    return record

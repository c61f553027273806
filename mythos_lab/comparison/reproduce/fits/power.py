"""A power law of what is read of a protocol's arms in a number that each of them has."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from mythos_blocks.declaring.spec import Declaration
from mythos_lab.comparison.reproduce.fits.held import HeldEstimate, HeldLaw
from mythos_lab.comparison.reproduce.readings import read_reading
from mythos_lab.comparison.reproduce.runs import Runs
from mythos_lab.measures import student
from mythos_lab.report.plotting import drawn, literal
from mythos_lab.report.table import Table, name, number

_FEWEST = 3


class HeldPoint(Declaration):
    """What is read of an arm.

    Attributes:
        arm: Its name.
        x: Its number.
        values: What is read, by seed.
        predicted: The law's value; ``None`` where nothing was fitted.
    """

    arm: str
    x: float
    values: dict[str, float]
    predicted: float | None

    @property
    def mean(self) -> float:
        """Mean over the seeds; ``nan`` without any."""
        return sum(self.values.values()) / len(self.values) if self.values else math.nan


class HeldPower(HeldLaw):
    """What came of a power law.

    Attributes:
        x: What the arms' numbers are.
        y: What is read.
        cells: What it was fitted to.
    """

    kind: Literal["power"] = "power"
    x: str
    y: str
    cells: list[HeldPoint]

    def points(self) -> Table:
        """The arms, with the law's value for each."""
        columns = (name("arm"), number("x", self.x), number("y", self.y), number("law"), number("seeds"))
        rows = [
            (cell.arm, cell.x, cell.mean if cell.values else None, cell.predicted, len(cell.values))
            for cell in self.cells
        ]
        return Table(columns, rows, self.title)

    def draw(self, path: Path) -> Path | None:
        """Every seed on logarithmic axes with the law's line; nothing where nothing was fitted."""
        if not self.estimates:
            return None
        with drawn(path, 6.4, 4.0) as axes:
            for cell in self.cells:
                axes.plot([cell.x] * len(cell.values), list(cell.values.values()), "o", markersize=4, color="tab:blue")
            xs = np.geomspace(min(cell.x for cell in self.cells), max(cell.x for cell in self.cells), 50)
            axes.plot(xs, self.estimates["c"].value * xs ** self.estimates["k"].value, color="grey", linewidth=1)
            axes.set(xscale="log", yscale="log", xlabel=literal(self.x), ylabel=literal(self.y))
        return path


class PowerFit(Declaration):
    """The exponent k of ``y = c x^k``, by least squares of logarithms over all runs.

    Runs of one arm share its x and their errors are taken as independent; the interval of k is Student's.
    """

    kind: Literal["power"] = "power"
    title: str = Field(description="What it shows.")
    x: str = Field(description="What the arms' numbers are.")
    y: str = Field(description="What is read, in words.")
    read: str = Field(description="The reading.")
    arms: Annotated[dict[str, Annotated[float, Field(gt=0)]], Field(min_length=2)] = Field(
        description="The number of each arm."
    )

    @property
    def parameters(self) -> tuple[str, ...]:
        """What it may estimate."""
        return ("k", "c")

    def fitted(self, runs: Runs) -> HeldPower:
        """Fit the law to the arms' runs; those without a value above 0 are left out, and counted."""
        read_reading(self.read)
        found = {arm: runs.by_seed(arm, self.read) for arm in self.arms}
        usable = {
            arm: {seed: value for seed, value in values.items() if math.isfinite(value) and value > 0}
            for arm, values in found.items()
        }
        points = [(self.arms[arm], value) for arm, values in usable.items() for value in values.values()]
        lost = sum(map(len, found.values())) - len(points)
        against = [f"{lost} runs have no such value above 0, and count nowhere"] if lost else []
        estimates, finding, noted = _least_squares(points)
        cells = [
            HeldPoint(
                arm=arm,
                x=x,
                values={str(seed): value for seed, value in usable[arm].items()},
                predicted=estimates["c"].value * x ** estimates["k"].value if estimates else None,
            )
            for arm, x in self.arms.items()
        ]
        return HeldPower(
            title=self.title,
            law="y = c x^k",
            estimates=estimates,
            finding=finding,
            against=[*against, *noted],
            x=self.x,
            y=self.y,
            cells=cells,
        )


def _least_squares(points: list[tuple[float, float]]) -> tuple[dict[str, HeldEstimate], str, list[str]]:
    """The law's parameters, what they say, and what speaks against them."""
    num_numbers = len({x for x, _ in points})
    if len(points) < _FEWEST or num_numbers < 2:
        return {}, f"cannot tell: {len(points)} runs at {num_numbers} numbers", []
    x, y = np.log(np.array(points)).T
    away = x - x.mean()
    squares = float((away**2).sum())
    slope = float((away * y).sum()) / squares
    residuals = y - y.mean() - slope * away
    freedom = len(points) - 2
    scatter = math.sqrt(float((residuals**2).sum()) / freedom)
    k = HeldEstimate.of(slope, *student.around(slope, scatter / math.sqrt(squares), freedom))
    start = float(y.mean()) - slope * float(x.mean())
    error = scatter * math.sqrt(1 / len(points) + float(x.mean()) ** 2 / squares)
    c = HeldEstimate.of(math.exp(start), *map(math.exp, student.around(start, error, freedom)))
    total = float(((y - y.mean()) ** 2).sum())
    explained = f"R2 is {1 - float((residuals**2).sum()) / total:.2f}" if total else "y is the same everywhere"
    noted = ["two numbers: that it is a power law is assumed, not seen"] if num_numbers == 2 else []
    return {"k": k, "c": c}, f"k = {slope:.2f} over {len(points)} runs at {num_numbers} numbers; {explained}", noted

"""What a recurrence is worth, fitted over a protocol's arms as ``mythos worth`` fits a sweep (arXiv 2604.21106)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mythos_blocks.declaring.spec import Declaration
from mythos_lab.comparison.reproduce.fits.held import HeldEstimate, HeldLaw
from mythos_lab.comparison.reproduce.runs import Runs
from mythos_lab.comparison.worth import Cell, Counted, Estimate, Fit, fit_law, gather_runs, judge
from mythos_lab.report.table import Cell as Shown
from mythos_lab.report.table import Table, name, nothing, number
from mythos_lab.report.worth import worth_figure

_LAW = "L = E + A (N_once + r^phi N_rec)^-alpha + B D^-beta"


class HeldCell(Declaration):
    """Runs that differ in their seed alone.

    Attributes:
        num_once: Parameters used once.
        num_rec: Parameters of the looped core.
        loops: The mean loop count.
        tokens: Training tokens.
        losses: Validation losses by seed, nats per token.
        predicted: The law's loss.
        equals: Parameters of the stack without a loop that is as good on as much data; ``None`` of such a stack.
    """

    num_once: int
    num_rec: int
    loops: float
    tokens: int
    losses: dict[str, float]
    predicted: float
    equals: HeldEstimate | None

    @property
    def loss(self) -> float:
        """Mean over the seeds."""
        return sum(self.losses.values()) / len(self.losses)


class HeldWorth(HeldLaw):
    """What came of a fit of worth.

    Attributes:
        cells: What it was fitted to, in the order of size, loops and tokens.
    """

    kind: Literal["worth"] = "worth"
    cells: list[HeldCell]

    def points(self) -> Table:
        """The cells, with the stack that each looped model equals."""
        columns = (
            name("num_once", "N_once"),
            name("num_rec", "N_rec"),
            name("loops"),
            number("loss", "nats per token"),
            number("law"),
            number("equals", "equals, unlooped", ",.0f"),
            number("interval", "95 %"),
        )
        rows = [
            (
                Shown(cell.num_once, f"{cell.num_once:,}"),
                Shown(cell.num_rec, f"{cell.num_rec:,}"),
                Shown(cell.loops, f"{cell.loops:g}"),
                cell.loss,
                cell.predicted,
                nothing() if cell.equals is None else cell.equals.value,
                nothing() if cell.equals is None else cell.equals.between(",.0f"),
            )
            for cell in self.cells
        ]
        return Table(columns, rows, self.title)

    def draw(self, path: Path) -> Path | None:
        """Loss against effective parameters; nothing where nothing was fitted."""
        if not self.estimates:
            return None
        law = {each: found.value for each, found in self.estimates.items()}
        phi = law.get("phi", 0.0)
        return worth_figure(
            sizes=[cell.num_once + cell.num_rec * cell.loops**phi for cell in self.cells],
            loops=[cell.loops for cell in self.cells],
            tokens=[cell.tokens for cell in self.cells],
            losses=[list(cell.losses.values()) for cell in self.cells],
            law=law,
            title=f"phi = {phi:.2f}" if "phi" in law else "phi is not fitted; drawn at phi = 0",
            path=path,
        )


class WorthFit(Declaration):
    """The exponent of equivalent parameters, phi, over arms that differ in model, steps and seed alone."""

    kind: Literal["worth"] = "worth"
    title: str = Field(description="What it shows.")
    arms: Annotated[list[str], Field(min_length=2)] = Field(description="Arms whose runs it is fitted to.")
    counted: Counted = Field("non_embedding", description="Which parameters count.")

    @property
    def parameters(self) -> tuple[str, ...]:
        """What it may estimate."""
        return ("phi", "alpha", "beta", "E", "A", "B")

    def fitted(self, runs: Runs) -> HeldWorth:
        """Fit the law to the arms' runs.

        Raises:
            RecipeError: They differ in more than model, steps and seed.
        """
        gathered = gather_runs([f for arm in self.arms for f in runs.folders.get(arm, {}).values()], self.counted)
        try:
            fit = fit_law(gathered.cells)
        except ValueError as error:
            return HeldWorth(
                title=self.title, law=_LAW, estimates={}, finding=f"cannot tell: {error}", against=[], cells=[]
            )
        judgement = judge(fit, gathered)
        return HeldWorth(
            title=self.title,
            law=_LAW,
            estimates={each: _estimate(found) for each, found in fit.parameters.items()},
            finding=judgement.sentence,
            against=list(judgement.flags),
            cells=[_cell(fit, cell, predicted) for cell, predicted in zip(fit.cells, fit.predicted, strict=True)],
        )


def _cell(fit: Fit, cell: Cell, predicted: float) -> HeldCell:
    return HeldCell(
        num_once=cell.num_once,
        num_rec=cell.num_rec,
        loops=cell.loops,
        tokens=cell.tokens,
        losses={str(seed): loss for seed, loss in cell.losses.items()},
        predicted=predicted,
        equals=_estimate(fit.equivalent(cell)) if fit.phi is not None and cell.loops > 1 else None,
    )


def _estimate(found: Estimate) -> HeldEstimate:
    return HeldEstimate.of(found.value, found.low, found.high)

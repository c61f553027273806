"""A protocol as it is written: what is asked of a system, how, what was published, and what must hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from mythos_blocks.declaring.registry import suggest
from mythos_blocks.declaring.spec import Declaration
from mythos_blocks.declaring.types import AtMost, Count
from mythos_lab.comparison.reproduce.fits import DeclaredFit
from mythos_lab.comparison.reproduce.readings import read_reading
from mythos_lab.recipe.documents import read_mapping
from mythos_lab.recipe.errors import RecipeError, from_validation
from mythos_lab.recipe.files import find
from mythos_lab.recipe.places import Name
from mythos_lab.search.budgets.hold import Hold

Size = Literal["tiny", "small"]
"""What a protocol can be run at."""


class ProtocolArm(Declaration):
    """One arm: the protocol's recipe, or another one, with what it changes."""

    recipe: str | None = Field(None, description="Another recipe whose model and training it has; null takes none.")
    overrides: list[str] = Field([], description="Overrides of that other recipe, after the protocol's own.")
    set: dict[str, Any] = Field({}, description="Values by their path in the recipe.")
    hold: Hold | None = Field(None, description="Budgets that it is brought to; recipe takes those of the first arm.")

    @model_validator(mode="after")
    def _overrides_are_of_a_recipe(self) -> Self:
        if self.overrides and self.recipe is None:
            raise ValueError("overrides are those of another recipe, and none is named; expected them under 'set'")
        return self


class Published(Declaration):
    """A table as its authors print it."""

    title: str = Field(description="What it shows.")
    source: str = Field(description="Where it is printed.")
    columns: list[str] = Field(min_length=1, description="Headings.")
    rows: list[list[str | float | None]] = Field(min_length=1, description="Cells, as many in a row as columns.")

    @model_validator(mode="after")
    def _rows_are_whole(self) -> Self:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{row[0]!r}: has {len(row)} cells; expected {len(self.columns)}, one for each column")
        return self


class Shown(Declaration):
    """A table of ours: arms by readings, arms by loop counts, or one arm's difficulties by loop counts."""

    title: str = Field(description="What it shows.")
    arms: list[str] = Field([], description="Arms, in their order; all without.")
    columns: dict[str, str] = Field({}, description="Readings by their headings.")
    curve: str | None = Field(None, description="A column of depth curves, such as loss: an arm a row, by loops.")
    rows: list[str] = Field(
        [], description="Columns of depth curves, such as hops=4, by loops: of the first arm named."
    )
    loops: list[Count] = Field([], description="Loop counts across, for curve and rows.")
    split: Literal["validation", "ood"] = Field("validation", description="The samples that curves are of.")
    figure: bool = Field(True, description="Draw it too.")

    @model_validator(mode="after")
    def _is_one_of_three(self) -> Self:
        if sum(map(bool, (self.columns, self.curve, self.rows))) != 1:
            raise ValueError("expected one of columns, curve and rows")
        if bool(self.loops) == bool(self.columns):
            raise ValueError("loops: expected where there is a curve or rows, and only there")
        for text in self.readings().values():
            read_reading(text)
        return self

    @property
    def is_drawn(self) -> bool:
        """Whether there is a figure of it: columns have none."""
        return self.figure and not self.columns

    def readings(self, row: str | None = None) -> dict[str, str]:
        """The readings across by their headings; of one of ``rows`` where it is named."""
        if self.columns:
            return self.columns
        ood = "ood " * (self.split == "ood")
        column = self.curve or row or self.rows[0]
        return {str(n): f"{ood}{column}@{n}" for n in self.loops}


class Of(Declaration):
    """A number of an arm, or of a fit over several."""

    arm: str | None = Field(None, description="The arm.")
    fit: str | None = Field(None, description="The fit, of which a parameter is read.")
    read: str = Field(description="What is read of its runs, or a parameter of the fit.")

    @model_validator(mode="after")
    def _is_of_one(self) -> Self:
        if (self.arm is None) == (self.fit is None):
            raise ValueError("expected arm or fit, and not both")
        if self.fit is None:
            read_reading(self.read)
        return self


class Band(Declaration):
    """A claim with the values that it allows: of a number, of a difference, or of a ratio, over paired seeds."""

    claim: str = Field(description="What is claimed, in words.")
    of: Of = Field(description="The number.")
    less: Of | None = Field(None, description="What is taken off, seed by seed.")
    over: Of | None = Field(None, description="What it is divided by, seed by seed.")
    at_least: float | None = Field(None, description="The band's lower end.")
    at_most: float | None = Field(None, description="The band's upper end.")

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("expected at_least, at_most, or both")
        if self.less is not None and self.over is not None:
            raise ValueError("expected less or over, not both")
        if len(self.numbers) > 1 and any(number.fit is not None for number in self.numbers):
            raise ValueError("a parameter of a fit has no seeds: expected it without less and over")
        return self

    @property
    def numbers(self) -> list[Of]:
        """All that is read for it."""
        return [number for number in (self.of, self.less, self.over) if number is not None]


class Scale(Declaration):
    """What a protocol changes to run at another size."""

    overrides: list[str] = Field([], description="Overrides of every arm, instead of the protocol's.")


class Protocol(Declaration):
    """How a system's claims are measured."""

    version: Literal[1] = 1
    name: Name = Field(description="Name of the system.")
    title: str = Field(description="The system and its source, as the page is headed.")
    question: str = Field(description="What is asked.")
    claims: list[str] = Field(min_length=1, description="What was claimed, each with who says so.")
    side_by_side: bool = Field(False, description="Arms are systems on one task: the index shows each of them.")
    recipe: str = Field(description="The recipe that arms vary.")
    overrides: list[str] = Field([], description="Overrides that every arm gets.")
    sizes: dict[Size, Scale] = Field({}, description="What other sizes change; tiny is the protocol as it stands.")
    arms: dict[Name, ProtocolArm] = Field(
        min_length=1, max_length=100, description="Arms; verdicts are against the first."
    )
    objectives: dict[str, Literal["minimize", "maximize"]] = Field(
        min_length=1, max_length=1, description="The metric that verdicts compare."
    )
    seeds: Annotated[Count, AtMost(100)] = Field(3, description="Paired seeds of every arm.")
    matters: Annotated[float, Field(ge=0)] = Field(0.01, description="The smallest difference that matters.")
    declared: list[str] = Field([], description="Inputs that may differ between arms, for verdicts.")
    tables: list[Shown] = Field(min_length=1, description="What is shown of our runs.")
    fits: dict[Name, DeclaredFit] = Field({}, description="Laws that are fitted over arms.")
    published: list[Published] = Field([], description="What was published.")
    bands: list[Band] = Field(min_length=1, description="What must hold.")
    differences: list[str] = Field([], description="Where our setting is not the published one, and what came of it.")

    @model_validator(mode="after")
    def _arms_exist(self) -> Self:
        named = [(f"tables: {t.title}", arm) for t in self.tables for arm in t.arms]
        named += [(f"fits.{key}", arm) for key, fit in self.fits.items() for arm in fit.arms]
        named += [(f"bands: {b.claim}", n.arm) for b in self.bands for n in b.numbers if n.arm is not None]
        for where, arm in named:
            if arm not in self.arms:
                raise ValueError(f"{where}: no arm {arm!r}; {suggest(arm, self.arms)}")
        return self

    @model_validator(mode="after")
    def _fits_exist(self) -> Self:
        for band in self.bands:
            if (name := band.of.fit) is None:
                continue
            if name not in self.fits:
                raise ValueError(f"bands: {band.claim}: no fit {name!r}; {suggest(name, self.fits)}")
            known = self.fits[name].parameters
            if band.of.read not in known:
                raise ValueError(f"bands: {band.claim}: no parameter {band.of.read!r}; {suggest(band.of.read, known)}")
        return self


def load_protocol(name: str) -> Protocol:
    """A protocol of ours by name, or the file at a path.

    Raises:
        RecipeError: There is none, or something is wrong with it; one line a mistake.
    """
    path = find("protocols", name)
    try:
        return Protocol.model_validate(read_mapping(Path(path), "protocol"))
    except ValidationError as error:
        raise from_validation(path, error) from None


def overrides_at(protocol: Protocol, size: str) -> list[str]:
    """The overrides of every arm at a size.

    Raises:
        RecipeError: The protocol has no such size.
    """
    if size == "tiny":
        return protocol.overrides
    if size not in protocol.sizes:
        raise RecipeError(
            f"--size {size}: {protocol.name} can be reproduced at: {', '.join(['tiny', *protocol.sizes])}"
        )
    return protocol.sizes[size].overrides

"""Charts as plain data. Each knows the table of what it shows, so that the two cannot differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from mythos_lab.report.table import Cell, Column, Table, interval, name, nothing, number

MOST_SERIES = 6
"""Lines that a chart draws; all are in its table."""

End = float | None
"""An end of an interval, ``None`` where there is none."""


@dataclass(frozen=True)
class Series:
    """One line.

    Attributes:
        label: Its name.
        x: Where it has values, ascending.
        y: The values.
        low: Lower ends of their intervals; empty where there are none.
        high: Upper ends.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[End] = ()
    high: Sequence[End] = ()


@dataclass(frozen=True)
class Curves:
    """Lines over a common axis.

    Attributes:
        x_name: What the axis counts.
        y_name: What the values are, with their unit.
        series: The lines.
        level: A value that is known beforehand, such as chance.
        level_name: Its name.
        marked: A place on the axis, such as the evaluated loop count.
        marked_name: Its name.
        is_loops: Whether the axis counts loops, and is halved rather than divided.
        is_share: Whether values lie between 0 and 1.
        has_lines: Whether values that follow each other are joined.
    """

    x_name: str
    y_name: str
    series: Sequence[Series]
    level: float | None = None
    level_name: str = ""
    marked: float | None = None
    marked_name: str = ""
    is_loops: bool = True
    is_share: bool = False
    has_lines: bool = True

    def table(self) -> Table:
        """A row for each place on the axis, a column for each line and its intervals."""
        places = sorted({x for each in self.series for x in each.x})
        columns, found = [name("x", self.x_name)], []
        for i, each in enumerate(self.series):
            columns.append(number(f"y{i}", each.label or self.y_name))
            has_ends = any(end is not None for end in (*each.low, *each.high))
            if has_ends:
                columns.append(number(f"interval{i}", "95 % interval"))
            found.append((dict(zip(each.x, range(len(each.x)), strict=True)), each, has_ends))
        rows: list[list[object]] = []
        for x in places:
            row: list[object] = [Cell(x, f"{x:g}")]
            for at, each, has_ends in found:
                j = at.get(x)
                row.append(nothing() if j is None else _cell(each.y[j]))
                if has_ends:
                    row.append(nothing() if j is None else ends(each.low[j], each.high[j]))
            rows.append(row)
        return Table(columns, rows)


@dataclass(frozen=True)
class Intervals:
    """Values with their intervals, a line each, against zero.

    Attributes:
        x_name: What the values are.
        labels: Of each line.
        values: The values.
        low: Lower ends, of which one that is not finite is open.
        high: Upper ends.
        band: Half the width of the band around zero that does not matter.
        more: Columns of the table besides: heading and cells.
        is_signed: Whether values lie on either side of zero, as differences do.
    """

    x_name: str
    labels: Sequence[str]
    values: Sequence[float]
    low: Sequence[End]
    high: Sequence[End]
    band: float = 0.0
    more: Sequence[tuple[Column, Sequence[object]]] = field(default_factory=tuple)
    is_signed: bool = True

    def table(self) -> Table:
        """A row for each line."""
        form = "+.3g" if self.is_signed else ".3g"
        has_ends = any(end is not None for end in (*self.low, *self.high))
        columns = [name("of", ""), number("value", self.x_name, form), *[number("interval")] * has_ends]
        rows = [
            [label, value, *[ends(low, high, form)] * has_ends, *(cells[i] for _, cells in self.more)]
            for i, (label, value, low, high) in enumerate(
                zip(self.labels, self.values, self.low, self.high, strict=True)
            )
        ]
        return Table([*columns, *(column for column, _ in self.more)], rows)


@dataclass(frozen=True)
class Bars:
    """A value for each of some whole numbers, such as the share of positions by the iterations that they ran."""

    x_name: str
    y_name: str
    x: Sequence[int]
    y: Sequence[float]

    def table(self) -> Table:
        """A row for each bar."""
        return Table(
            [name("x", self.x_name), number("y", self.y_name)], [[*pair] for pair in zip(self.x, self.y, strict=True)]
        )


@dataclass(frozen=True)
class Grid:
    """A value for each of rows times columns, as shades with the numbers in them.

    Attributes:
        row_name: What the rows are.
        column_name: What the columns are.
        value_name: What the values are.
        rows: Their names, the first at the top.
        columns: Theirs.
        values: By row and column; ``None`` where there is none.
        low: What has no shade.
        high: What has the darkest.
    """

    row_name: str
    column_name: str
    value_name: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    low: float = 0.0
    high: float = 1.0

    def table(self) -> Table:
        """The same rows and columns."""
        heads = [number(f"c{i}", each, ".3g") for i, each in enumerate(self.columns)]
        rows = [
            [label, *(nothing() if value is None else value for value in values)]
            for label, values in zip(self.rows, self.values, strict=True)
        ]
        return Table([name("row", f"{self.row_name} / {self.column_name}"), *heads], rows)


@dataclass(frozen=True)
class Points:
    """Points in a plane, some of which stand out.

    Attributes:
        x_name: What the one axis counts.
        y_name: What the other does.
        labels: Of each point.
        x: Places on the one axis.
        y: Places on the other.
        stands_out: Whether each stands out.
        meaning: What those are that do.
        others: What the others are.
        joined: Whether those that stand out are joined by steps, as a front or a best-so-far is.
        is_log: Whether the one axis is logarithmic.
    """

    x_name: str
    y_name: str
    labels: Sequence[str]
    x: Sequence[float]
    y: Sequence[float]
    stands_out: Sequence[bool]
    meaning: str
    others: str
    joined: bool = True
    is_log: bool = False

    def table(self) -> Table:
        """A row for each point."""
        columns = [name("of", "trial"), number("x", self.x_name), number("y", self.y_name), Column("is", "")]
        rows = [
            [label, x, y, self.meaning if out else ""]
            for label, x, y, out in zip(self.labels, self.x, self.y, self.stands_out, strict=True)
        ]
        return Table(columns, rows)


@dataclass(frozen=True)
class Axis:
    """One coordinate of :class:`Parallel`.

    Attributes:
        name: What it is.
        values: Of each point, a number or, where it is one of several things, a text; ``None`` where it has none.
        levels: The things in their order; none of a coordinate of numbers.
        is_log: Whether numbers are spread by their logarithms.
    """

    name: str
    values: Sequence[float | str | None]
    levels: Sequence[str] = ()
    is_log: bool = False

    def places(self) -> list[float]:
        """Where each point lies on it, from 0 to 1; not a number where it lies nowhere."""
        if self.levels:
            last = max(1, len(self.levels) - 1)
            at = {level: i / last for i, level in enumerate(self.levels)}
            return [math.nan if value is None else at[str(value)] for value in self.values]
        numbers = [math.nan if value is None else self._along(float(value)) for value in self.values]
        known = [x for x in numbers if math.isfinite(x)]
        low, high = min(known, default=0.0), max(known, default=1.0)
        return [(x - low) / (high - low) if high > low else x - low + 0.5 for x in numbers]

    def _along(self, value: float) -> float:
        return math.log(value) if self.is_log and value > 0 else math.nan if self.is_log else value


@dataclass(frozen=True)
class Parallel:
    """Points of many coordinates: a line each through an axis for each coordinate, some of which stand out.

    Attributes:
        axes: The coordinates, in the order in which the lines pass them.
        labels: Of each point.
        stands_out: Whether each stands out.
        meaning: What those are that do.
        others: What the others are.
    """

    axes: Sequence[Axis]
    labels: Sequence[str]
    stands_out: Sequence[bool]
    meaning: str
    others: str

    def table(self) -> Table:
        """A row for each point."""
        columns = [name("of", "trial"), *(number(f"c{i}", axis.name) for i, axis in enumerate(self.axes))]
        rows = [
            [label, *(nothing() if value is None else value for value in values), self.meaning if out else ""]
            for label, out, *values in zip(
                self.labels, self.stands_out, *(axis.values for axis in self.axes), strict=True
            )
        ]
        return Table([*columns, Column("is", "")], rows)


Chart = Curves | Intervals | Bars | Grid | Points | Parallel


def ends(low: End, high: End, form: str = ".4g") -> Cell:
    """Both ends of an interval as a cell; nothing where there is none."""
    if low is None and high is None:
        return nothing()
    return interval(-math.inf if low is None else low, math.inf if high is None else high, form)


def _cell(value: float) -> float | Cell:
    return value if math.isfinite(value) else nothing()

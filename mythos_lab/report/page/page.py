"""What stands on a page, as plain data: whoever writes it as HTML, Markdown or LaTeX says the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mythos_lab.report.page.charts import Chart
from mythos_lab.report.table import Table


@dataclass(frozen=True)
class Fact:
    """One number or word of the strip at the head of a page.

    Attributes:
        label: What it is.
        value: How it reads.
        note: What stands small beside it, such as an interval.
    """

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """A sentence that was found, and what found it: a measure, an arm.

    Attributes:
        by: What found it; empty where the sentence stands alone.
        text: The sentence.
    """

    by: str
    text: str


@dataclass(frozen=True)
class Tabled:
    """A table on its own.

    Attributes:
        key: Name of its files.
        table: The table; its title stands above it.
        is_folded: Whether it is shown once it is asked for.
    """

    key: str
    table: Table
    is_folded: bool = False


@dataclass(frozen=True)
class Figure:
    """A chart with the table of what it shows.

    Attributes:
        key: Name of its files.
        caption: What it shows, in a sentence.
        chart: The chart.
        is_small: Whether it needs half a column only, and may stand beside another one.
    """

    key: str
    caption: str
    chart: Chart
    is_small: bool = False


@dataclass(frozen=True)
class Commands:
    """Command lines to copy."""

    lines: Sequence[str]


Part = str | Finding | Tabled | Figure | Commands


@dataclass(frozen=True)
class Section:
    """Parts under a heading; a part that is a string is a sentence."""

    title: str
    parts: Sequence[Part]


MOST_FIGURES = 60
"""Of a page: a record that has more, which no run of ours writes, shows the others as tables."""


def bounded(sections: Sequence[Section]) -> list[Section]:
    """Sections whose parts have keys of their own, and no more figures than a page can draw in a minute."""
    keys: set[str] = set()
    left, found = MOST_FIGURES, []
    for section in sections:
        parts: list[Part] = []
        for part in section.parts:
            if isinstance(part, Figure):
                part = part if left else Tabled(part.key, part.chart.table(), is_folded=True)
                left -= isinstance(part, Figure)
            if isinstance(part, Figure | Tabled):
                key, number = part.key, 2
                while key in keys:
                    key, number = f"{part.key}_{number}", number + 1
                keys.add(key)
                part = replace(part, key=key)
            parts.append(part)
        found.append(Section(section.title, parts))
    return found


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: Its heading.
        kind: What it is a report of, in a word or two.
        question: What was asked.
        facts: The strip below the question.
        sections: The sections, in their order; those without parts are left out.
        answer: The sentence that answers the question, or says why nothing can.
        about: What it is that the question is asked of, in a sentence.
    """

    title: str
    kind: str
    question: str
    answer: str
    facts: Sequence[Fact] = ()
    sections: Sequence[Section] = field(default_factory=tuple)
    about: str = ""

    def __post_init__(self) -> None:
        keys = [part.key for section in self.sections for part in section.parts if isinstance(part, Figure | Tabled)]
        assert len(set(keys)) == len(keys), f"two parts of one key: {keys}"

    @property
    def shown(self) -> list[Section]:
        """The sections that have something to say."""
        return [section for section in self.sections if section.parts]

    @property
    def figures(self) -> list[Figure]:
        """The figures, in their order."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Figure)]

    @property
    def tables(self) -> dict[str, Table]:
        """Every table by the name of its files, those of figures included."""
        parts = [part for section in self.sections for part in section.parts]
        return {
            part.key: part.table if isinstance(part, Tabled) else part.chart.table()
            for part in parts
            if isinstance(part, Figure | Tabled)
        }

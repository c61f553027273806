"""The table of all systems in a folder of pages, made of the records beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from mythos_lab.comparison.cells import means, near
from mythos_lab.comparison.reproduce.readings import DIVERGED
from mythos_lab.comparison.reproduce.record import DISTINCT, FLOPS, PARAMS, USED, Record, read_records
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.report.markdown import in_text
from mythos_lab.report.report import Report
from mythos_lab.report.table import Cell, Table, name, number, prose

INDEX = "README.md"

_HEAD = "# Systems: what is claimed, and what holds here\n"
_WORDS = """\
Made by `mythos reproduce --index` of the records beside the pages, `SYSTEM.json`, which have every number by seed.

A band is a claim with the values that it allows. It *holds* where the 95 % interval over paired seeds lies within
them, *does not hold* where it lies outside, and *cannot be told* where so many seeds leave it open or no run has the
number. The arm is the first of its protocol, against which the others are held; quality, FLOPs of one training and
loops ([used and distinct](../measures.md)) are its means over seeds, ± half a 95 % interval, and empty where they were
not measured. Each row has a task and a size of its own: **rows do not compare with each other**.
"""


def write_index(folder: Path) -> Report:
    """Write the table of all systems into a folder of pages.

    Raises:
        RecipeError: The folder has no record, a file there is none, or a page of somebody else's has the index's name.
        Damaged: A record is not as it was written.
    """
    records = read_records(folder)
    if not records:
        raise RecipeError(f"{folder}: has no record of a page; mythos reproduce SYSTEM --out {folder} makes one")
    path = folder / INDEX
    if path.is_file() and not path.read_text(encoding="utf-8", errors="replace").startswith(_HEAD):
        raise RecipeError(f"{path}: is another page than the one that would be written here; move it, or the pages")
    write_whole(path, index_page(folder))
    report = Report()
    report.show("systems", index_table(records))
    for record in records:
        if record.side_by_side:
            report.show(record.stem, arms_table(record))
    report.say(f"written: {near(path)}", {"written": [path]}, whole=True)
    return report


def index_page(folder: Path) -> str:
    """The page as Markdown, of the pages in a folder; errors as of :func:`read_records`."""
    records = read_records(folder)
    known = {f"{record.stem}.md" for record in records} | {INDEX}
    lines = [_HEAD, _WORDS, index_table(records).markdown(), ""]
    for record in records:
        if record.side_by_side:
            lines += [f"## {in_text(record.title)}", "", in_text(record.question), ""]
            lines += [f"These rows do compare. How far, says [their page]({record.stem}.md).", ""]
            lines += [arms_table(record).markdown(), ""]
    if others := sorted(path.name for path in folder.glob("*.md") if path.name not in known):
        links = ", ".join(f"[{in_text(other)}]({quote(other)})" for other in others)
        lines += [f"Without a record, and so not in the table: {links}.", ""]
    return "\n".join(lines)


def index_table(records: Sequence[Record]) -> Table:
    """One row a page that has a record."""
    columns = (
        name("system"),
        prose("question", importance=3),
        number("holds", "bands that hold"),
        number("does_not_hold", "do not"),
        number("cannot_be_told", "cannot be told"),
        name("arm"),
        number("quality"),
        number("training_flops", "training FLOPs"),
        number("used", "loops used"),
        number("distinct"),
    )
    found = [means([record.values(read) for record in records]) for read in (FLOPS, USED, DISTINCT)]
    rows = [_row(record, [column[i] for column in found]) for i, record in enumerate(records)]
    return Table(columns, rows, "systems")


def arms_table(record: Record) -> Table:
    """One row an arm, of a record whose arms are systems on one task."""
    columns = {record.metric: record.metric, "parameters": PARAMS, "training FLOPs": FLOPS, "loops used": USED}
    columns |= {"distinct": DISTINCT, "share that diverged": DIVERGED}
    heads = (name("system"), *(number(f"column_{i}", head) for i, head in enumerate(columns)))
    found = [means([record.values(read, arm) for arm in record.readings]) for read in columns.values()]
    rows = [(arm, *(column[i] for column in found)) for i, arm in enumerate(record.readings)]
    return Table(heads, rows, record.title)


def _row(record: Record, others: Sequence[Cell]) -> tuple[object, ...]:
    outcomes = record.outcomes
    quality = means([record.values(record.metric)])[0]
    return (
        Cell(record.stem, record.title, f"{record.stem}.md"),
        record.question,
        outcomes.count("holds"),
        outcomes.count("does not hold"),
        outcomes.count("open") + outcomes.count("not measured"),
        next(iter(record.readings)),
        Cell(quality.value, f"{record.metric} {quality.text}" if quality.text else ""),
        *others,
    )

"""A system's page: what was claimed, which of it holds here, our tables and figures beside the published ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna

from mythos_lab.comparison.arms import verdicts, without_verdict
from mythos_lab.comparison.card import write_card
from mythos_lab.comparison.cells import mean, near
from mythos_lab.comparison.compare import Comparison
from mythos_lab.comparison.reproduce.bands import Finding, judge, summary
from mythos_lab.comparison.reproduce.figures import curve_figure, grid_figure
from mythos_lab.comparison.reproduce.protocol import Protocol, Published, Shown
from mythos_lab.comparison.reproduce.record import stem, write_record
from mythos_lab.comparison.reproduce.runs import Runs, gather
from mythos_lab.comparison.table import verdict_table
from mythos_lab.recipe.documents import to_yaml
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.report.markdown import as_code, in_text
from mythos_lab.report.report import Report
from mythos_lab.report.table import Cell, Table, interval, name, nothing, number, prose
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.study import Conclude, Concluded


def concluding(
    protocol: Protocol, size: str, folder: Path, tell: Callable[[Report], None], found: list[Finding]
) -> Conclude:
    """What reads a settled study, writes the system's page and tells its tables and findings.

    Args:
        protocol: The protocol.
        size: The size that it ran at.
        folder: Where the page, its figures and the record of its numbers go.
        tell: Gets the report.
        found: Gets what became of each band.
    """

    def conclude(space: Space, study: optuna.Study, seconds: float) -> Concluded:
        compared = verdicts(space, study)
        cards = write_card(space, study, compared)  # first: whatever becomes of the page, it is kept
        folder.mkdir(parents=True, exist_ok=True)
        runs = gather(space, study)
        found.extend(judge(band, runs) for band in protocol.bands)
        figures = _figures(protocol, runs, folder, stem(protocol.name, size))
        path = folder / f"{stem(protocol.name, size)}.md"
        lost = without_verdict(space, study)
        write_whole(path, page(protocol, size, space, runs, found, compared, lost, figures))
        written = [path, write_record(folder, protocol, size, runs, found), *figures.values()]
        tell(_report(protocol, runs, found, written))
        return Concluded([*cards, *written])

    return conclude


def page(
    protocol: Protocol,
    size: str,
    space: Space,
    runs: Runs,
    findings: Sequence[Finding],
    compared: Mapping[str, Comparison],
    lost: Mapping[str, str],
    figures: Mapping[str, Path],
) -> str:
    """The page as Markdown."""
    command = f"mythos reproduce {protocol.name}{'' if size == 'tiny' else f' --size {size}'}"
    lines = [f"# {in_text(protocol.title)}", "", in_text(protocol.question), ""]
    lines += [
        f"Made by {as_code(command)}: {runs.num} runs, {space.file.seeds} paired seeds of each arm; ± is half a 95 % "
        "interval.",
        "",
    ]
    lines += ["## What is claimed", "", *(f"- {in_text(claim)}" for claim in protocol.claims), ""]
    lines += ["## What came out", "", f"{summary(list(findings))}.", "", bands_table(findings).markdown(), ""]
    lines += [*(f"- {in_text(line)}" for line in protocol.differences), ""] if protocol.differences else []
    lines += [f"- {in_text(f'{arm}: not trained to its end; {what}')}" for arm, what in lost.items()]
    lines += [""] if lost else []
    lines += ["## Ours", ""]
    for shown in protocol.tables:
        lines += [f"{in_text(shown.title)}:", "", ours(shown, protocol, runs).markdown(), ""]
        if (figure := figures.get(shown.title)) is not None:
            lines += [f"![{in_text(shown.title)}]({figure.name})", ""]
    if compared:
        first = next(iter(compared.values()))
        against = f"{first.metric} against {as_code(next(iter(space.file.arms)))}, p by Holm's method over "
        against += f"{len(space.file.arms) - 1} verdicts:"
        lines += [against, "", verdict_table(space, compared).markdown(), ""]
    if protocol.published:
        lines += ["## As published", ""]
        for table in protocol.published:
            lines += [f"{in_text(table.title)} ({in_text(table.source)}):", "", published(table).markdown(), ""]
    setting = {"recipe": space.file.recipe, "overrides": space.file.overrides, "arms": dict(_arms(protocol, space))}
    lines += ["## The protocol", "", "```yaml", to_yaml(setting).rstrip(), "```"]
    return "\n".join(lines).rstrip() + "\n"


def _arms(protocol: Protocol, space: Space) -> Iterator[tuple[str, Any]]:
    """The arms as they are declared, with what was solved for to hold their budgets."""
    for arm_name, arm in protocol.arms.items():
        solved = {path: space.file.arms[arm_name][path] for path in (arm.hold.paths if arm.hold is not None else [])}
        yield (
            arm_name,
            {**arm.model_dump(mode="json", exclude_defaults=True), **({"held_by": solved} if solved else {})},
        )


def bands_table(findings: Sequence[Finding]) -> Table:
    """Each claim, its band, and what the runs came to."""
    columns = (
        prose("claim", importance=0),
        name("band"),
        number("mean"),
        number("interval", "95 %"),
        number("seeds"),
        name("outcome"),
    )
    rows = [
        (
            f.band.claim,
            f.allowed,
            f.mean if f.values else nothing(),
            interval(f.low, f.high) if f.values else nothing(),
            len(f.values),
            Cell(f.outcome, f.outcome if f.outcome == "holds" else f.outcome.upper()),
        )
        for f in findings
    ]
    return Table(columns, rows)


def ours(shown: Shown, protocol: Protocol, runs: Runs) -> Table:
    """A table of our runs, means over seeds."""
    if shown.rows:
        heads, label = shown.readings(), "loops"
        rows = [(row, *_cells(runs, _only(shown, protocol), shown.readings(row).values())) for row in shown.rows]
    else:
        heads, label = shown.readings(), "arm"
        rows = [(arm, *_cells(runs, arm, heads.values())) for arm in shown.arms or protocol.arms]
    columns = (name("row", label), *(number(f"column_{i}", head) for i, head in enumerate(heads)))
    return Table(columns, rows, shown.title)


def published(table: Published) -> Table:
    """A published table as it is printed."""
    first, *others = table.columns
    columns = (name("row", first), *(number(f"column_{i}", head) for i, head in enumerate(others)))
    rows = [tuple(nothing() if cell is None else cell for cell in row) for row in table.rows]
    return Table(columns, rows, f"as published: {table.title}")


def _cells(runs: Runs, arm: str, reads: Iterable[str]) -> Iterator[Cell]:
    for read in reads:
        values = [value for value in runs.by_seed(arm, read).values() if math.isfinite(value)]
        yield mean(values) if values else nothing()


def _only(shown: Shown, protocol: Protocol) -> str:
    return (shown.arms or list(protocol.arms))[0]


def _figures(protocol: Protocol, runs: Runs, folder: Path, named: str) -> dict[str, Path]:
    found = {}
    for i, shown in enumerate(protocol.tables, 1):
        path = folder / f"{named}-{i}.png"
        if not shown.figure or shown.columns:
            continue
        if shown.curve:
            found[shown.title] = curve_figure(shown, list(shown.arms or protocol.arms), runs, path)
        else:
            found[shown.title] = grid_figure(shown, _only(shown, protocol), runs, path)
    return found


def _report(protocol: Protocol, runs: Runs, findings: Sequence[Finding], files: Sequence[Path]) -> Report:
    report = Report()
    for i, shown in enumerate(protocol.tables, 1):
        report.show(f"table_{i}", ours(shown, protocol, runs))
    for i, table in enumerate(protocol.published, 1):
        report.show(f"published_{i}", published(table))
    report.show("bands", bands_table(findings))
    counts = {
        outcome: sum(f.outcome == outcome for f in findings)
        for outcome in ("holds", "does not hold", "open", "not measured")
    }
    report.say(f"{protocol.name}: {summary(list(findings))}", {"system": protocol.name, "outcomes": counts})
    report.know({"written": files})
    for path in files:
        report.say(f"written: {near(path)}", whole=True)
    return report

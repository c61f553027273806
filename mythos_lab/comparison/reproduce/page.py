"""A system's page: what was claimed, which of it holds here, our tables and figures beside the published ones.

It is made of the protocol and the record of its numbers, and of nothing else, so that it can be made again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna

from mythos_lab.comparison.arms import verdicts, without_verdict
from mythos_lab.comparison.card import write_card
from mythos_lab.comparison.cells import means, near
from mythos_lab.comparison.reproduce.bands import Finding, counted, judge, summary
from mythos_lab.comparison.reproduce.figures import curve_figure, grid_figure
from mythos_lab.comparison.reproduce.protocol import Protocol, Published, Shown, overrides_at
from mythos_lab.comparison.reproduce.record import Held, HeldVerdict, Record, read_record, stem, write_record
from mythos_lab.comparison.reproduce.recording import recorded
from mythos_lab.comparison.reproduce.runs import gather
from mythos_lab.recipe.documents import to_yaml
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.urls import recorded as without_secrets
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
        fits = {key: fit.fitted(runs) for key, fit in protocol.fits.items()}
        found.extend(judge(band, runs, fits) for band in protocol.bands)
        record = recorded(protocol, size, space, runs, found, fits, compared, without_verdict(space, study))
        written = [write_record(folder, record), *_write(protocol, record, folder)]
        tell(_report(protocol, record, written))
        return Concluded([*cards, *written])

    return conclude


def write_again(protocol: Protocol, size: str, folder: Path) -> Report:
    """Write a page and its figures again, of the record beside it: what the protocol says in words may be another.

    Raises:
        RecipeError: There is no record, it has not what the protocol shows, or it is of other arms.
        Damaged: It is not as it was written.
    """
    record = read_record(folder / f"{stem(protocol.name, size)}.json")
    return _report(protocol, record, _write(protocol, record, folder))


def _write(protocol: Protocol, record: Record, folder: Path) -> list[Path]:
    path = folder / f"{record.stem}.md"
    text = page(protocol, record)
    figures = list(_draw(protocol, record, folder))
    write_whole(path, text)
    return [path, *figures]


def page(protocol: Protocol, record: Record) -> str:
    """The page as Markdown.

    Raises:
        RecipeError: The record has not what the protocol shows.
    """
    _check_arms(protocol, record)
    command = f"mythos reproduce {protocol.name}{'' if record.size == 'tiny' else f' --size {record.size}'}"
    lines = [f"# {in_text(protocol.title)}", "", in_text(protocol.question), ""]
    lines += [
        f"Made by {as_code(command)}: {record.num_runs} runs, {record.seeds} paired seeds of each arm; ± is half a "
        "95 % interval.",
        "",
    ]
    lines += ["## What is claimed", "", *(f"- {in_text(claim)}" for claim in protocol.claims), ""]
    lines += ["## What came out", "", f"{summary(record.outcomes)}.", "", bands_table(record.bands).markdown(), ""]
    lines += [*(f"- {in_text(line)}" for line in protocol.differences), ""] if protocol.differences else []
    lines += [f"- {in_text(f'{arm}: not trained to its end; {what}')}" for arm, what in record.not_trained.items()]
    lines += [""] if record.not_trained else []
    lines += ["## Ours", ""]
    for i, shown in enumerate(protocol.tables, 1):
        lines += [f"{in_text(shown.title)}:", "", ours(shown, protocol, record).markdown(), ""]
        if shown.is_drawn:
            lines += [f"![{in_text(shown.title)}]({_figure(record, i)})", ""]
    for key, fit in record.fits.items():
        lines += [f"{in_text(fit.title)}:", "", fit.points().markdown(), ""]
        if fit.estimates:
            lines += [f"{as_code(fit.law)}:", "", fit.parameters().markdown(), ""]
        lines += [f"{in_text(fit.finding)}.", "", *(f"- {in_text(said)}" for said in fit.against), ""]
        if fit.estimates:
            lines += [f"![{in_text(fit.title)}]({_figure(record, key)})", ""]
    if record.verdicts:
        against = f"{record.metric} against {as_code(next(iter(protocol.arms)))}, p by Holm's method over "
        against += f"{len(protocol.arms) - 1} verdicts:"
        lines += [against, "", verdicts_table(record.verdicts).markdown(), ""]
    if protocol.published:
        lines += ["## As published", ""]
        for table in protocol.published:
            lines += [f"{in_text(table.title)} ({in_text(table.source)}):", "", published(table).markdown(), ""]
    overrides = without_secrets(list(overrides_at(protocol, record.size)))
    setting = {"recipe": protocol.recipe, "overrides": overrides, "arms": dict(_arms(protocol, record))}
    lines += ["## The protocol", "", "```yaml", to_yaml(setting).rstrip(), "```"]
    return "\n".join(lines).rstrip() + "\n"


def _check_arms(protocol: Protocol, record: Record) -> None:
    if list(record.readings) != list(protocol.arms):
        raise RecipeError(f"{record.stem}.json: is of other arms than {protocol.name} has; mythos reproduce runs them")


def _arms(protocol: Protocol, record: Record) -> Iterator[tuple[str, Any]]:
    """The arms as they are declared, with what was solved for to hold their budgets."""
    for arm_name, arm in protocol.arms.items():
        declared = arm.model_dump(mode="json", exclude_defaults=True)
        yield arm_name, {**declared, **({"held_by": held} if (held := record.held_by.get(arm_name)) else {})}


def bands_table(bands: Sequence[Held]) -> Table:
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
            band.claim,
            band.band,
            sum(band.values) / len(band.values) if band.values else nothing(),
            interval(*_ends(band)) if band.values else nothing(),
            len(band.values) if band.fit is None else nothing(),
            Cell(band.outcome, band.outcome if band.outcome == "holds" else band.outcome.upper()),
        )
        for band in bands
    ]
    return Table(columns, rows)


def verdicts_table(found: Sequence[HeldVerdict]) -> Table:
    """Each arm's difference from the first, and what may be said of it."""
    columns = (
        name("arm"),
        number("difference", form="+.3g"),
        number("interval"),
        number("level"),
        number("p", "p (Holm)", ".2g"),
        prose("verdict", importance=1),
        prose("also", "also differs in"),
    )
    rows = [
        (
            each.arm,
            each.difference,
            interval(*_ends(each), "+.3g"),
            each.level,
            each.p,
            each.verdict,
            Cell(each.undeclared, ", ".join(each.undeclared) or "nothing undeclared"),
        )
        for each in found
    ]
    return Table(columns, rows)


def _ends(held: Held | HeldVerdict) -> tuple[float, float]:
    return (-math.inf if held.low is None else held.low, math.inf if held.high is None else held.high)


def ours(shown: Shown, protocol: Protocol, record: Record) -> Table:
    """A table of our runs, means over seeds."""
    heads = shown.readings()
    if shown.rows:
        label, names = "loops", shown.rows
        arm = _only(shown, protocol)
        found = [[record.shown(arm, read) for read in shown.readings(row).values()] for row in shown.rows]
    else:
        label, names = "arm", shown.arms or list(protocol.arms)
        found = [[record.shown(arm, read) for read in heads.values()] for arm in names]
    across = zip(*(means(column) for column in zip(*found, strict=True)), strict=True)
    columns = (name("row", label), *(number(f"column_{i}", head) for i, head in enumerate(heads)))
    return Table(columns, [(row, *cells) for row, cells in zip(names, across, strict=True)], shown.title)


def published(table: Published) -> Table:
    """A published table as it is printed."""
    first, *others = table.columns
    columns = (name("row", first), *(number(f"column_{i}", head) for i, head in enumerate(others)))
    rows = [tuple(nothing() if cell is None else cell for cell in row) for row in table.rows]
    return Table(columns, rows, f"as published: {table.title}")


def _only(shown: Shown, protocol: Protocol) -> str:
    return (shown.arms or list(protocol.arms))[0]


def _figure(record: Record, which: int | str) -> str:
    return f"{record.stem}-{which}.png"


def _draw(protocol: Protocol, record: Record, folder: Path) -> Iterator[Path]:
    for i, shown in enumerate(protocol.tables, 1):
        path = folder / _figure(record, i)
        if shown.is_drawn and shown.curve:
            yield curve_figure(shown, list(shown.arms or protocol.arms), record, path)
        elif shown.is_drawn:
            yield grid_figure(shown, _only(shown, protocol), record, path)
    for key, fit in record.fits.items():
        if (drawn := fit.draw(folder / _figure(record, key))) is not None:
            yield drawn


def _report(protocol: Protocol, record: Record, files: Sequence[Path]) -> Report:
    report = Report()
    for i, shown in enumerate(protocol.tables, 1):
        report.show(f"table_{i}", ours(shown, protocol, record))
    for key, fit in record.fits.items():
        report.show(f"fit_{key}", fit.points())
        report.show(f"fit_{key}_parameters", fit.parameters())
        report.say(fit.finding, {f"fit_{key}_finding": fit.finding, f"fit_{key}_against": fit.against})
        for said in fit.against:
            report.say(said, indent=2)
    for i, table in enumerate(protocol.published, 1):
        report.show(f"published_{i}", published(table))
    report.show("bands", bands_table(record.bands))
    outcomes = record.outcomes
    report.say(f"{protocol.name}: {summary(outcomes)}", {"system": protocol.name, "outcomes": counted(outcomes)})
    report.know({"written": files})
    for path in files:
        report.say(f"written: {near(path)}", whole=True)
    return report

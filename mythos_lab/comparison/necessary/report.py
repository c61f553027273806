"""A matrix and what it tells: tables and sentences, the card, the figure and the numbers behind them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import optuna

from mythos_lab.comparison.cells import mean, near
from mythos_lab.comparison.conclude import recorded
from mythos_lab.comparison.necessary.equivalence import Equivalence
from mythos_lab.comparison.necessary.judgement import Judgement, judge
from mythos_lab.comparison.necessary.matrix import Matrix, gather
from mythos_lab.comparison.verdict import shown_mean
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.report.heat_map import heat_map
from mythos_lab.report.markdown import in_text
from mythos_lab.report.report import Report
from mythos_lab.report.table import Cell, Column, Table, interval, name, nothing, number
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.study import Conclude, Concluded

CARD, NUMBERS, FIGURE = "necessary.md", "necessary.csv", "necessary.png"


def concluding(tell: Callable[[Report], None]) -> Conclude:
    """What reads a settled study's matrix, tells what it says, and returns the files that it wrote."""

    def conclude(space: Space, study: optuna.Study, seconds: float) -> Concluded:
        cards = recorded(space, study, seconds)  # first: whatever becomes of the matrix, it is kept
        matrix = gather(space, study)
        found = judge(matrix)
        files = save(matrix, found, space)
        tell(necessary_report(matrix, found, files))
        return Concluded([*cards.files, *files], f"{found.necessary_said}. {found.scaling_said}.")

    return conclude


def save(matrix: Matrix, found: Judgement, space: Space) -> list[Path]:
    """Write card, numbers and figure into a study's folder; returns their paths."""
    paths = [space.folder / each for each in (CARD, NUMBERS, FIGURE)]
    write_whole(paths[0], card(matrix, found, space.file.name, space.file.description))
    write_whole(paths[1], numbers(matrix))
    figure(matrix, paths[2])
    return paths


def necessary_report(matrix: Matrix, found: Judgement, files: list[Path]) -> Report:
    """The matrix, each depth against the deepest, and both sentences."""
    report = Report()
    report.show("matrix", matrix_table(matrix))
    report.show("against", _tests(found.against, f"trained and evaluated at a depth, less at {found.reference}"))
    if found.beyond:
        report.show("beyond", _tests(found.beyond, f"trained at a depth, evaluated at {found.reference} less at it"))
    report.say(
        found.necessary_said,
        {
            "necessary": found.necessary,
            "at_most": found.at_most,
            "more_than": found.above,
            "by_means": found.by_means,
            "delta": matrix.delta,
            "metric": matrix.metric,
            "seeds": matrix.seeds,
            "finding": found.necessary_said,
        },
    )
    report.say(found.scaling_said, {"scaling": found.scaling, "scaling_finding": found.scaling_said})
    report.know({"flags": found.flags, "written": files})
    for flag in found.flags:
        report.say(flag, indent=2)
    for path in files:
        report.say(f"written: {near(path)}", whole=True)
    return report


def card(matrix: Matrix, found: Judgement, title: str, description: str) -> str:
    """One page of Markdown."""
    lines = [f"# {in_text(title)}", "", in_text(description), ""]
    lines += [in_text(f"{found.necessary_said}."), "", in_text(f"{found.scaling_said}."), ""]
    lines += [matrix_table(matrix).markdown(), "", f"![{matrix.metric} by both depths]({FIGURE})", ""]
    lines += [f"Trained and evaluated at a depth, less at {found.reference}, delta {matrix.delta:g}:", ""]
    lines += [_tests(found.against).markdown(), ""]
    if found.beyond:
        lines += [
            f"Trained at a depth, evaluated at {found.reference} less at it:",
            "",
            _tests(found.beyond).markdown(),
            "",
        ]
    return "\n".join([*lines, *(f"- {in_text(flag)}" for flag in found.flags)]).rstrip() + "\n"


def numbers(matrix: Matrix) -> str:
    """The matrix as CSV: a row a cell and seed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("trained_at", "evaluated_at", "seed", matrix.metric))
    for (trained, evaluated), values in matrix.values.items():
        writer.writerows((trained, evaluated, *each) for each in zip(matrix.seeds, values, strict=True))
    return text.getvalue()


def figure(matrix: Matrix, path: Path) -> Path:
    """The heat map of the means, with the cells in which both depths are one framed."""
    depths = matrix.depths
    cells = {cell: (matrix.mean(*cell), shown_mean(values)) for cell, values in matrix.values.items()}
    return heat_map(
        cells,
        depths,
        depths,
        rows="loops trained at",
        columns="loops evaluated at",
        title=f"{matrix.metric}, {len(matrix.seeds)} seeds",
        higher_is_better=matrix.metric == "val/accuracy",
        path=path,
    )


def matrix_table(matrix: Matrix) -> Table:
    """Means over seeds: a row for each depth that was trained at, a column for each that was evaluated at."""
    depths = matrix.depths
    columns = (name("trained", "trained at"), *(number(f"at_{depth}", f"at {depth}") for depth in depths))
    rows = [
        (depth, *(mean(matrix.values[depth, at]) if (depth, at) in matrix.values else nothing() for at in depths))
        for depth in depths
    ]
    return Table(columns, rows, f"{matrix.metric} by the loops evaluated at; ± is half a 95 % interval")


def _tests(tests: Mapping[int, Equivalence], title: str = "") -> Table:
    """Two one-sided tests each; above zero is better."""
    columns = (
        name("depth"),
        number("difference", form="+.3g"),
        number("interval", "90 %"),
        number("p", "p (TOST)", ".2g"),
        Column("outcome", "is"),
    )
    rows = [
        (depth, found.difference, interval(found.low, found.high, "+.3g"), found.p, Cell(found.outcome, found.outcome))
        for depth, found in tests.items()
    ]
    return Table(columns, rows, title)

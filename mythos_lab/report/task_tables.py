"""Tasks as tables: the overview of all, and one looked at."""

from __future__ import annotations

from collections.abc import Sequence

from mythos_lab.report.report import Report
from mythos_lab.report.table import Cell, Column, Table, name, number, prose
from mythos_lab.report.task import Line, Survey


def overview_report(lines: Sequence[Line]) -> Report:
    """All tasks, with the shortcut that goes furthest in each."""
    report = Report()
    report.show("tasks", overview_table(lines))
    report.say("* called compositional. A shortcut leads from chance (0 %) to every answer right (100 %).")
    return report


def overview_table(lines: Sequence[Line]) -> Table:
    """A row for each task; a star marks those that are called compositional."""
    columns = (
        name("task"),
        prose("difficulty", "difficulty / beyond training"),
        number("chance", form=".3g"),
        prose("shortcut", "furthest shortcut"),
        number("leads", form=".0%"),
        number("stated", form=".0%"),
    )
    rows = [
        (
            Cell(line.kind, line.kind + "*" * line.claim),
            line.difficulty,
            line.chance,
            line.shortcut,
            line.explained,
            line.bound,
        )
        for line in lines
    ]
    return Table(columns, rows)


def task_report(found: Survey) -> Report:
    """Samples, sizes, oracle, audit and speed of a task."""
    report = Report()
    report.say(f"{found.kind}  {found.summary}", {"task": found.kind, "summary": found.summary}, head=True)
    report.say("")
    for sample in found.samples:
        report.say(sample + "\n" * ("\n" in sample), whole=True)
    report.know({"samples": found.samples})
    facts = {
        **found.facts,
        **{f"oracle, {split}": f"{share:.4f}" for split, share in found.oracle.items()},
        "speed": f"{found.samples_per_second:,.0f} samples/s",
    }
    report.show("facts", Table((name("fact", ""), prose("value", "", 1)), list(facts.items())))
    report.know({"oracle": found.oracle, "samples_per_second": found.samples_per_second})
    if not found.audit:
        return report
    report.show("audit", _audit_table(found))
    worst = max((s for s in found.audit if not s.partial), key=lambda s: s.explained, default=None)
    if worst is not None and found.max_shortcut is not None:
        explained = max(0.0, worst.explained)
        report.say(
            f"the best shortcut leads {explained:.0%} of the way from chance to every answer right "
            f"(stated: at most {found.max_shortcut:.0%})",
            {"leads": explained, "stated": found.max_shortcut},
        )
    return report


def _audit_table(found: Survey) -> Table:
    levels = sorted({s.difficulty for s in found.audit}, key=lambda level: level or 0)
    accuracies = {(s.feature, s.partial, s.difficulty): s.accuracy for s in found.audit}
    features = sorted(dict.fromkeys((s.feature, s.partial) for s in found.audit), key=lambda pair: pair[1])
    heads = [("accuracy", "accuracy") if level is None else (f"difficulty={level}", str(level)) for level in levels]
    columns: list[Column] = [name("feature"), *(number(key, head, ".3f") for key, head in heads)]
    rows = [
        (
            Cell(feature, feature + " (partial work)" * partial),
            *(accuracies.get((feature, partial, level)) for level in levels),
        )
        for feature, partial in features
    ]
    return Table(columns, rows, "audit: accuracy from one feature")

"""What an inspection found, for people and programs."""

from __future__ import annotations

from mythos_lab.inspection.finding import VERBS, Findings
from mythos_lab.report.report import Report
from mythos_lab.report.table import Table, name, prose


def inspection_report(found: Findings) -> Report:
    """By verb: what it is, would import, read, write and reach, and of what to beware."""
    report = Report()
    rows = []
    for verb in VERBS:
        rows += [(verb, what) for what in found.told[verb]] or [(verb, "nothing")]
        if more := found.left_out.get(verb):
            rows.append((verb, f"and {more:,} more"))
    report.show("found", Table((name("verb", ""), prose("what", "", 1)), rows, found.place))
    report.know({"place": found.place, **{verb: list(found.told[verb]) for verb in VERBS}})
    report.say("nothing was imported, written or contacted; what an import does, its source alone says")
    return report

"""What an inspection found, for people and programs."""

from __future__ import annotations

from mythos_lab.inspection.finding import VERBS, Findings
from mythos_lab.report.report import Report


def inspection_report(found: Findings) -> Report:
    """By verb: what it is, would import, read, write and reach, and of what to beware."""
    report = Report()
    report.say(found.place, {"place": found.place}, head=True)
    for verb in VERBS:
        known = list(found.told[verb])
        report.know({verb: known})
        for what in known:
            report.say(f"{verb:<8} {what}", indent=2)
        if more := found.left_out.get(verb):
            report.say(f"{verb:<8} and {more:,} more", {f"{verb}_left_out": more}, indent=2)
        if not known and verb != "beware":
            report.say(f"{verb:<8} nothing", indent=2)
    report.say("nothing was imported, written or contacted; what an import does is known to its source alone")
    return report

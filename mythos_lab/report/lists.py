"""What there is to declare: recipes, components, and what a check finds of a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from mythos_lab.report.report import Report
from mythos_lab.report.table import Table, name, prose

if TYPE_CHECKING:  # recipes are listed without torch, which what is below brings
    from mythos_lab.checks import Finding
    from mythos_lab.report.catalogue import Entry


def recipes_report(descriptions: Mapping[str, str]) -> Report:
    """Names and descriptions."""
    report = Report()
    report.show("recipes", Table((name("recipe"), prose("description", "what it is", 1)), list(descriptions.items())))
    return report


def findings_report(recipe: str, findings: Sequence[Finding], remarks: Sequence[str] = ()) -> Report:
    """What a recipe declares without effect, which of it is waived, and what is to be said of its data."""
    report = Report()
    report.know({"recipe": recipe, "clean": not findings})
    report.know({"findings": [asdict(finding) for finding in findings], "data": list(remarks)})
    for f in findings:
        report.say(f"{'waived' if f.waived else 'error '}  {f.code:<18} {f.message}", whole=True)
    for remark in remarks:
        report.say(f"note    {'data':<18} {remark}", whole=True)
    if not findings:
        report.say(f"{recipe}: clean")
    return report


def components_report(entries: Sequence[Entry]) -> Report:
    """Components by slot, each with its fields, defaults and meanings, its cost, and the recipes that use it."""
    from mythos_blocks.declaring.registry import slot_info
    from mythos_lab.report.catalogue import WIDTH

    report, shown = Report(), None
    report.know({"components": [asdict(entry) for entry in entries]})
    for entry in entries:
        if entry.slot != shown:
            info, shown = slot_info(entry.slot), entry.slot
            off = f" (off: {info.off})" if info.off else ""
            report.say(f"{info.name}{off}  {info.summary}", head=True)
        report.say(f"{entry.kind}  {entry.meaning}", indent=2)
        if entry.params is not None and entry.flops is not None:
            report.say(
                f"{entry.params:+,} parameters, {entry.flops:+,.0f} FLOPs per position and loop at width {WIDTH}",
                indent=6,
            )
        if entry.recipes:
            report.say(f"used by {', '.join(entry.recipes)}", indent=6)
        for field in entry.fields:
            default = "required" if field.default is None else f"default {field.default}"
            report.say(f"{field.name}: {field.meaning} ({default})", indent=6)
    return report

"""The page as Markdown, with its figures as files beside it."""

from __future__ import annotations

from mythos_lab.report.markdown import as_code, in_text
from mythos_lab.report.page.page import Commands, Figure, Finding, Page, Tabled
from mythos_lab.report.table import Table


def as_markdown(page: Page) -> str:
    """The page; figures are links to SVG files of their names."""
    lines = [f"# {in_text(page.title)}", "", in_text(page.question), ""]
    lines += [in_text(page.about), ""] if page.about else []
    for fact in page.facts:
        lines.append(f"- {in_text(fact.label)}: {in_text(' '.join(filter(None, (fact.value, fact.note))))}")
    for section in page.shown:
        lines += ["", f"## {in_text(section.title)}", ""]
        for part in section.parts:
            if isinstance(part, Figure):
                lines += [f"![{in_text(part.caption)}]({part.key}.svg)", "", in_text(part.caption), ""]
                lines += _table(part.chart.table())
            elif isinstance(part, Tabled):
                lines += [*([in_text(part.table.title), ""] if part.table.title else []), *_table(part.table)]
            elif isinstance(part, Finding):
                by = f"**{in_text(part.by)}**: " if part.by else ""
                lines += [f"{by}{in_text(part.text)}", ""]
            elif isinstance(part, Commands):
                lines += [*(f"- {as_code(line)}" for line in part.lines), ""]
            else:
                lines += [in_text(part), ""]
    lines += ["", "## Answer", "", in_text(page.answer)]
    return "\n".join(lines).rstrip() + "\n"


def _table(table: Table) -> list[str]:
    return [table.markdown(), ""]

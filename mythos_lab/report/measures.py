"""The measures that there are, as a table."""

from __future__ import annotations

from mythos_blocks.declaring.registry import slot_info
from mythos_blocks.declaring.spec import summary
from mythos_lab.measures.base import Measure


def measures_markdown() -> str:
    """A row a measure: what it is, what it comes to and in which unit, its null, when it deceives, and its source."""
    lines = [
        "| measure | definition | comes to (unit) | null | when it deceives | source |",
        "|---|---|---|---|---|---|",
    ]
    for kind, made in sorted(slot_info("measure").kinds.items()):
        if issubclass(made, Measure):
            quantities = ", ".join(f"`{name}` ({metric.unit})" for name, metric in made.quantities.items())
            cells = (f"`{kind}`", summary(made), quantities, made.null, made.deceives, made.source)
            lines.append("| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |")
    return "\n".join(lines) + "\n"

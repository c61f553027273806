"""Tables for a paper: LaTeX with booktabs."""

from __future__ import annotations

from mythos_lab.recipe.screen import one_line
from mythos_lab.recipe.urls import in_text
from mythos_lab.report.table import Table

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$", "[": "{[}", "]": "{]}",
}  # fmt: skip


def as_latex(table: Table) -> str:
    """A ``tabular`` for ``\\usepackage{booktabs}``, of which no text is a command of LaTeX."""
    columns = "".join("r" if column.align == "right" else "l" for column in table.columns)
    heads = [literal(column.heading) for column in table.columns]
    rows = [[literal(text) for text in row] for row in table.texts()]
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _row(heads), r"\midrule", *map(_row, rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def literal(text: str) -> str:
    """A text as it reads."""
    return "".join(_SPECIAL.get(character, character) for character in one_line(in_text(text)))


def _row(cells: list[str]) -> str:
    return f"{' & '.join(cells)} \\\\"

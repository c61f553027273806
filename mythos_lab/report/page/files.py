"""The files of a page, in a folder of their own."""

from __future__ import annotations

from pathlib import Path

from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.parquet import has_parquet
from mythos_lab.recipe.places import check_own_folder
from mythos_lab.report.page.drawing import NARROW, WIDE, Drawn, draw
from mythos_lab.report.page.html import as_html
from mythos_lab.report.page.latex import as_latex
from mythos_lab.report.page.markdown import as_markdown
from mythos_lab.report.page.page import Page
from mythos_lab.report.page.tidy import as_csv, parquet_of

PAGE, TEXT = "report.html", "report.md"


def write_page(page: Page, folder: Path) -> list[Path]:
    """Write the page, and what a paper needs of it: figures as SVG and PDF, every table as CSV, Parquet and LaTeX.

    Args:
        page: What stands on it.
        folder: Where; made where it is missing.

    Returns:
        The files, the HTML page first.

    Raises:
        Misplaced: The folder is a link to one that holds something else.
    """
    check_own_folder(folder, PAGE)
    contents: dict[str, str | bytes] = {}
    drawn: dict[str, tuple[Drawn, Drawn]] = {}
    for figure in page.figures:
        narrow = draw(figure.chart, f"{figure.key}-n", NARROW)
        drawn[figure.key] = narrow if figure.is_small else draw(figure.chart, figure.key, WIDE), narrow
        of_paper = drawn[figure.key][0]
        contents[f"{figure.key}.svg"], contents[f"{figure.key}.pdf"] = of_paper.svg, of_paper.pdf
    for key, table in page.tables.items():
        contents[f"{key}.csv"], contents[f"{key}.tex"] = as_csv(table), as_latex(table)
        if has_parquet():
            contents[f"{key}.parquet"] = parquet_of(table)
    contents = {PAGE: as_html(page, drawn), TEXT: as_markdown(page), **contents}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_whole(folder / name, content)
    return [folder / name for name in contents]

"""The page of what has been run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mythos_lab.cli.app import NoImports, app
from mythos_lab.cli.kept import Kept, bring
from mythos_lab.cli.output import Json, telling


@app.command()
def report(
    targets: Annotated[
        list[str],
        typer.Argument(
            help="A run's folder; a study's folder, name or file; or folders of several runs, those of an arm joined "
            "by commas. A folder that holds runs stands for all of them."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Folder of the page; without, report/ in that of the run or study, or here.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="What several runs are compared by.")] = None,
    declare: Annotated[
        list[str] | None, typer.Option(help="An input in which several runs are meant to differ, or model.")
    ] = None,
    matters: Annotated[float, typer.Option(min=0, help="The smallest difference of several runs that matters.")] = 0.01,
    storage: Annotated[str | None, typer.Option(help="Optuna's storage URL, as for the study.")] = None,
    artifacts: Kept = None,
    no_imports: NoImports = False,
    as_json: Json = False,
) -> None:
    """Write what came out as one page of HTML, with every figure as SVG and PDF and every table as CSV and LaTeX.

    Examples: `mythos report runs/gated_loop-20260101-120000-ab12`, `mythos report quickstart`,
    `mythos report runs/a-0,runs/a-1,runs/a-2 runs/b-0,runs/b-1,runs/b-2 --declare model`
    """
    with telling(as_json) as tell:
        from mythos_lab.comparison.reporting.reported import report_of
        from mythos_lab.finished.locating import joined
        from mythos_lab.recipe.outputs import check_writable
        from mythos_lab.report.page import write_page
        from mythos_lab.report.report import Report

        for run in (run for target in targets for run in joined(target)):
            bring(run, artifacts)
        found = report_of(
            targets, storage=storage, artifacts=artifacts, metric=metric, declared=declare or [], matters=matters
        )
        folder = output or found.folder
        check_writable(folder)
        page = write_page(found.page, folder)[0]
        said = Report()
        said.say(found.page.answer, {"answer": found.page.answer})
        said.say(f"page:   {page}", {"page": page, "folder": folder}, whole=True)
        if found.tracked is not None and (untold := found.tracked.told(page)) is not None:
            said.say(f"MLflow is not told: {untold}", {"untracked": untold})
        tell(said)

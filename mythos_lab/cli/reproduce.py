"""What published systems claim, and what of it holds here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mythos_lab.cli.app import app
from mythos_lab.cli.output import Json, telling


@app.command()
def reproduce(
    system: Annotated[str | None, typer.Argument(help="A protocol's name, or the path of a YAML file.")] = None,
    size: Annotated[str, typer.Option(help="tiny, in minutes of a CPU, or small, on a GPU.")] = "tiny",
    seeds: Annotated[int | None, typer.Option(min=1, max=100, help="Paired seeds instead of the protocol's.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the page and its figures.")] = Path("docs/systems"),
    name: Annotated[str | None, typer.Option(help="The study's name; without, reproduce-SYSTEM.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trials that run at once.")] = 1,
    index: Annotated[
        bool, typer.Option("--index", help="Write README.md, the table of all pages in the folder; trains nothing.")
    ] = False,
    page: Annotated[
        bool,
        typer.Option("--page", help="Write the page and its figures again, of the record beside it; trains nothing."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write the study's file and list its arms only.")] = False,
    as_json: Json = False,
) -> None:
    """Run a published system's protocol and say which of its claims hold here; writes the system's page.

    Exits with 1 where a band does not hold, or the runs cannot tell whether it does. The same command again goes on.
    With --page it makes the page again of its record: the protocol's words may have changed, its arms may not. With
    --index and without a system, it makes the table of all pages instead.

    Example: `mythos reproduce thinking_deeper --workers 2`
    """
    with telling(as_json) as tell:
        from mythos_lab.comparison.reproduce import Finding, concluding, load_protocol, plan, write_again, write_index
        from mythos_lab.comparison.study_file import write
        from mythos_lab.comparison.table import arms_report
        from mythos_lab.recipe import RecipeError
        from mythos_lab.recipe.files import names
        from mythos_lab.recipe.outputs import check_writable

        if system is None:
            if not index:
                raise RecipeError(f"expected a system, one of {', '.join(names('protocols'))}; or --index")
            if size != "tiny" or seeds is not None or name is not None or workers > 1 or dry_run or page:
                raise RecipeError("--index: trains nothing; of the other options --out and --json go with it")
            check_writable(out)
            tell(write_index(out))
            return
        if index:
            raise RecipeError(f"--index: is of all pages; expected it without {system}")
        protocol = load_protocol(system)
        if page:
            if seeds is not None or name is not None or workers > 1 or dry_run:
                raise RecipeError("--page: trains nothing; of the other options --size, --out and --json go with it")
            check_writable(out)
            tell(write_again(protocol, size, out))
            return
        for folder in (Path("studies"), out):
            check_writable(folder)
        space = write(plan(protocol, size, seeds=seeds, name=name))
        if dry_run:
            tell(arms_report(space))
            return
        from mythos_lab.search.study import run_study

        found: list[Finding] = []
        run_study(space, num_workers=workers, conclude=concluding(protocol, size, out, tell, found))
    if any(finding.outcome != "holds" for finding in found):
        raise typer.Exit(1)

"""Beginning something of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mythos_lab.cli.app import app
from mythos_lab.cli.output import Json, telling


@app.command()
def new(
    what: Annotated[Literal["component"], typer.Argument(help="What to begin.")],
    name: Annotated[str, typer.Argument(help="slot.kind, such as injection.decayed.")],
    folder: Annotated[Path, typer.Option(help="Where the files go.")] = Path(),
    as_json: Json = False,
) -> None:
    """Begin a component of one's own: a module that works, a test that holds it to its slot's contracts, a recipe.

    Example: `mythos new component injection.decayed`
    """
    with telling(as_json) as tell:
        from mythos_lab.authoring.component import new_component
        from mythos_lab.report.report import Report

        assert what == "component"
        module, test, recipe = new_component(name, folder)
        report = Report()
        report.say(f"component: {module}", {"component": module}, whole=True)
        report.say(f"test:      {test}   pytest {test}", {"test": test}, whole=True)
        report.say(f"recipe:    {recipe}   mythos check {recipe}", {"recipe": recipe}, whole=True)
        tell(report)

"""What there is to declare, and what a declaration comes to before anything trains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mythos_lab.cli.app import Name, NoImports, Overrides, app
from mythos_lab.cli.output import Json, telling


@app.command()
def check(recipe: Name, overrides: Overrides = None, no_imports: NoImports = False, as_json: Json = False) -> None:
    """Show what a recipe declares without effect. Exits with 1 where a finding is not waived.

    Example: `mythos check openmythos_as_published`
    """
    with telling(as_json) as tell:
        from mythos_lab.recipe import load_recipe

        composed = load_recipe(recipe, overrides or [])
        from mythos_lab.report.lists import findings_report
        from mythos_lab.training.assembly import assemble, effects

        model, task = assemble(composed)
        findings = effects(composed, model, task)
        tell(findings_report(composed.name, findings, task.remarks()))
    if any(not finding.waived for finding in findings):
        raise typer.Exit(1)


@app.command()
def inspect(
    place: Annotated[Path, typer.Argument(help="A file or a folder that somebody else made.")],
    as_json: Json = False,
) -> None:
    """Say what a file or a folder is, and what it would import, read, write and reach, without doing any of it.

    Example: `mythos inspect downloaded/recipe.yaml`
    """
    with telling(as_json) as tell:
        from mythos_lab.inspection import inspect as inspected
        from mythos_lab.inspection.report import inspection_report

        tell(inspection_report(inspected(place)))


@app.command()
def cost(
    recipe: Name,
    overrides: Overrides = None,
    loops: Annotated[str | None, typer.Option(help="Loop counts to compare, joined by commas.")] = None,
    no_imports: NoImports = False,
    as_json: Json = False,
) -> None:
    """Count parameters, FLOPs and bytes, without training anything.

    Example: `mythos cost openmythos model.width=256 --loops 1,4,16`
    """
    with telling(as_json) as tell:
        from mythos_lab.recipe import load_recipe
        from mythos_lab.recipe.cost import cost as counted
        from mythos_lab.recipe.cost import loop_counts
        from mythos_lab.report.costs import cost_report, costs_at_report

        found = counted(load_recipe(recipe, overrides or []))
        tell(cost_report(found) if loops is None else costs_at_report(found, loop_counts(loops)))


@app.command()
def recipes(as_json: Json = False) -> None:
    """List the recipes.

    Example: `mythos recipes`
    """
    with telling(as_json) as tell:
        from mythos_lab.recipe.documents import read_mapping
        from mythos_lab.recipe.files import data_dir, names
        from mythos_lab.report.lists import recipes_report

        files = {name: read_mapping(data_dir("recipes") / f"{name}.yaml", "recipe") for name in names("recipes")}
        tell(recipes_report({name: str(content.get("description", "")) for name, content in files.items()}))


@app.command()
def task(
    name: Annotated[str | None, typer.Argument(help="A task's kind; without one, all tasks are listed.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="field=value, in Hydra's grammar.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="Samples to show.")] = 3,
    markdown: Annotated[bool, typer.Option("--markdown", help="List all tasks as docs/tasks.md does.")] = False,
    as_json: Json = False,
) -> None:
    """Show a task: samples, sizes, chance, oracle, audit and speed. Without a name, list all with what audits found.

    Example: `mythos task reachability max_hops=5`
    """
    with telling(as_json) as tell:
        from mythos_lab.recipe.compose import load_task
        from mythos_lab.recipe.screen import say
        from mythos_lab.report.task import overview, survey
        from mythos_lab.report.task_tables import overview_report, overview_table, task_report

        if name is not None:
            tell(task_report(survey(load_task(name, overrides or []), samples)))
        elif markdown:
            say(overview_table(overview()).markdown())
        else:
            tell(overview_report(overview()))


@app.command()
def components(
    slot: Annotated[str | None, typer.Argument(help="One slot only.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page of docs/components.md.")] = False,
    as_json: Json = False,
) -> None:
    """List the components of every slot: fields, sources, cost, and the recipes that use them.

    Example: `mythos components halting`
    """
    with telling(as_json) as tell:
        from mythos_blocks.declaring.registry import load_plugins, slot_info
        from mythos_lab.recipe import RecipeError
        from mythos_lab.recipe.screen import say
        from mythos_lab.report import catalogue
        from mythos_lab.report.lists import components_report

        load_plugins()
        try:
            if slot is not None:
                slot_info(slot)
        except ValueError as error:
            raise RecipeError(str(error)) from None
        entries = catalogue.catalogue(slot)
        if markdown:
            say(catalogue.markdown(entries), end="")
        else:
            tell(components_report(entries))


@app.command()
def schema(
    space: Annotated[bool, typer.Option("--space", help="Of a search space, and not of a recipe.")] = False,
) -> None:
    """Print the JSON Schema of a recipe file, or of a search space, for editors.

    Example: `mythos schema > recipe.schema.json`, `mythos schema --space > space.schema.json`
    """
    import json

    from mythos_blocks import load_plugins
    from mythos_lab.recipe.screen import say

    load_plugins()
    if space:
        from mythos_lab.search.spaces.file_schema import study_schema

        say(json.dumps(study_schema(), indent=1))
        return
    from mythos_lab.recipe.schema import recipe_schema

    say(json.dumps(recipe_schema(), indent=1))

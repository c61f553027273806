"""What there is to declare, and what a declaration comes to before anything trains."""

from __future__ import annotations

from typing import Annotated

import typer

from mythos_lab.cli.app import Name, Overrides, app, one_line_errors


@app.command()
def check(recipe: Name, overrides: Overrides = None) -> None:
    """Show what a recipe declares without effect. Exits with 1 where a finding is not waived.

    Example: `mythos check openmythos_as_published`
    """
    with one_line_errors():
        from mythos_lab.recipe import load_recipe

        composed = load_recipe(recipe, overrides or [])
        from mythos_lab.training.run import assemble, effects

        model, task = assemble(composed)
        findings = effects(composed, model, task)
    for finding in findings:
        print(f"{'waived' if finding.waived else 'error '}  {finding.code:<18} {finding.message}")
    for remark in task.remarks():
        print(f"note    data               {remark}")
    if not findings:
        print(f"{composed.name}: clean")
    if any(not finding.waived for finding in findings):
        raise typer.Exit(1)


@app.command()
def cost(
    recipe: Name,
    overrides: Overrides = None,
    loops: Annotated[str | None, typer.Option(help="Loop counts to compare, joined by commas.")] = None,
) -> None:
    """Count parameters, FLOPs and bytes, without training anything.

    Example: `mythos cost openmythos model.width=256 --loops 1,4,16`
    """
    with one_line_errors():
        from mythos_lab.recipe import load_recipe
        from mythos_lab.recipe.cost import cost as counted
        from mythos_lab.recipe.cost import loop_counts
        from mythos_lab.report.terminal import print_cost, print_costs_at

        found = counted(load_recipe(recipe, overrides or []))
        print_cost(found) if loops is None else print_costs_at(found, loop_counts(loops))


@app.command()
def recipes() -> None:
    """List the recipes.

    Example: `mythos recipes`
    """
    from mythos_lab.recipe.files import data_dir, names
    from mythos_lab.report.terminal import print_recipes

    print_recipes({name: data_dir("recipes") / f"{name}.yaml" for name in names("recipes")})


@app.command()
def task(
    name: Annotated[str | None, typer.Argument(help="A task's kind; without one, all tasks are listed.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="field=value, in Hydra's grammar.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="Samples to show.")] = 3,
    markdown: Annotated[bool, typer.Option("--markdown", help="List all tasks as docs/tasks.md does.")] = False,
) -> None:
    """Show a task: samples, sizes, chance, oracle, audit and speed. Without a name, list all with what audits found.

    Example: `mythos task reachability max_hops=5`
    """
    from mythos_lab.report.task import overview, overview_markdown, survey
    from mythos_lab.report.terminal import print_task, print_tasks

    with one_line_errors():
        from mythos_lab.recipe.compose import load_task

        if name is None:
            lines = overview()
            typer.echo(overview_markdown(lines)) if markdown else print_tasks(lines)
            return
        found = survey(load_task(name, overrides or []), samples)
    print_task(found)


@app.command()
def components(
    slot: Annotated[str | None, typer.Argument(help="One slot only.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page of docs/components.md.")] = False,
) -> None:
    """List the components of every slot: fields, sources, cost, and the recipes that use them.

    Example: `mythos components halting`
    """
    with one_line_errors():
        from mythos_blocks.declaring.registry import load_plugins, slot_info
        from mythos_lab.recipe import RecipeError
        from mythos_lab.report import catalogue
        from mythos_lab.report.terminal import print_components

        load_plugins()
        try:
            if slot is not None:
                slot_info(slot)
        except ValueError as error:
            raise RecipeError(str(error)) from None
        entries = catalogue.catalogue(slot)
        if markdown:
            typer.echo(catalogue.markdown(entries), nl=False)
        else:
            print_components(entries)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a recipe file, for editors.

    Example: `mythos schema > recipe.schema.json`
    """
    import json

    from mythos_blocks import load_plugins
    from mythos_lab.recipe.schema import recipe_schema

    load_plugins()
    print(json.dumps(recipe_schema(), indent=1))

"""The verbs: nothing but parsing and calling. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Declare a looped transformer, train it, search around it, and measure what its loops are worth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

Name = Annotated[str, typer.Argument(help="A recipe's name, or the path of a YAML file.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="path=value, in Hydra's grammar; task=NAME picks a group.")]


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """A user's mistake ends with one line each and status 2."""
    from mythos_lab.recipe.errors import RecipeError

    try:
        yield
    except RecipeError as error:
        for line in error.lines:
            print(line, file=sys.stderr)
        raise typer.Exit(2) from None


@app.command()
def train(
    recipe: Name,
    overrides: Overrides = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder of an unfinished run of the same recipe to go on with.")
    ] = None,
) -> None:
    """Train a recipe and measure what its loops do.

    Example: `mythos train gated_loop training.max_steps=500 seed=1`
    """
    with _one_line_errors():
        from mythos_lab.recipe import RecipeError, load_recipe

        composed = load_recipe(recipe, overrides or [])
        if resume is not None and not resume.is_dir():
            raise RecipeError(f"--resume {resume}: no such folder; expected one that `mythos train` made under runs/")
        from mythos_lab.training.run import run

        result = run(composed, folder=resume, progress=True)
        from mythos_lab.report.terminal import print_result

        print_result(result)
    if result.status != "finished":
        raise typer.Exit(1)


@app.command()
def check(recipe: Name, overrides: Overrides = None) -> None:
    """Show what a recipe declares without effect. Exits with 1 where a finding is not waived.

    Example: `mythos check openmythos_as_published`
    """
    with _one_line_errors():
        from mythos_lab.recipe import load_recipe

        composed = load_recipe(recipe, overrides or [])
        from mythos_lab.training.run import assemble, effects

        model, task = assemble(composed)
        findings = effects(composed, model, task)
    for finding in findings:
        print(f"{'waived' if finding.waived else 'error '}  {finding.code:<18} {finding.message}")
    if not findings:
        print(f"{composed.name}: clean")
    if any(not finding.waived for finding in findings):
        raise typer.Exit(1)


@app.command()
def cost(recipe: Name, overrides: Overrides = None) -> None:
    """Count parameters and FLOPs, without training anything.

    Example: `mythos cost openmythos model.width=256`
    """
    with _one_line_errors():
        from mythos_lab.recipe import load_recipe
        from mythos_lab.recipe.cost import table

        rows = table(load_recipe(recipe, overrides or []))
    from mythos_lab.report.terminal import print_cost

    print_cost(rows)


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

    with _one_line_errors():
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
    with _one_line_errors():
        from mythos_blocks.registry import load_plugins, slot_info
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


@app.command()
def depth(run: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Measure the depth curve of a finished run again, and print it.

    Example: `mythos depth runs/gated_loop-20260101-120000-ab12`
    """
    with _one_line_errors():
        from mythos_lab.measures.depth import depth_curve
        from mythos_lab.report.depth import depth_figure
        from mythos_lab.report.terminal import print_curve
        from mythos_lab.training.result import load_run

        recipe, model, task = load_run(run)
        curve = depth_curve(model, task, recipe)
    print_curve(curve)
    print(f"figure: {depth_figure(curve, run / 'depth_curve.png')}")


@app.command()
def study(
    space: Annotated[str, typer.Argument(help="A search space's name, or the path of a YAML file.")],
    trials: Annotated[int | None, typer.Option(min=1, help="Trials in all, those of earlier calls included.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that run trials.")] = None,
) -> None:
    """Search with Optuna; the same command again goes on with the study.

    Example: `mythos study quickstart --trials 12 --workers 2`
    """
    with _one_line_errors():
        from mythos_lab.search.space import load_space

        loaded = load_space(space)
        from mythos_lab.search.study import run_study

        run_study(loaded, num_trials=trials, num_workers=workers)


@app.command()
def match(
    recipe: Name,
    overrides: Overrides = None,
    hold: Annotated[str, typer.Option(help="Budgets that have to match: params, training_flops, ...")] = "params",
    vary: Annotated[str | None, typer.Option(help="Whole-number fields to solve for, joined by commas.")] = None,
    loops: Annotated[int | None, typer.Option(min=2, help="Iterations of a fixed-depth recipe's counterpart.")] = None,
    write: Annotated[Path | None, typer.Option(help="YAML file to write the counterpart's recipe to.")] = None,
) -> None:
    """Find the fixed-depth counterpart of a looped recipe at equal budgets, or the reverse; within 1 %, or refuse.

    Example: `mythos match openmythos --hold training_flops --write layers.yaml`
    """
    with _one_line_errors():
        from mythos_lab.recipe import load_recipe
        from mythos_lab.search.match import match as matched

        found = matched(load_recipe(recipe, overrides or []), hold.split(","), vary.split(",") if vary else [], loops)
    from mythos_lab.search.table import print_match

    if write is not None:
        from mythos_lab.training.result import dump_recipe

        dump_recipe(found.recipe, write)
    print_match(found, write)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="Folders of the one arm's runs, one a seed, joined by commas.")],
    b: Annotated[str, typer.Argument(help="Folders of the other arm's runs.")],
    metric: Annotated[str, typer.Option(help="What is compared.")] = "val/accuracy",
    declare: Annotated[
        list[str] | None, typer.Option(help="An input that is meant to differ: a name of the table, or model.")
    ] = None,
    matters: Annotated[float, typer.Option(min=0, help="The smallest difference that matters.")] = 0.01,
) -> None:
    """Say what differs between two runs, or two sets of seeds, and what follows from it.

    Example: `mythos compare runs/a-0,runs/a-1,runs/a-2 runs/b-0,runs/b-1,runs/b-2 --declare model`
    """
    with _one_line_errors():
        from mythos_lab.search.compare import compare as compared

        arms = [[Path(folder) for folder in arm.split(",")] for arm in (a, b)]
        found = compared(arms[0], arms[1], metric, declare or [], matters)
    from mythos_lab.search.table import print_comparison

    print_comparison(found)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
) -> None:
    """Open MLflow on the default store.

    Example: `mythos ui --port 5001`
    """
    from mythos_lab.tracking.mlflow import default_uri

    print(f"MLflow on http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
    arguments = ["--backend-store-uri", default_uri(), "--port", str(port), "--workers", "1"]
    # MLflow's job runner starts eight more processes that nothing here uses.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *arguments])


if __name__ == "__main__":
    app()

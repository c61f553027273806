"""How many loops are necessary."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mythos_lab.cli.app import Name, Overrides, app
from mythos_lab.cli.comparisons import whole_numbers
from mythos_lab.cli.output import Json, telling


@app.command()
def necessary(
    recipe: Name,
    overrides: Overrides = None,
    depths: Annotated[
        str | None, typer.Option(help="Loop counts to train at; without, powers of two up to the recipe's own, and it.")
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(help="The largest difference that does not matter: without, .01 of accuracy or .02 nats of loss."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="val/accuracy or val/loss; without, accuracy where guessing has one.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Paired seeds; that a depth suffices takes five.")] = 5,
    hold: Annotated[str, typer.Option(help="Budgets of every arm, joined by commas; none holds nothing.")] = (
        "training_flops"
    ),
    vary: Annotated[str, typer.Option(help="Whole-number fields solved for to hold them, joined by commas.")] = (
        "training.max_steps"
    ),
    declare: Annotated[list[str] | None, typer.Option(help="An input that may differ besides.")] = None,
    name: Annotated[str | None, typer.Option(help="The study's name; without, the recipe's, and -necessary.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trials that run at once.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write the study's file and list its arms only.")] = False,
    as_json: Json = False,
) -> None:
    """Find the least depth that a model has to be trained at, and whether evaluating deeper is test-time scaling.

    Trains at every depth on equal training FLOPs, evaluates each model at all of them, and tests for equivalence within
    the delta. The same command again goes on. A cluster runs it as any study: `--dry-run`, `mythos study
    studies/NAME.yaml --engine slurm`, and the same command at the end.

    Example: `mythos necessary gated_loop --depths 1,2,3,4,5,6 --workers 2`
    """
    with telling(as_json) as tell:
        from mythos_lab.comparison.necessary import necessary as planned
        from mythos_lab.comparison.necessary.design import UNMEASURED
        from mythos_lab.comparison.study_file import write
        from mythos_lab.comparison.table import arms_report
        from mythos_lab.recipe import load_recipe
        from mythos_lab.recipe.outputs import check_writable
        from mythos_lab.recipe.stores import name_tracker

        check_writable(Path("studies"))
        composed = load_recipe(recipe, [*UNMEASURED, *(overrides or [])])
        name_tracker(overrides or [])
        file = planned(
            name or f"{composed.name}-necessary",
            recipe,
            overrides or [],
            composed,
            depths=whole_numbers("depths", depths),
            hold=[] if hold == "none" else hold.split(","),
            vary=vary.split(","),
            seeds=seeds,
            metric=metric,
            delta=delta,
            declared=declare or [],
        )
        space = write(file)
        if dry_run:
            tell(arms_report(space))
            return
        from mythos_lab.comparison.necessary import concluding
        from mythos_lab.search.study import run_study

        run_study(space, num_workers=workers, conclude=concluding(tell))

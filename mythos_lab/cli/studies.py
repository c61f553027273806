"""Searching and comparing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mythos_lab.cli.app import Name, Overrides, app, one_line_errors


@app.command()
def study(
    space: Annotated[str, typer.Argument(help="A search space's name, or the path of a YAML file.")],
    trials: Annotated[int | None, typer.Option(min=1, help="Trials in all, those of earlier calls included.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Trials that run at once.")] = None,
    storage: Annotated[
        str | None, typer.Option(help="Optuna's storage URL; the same for every machine that is to take part.")
    ] = None,
    engine: Annotated[str, typer.Option(help="What places the workers: local, ray or slurm.")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="Ray cluster; RAY_ADDRESS without, or a Ray of its own on this machine.")
    ] = None,
    cpus_per_trial: Annotated[float | None, typer.Option(min=0, help="CPUs that Ray reserves for a trial.")] = None,
    gpus_per_trial: Annotated[float | None, typer.Option(min=0, help="GPUs that Ray reserves for a trial.")] = None,
    slurm: Annotated[
        list[str] | None, typer.Option(help="key=value for SLURM, such as partition=gpu or timeout_min=240; repeat.")
    ] = None,
) -> None:
    """Search with Optuna; the same command again goes on with the study, and on another machine takes part in it.

    Examples: `mythos study quickstart --trials 12 --workers 2`,
    `mythos study quickstart --engine slurm --workers 8 --slurm partition=gpu --slurm gpus_per_node=1`
    """
    with one_line_errors():
        from mythos_lab.search.space import load_space

        loaded = load_space(space, storage=storage)
        from mythos_lab.search.study import Interrupted, run_study

        options = {
            "ray_address": ray_address,
            "cpus_per_trial": cpus_per_trial,
            "gpus_per_trial": gpus_per_trial,
            "slurm": slurm,
        }
        try:
            run_study(loaded, num_trials=trials, num_workers=workers, engine=engine, options=options)
        except Interrupted as interrupted:
            print(interrupted)
            raise typer.Exit(interrupted.status) from None


@app.command()
def proxy(
    storage: Annotated[str, typer.Option(help="URL of the database.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 13000,
    host: Annotated[
        str, typer.Option(help="Where to listen; 0.0.0.0 lets other machines in, and asks none who it is.")
    ] = "localhost",
) -> None:
    """Put Optuna's gRPC proxy before a database: many workers share its connections.

    Example: `mythos proxy --storage postgresql+psycopg://me:secret@db/studies --host 0.0.0.0`, and elsewhere
    `mythos study quickstart --storage grpc://HOST:13000`
    """
    with one_line_errors():
        from mythos_lab.search.proxy import serve

        serve(storage, host, port)


@app.command()
def match(
    recipe: Name,
    overrides: Overrides = None,
    hold: Annotated[
        str,
        typer.Option(
            help="Budgets that have to match, joined by commas: params, params_active, training_flops, "
            "inference_flops, prefill_flops, decode_flops, cache_bytes, memory, tokens."
        ),
    ] = "params",
    vary: Annotated[str | None, typer.Option(help="Whole-number fields to solve for, joined by commas.")] = None,
    loops: Annotated[int | None, typer.Option(min=2, help="Iterations of a fixed-depth recipe's counterpart.")] = None,
    write: Annotated[Path | None, typer.Option(help="YAML file to write the counterpart's recipe to.")] = None,
) -> None:
    """Find the fixed-depth counterpart of a looped recipe at equal budgets, or the reverse; within 1 %, or refuse.

    Example: `mythos match openmythos --hold training_flops --write layers.yaml`
    """
    with one_line_errors():
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
    with one_line_errors():
        from mythos_lab.search.compare import compare as compared

        arms = [[Path(folder) for folder in arm.split(",")] for arm in (a, b)]
        found = compared(arms[0], arms[1], metric, declare or [], matters)
    from mythos_lab.search.table import print_comparison

    print_comparison(found)


@app.command()
def worth(
    recipe: Annotated[str | None, typer.Argument(help="A looped recipe's name, or the path of a YAML file.")] = None,
    overrides: Overrides = None,
    widths: Annotated[str | None, typer.Option(help="Channels of the models, joined by commas.")] = None,
    loops: Annotated[str | None, typer.Option(help="Loop counts; 1 is the stack without a loop.")] = None,
    steps: Annotated[str | None, typer.Option(help="Optimiser steps: the token budgets.")] = None,
    core_layers: Annotated[int | None, typer.Option(min=1, help="Layers that the core applies, in every arm.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each arm.")] = 3,
    count: Annotated[str, typer.Option(help="Which parameters count: non_embedding or all.")] = "non_embedding",
    name: Annotated[str | None, typer.Option(help="The study's name; by default the recipe's, and -worth.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Trials that run at once.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the study's file, print runs and FLOPs, and stop.")
    ] = False,
    fit_only: Annotated[Path | None, typer.Option(help="Folder of finished runs to fit, training nothing.")] = None,
) -> None:
    """Measure how many parameters of its own a recurrence is worth: an iso-depth sweep and its joint fit.

    The same command again goes on with a sweep that was interrupted. A cluster runs it as any study: `--dry-run`,
    `mythos study studies/NAME.yaml --engine slurm`, and `--fit-only studies/NAME` at the end.

    Example: `mythos worth openmythos --widths 64,96,128 --loops 1,2,4 --dry-run`
    """
    with one_line_errors():
        from mythos_lab.recipe import RecipeError
        from mythos_lab.search.worth import check_counted, measure, plan, print_plan, print_worth, save

        counted = check_counted(count)
        if fit_only is not None:
            found = measure(fit_only, counted)
            print_worth(found, save(found, fit_only))
            return
        if recipe is None:
            raise RecipeError("expected a recipe to sweep, or --fit-only and the folder of finished runs")
        sweep = plan(
            recipe,
            overrides or [],
            widths=_whole_numbers("widths", widths),
            loops=_whole_numbers("loops", loops),
            steps=_whole_numbers("steps", steps),
            num_seeds=seeds,
            core_layers=core_layers,
            name=name,
            counted=counted,
        )
        path = sweep.write()
        print_plan(sweep, path)
        if dry_run:
            return
        from mythos_lab.search.space import load_space
        from mythos_lab.search.study import Interrupted, run_study

        space = load_space(str(path))
        try:
            run_study(space, num_workers=workers, report=False)
        except Interrupted as interrupted:
            print(interrupted)
            raise typer.Exit(interrupted.status) from None
        found = measure(space.folder, counted)
        print_worth(found, save(found, space.folder))


def _whole_numbers(option: str, text: str | None) -> list[int]:
    """The numbers of an option that takes several."""
    from mythos_lab.recipe import RecipeError

    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise RecipeError(f"--{option} {text}: expected whole numbers joined by commas") from None

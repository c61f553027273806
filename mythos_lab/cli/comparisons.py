"""What is fair, what differs, and what a part or a recurrence is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mythos_lab.cli.app import Name, NoImports, Overrides, app
from mythos_lab.cli.kept import Kept
from mythos_lab.cli.output import Json, telling


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
    no_imports: NoImports = False,
    as_json: Json = False,
) -> None:
    """Find the fixed-depth counterpart of a looped recipe at equal budgets, or the reverse; within 1 %, or refuse.

    Example: `mythos match openmythos --hold training_flops --write layers.yaml`
    """
    with telling(as_json) as tell:
        from rich.console import Console

        from mythos_lab.comparison.match import match as matched
        from mythos_lab.comparison.table import match_report
        from mythos_lab.recipe import RecipeError, load_recipe
        from mythos_lab.recipe.outputs import check_writable
        from mythos_lab.training.result import dump_recipe

        if write is not None and not write.absolute().parent.is_dir():
            raise RecipeError(f"--write {write}: there is no folder {write.parent}")
        if write is not None:
            check_writable(write.absolute().parent, write)
        composed = load_recipe(recipe, overrides or [])
        with Console(stderr=True).status("solving for sizes"):
            found = matched(composed, hold.split(","), vary.split(",") if vary else [], loops)
        if write is not None:
            dump_recipe(found.recipe, write)
        tell(match_report(found, write))


@app.command()
def compare(
    a: Annotated[
        str,
        typer.Argument(
            help="The one arm: runs, one a seed, joined by commas, each a folder or an id in MLflow; a trial's folder; "
            "or STUDY/ARM. A study alone has its arms compared."
        ),
    ],
    b: Annotated[str | None, typer.Argument(help="The other arm, likewise.")] = None,
    metric: Annotated[str | None, typer.Option(help="What is compared; val/accuracy without.")] = None,
    declare: Annotated[
        list[str] | None, typer.Option(help="An input that is meant to differ: a name of the table, or model.")
    ] = None,
    matters: Annotated[
        float | None, typer.Option(min=0, help="The smallest difference that matters; .01 without.")
    ] = None,
    store: Annotated[str | None, typer.Option(help="MLflow's store, where runs are named by their ids.")] = None,
    storage: Annotated[str | None, typer.Option(help="Optuna's storage URL, where a study is named.")] = None,
    artifacts: Kept = None,
    no_imports: NoImports = False,
    as_json: Json = False,
) -> None:
    """Say what differs between two runs, two sets of seeds or the arms of a study, and what follows from it.

    Examples: `mythos compare runs/a-0,runs/a-1,runs/a-2 runs/b-0,runs/b-1,runs/b-2 --declare model`,
    `mythos compare openmythos-ablation/full openmythos-ablation/-injection --declare model`,
    `mythos compare openmythos-ablation`
    """
    with telling(as_json) as tell:
        from mythos_lab.comparison.compare import compare as compared
        from mythos_lab.comparison.naming import arm_folders, is_study, study_space
        from mythos_lab.comparison.table import comparison_report
        from mythos_lab.recipe import RecipeError

        if b is not None:
            one, other = (arm_folders(each, store=store, storage=storage, artifacts=artifacts) for each in (a, b))
            asked = metric or "val/accuracy", declare or [], 0.01 if matters is None else matters
            tell(comparison_report(compared(one, other, *asked)))
            return
        if not is_study(a):
            raise RecipeError(f"{a}: is no study; expected a second arm to compare it with")
        if metric is not None or declare or matters is not None:
            raise RecipeError(
                f"{a}: --metric, --declare and --matters are of two arms; a study's file says what it compares"
            )
        from mythos_lab.comparison.conclude import arms_compared
        from mythos_lab.search.opening import find_study

        space = study_space(a, storage, artifacts)
        tell(arms_compared(space, find_study(space)))


@app.command()
def ablate(
    recipe: Name,
    overrides: Overrides = None,
    design: Annotated[str, typer.Option(help="leave-one-out, add-one-in, pairs or factorial.")] = "leave-one-out",
    only: Annotated[str | None, typer.Option(help="Parts to look at, joined by commas; all without.")] = None,
    hold: Annotated[str, typer.Option(help="Budgets of every arm, joined by commas; none holds nothing.")] = (
        "training_flops"
    ),
    vary: Annotated[str, typer.Option(help="Whole-number fields solved for to hold them, joined by commas.")] = (
        "training.max_steps"
    ),
    seeds: Annotated[int, typer.Option(min=1, help="Paired seeds of every arm.")] = 3,
    metric: Annotated[
        str | None, typer.Option(help="What is compared; without, accuracy, bits per byte or loss.")
    ] = None,
    matters: Annotated[float, typer.Option(min=0, help="The smallest difference that matters.")] = 0.01,
    declare: Annotated[
        list[str] | None, typer.Option(help="An input that may differ besides, such as parameters.")
    ] = None,
    retune: Annotated[
        str | None, typer.Option(help="Factors on the learning rate that each arm tries first, such as 0.5,1,2.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the study; without, RECIPE-ablation or RECIPE-DESIGN.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trials that run at once.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write the study's file and list its arms only.")] = False,
    as_json: Json = False,
) -> None:
    """Measure what each part of a recipe is worth: the same without it, at equal budgets, over paired seeds.

    The same command again goes on. Example: `mythos ablate openmythos task=reachability mask=task --workers 2`
    """
    with telling(as_json) as tell:
        from mythos_lab.comparison.ablate import ablation, retuned, with_best_rates
        from mythos_lab.comparison.arms import values_by_arm
        from mythos_lab.comparison.study_file import check_begun, write
        from mythos_lab.recipe import load_recipe
        from mythos_lab.recipe.outputs import check_writable
        from mythos_lab.recipe.stores import name_tracker

        check_writable(Path("studies"))
        composed = load_recipe(recipe, overrides or [])
        name_tracker(overrides or [])
        file = ablation(
            name or f"{composed.name}-{'ablation' if design == 'leave-one-out' else design}",
            recipe,
            overrides or [],
            composed,
            design=design,
            only=only.split(",") if only else (),
            hold=[] if hold == "none" else hold.split(","),
            vary=vary.split(","),
            seeds=seeds,
            metric=metric,
            matters=matters,
            declared=declare or [],
        )
        rates = _numbers(retune) if retune else []
        if rates:
            check_begun(file, rates_to_come=True)
        space = write(retuned(file, composed, rates) if rates else file)
        from mythos_lab.comparison.table import arms_report

        if dry_run:
            tell(arms_report(space))
            return
        from mythos_lab.comparison.conclude import concluding
        from mythos_lab.search.study import run_study

        conclude = concluding(tell)

        if rates:
            tried = run_study(space, num_workers=workers, conclude=conclude)
            space = write(with_best_rates(file, composed, rates, values_by_arm(tried)))
            tell(arms_report(space))
        run_study(space, num_workers=workers, conclude=conclude)


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
    no_imports: NoImports = False,
    as_json: Json = False,
) -> None:
    """Measure how many parameters of its own a recurrence is worth: an iso-depth sweep and its joint fit.

    The same command again goes on with a sweep that was interrupted. A cluster runs it as any study: `--dry-run`,
    `mythos study studies/NAME.yaml --engine slurm`, and `--fit-only studies/NAME` at the end.

    Example: `mythos worth openmythos --widths 64,96,128 --loops 1,2,4 --dry-run`
    """
    with telling(as_json) as tell:
        from mythos_lab.comparison.worth import check_counted, measure, plan, plan_report, save, worth_report
        from mythos_lab.recipe import RecipeError
        from mythos_lab.recipe.outputs import check_writable
        from mythos_lab.recipe.stores import name_tracker

        counted = check_counted(count)
        if fit_only is not None:
            check_writable(fit_only)
            found = measure(fit_only, counted)
            tell(worth_report(found, save(found, fit_only)))
            return
        if recipe is None:
            raise RecipeError("expected a recipe to sweep, or --fit-only and the folder of finished runs")
        check_writable(Path("studies"))
        name_tracker(overrides or [])
        sweep = plan(
            recipe,
            overrides or [],
            widths=whole_numbers("widths", widths),
            loops=whole_numbers("loops", loops),
            steps=whole_numbers("steps", steps),
            num_seeds=seeds,
            core_layers=core_layers,
            name=name,
            counted=counted,
        )
        path = sweep.write()
        tell(plan_report(sweep, path))
        if dry_run:
            return
        from mythos_lab.comparison.conclude import recorded
        from mythos_lab.search.spaces.space import load_space
        from mythos_lab.search.study import run_study

        space = load_space(str(path))
        run_study(space, num_workers=workers, conclude=recorded)
        found = measure(space.folder, counted)
        tell(worth_report(found, save(found, space.folder)))


def whole_numbers(option: str, text: str | None) -> list[int]:
    """The numbers of an option that takes several."""
    from mythos_lab.recipe import RecipeError

    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise RecipeError(f"--{option} {text}: expected whole numbers joined by commas") from None


def _numbers(text: str) -> list[float]:
    from mythos_lab.recipe import RecipeError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise RecipeError(f"--retune {text}: expected numbers joined by commas, such as 0.5,1,2") from None

"""What parts are worth, and the split that is opened once."""

from __future__ import annotations

from typing import Annotated

import typer

from mythos_lab.cli.app import Name, Overrides, app, one_line_errors


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
    name: Annotated[str | None, typer.Option(help="Name of the study; RECIPE-ablation without.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trials that run at once.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write the study's file and list its arms only.")] = False,
) -> None:
    """Measure what each part of a recipe is worth: the same without it, at equal budgets, over paired seeds.

    The same command again goes on. Example: `mythos ablate openmythos task=reachability mask=task --workers 2`
    """
    with one_line_errors():
        from mythos_lab.recipe import load_recipe
        from mythos_lab.search.ablate import ablation, retuned, with_best_rates, write
        from mythos_lab.search.arms import values_by_arm

        composed = load_recipe(recipe, overrides or [])
        file = ablation(
            name or f"{composed.name}-ablation",
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
        space = write(file)
        if dry_run:
            from mythos_lab.search.table import print_arms

            print_arms(space)
            return
        from mythos_lab.search.study import Interrupted, run_study

        try:
            if rates:
                rate = composed.model_dump(mode="json")["training"]["optimizer"]["lr"]
                tried = run_study(write(retuned(file, rate, rates)), num_workers=workers)
                space = write(with_best_rates(file, values_by_arm(tried), rate))
            run_study(space, num_workers=workers)
        except Interrupted as interrupted:
            print(interrupted)
            raise typer.Exit(interrupted.status) from None


@app.command()
def holdout(
    space: Annotated[str, typer.Argument(help="A search space's name, or the path of a YAML file.")],
) -> None:
    """Evaluate what a finished study chose on the test split, once; the study then takes no further trials.

    Example: `mythos holdout studies/openmythos-ablation.yaml`
    """
    with one_line_errors():
        from mythos_lab.search.holdout import open_holdout
        from mythos_lab.search.opening import open_study
        from mythos_lab.search.space import load_space

        loaded = load_space(space)
        found = open_holdout(loaded, open_study(loaded))
    from mythos_lab.search.table import print_holdout

    print_holdout(loaded, found)


def _numbers(text: str) -> list[float]:
    from mythos_lab.recipe import RecipeError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise RecipeError(f"--retune {text}: expected numbers joined by commas, such as 0.5,1,2") from None

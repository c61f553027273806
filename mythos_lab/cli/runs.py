"""One run, and looking at runs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from mythos_lab.cli.app import Name, NoImports, Overrides, app
from mythos_lab.cli.kept import Kept, bring
from mythos_lab.cli.output import Json, telling


@app.command()
def train(
    recipe: Name,
    overrides: Overrides = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder of an unfinished run of the same recipe to go on with.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Run whose weights to start with; with training.start_with=everything, to go on where it ended.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a recipe and measure what its loops do.

    SIGTERM and Ctrl-C stop it after the step that runs, with a checkpoint, and print the command that goes on.

    Example: `mythos train gated_loop training.max_steps=500 seed=1`
    """
    from mythos_lab.cli.stopping import stop_on_signals

    with telling(as_json) as tell:
        from mythos_lab.recipe import RecipeError, load_recipe

        overrides = [*(overrides or [])]
        if start is not None:
            from mythos_lab.finished.locating import run_folder
            from mythos_lab.recipe.quoting import quoted

            overrides.append(f"training.start={quoted(str(run_folder(start)))}")
        composed = load_recipe(recipe, overrides)
        from mythos_lab.recipe.outputs import check_writable
        from mythos_lab.recipe.screen import say
        from mythos_lab.training.result import STATE
        from mythos_lab.training.run import Stopped, run

        if resume is not None and not (resume / STATE).is_file():
            raise RecipeError(
                f"--resume {resume}: holds no run; expected a folder that `mythos train` made under runs/"
            )
        check_writable(resume or Path("runs"))

        with stop_on_signals() as request:
            try:
                result = run(composed, folder=resume, progress=True, should_stop=request.asked)
            except Stopped as stopped:
                resumed = ["--resume", str(stopped.folder)] if (stopped.folder / STATE).is_file() else []
                command = ["mythos", "train", recipe, *overrides, *resumed]
                say(f"{stopped}; to go on:\n{shlex.join(command)}")
                raise typer.Exit(request.exit_status) from None
        from mythos_lab.comparison.reporting.recorded import read_run
        from mythos_lab.comparison.reporting.run_page import run_answer
        from mythos_lab.report.markdown import in_text
        from mythos_lab.report.result import run_report
        from mythos_lab.tracking.mlflow import describe

        report, answer = run_report(result), run_answer(read_run(result.folder))
        describe(composed.tracking.uri, result.run_id, in_text(answer))
        report.say(answer, {"answer": answer})
        tell(report)
    if result.status != "finished":
        raise typer.Exit(1)


@app.command()
def depth(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    artifacts: Kept = None,
    no_imports: NoImports = False,
    as_json: Json = False,
) -> None:
    """Measure the depth curve of a finished run again, and print it.

    Example: `mythos depth runs/gated_loop-20260101-120000-ab12`
    """
    with telling(as_json) as tell:
        from mythos_lab.measures.depth_curve import depth_curve
        from mythos_lab.recipe.outputs import check_writable
        from mythos_lab.report.depth_figures import depth_figure
        from mythos_lab.report.report import Report
        from mythos_lab.report.result import curve_table
        from mythos_lab.training.result import load_run

        bring(run, artifacts)
        recipe, model, task = load_run(run)
        check_writable(run)
        curve = depth_curve(model, task, recipe)
        report = Report()
        report.show("depth_curve", curve_table(curve))
        figure = depth_figure(curve, run / "depth_curve.png")
        report.say(f"figure: {figure}", {"figure": figure}, whole=True)
        tell(report)


@app.command()
def measure(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Measures (`mythos components measure` lists them); none takes every one that applies."),
    ] = None,
    samples: Annotated[int, typer.Option(min=2, help="Samples of the validation split, at most.")] = 500,
    artifacts: Kept = None,
    no_imports: NoImports = False,
    as_json: Json = False,
) -> None:
    """Measure what the loops of a finished run do: a table in its folder, and metrics in its MLflow run.

    Example: `mythos measure runs/gated_loop-20260101-120000-ab12 loop_verdict`
    """
    with telling(as_json) as tell:
        from mythos_lab.measures.measuring import chosen, taken
        from mythos_lab.measures.samples import Samples
        from mythos_lab.measures.subject import Subject
        from mythos_lab.measures.tidy import write
        from mythos_lab.recipe.outputs import check_writable
        from mythos_lab.report.loops import loop_figures
        from mythos_lab.report.result import outcomes_report
        from mythos_lab.training.measuring import track, untracked
        from mythos_lab.training.result import MEASURES, load_run, read_values, write_measures

        bring(run, artifacts)
        recipe, model, task = load_run(run)
        check_writable(run)
        if (run / MEASURES).is_file():
            read_values(run, MEASURES)  # before what takes long: other measures' values are kept in it
        subject = Subject(model, Samples.of(task, recipe, num_samples=samples))
        measures, without = chosen(subject, names or None)
        outcomes = taken(measures, subject)
        report = outcomes_report(outcomes)
        for kind, why in without.items():
            report.say(f"{kind}: not taken: {why}")
        report.know({"not_taken": without})
        files, figures = write(outcomes, run), loop_figures(outcomes, run)
        write_measures(outcomes, run)
        report.say(f"table: {files[0]}", {"table": files[0]}, whole=True)
        for figure in figures:
            report.say(f"figure: {figure}", whole=True)
        report.know({"figures": figures})
        if (untold := untracked(recipe, run)) is not None:
            report.say(f"MLflow is not told: {untold}", {"untracked": untold})
        tell(report)
        if untold is None:
            track(outcomes, [*files, *figures], recipe, run)


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
    store: Annotated[
        str | None, typer.Option(help="MLflow's store, for runs of which the recipe sets tracking.uri.")
    ] = None,
) -> None:
    """Open MLflow on what has been run: the default store, or the one that recipes name.

    Example: `mythos ui --port 5001`
    """
    from mythos_lab.tracking.viewing import charts_page, runs_page, server

    command, environment = server(store, port)
    from mythos_lab.recipe.screen import say

    page = runs_page(store, port)
    say(f"MLflow on {page}, for this machine alone (Ctrl-C ends it)")
    if (charts := charts_page(page)) is not None:
        say(f"what the loops do, as charts: {charts}")
    os.execve(command[0], command, environment)

"""What one does with runs that have ended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mythos_lab.cli.app import NoImports, Overrides, app
from mythos_lab.cli.comparisons import whole_numbers
from mythos_lab.cli.kept import Kept, bring
from mythos_lab.cli.output import Json, telling

Run = Annotated[str, typer.Argument(help="Folder of a finished run, or its id in MLflow.")]
Store = Annotated[str | None, typer.Option(help="MLflow's store, where the run is named by its id.")]


@app.command()
def runs(
    folders: Annotated[list[Path] | None, typer.Argument(help="Where to look; runs/ and studies/ without.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Only runs of the recipe of this name.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="A metric to show; accuracy and loss without.")] = None,
    by: Annotated[
        str | None, typer.Option(help="Sort by this metric, largest first; without, the latest first.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Runs to list at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List runs: recipe, seed, how they ended, and what they came to.

    Example: `mythos runs --recipe gated_loop --by val/accuracy`
    """
    with telling(as_json) as tell:
        from mythos_lab.finished.listing import listed, listing

        found = listed(folders or [place for place in (Path("runs"), Path("studies")) if place.is_dir()])
        tell(listing(found, metric or [], by, most, recipe))


@app.command()
def clean(
    folders: Annotated[list[Path] | None, typer.Argument(help="Where to look; runs/ and studies/ without.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed; without, it is only shown.")] = False,
    unused: Annotated[float, typer.Option(min=0, help="Days for which cached tokens have not been used.")] = 30.0,
    storage: Annotated[
        str | None, typer.Option(help="Optuna's storage URL, of studies that are not kept in their folder.")
    ] = None,
    no_imports: NoImports = False,
    as_json: Json = False,
) -> None:
    """Show, with sizes, what is safe to remove, and with --yes remove it.

    It is checkpoints of runs that have ended, weights of trials that a finished study did not choose, what killed
    processes left half written, and cached tokens that nobody has used for a month. Results stay.

    Example: `mythos clean`, and then `mythos clean --yes`
    """
    with telling(as_json) as tell:
        from mythos_lab.comparison.spent import spent_weights
        from mythos_lab.finished.cleaning import cleaning_report, removable, remove

        places = folders or [place for place in (Path("runs"), Path("studies")) if place.is_dir()]
        found = removable(places, unused)
        weights, kept = spent_weights(places, storage)
        found += weights
        report = cleaning_report(found, [remove(each) if yes else "" for each in found], removed=yes)
        for line in kept:
            report.say(line)
        tell(report)


@app.command()
def evaluate(
    run: Run,
    overrides: Overrides = None,
    loops: Annotated[str | None, typer.Option(help="Loop counts, joined by commas, such as 1,4,16.")] = None,
    split: Annotated[str, typer.Option(help="validation, test or ood.")] = "validation",
    store: Store = None,
    artifacts: Kept = None,
    no_imports: NoImports = False,
    as_json: Json = False,
) -> None:
    """Score a finished run's model: on its own data, or on another task, range, split or text, at chosen loop counts.

    Example: `mythos evaluate runs/gated_loop-20260101-120000-ab12 task.max_hops=5 --loops 4,6,8`
    """
    with telling(as_json) as tell:
        from mythos_blocks.declaring.registry import suggest
        from mythos_lab.finished.evaluation import SPLITS, breadth
        from mythos_lab.finished.evaluation import evaluate as evaluated
        from mythos_lab.finished.run import load
        from mythos_lab.recipe.errors import RecipeError
        from mythos_lab.report.report import Report
        from mythos_lab.report.result import breadth_table, curve_sentence, curve_table

        if split not in SPLITS:
            raise RecipeError(f"--split {split}: {suggest(split, SPLITS)}")
        bring(run, artifacts)
        opened = load(run, store=store)
        curve = evaluated(opened, overrides or [], whole_numbers("loops", loops), split)
        report = Report()
        report.show("evaluation", curve_table(curve, f"{curve.task.kind}, {split}"))
        if starts := breadth(opened, overrides or [], whole_numbers("loops", loops), split):
            report.show("breadth", breadth_table(starts))
        report.know({"run": opened.folder, "split": split, "overrides": overrides or []})
        other = any(each.startswith("task") for each in overrides or [])
        where = "; other samples than the run's own" if other else ""
        answer = f"{curve_sentence(curve, split)}{where}"
        facts = {"num_samples": curve.task.size(split), "chance": curve.task.chance}
        report.say(answer, {"answer": answer, **facts})
        tell(report)


@app.command()
def generate(
    run: Run,
    prompt: Annotated[str | None, typer.Option(help="The text to go on with.")] = None,
    tokens: Annotated[str | None, typer.Option(help="Token numbers in its place, joined by commas.")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to generate at most.")] = 100,
    loops: Annotated[int | None, typer.Option(min=1, help="Loop count; the model's own without.")] = None,
    exit: Annotated[str | None, typer.Option(help="Rule that stops positions early; the model's own without.")] = None,
    temperature: Annotated[float, typer.Option(min=0, help="Divides the logits; 0 takes the likeliest token.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(min=1, help="Draw among the k likeliest tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw among the likeliest tokens of this mass.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers.")] = 0,
    lazy: Annotated[
        bool, typer.Option("--lazy", help="Tokens go on after their exit where later ones need it.")
    ] = False,
    store: Store = None,
    artifacts: Kept = None,
    no_imports: NoImports = False,
    as_json: Json = False,
) -> None:
    """Have a finished run's model go on with a text; a terminal shows in colour how many loops each token took.

    Example: `mythos generate runs/mine-20260101-120000-ab12 --prompt "def " --loops 8`
    """
    with telling(as_json) as tell:
        from mythos_blocks.generation import Sampling
        from mythos_lab.finished.generation import Asked, generated, prompt_tokens
        from mythos_lab.finished.run import load
        from mythos_lab.recipe.errors import RecipeError
        from mythos_lab.report.generation import Shown, generation_report

        try:
            sampling = Sampling(temperature, top_k, top_p)
        except ValueError as error:
            raise RecipeError(str(error)) from None
        bring(run, artifacts)
        opened = load(run, store=store)
        numbers = prompt_tokens(opened, prompt, None if tokens is None else whole_numbers("tokens", tokens))
        asked = Asked(max_new_tokens, loops, exit, sampling, seed, lazy)
        found = []
        with Shown(prompt, loops or opened.model.core.loops.eval_loops) as shown:
            for each in generated(opened, numbers, asked, as_text=prompt is not None):
                found.append(each)
                shown.show(each)
        tell(generation_report(found))


@app.command()
def export(
    run: Run,
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    store: Store = None,
    artifacts: Kept = None,
    no_imports: NoImports = False,
    as_json: Json = False,
) -> None:
    """Write a finished run's model as a folder that transformers loads, with its tokenizer where its tokens are text.

    Example: `mythos export runs/mine-20260101-120000-ab12 exported`
    """
    with telling(as_json) as tell:
        from mythos_lab.finished.export import export as exported
        from mythos_lab.finished.run import load
        from mythos_lab.recipe.outputs import check_writable
        from mythos_lab.report.report import Report

        check_writable(folder)
        bring(run, artifacts)
        files = exported(load(run, store=store), folder)
        report = Report()
        for path in files:
            report.say(str(path), whole=True)
        report.know({"files": files})
        tell(report)

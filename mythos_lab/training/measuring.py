"""What is measured once a run has ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mythos_lab.measures.base import Outcome
from mythos_lab.measures.depth_curve import depth_curve
from mythos_lab.measures.evaluate import quality, quality_gain
from mythos_lab.measures.knockout import knockouts
from mythos_lab.measures.measuring import by_loop, declared, scalars, taken
from mythos_lab.measures.samples import Samples
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.tally import Interval
from mythos_lab.measures.tidy import write
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.stores import check_tracker
from mythos_lab.report.depth_figures import depth_figure, halting_figure
from mythos_lab.report.loops import loop_figures
from mythos_lab.report.result import Status
from mythos_lab.tracking.mlflow import Tracker
from mythos_lab.training.assembly import Admitted
from mythos_lab.training.result import CHECKPOINT, RECIPE, STATE, RunResult, read_result, read_state, write_measures
from mythos_lab.training.state import Training

_AT_THE_END = ("loops/", "ood/", "knockout/")


def measure(
    admitted: Admitted, training: Training, tracker: Tracker, folder: Path, status: Status, reason: str, figures: bool
) -> RunResult:
    """Depth curves, knock-outs and figures of a trained model; of one that did not get there, what is known."""
    recipe, model, task = training.recipe, training.whole, training.task
    metrics = {**admitted.cost.metrics(), **training.metrics, "train/num_steps": float(training.num_steps)}
    intervals: dict[str, Interval | None] = {}
    if training.scores is not None:
        metrics |= training.scores.metrics()
        intervals |= training.scores.intervals()
    curve, ood = None, None
    outcomes: list[Outcome] = []
    if status == "finished":
        assert training.scores is not None
        at = (folder / CHECKPOINT).stat().st_mtime  # the same where a killed run is measured again
        curve = depth_curve(model, task, recipe)
        metrics |= curve.metrics()
        intervals["loops/gain"] = curve.gain_interval()
        for slot, without in knockouts(model, task, recipe).items() if recipe.evaluation.knockouts else ():
            metrics[f"knockout/{slot}"] = quality(training.scores, task) - quality(without, task)
            intervals[f"knockout/{slot}"] = quality_gain(training.scores, without, task)
        ood = depth_curve(model, task, recipe, "ood") if recipe.evaluation.ood and task.size("ood") else None
        if ood is not None:
            beyond = ood.scores[ood.eval_loops]
            metrics |= {
                "ood/loss": beyond.loss,
                "ood/accuracy": beyond.accuracy,
                "ood/best_accuracy": max(scores.accuracy for scores in ood.scores.values()),
            }
            intervals["ood/loss"] = beyond.tally.loss_interval()
            intervals["ood/accuracy"] = beyond.tally.accuracy_interval()
        for prefix, measured in (("depth", curve), ("ood_depth", ood)):
            for row in measured.rows() if measured is not None else []:
                tracker.metrics(
                    {f"{prefix}/{key}".replace("=", "_"): value for key, value in row.items() if key != "loops"},
                    int(row["loops"]),
                    at,
                )
        subject = Subject(model, Samples.of(task, recipe))
        outcomes = taken(declared(recipe, subject), subject)
        numbers = scalars(outcomes)
        for name, value in numbers.items():
            metrics[name], intervals[name] = value.value, value.interval
        for loop, values in by_loop(outcomes).items():
            tracker.metrics(values, loop, at)
        sent = training.scores.metrics()
        tracker.metrics(
            {k: v for k, v in metrics.items() if k not in sent and (k.startswith(_AT_THE_END) or k in numbers)},
            training.num_steps,
            at,
        )
        for path in write(outcomes, folder) if outcomes else ():
            tracker.artifact(path)
        if figures:
            tracker.artifact(depth_figure(curve, folder / "depth_curve.png"))
            if ood is not None:
                tracker.artifact(depth_figure(ood, folder / "ood_depth_curve.png"))
            if (figure := halting_figure(training.scores, folder / "halting.png")) is not None:
                tracker.artifact(figure)
            for path in loop_figures(outcomes, folder):
                tracker.artifact(path)
        write_measures(outcomes, folder)
    return RunResult(
        status,
        folder,
        tracker.run_id,
        metrics,
        admitted.cost,
        {name: interval for name, interval in intervals.items() if interval is not None},
        admitted.findings,
        curve,
        ood,
        training.scores.by_slice if training.scores is not None else {},
        reason,
        outcomes,
        training.scores.histogram if training.scores is not None else [],
    )


def untracked(recipe: Recipe, folder: Path) -> str | None:
    """Why a run's tracker is not told what was measured later; ``None`` where it is.

    A record names its tracker, and may be somebody else's: the environment has to name it too.
    """
    try:
        check_tracker(recipe.tracking.uri, [], [folder], folder / RECIPE)
    except RecipeError as error:
        return str(error)
    return None


def track(outcomes: Sequence[Outcome], files: Sequence[Path], recipe: Recipe, folder: Path) -> None:
    """Send what measures came to, to the MLflow run of a folder."""
    tracking, run_id = recipe.tracking, read_state(folder).get("run_id")
    if not run_id:
        raise Misplaced(f"{folder / STATE}: names no run of MLflow")
    tracker = Tracker(tracking.uri, tracking.experiment, recipe.name, run_id=run_id)
    steps = read_result(folder)["metrics"].get("train/num_steps", recipe.training.max_steps)
    tracker.metrics({name: value.value for name, value in scalars(outcomes).items()}, int(steps))
    for loop, values in by_loop(outcomes).items():
        tracker.metrics(values, loop)
    for path in files:
        tracker.artifact(path)
    tracker.finish("FINISHED")

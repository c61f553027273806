"""What is measured once a run has ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mythos_lab.measures.base import Outcome, Value
from mythos_lab.measures.breadth import breadths
from mythos_lab.measures.depth_curve import DepthCurve, depth_curve
from mythos_lab.measures.evaluate import Scores, quality, quality_gain
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

_AT_THE_END = ("loops/", "ood/", "knockout/", "breadth/")


def measure(
    admitted: Admitted, training: Training, tracker: Tracker, folder: Path, status: Status, reason: str, figures: bool
) -> RunResult:
    """Depth curves, knock-outs, measures, figures of a trained model; of one that did not get there, what is known."""
    metrics = {**admitted.cost.metrics(), **training.metrics, "train/num_steps": float(training.num_steps)}
    found, scores = _Found(metrics), training.scores
    if scores is not None:
        found.metrics |= scores.metrics()
        found.intervals |= scores.intervals()
    if status == "finished":
        assert scores is not None
        _look_at_depths(found, training, scores)
        subject = Subject(training.whole, Samples.of(training.task, training.recipe))
        found.outcomes = taken(declared(training.recipe, subject), subject)
        found.take(scalars(found.outcomes))
        at = (folder / CHECKPOINT).stat().st_mtime  # the same where a killed run is measured again
        _send(found, tracker, training.num_steps, scores.metrics(), at)
        files = write(found.outcomes, folder) if found.outcomes else ()
        for path in (*files, *(_figures(found, scores, folder) if figures else ())):
            tracker.artifact(path)
        write_measures(found.outcomes, folder)
    return RunResult(
        status,
        folder,
        tracker.run_id,
        found.metrics,
        admitted.cost,
        {name: interval for name, interval in found.intervals.items() if interval is not None},
        admitted.findings,
        found.curve,
        found.ood,
        scores.by_slice if scores is not None else {},
        reason,
        found.outcomes,
        scores.histogram if scores is not None else [],
    )


@dataclass
class _Found:
    """What is known of a run, as it grows."""

    metrics: dict[str, float]
    intervals: dict[str, Interval | None] = field(default_factory=dict)
    curve: DepthCurve | None = None
    ood: DepthCurve | None = None
    outcomes: list[Outcome] = field(default_factory=list)

    def take(self, numbers: Mapping[str, Value]) -> None:
        """Metrics by name, with their intervals."""
        for name, number in numbers.items():
            self.metrics[name], self.intervals[name] = number.value, number.interval


def _look_at_depths(found: _Found, training: Training, scores: Scores) -> None:
    """The depth curve, what the loop's parts are worth, and the depth curve out of distribution."""
    recipe, model, task = training.recipe, training.whole, training.task
    found.curve = training.curve or depth_curve(model, task, recipe)
    found.metrics |= found.curve.metrics()
    found.intervals["loops/gain"] = found.curve.gain_interval()
    for slot, without in knockouts(model, task, recipe).items() if recipe.evaluation.knockouts else ():
        found.metrics[f"knockout/{slot}"] = quality(scores, task) - quality(without, task)
        found.intervals[f"knockout/{slot}"] = quality_gain(scores, without, task)
    if recipe.evaluation.breadth > 1:
        (starts,) = breadths(model, task, recipe, [found.curve.eval_loops]).values()
        found.metrics |= starts.metrics()
        found.intervals |= starts.intervals()
    if not recipe.evaluation.ood or not task.size("ood"):
        return
    found.ood = depth_curve(model, task, recipe, "ood")
    beyond = found.ood.scores[found.ood.eval_loops]
    found.metrics |= {
        "ood/loss": beyond.loss,
        "ood/accuracy": beyond.accuracy,
        "ood/best_accuracy": max(at.accuracy for at in found.ood.scores.values()),
    }
    found.intervals["ood/loss"] = beyond.tally.loss_interval()
    found.intervals["ood/accuracy"] = beyond.tally.accuracy_interval()


def _send(found: _Found, tracker: Tracker, num_steps: int, sent: Collection[str], at: float) -> None:
    """Tell the tracker what is of a loop, by loop, and what is of the run and has not been ``sent`` by validation."""
    for prefix, curve in (("depth", found.curve), ("ood_depth", found.ood)):
        for row in curve.rows() if curve is not None else []:
            values = {f"{prefix}/{key}".replace("=", "_"): value for key, value in row.items() if key != "loops"}
            tracker.metrics(values, int(row["loops"]), at)
    for loop, values in by_loop(found.outcomes).items():
        tracker.metrics(values, loop, at)
    measured = scalars(found.outcomes)
    fresh = {k: v for k, v in found.metrics.items() if k not in sent and (k.startswith(_AT_THE_END) or k in measured)}
    tracker.metrics(fresh, num_steps, at)


def _figures(found: _Found, scores: Scores, folder: Path) -> Iterator[Path]:
    """Draw the depth curves, halting and what measures say of loops."""
    assert found.curve is not None
    yield depth_figure(found.curve, folder / "depth_curve.png")
    if found.ood is not None:
        yield depth_figure(found.ood, folder / "ood_depth_curve.png")
    if (figure := halting_figure(scores, folder / "halting.png")) is not None:
        yield figure
    yield from loop_figures(found.outcomes, folder)


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

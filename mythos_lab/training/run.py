"""One run, from recipe to result."""

from __future__ import annotations

import json
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import torch

from mythos_blocks import LoopedTransformer
from mythos_lab.checks import Assembly, Finding, check
from mythos_lab.measures.depth_curve import depth_curve
from mythos_lab.measures.evaluate import quality, quality_gain
from mythos_lab.measures.knockout import knockouts
from mythos_lab.measures.tally import Interval
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.cost import Cost, cost
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.mask import surroundings
from mythos_lab.recipe.precision import autocast_for
from mythos_lab.recipe.shared_task import task_shared
from mythos_lab.report.depth_figures import depth_figure, halting_figure
from mythos_lab.tasks.base import Task
from mythos_lab.tracking.claim import claimed
from mythos_lab.tracking.environment import environment
from mythos_lab.tracking.mlflow import Tracker, find_run, flatten, prepare
from mythos_lab.training.assembly import assemble as assemble
from mythos_lab.training.checkpoint import load_trained, num_steps_of
from mythos_lab.training.devices import check_devices, declared, device_of
from mythos_lab.training.follower import follow_declared
from mythos_lab.training.held import data_of, hold
from mythos_lab.training.launch import joined
from mythos_lab.training.lead import Lead, OnValidation, ShouldStop
from mythos_lab.training.loop import fit
from mythos_lab.training.result import (
    CHECKPOINT,
    DATA,
    ENVIRONMENT,
    LOCK,
    RECIPE,
    RESULT,
    RESUMED,
    STATE,
    RunResult,
    check_resumable,
    key_of,
    read_recipe,
    read_state,
    read_values,
    result_values,
    save_weights,
    write_recipe,
    write_state,
    write_values,
)
from mythos_lab.training.sharding import check_shards
from mythos_lab.training.state import Training
from mythos_lab.training.stop_reasons import Diverged as Diverged
from mythos_lab.training.stop_reasons import Pruned as Pruned
from mythos_lab.training.stop_reasons import RankDied as RankDied
from mythos_lab.training.stop_reasons import Stopped as Stopped
from mythos_lab.training.stopping import interruptible

_NUM_CHECKED = 4  # samples of the effect check


@task_shared()
def run(
    recipe: Recipe,
    *,
    folder: Path | None = None,
    parent: str | None = None,
    tags: dict[str, str] | None = None,
    on_validation: OnValidation | None = None,
    should_stop: ShouldStop | None = None,
    progress: bool = False,
) -> RunResult:
    """Train a recipe and measure the result.

    Where ``folder`` holds an unfinished run of the same recipe, that run goes on from its last checkpoint, to
    the numbers that it would have reached unbroken.

    With several devices, this process is rank 0 and starts the others. Where torchrun or srun has started them, all
    call this function, and it returns in rank 0 only: the others exit once training is over.

    Args:
        recipe: The validated recipe.
        folder: The run's directory; ``None`` makes one under ``runs/``.
        parent: MLflow run to nest this one under.
        tags: MLflow tags.
        on_validation: Called after each validation; may raise :class:`Pruned`.
        should_stop: Asked after every step. Where it says yes, the run saves a checkpoint there and stops.
        progress: Show a progress bar.

    Raises:
        RecipeError: The effect check found an error that the recipe does not waive.
        Misplaced: The folder holds another recipe's run, or there are not the devices that the recipe declares.
        RankDied: A process that trained together with this one ended before its time.
        InUse: Another process works in the folder.
        Stopped: ``should_stop`` said so, or a signal did while nothing was trained. Another call with the same folder
            goes on.
    """
    if folder is not None and (folder / STATE).is_file():
        check_resumable(folder)
    check_devices(recipe)
    if (meeting := declared(recipe)) is not None and meeting.rank.index > 0:
        follow_declared(recipe, meeting)
    if recipe.training.num_threads is not None:
        torch.set_num_threads(recipe.training.num_threads)
    folder = folder or Path("runs") / f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
    with interruptible(folder):
        model, task = assemble(recipe)
        check_shards(recipe, model)
        findings = effects(recipe, model, task)
        standing = [finding for finding in findings if not finding.waived]
        if standing:
            raise RecipeError(*(f"{recipe.name}: {f.code}: {f.message}" for f in standing))
        total = cost(recipe)
        prepare(recipe.tracking.uri, recipe.tracking.experiment)  # before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    with claimed(folder / LOCK):
        return _run(recipe, model, task, total, findings, folder, parent, tags, on_validation, should_stop, progress)


def _run(
    recipe: Recipe,
    model: LoopedTransformer,
    task: Task,
    total: Cost,
    findings: list[Finding],
    folder: Path,
    parent: str | None,
    tags: dict[str, str] | None,
    on_validation: OnValidation | None,
    should_stop: ShouldStop | None,
    progress: bool,
) -> RunResult:
    tracker = _begin(recipe, task, total, folder, parent, tags or {})
    for remark in task.remarks() if progress else ():
        print(f"data: {remark}", file=sys.stderr)
    training = Training(recipe, model, task)
    lead = Lead(tracker, on_validation, should_stop)
    status, reason = "finished", ""
    try:
        try:
            _train(training, lead, folder, progress)
        except (Diverged, Pruned) as error:
            status, reason = ("diverged" if isinstance(error, Diverged) else "pruned"), str(error)
        lead.send(training)
        with interruptible(folder, recipe.training.max_steps):
            result = _measure(training, total, findings, tracker, folder, status, reason)
        values = result_values(result)
        tracker.artifact(save_weights(model, folder))
        tracker.text(RESULT, json.dumps(values, indent=1))
        if reason:
            tracker.tag("mythos.reason", reason)
    except BaseException as error:
        tracker.abandon("FAILED" if isinstance(error, Exception) and not isinstance(error, Stopped) else "KILLED")
        raise
    tracker.finish("FINISHED" if status == "finished" else "FAILED" if status == "diverged" else "KILLED")
    write_values(folder, RESULT, values)  # last: who finds it need not go on with the run
    return result


def _measure(
    training: Training,
    total: Cost,
    findings: list[Finding],
    tracker: Tracker,
    folder: Path,
    status: str,
    reason: str,
) -> RunResult:
    """Depth curves, knock-outs and figures of a trained model; of one that did not get there, what is known."""
    recipe, model, task = training.recipe, training.whole, training.task
    metrics = {**total.metrics(), **training.metrics}
    intervals: dict[str, Interval | None] = {}
    if training.scores is not None:
        metrics |= training.scores.metrics()
        intervals |= training.scores.intervals()
    curve, ood = None, None
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
        sent = training.scores.metrics()
        tracker.metrics(
            {k: v for k, v in metrics.items() if k.startswith(("loops/", "ood/", "knockout/")) and k not in sent},
            recipe.training.max_steps,
            at,
        )
        tracker.artifact(depth_figure(curve, folder / "depth_curve.png"))
        tracker.artifact(halting_figure(training.scores, folder / "halting.png"))
    return RunResult(
        status,  # type: ignore[arg-type]
        folder,
        tracker.run_id,
        metrics,
        total,
        {name: interval for name, interval in intervals.items() if interval is not None},
        findings,
        curve,
        ood,
        training.scores.by_slice if training.scores is not None else {},
        reason,
    )


def effects(recipe: Recipe, model: LoopedTransformer, task: Task) -> list[Finding]:
    """The effect check's findings.

    Raises:
        RecipeError: The model cannot read the longer samples that are evaluated out of distribution.
    """
    if recipe.evaluation.ood and task.size("ood") and task.ood_positions != task.positions:
        sample = task.batch("ood", range(1))
        try:
            with torch.no_grad(), autocast_for(recipe, sample.tokens.device):
                model(sample.tokens, iterations=1, **surroundings(recipe, sample))
        except ValueError as error:
            raise RecipeError(
                f"{recipe.name}: evaluation.ood: the model cannot read samples of {sample.tokens.shape[1]} positions "
                f"({error}); set task.ood_range=0 or evaluation.ood=false"
            ) from None
    try:
        return check(Assembly(recipe, model, task, task.batch("train", range(_NUM_CHECKED))))
    except ValueError as error:  # a component of another package, which says so when it reads
        raise RecipeError(f"{recipe.name}: {error}") from None


def _train(training: Training, lead: Lead, folder: Path, progress: bool) -> None:
    """Train to the last step, with the other ranks where the recipe declares some."""
    recipe, checkpoint = training.recipe, folder / CHECKPOINT
    resumed = checkpoint.is_file()
    if not resumed or num_steps_of(checkpoint) < recipe.training.max_steps:
        try:
            with joined(recipe, folder, resumed) as training.rank:
                fit(training, checkpoint, resumed=resumed, lead=lead, progress=progress)
        finally:
            training.whole.to(training.rank.device)
        return
    load_trained(checkpoint, training)
    unsent, training.unsent = training.unsent, []
    training.validate()
    training.unsent = unsent  # which has that validation already
    training.check_scores()


def _begin(recipe: Recipe, task: Task, total: Cost, folder: Path, parent: str | None, tags: dict[str, str]) -> Tracker:
    """The MLflow run of a folder: a new one, or the one that was begun there; with everything needed to repeat it.

    The key of a run is written down before MLflow makes it, and its id after all of it is recorded: a process that is
    killed between the two leaves a run that the next one finds.
    """
    state = _state(folder, recipe)
    where = recipe.tracking.uri, recipe.tracking.experiment
    if "run_id" in state:
        hold(folder, recipe, task, key_of(folder))
        tracker = Tracker(*where, recipe.name, run_id=state["run_id"])
        _note_machine(folder, environment(device_of(recipe, 0), recipe.imports), tracker)
        return tracker
    run_id = find_run(*where, state["key"]) if state else None
    if not state:
        state = {"key": uuid.uuid4().hex}
        write_recipe(recipe, folder, state["key"])
        write_state(folder, state)
    machine = environment(device_of(recipe, 0), recipe.imports)
    data = data_of(recipe, task)
    write_values(folder, ENVIRONMENT, machine)
    write_values(folder, DATA, data)
    tags = {
        **tags,
        **{f"mythos.data_{name}": value for name, value in data.items()},
        "mythos.folder": str(folder),
    }
    if machine["git_commit"] is not None:
        tags["mlflow.source.git.commit"] = machine["git_commit"]
    tracker = Tracker(*where, recipe.name, run_id=run_id, parent=parent, tags=tags, key=state["key"])
    tracker.params(flatten(recipe.model_dump(mode="json")))
    tracker.metrics(total.metrics(), 0, (folder / STATE).stat().st_mtime)
    tracker.flush()
    for name in (RECIPE, ENVIRONMENT, DATA):
        tracker.artifact(folder / name)
    write_state(folder, {**state, "run_id": tracker.run_id})
    return tracker


def _note_machine(folder: Path, machine: dict[str, Any], tracker: Tracker) -> None:
    """Write down where a run goes on, if that is not where it was last."""
    written = read_values(folder, ENVIRONMENT)
    places = [{key: value for key, value in written.items() if key != RESUMED}, *written.get(RESUMED, [])]
    if places[-1] != json.loads(json.dumps(machine)):
        write_values(folder, ENVIRONMENT, {**places[0], RESUMED: [*places[1:], machine]})
        tracker.artifact(folder / ENVIRONMENT)


def _state(folder: Path, recipe: Recipe) -> dict[str, str]:
    """What is written down of the run in a folder: its key, and its id once MLflow has all of it."""
    if not (folder / STATE).is_file():
        return {}
    stored = read_recipe(folder)
    if stored != recipe:
        raise Misplaced(f"{folder}: holds a run of another recipe; resume it with that one, or choose another folder")
    return read_state(folder)

"""One run, from recipe to result."""

from __future__ import annotations

import json
import sys
import time
import uuid
import warnings
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
from mythos_lab.report.depth_figures import depth_figure, halting_figure
from mythos_lab.tasks.base import Task
from mythos_lab.tracking.environment import environment
from mythos_lab.tracking.mlflow import Tracker, find_run, flatten, prepare
from mythos_lab.training.assembly import assemble as assemble
from mythos_lab.training.callbacks import Milestones, OnValidation, Progress, ShouldStop
from mythos_lab.training.data import first_step_of
from mythos_lab.training.endings import Diverged as Diverged
from mythos_lab.training.endings import Pruned as Pruned
from mythos_lab.training.endings import RankDied as RankDied
from mythos_lab.training.endings import Stopped as Stopped
from mythos_lab.training.fit import fit
from mythos_lab.training.held import data_of, hold
from mythos_lab.training.launch import joined
from mythos_lab.training.module import TrainingModule
from mythos_lab.training.rank import follow_declared
from mythos_lab.training.ranks import check_devices, declared, device_of
from mythos_lab.training.result import (
    CHECKPOINT,
    DATA,
    ENVIRONMENT,
    RECIPE,
    RESULT,
    RESUMED,
    STATE,
    RunResult,
    dump_recipe,
    numbers_of,
    read_recipe,
    save_weights,
    write_whole,
)
from mythos_lab.training.sharding import check_shards

_NUM_CHECKED = 4  # samples of the effect check


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
        Stopped: ``should_stop`` said so. Another call with the same folder goes on.
    """
    check_devices(recipe)
    if (meeting := declared(recipe)) is not None and meeting.rank.index > 0:
        follow_declared(recipe, meeting)
    if recipe.training.num_threads is not None:
        torch.set_num_threads(recipe.training.num_threads)
    model, task = assemble(recipe)
    check_shards(recipe, model)
    findings = effects(recipe, model, task)
    standing = [finding for finding in findings if not finding.waived]
    if standing:
        raise RecipeError(*(f"{recipe.name}: {f.code}: {f.message}" for f in standing))
    total = cost(recipe)

    folder = folder or Path("runs") / f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
    tracker = _begin(recipe, task, total, folder, parent, tags or {})
    for remark in task.remarks() if progress else ():
        print(f"data: {remark}", file=sys.stderr)
    module = TrainingModule(recipe, model, task)
    milestones = Milestones(folder / CHECKPOINT, tracker, on_validation, should_stop)
    status, reason = "finished", ""
    try:
        try:
            _train(module, milestones, folder, progress)
        except (Diverged, Pruned) as error:
            status, reason = ("diverged" if isinstance(error, Diverged) else "pruned"), str(error)
        milestones.send(module)
        result = _measure(module, total, findings, tracker, folder, status, reason)
        numbers = numbers_of(result)
        tracker.artifact(save_weights(model, folder))
        tracker.text(RESULT, numbers)
        if reason:
            tracker.tag("mythos.reason", reason)
    except BaseException as error:
        tracker.abandon("FAILED" if isinstance(error, Exception) and not isinstance(error, Stopped) else "KILLED")
        raise
    tracker.finish("FINISHED" if status == "finished" else "FAILED" if status == "diverged" else "KILLED")
    write_whole(folder / RESULT, numbers)  # last: who finds it need not go on with the run
    return result


def _measure(
    module: TrainingModule,
    total: Cost,
    findings: list[Finding],
    tracker: Tracker,
    folder: Path,
    status: str,
    reason: str,
) -> RunResult:
    """Depth curves, knock-outs and figures of a trained model; of one that did not get there, what is known."""
    recipe, model, task = module.recipe, module.model, module.task
    metrics = {**total.metrics(), **module.metrics}
    intervals: dict[str, Interval | None] = {}
    if module.scores is not None:
        metrics |= module.scores.metrics()
        intervals |= module.scores.intervals()
    curve, ood = None, None
    if status == "finished":
        assert module.scores is not None
        at = (folder / CHECKPOINT).stat().st_mtime  # the same where a killed run is measured again
        curve = depth_curve(model, task, recipe)
        metrics |= curve.metrics()
        intervals["loops/gain"] = curve.gain_interval()
        for slot, without in knockouts(model, task, recipe).items() if recipe.evaluation.knockouts else ():
            metrics[f"knockout/{slot}"] = quality(module.scores, task) - quality(without, task)
            intervals[f"knockout/{slot}"] = quality_gain(module.scores, without, task)
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
        sent = module.scores.metrics()
        tracker.metrics(
            {k: v for k, v in metrics.items() if k.startswith(("loops/", "ood/", "knockout/")) and k not in sent},
            recipe.training.max_steps,
            at,
        )
        tracker.artifact(depth_figure(curve, folder / "depth_curve.png"))
        tracker.artifact(halting_figure(module.scores, folder / "halting.png"))
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
        module.scores.by_slice if module.scores is not None else {},
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of a schedule that is asked ahead of its optimiser
        held = TrainingModule(recipe, model, task).configure_optimizers()
        scheduler = held["lr_scheduler"]["scheduler"]
        first = scheduler.get_last_lr()[0]
        scheduler.step(recipe.training.max_steps)
    assembly = Assembly(
        recipe,
        model,
        task,
        task.batch("train", range(_NUM_CHECKED)),
        (first, scheduler.get_last_lr()[0]),
    )
    try:
        return check(assembly)
    except ValueError as error:  # a component of another package, which says so when it reads
        raise RecipeError(f"{recipe.name}: {error}") from None


def _train(module: TrainingModule, milestones: Milestones, folder: Path, progress: bool) -> None:
    """Train to the last step, with the other ranks where the recipe declares some."""
    resumed = (folder / CHECKPOINT).is_file()
    checkpoint = folder / CHECKPOINT if resumed else None
    if checkpoint is None or first_step_of(checkpoint) < module.recipe.training.max_steps:
        try:
            with joined(module.recipe, folder, resumed) as module.rank:
                fit(module, [milestones, *([Progress()] if progress else [])], checkpoint)
        finally:
            module.model = module.whole
            module.to(module.rank.device)  # from where Lightning moves it away
        return
    state = torch.load(checkpoint, weights_only=True)
    module.load_state_dict(state["state_dict"])
    module.validate_now()
    module.on_load_checkpoint(state)  # after the validation, which the checkpoint has among what was not sent
    module.check_scores()


def _begin(recipe: Recipe, task: Task, total: Cost, folder: Path, parent: str | None, tags: dict[str, str]) -> Tracker:
    """The MLflow run of a folder: a new one, or the one that was begun there; with everything needed to repeat it.

    The key of a run is written down before MLflow makes it, and its id after all of it is recorded: a process that is
    killed between the two leaves a run that the next one finds.
    """
    state = _state(folder, recipe)
    where = recipe.tracking.uri, recipe.tracking.experiment
    if "run_id" in state:
        hold(folder, recipe, task)
        tracker = Tracker(*where, recipe.name, run_id=state["run_id"])
        _note_machine(folder / ENVIRONMENT, environment(device_of(recipe, 0), recipe.imports), tracker)
        return tracker
    prepare(*where)  # before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    run_id = find_run(*where, state["key"]) if state else None
    if not state:
        state = {"key": uuid.uuid4().hex}
        dump_recipe(recipe, folder / RECIPE)
        write_whole(folder / STATE, json.dumps(state))
    machine = environment(device_of(recipe, 0), recipe.imports)
    data = data_of(recipe, task)
    write_whole(folder / ENVIRONMENT, json.dumps(machine, indent=1))
    write_whole(folder / DATA, json.dumps(data, indent=1))
    tags = {
        **tags,
        **{f"mythos.data_{name}": value for name, value in data.items()},
        "mythos.folder": str(folder),
        "mlflow.source.git.commit": str(machine["git_commit"]),
    }
    tracker = Tracker(*where, recipe.name, run_id=run_id, parent=parent, tags=tags, key=state["key"])
    tracker.params(flatten(recipe.model_dump(mode="json")))
    tracker.metrics(total.metrics(), 0, (folder / STATE).stat().st_mtime)
    tracker.flush()
    for name in (RECIPE, ENVIRONMENT, DATA):
        tracker.artifact(folder / name)
    write_whole(folder / STATE, json.dumps({**state, "run_id": tracker.run_id}))
    return tracker


def _note_machine(path: Path, machine: dict[str, Any], tracker: Tracker) -> None:
    """Write down where a run goes on, if that is not where it was last."""
    written = json.loads(path.read_text(encoding="utf-8"))
    places = [{key: value for key, value in written.items() if key != RESUMED}, *written.get(RESUMED, [])]
    if places[-1] != json.loads(json.dumps(machine)):
        write_whole(path, json.dumps({**places[0], RESUMED: [*places[1:], machine]}, indent=1))
        tracker.artifact(path)


def _state(folder: Path, recipe: Recipe) -> dict[str, str]:
    """What is written down of the run in a folder: its key, and its id once MLflow has all of it."""
    if not (folder / STATE).is_file():
        return {}
    stored = read_recipe(folder)
    if stored != recipe:
        raise Misplaced(f"{folder}: holds a run of another recipe; resume it with that one, or choose another folder")
    written: dict[str, str] = json.loads((folder / STATE).read_text(encoding="utf-8"))
    return written

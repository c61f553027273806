"""One run, from recipe to result."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mythos_lab.recipe import Recipe
from mythos_lab.recipe.assembled import assembled_once
from mythos_lab.recipe.places import check_own_folder
from mythos_lab.recipe.screen import say
from mythos_lab.report.result import Status
from mythos_lab.tracking.claim import claimed
from mythos_lab.tracking.store import prepare
from mythos_lab.training.assembly import Admitted, admitted
from mythos_lab.training.beginning import begin_run
from mythos_lab.training.checkpoint import is_over, load_trained
from mythos_lab.training.devices import check_devices, declared
from mythos_lab.training.follower import follow_declared
from mythos_lab.training.held import hold_alike
from mythos_lab.training.history import HISTORY, History, digest_of
from mythos_lab.training.launch import joined
from mythos_lab.training.lead import Lead, OnValidation, ShouldStop
from mythos_lab.training.loop import fit
from mythos_lab.training.measuring import measure
from mythos_lab.training.result import (
    CHECKPOINT,
    LOCK,
    RESULT,
    STATE,
    RunResult,
    check_resumable,
    result_values,
    save_weights,
    write_values,
)
from mythos_lab.training.start import goes_on_from
from mythos_lab.training.state import Training
from mythos_lab.training.stop_reasons import Diverged as Diverged
from mythos_lab.training.stop_reasons import Pruned as Pruned
from mythos_lab.training.stop_reasons import RankDied as RankDied
from mythos_lab.training.stop_reasons import Stopped as Stopped
from mythos_lab.training.stopping import interruptible


@assembled_once()
def run(
    recipe: Recipe,
    *,
    folder: Path | None = None,
    parent: str | None = None,
    tags: dict[str, str] | None = None,
    varied: Mapping[str, Any] | None = None,
    on_validation: OnValidation | None = None,
    should_stop: ShouldStop | None = None,
    progress: bool = False,
    alone: bool = True,
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
        varied: What a study varies, by name, with the run's values: MLflow shows them whether or not they are what
            stands by default.
        on_validation: Called after each validation; may raise :class:`Pruned`.
        should_stop: Asked after every step. Where it says yes, the run saves a checkpoint there and stops.
        progress: Show a progress bar.
        alone: Whether the run stands for itself. Of hundreds of trials no figures are drawn, as what they show is in
            their results and ``mythos depth`` draws it later; their study keeps the code that they import, once.

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
    check_own_folder(folder, STATE)
    with interruptible(folder):
        ready = admitted(recipe, resumed=(folder / CHECKPOINT).is_file())
        prepare(recipe.tracking.uri, recipe.tracking.experiment)  # before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    with claimed(folder / LOCK):
        tracker = begin_run(ready, folder, parent, tags or {}, varied or {}, alone)
        try:
            lead = Lead(tracker, on_validation, should_stop, History(folder / HISTORY))
            return _run(ready, folder, lead, progress, figures=alone)
        except BaseException as error:
            tracker.abandon("FAILED" if isinstance(error, Exception) and not isinstance(error, Stopped) else "KILLED")
            raise


def _run(ready: Admitted, folder: Path, lead: Lead, progress: bool, figures: bool) -> RunResult:
    """Train, measure, and write down what came of it."""
    tracker, training = lead.tracker, Training(ready.recipe, ready.model, ready.task)
    for remark in ready.task.remarks() if progress else ():
        say(f"data: {remark}", file=sys.stderr)
    status: Status = "finished"
    reason = ""
    try:
        _train(training, lead, folder, progress)
    except (Diverged, Pruned) as error:
        status, reason = ("diverged" if isinstance(error, Diverged) else "pruned"), str(error)
    lead.send(training)
    if training.is_solved and status == "finished":
        solved_at = ready.recipe.training.solved_at
        reason = f"solved after {training.num_steps:,} steps: val/accuracy is at least {solved_at}"
    with interruptible(folder, training.num_steps):
        result = measure(ready, training, tracker, folder, status, reason, figures)
    values = {**result_values(result), "history_sha256": digest_of(folder / HISTORY)}
    tracker.artifact(save_weights(ready.model, folder))
    tracker.text(RESULT, json.dumps(values, indent=1))
    if reason:
        tracker.tag("mythos.reason", reason)
    tracker.finish("FINISHED" if status == "finished" else "FAILED" if status == "diverged" else "KILLED")
    write_values(folder, RESULT, values)  # last: who finds it need not go on with the run
    return result


def _train(training: Training, lead: Lead, folder: Path, progress: bool) -> None:
    """Train to the last step, with the other ranks where the recipe declares some."""
    recipe, checkpoint = training.recipe, folder / CHECKPOINT
    resumed = checkpoint.is_file()
    if not resumed or not is_over(checkpoint, recipe):
        start = goes_on_from(recipe, resumed=resumed)
        try:
            with joined(recipe, folder, resumed) as training.rank:
                hold_alike(recipe, training.task, training.rank)
                fit(training, checkpoint, resumed=resumed, lead=lead, progress=progress, start=start)
        finally:
            training.whole.to(training.rank.device)
        return
    load_trained(checkpoint, training)
    unsent, training.unsent = training.unsent, []
    training.validate()
    training.unsent = unsent  # which has that validation already
    training.check_scores()

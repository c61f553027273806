"""What is written down of a run before it trains: in its folder, and in MLflow."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mythos_lab.recipe.code import SOURCES, archive
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.screen import say
from mythos_lab.tracking.environment import environment
from mythos_lab.tracking.mlflow import FOLDER, Tracker, find_run, has_run
from mythos_lab.training.assembly import Admitted
from mythos_lab.training.described import describe_run
from mythos_lab.training.devices import device_of
from mythos_lab.training.held import data_of, hold
from mythos_lab.training.history import HISTORY, STEP, TIME, History
from mythos_lab.training.other_devices import DEVICES, devices_of, hold_recipe
from mythos_lab.training.result import (
    CHECKPOINT,
    DATA,
    ENVIRONMENT,
    RECIPE,
    RESUMED,
    STATE,
    key_of,
    read_recipe,
    read_state,
    read_values,
    write_recipe,
    write_state,
    write_values,
)
from mythos_lab.training.start import hold_start, identity_of_start


def begin_run(
    admitted: Admitted,
    folder: Path,
    parent: str | None,
    tags: Mapping[str, str],
    varied: Mapping[str, Any],
    alone: bool = True,
) -> Tracker:
    """The MLflow run of a folder: a new one, or the one that was begun there; with everything needed to repeat it.

    The key of a run is written down before MLflow makes it, and its id after all of it is recorded: a process that is
    killed between the two leaves a run that the next one finds. A run that goes on in another store is made there with
    its history so far.

    Args:
        admitted: What is to train.
        folder: The run's.
        parent: MLflow's id of the run to nest it under.
        tags: MLflow's.
        varied: What a study varies, with the run's values.
        alone: Whether the source of what it imports is kept with it; a study keeps that of all its trials once.
    """
    recipe, task = admitted.recipe, admitted.task
    state = _state(folder, admitted)
    where = recipe.tracking.uri, recipe.tracking.experiment
    if "run_id" in state:
        hold(folder, recipe, task, key_of(folder))
        if not (folder / CHECKPOINT).is_file():
            hold_start(folder, recipe)
        if has_run(*where, state["run_id"], state["key"]):
            tracker = Tracker(*where, recipe.name, run_id=state["run_id"])
        else:
            tracker = _moved(admitted, folder, parent, tags, varied)
        machine, devices = environment(device_of(recipe, 0), recipe.imports), devices_of(recipe)
        begun = devices_of(read_recipe(folder, assembled=False))
        _note_machine(folder, machine if devices == begun else {**machine, DEVICES: devices}, tracker)
        return tracker
    run_id = find_run(*where, state["key"]) if state else None
    if not state:
        state = {"key": uuid.uuid4().hex}
        write_recipe(recipe, folder, state["key"])
        write_state(folder, state)
    machine = environment(device_of(recipe, 0), recipe.imports)
    data = {**data_of(recipe, task), **identity_of_start(recipe)}
    write_values(folder, ENVIRONMENT, machine)
    write_values(folder, DATA, data)
    kept: dict[str, str | bytes] = {**task.files()}
    if alone and (sources := archive(recipe.imports)) is not None:
        kept[SOURCES] = sources
    for name, content in kept.items():
        write_whole(folder / name, content)
    tracker = _recorded(admitted, folder, run_id, parent, tags, varied, kept)
    write_state(folder, {**state, "run_id": tracker.run_id})
    return tracker


def _moved(
    admitted: Admitted, folder: Path, parent: str | None, tags: Mapping[str, str], varied: Mapping[str, Any]
) -> Tracker:
    """The run of a folder that was logged in another store: with what is known of it, and with its history so far."""
    state, stored, tracking = read_state(folder), read_recipe(folder, assembled=False), admitted.recipe.tracking
    if stored.tracking != tracking:  # what is measured later is told to the store that the folder names
        write_recipe(stored.model_copy(update={"tracking": tracking}), folder, state["key"])
    kept = [name for name in (*admitted.task.files(), SOURCES) if (folder / name).is_file()]
    run_id = find_run(tracking.uri, tracking.experiment, state["key"])
    tracker = _recorded(admitted, folder, run_id, parent, tags, varied, kept)
    history = History(folder / HISTORY)  # which cuts what a kill left of a line
    for entry in history.read():
        numbers = {name: value for name, value in entry.items() if name not in (STEP, TIME)}
        tracker.metrics(numbers, int(entry[STEP]), entry[TIME])
    tracker.flush()
    write_state(folder, {**state, "run_id": tracker.run_id})
    say(
        f"MLflow: {folder} goes on in another store, with its history; it was run {state['run_id']} before",
        file=sys.stderr,
    )
    return tracker


def _recorded(
    admitted: Admitted,
    folder: Path,
    run_id: str | None,
    parent: str | None,
    tags: Mapping[str, str],
    varied: Mapping[str, Any],
    kept: Iterable[str],
) -> Tracker:
    """A run of MLflow with all that the folder's files say of it: a new one, or ``run_id``, which was made and not
    written down."""
    recipe, key = admitted.recipe, read_state(folder)["key"]
    where = recipe.tracking.uri, recipe.tracking.experiment
    machine, data = read_values(folder, ENVIRONMENT), read_values(folder, DATA)
    tags = {
        **tags,
        **{f"mythos.data_{name}": value for name, value in data.items()},
        FOLDER: str(folder),
    }
    if machine["git_commit"] is not None:
        tags["mlflow.source.git.commit"] = machine["git_commit"]
    tracker = Tracker(*where, recipe.name, run_id=run_id, parent=parent, tags=tags, key=key)
    describe_run(tracker, recipe, admitted.task, varied)
    tracker.metrics(admitted.cost.metrics(), 0, (folder / STATE).stat().st_mtime)
    tracker.flush()
    for name in (RECIPE, ENVIRONMENT, DATA, *kept):
        tracker.artifact(folder / name)
    return tracker


def _note_machine(folder: Path, machine: dict[str, Any], tracker: Tracker) -> None:
    """Write down where a run goes on, if that is not where it was last."""
    written = read_values(folder, ENVIRONMENT)
    places = [{key: value for key, value in written.items() if key != RESUMED}, *written.get(RESUMED, [])]
    if places[-1] != json.loads(json.dumps(machine)):
        write_values(folder, ENVIRONMENT, {**places[0], RESUMED: [*places[1:], machine]})
        tracker.artifact(folder / ENVIRONMENT)


def _state(folder: Path, admitted: Admitted) -> dict[str, str]:
    """What is written down of the run in a folder: its key, and its id once MLflow has all of it."""
    if not (folder / STATE).is_file():
        return {}
    hold_recipe(folder, read_recipe(folder), admitted.recipe, admitted.model, admitted.task)
    return read_state(folder)

"""What is written down of a run before it trains: in its folder, and in MLflow."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
    run = _Run(admitted, folder, parent, tags, varied)
    state = run.state()
    return run.go_on(state) if "run_id" in state else run.begin(state, alone)


@dataclass(frozen=True)
class _Run:
    """What :func:`begin_run` is given."""

    admitted: Admitted
    folder: Path
    parent: str | None
    tags: Mapping[str, str]
    varied: Mapping[str, Any]

    @property
    def store(self) -> tuple[str | None, str | None]:
        """MLflow's URI, and the experiment."""
        return self.admitted.recipe.tracking.uri, self.admitted.recipe.tracking.experiment

    def state(self) -> dict[str, str]:
        """What is written down of it in its folder: its key, and its id once MLflow has all of it."""
        if not (self.folder / STATE).is_file():
            return {}
        admitted = self.admitted
        hold_recipe(self.folder, read_recipe(self.folder), admitted.recipe, admitted.model, admitted.task)
        return read_state(self.folder)

    def begin(self, state: dict[str, str], alone: bool) -> Tracker:
        """A new run, or the rest of one whose process was killed before MLflow had all of it."""
        recipe, task = self.admitted.recipe, self.admitted.task
        run_id = find_run(*self.store, state["key"]) if state else None
        if not state:
            state = {"key": uuid.uuid4().hex}
            write_recipe(recipe, self.folder, state["key"])
            write_state(self.folder, state)
        write_values(self.folder, ENVIRONMENT, environment(device_of(recipe, 0), recipe.imports))
        write_values(self.folder, DATA, {**data_of(recipe, task), **identity_of_start(recipe)})
        kept: dict[str, str | bytes] = {**task.files()}
        if alone and (sources := archive(recipe.imports)) is not None:
            kept[SOURCES] = sources
        for name, content in kept.items():
            write_whole(self.folder / name, content)
        tracker = self._record(run_id, state["key"], kept)
        write_state(self.folder, {**state, "run_id": tracker.run_id})
        return tracker

    def go_on(self, state: dict[str, str]) -> Tracker:
        """The run that MLflow has all of, or the same in another store."""
        recipe = self.admitted.recipe
        hold(self.folder, recipe, self.admitted.task, key_of(self.folder))
        if not (self.folder / CHECKPOINT).is_file():
            hold_start(self.folder, recipe)
        if has_run(*self.store, state["run_id"], state["key"]):
            tracker = Tracker(*self.store, recipe.name, run_id=state["run_id"])
        else:
            tracker = self._move(state)
        machine, devices = environment(device_of(recipe, 0), recipe.imports), devices_of(recipe)
        begun = devices_of(read_recipe(self.folder, assembled=False))
        _note_machine(self.folder, machine if devices == begun else {**machine, DEVICES: devices}, tracker)
        return tracker

    def _move(self, state: dict[str, str]) -> Tracker:
        """A run of this store, with what is known of the one that was logged elsewhere, and its history so far."""
        stored, tracking = read_recipe(self.folder, assembled=False), self.admitted.recipe.tracking
        if stored.tracking != tracking:  # what is measured later is told to the store that the folder names
            write_recipe(stored.model_copy(update={"tracking": tracking}), self.folder, state["key"])
        kept = [name for name in (*self.admitted.task.files(), SOURCES) if (self.folder / name).is_file()]
        tracker = self._record(find_run(*self.store, state["key"]), state["key"], kept)
        history = History(self.folder / HISTORY)  # which cuts what a kill left of a line
        for entry in history.read():
            numbers = {name: value for name, value in entry.items() if name not in (STEP, TIME)}
            tracker.metrics(numbers, int(entry[STEP]), entry[TIME])
        tracker.flush()
        write_state(self.folder, {**state, "run_id": tracker.run_id})
        before = f"it was run {state['run_id']} before"
        say(f"MLflow: {self.folder} goes on in another store, with its history; {before}", file=sys.stderr)
        return tracker

    def _record(self, run_id: str | None, key: str, kept: Iterable[str]) -> Tracker:
        """A run of MLflow with all that the folder's files say of it.

        Args:
            run_id: One that was made and not written down; ``None`` makes one.
            key: The run's.
            kept: The names of files besides the recipe, the environment and the data.
        """
        folder, recipe = self.folder, self.admitted.recipe
        machine, data = read_values(folder, ENVIRONMENT), read_values(folder, DATA)
        tags = {**self.tags, **{f"mythos.data_{name}": value for name, value in data.items()}, FOLDER: str(folder)}
        if machine["git_commit"] is not None:
            tags["mlflow.source.git.commit"] = machine["git_commit"]
        tracker = Tracker(*self.store, recipe.name, run_id=run_id, parent=self.parent, tags=tags, key=key)
        describe_run(tracker, recipe, self.admitted.task, self.varied)
        tracker.metrics(self.admitted.cost.metrics(), 0, (folder / STATE).stat().st_mtime)
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

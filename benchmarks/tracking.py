"""What tracking every step costs: the training step alone against the same with all its metrics, sent to SQLite.

    python -m benchmarks.tracking [RECIPE ...]

Rounds of steps with and without are taken in turn in one process, by CPU time, with the same learner: a round with
tracking brings the numbers of every step to the host, reads rho(A) and the monitors, and sends them to MLflow and to
the history as a run does at its validations. The median of the rounds' ratios is printed, and what is added to a step.

On cores that others use too, the difference of two rounds says little. Beside it stands what tracking itself takes,
accounted where it happens: the CPU time within the functions that nothing else calls, over the steps of a round.
The last lines are of the whole loop of a run, logging every step and every tenth: its CPU time over that of the batches
and steps in it, as a plain loop would take them. Validation and checkpoints are left out of both.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from mythos_blocks import load_plugins
from mythos_lab.recipe import Recipe, load_recipe
from mythos_lab.recipe import step as steps
from mythos_lab.recipe.step import Learner, Loss, begin, step
from mythos_lab.tracking.mlflow import Tracker
from mythos_lab.tracking.store import prepare
from mythos_lab.training import loop
from mythos_lab.training.assembly import assemble
from mythos_lab.training.data import training_batch
from mythos_lab.training.history import History
from mythos_lab.training.lead import Lead
from mythos_lab.training.state import Training

_STEPS = 50  # between two validations, at which metrics are sent
_ROUNDS = 6


class Account:
    """CPU time within some functions, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def of(self, *places: tuple[Any, str]) -> Iterator[None]:
        """The span in which the functions with these names are timed; none of them may call another."""
        before = [(place, name, getattr(place, name)) for place, name in places]
        for place, name, function in before:
            setattr(place, name, self._timed(function))
        try:
            yield
        finally:
            for place, name, function in before:
                setattr(place, name, function)

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **fields: Any) -> Any:
            begun = time.process_time()
            try:
                return function(*args, **fields)
            finally:
                self.seconds += time.process_time() - begun

        return timed


_TRACKING = ((Loss, "_shown"), (steps, "_watched"), (Training, "count"), (Training, "record"), (Lead, "send"))


def tracked(recipe: Recipe, folder: Path, num_steps: int) -> str:
    """The ratio of a step that is tracked to one that is not, in CPU time."""
    uri = f"sqlite:///{folder}/mlflow.db"
    prepare(uri, None)
    lead = Lead(Tracker(uri, None, recipe.name, key="0" * 32), history=History(folder / "history.jsonl"))
    model, task = assemble(recipe)
    learner, training = Learner.of(recipe, model.train()), Training(recipe, model, task)

    def seconds(first: int, is_tracked: bool) -> float:
        begun = time.process_time()
        for index in range(first, first + num_steps):
            batch = training_batch(task, recipe.training.samples(index), learner.rank)
            numbers = step(learner, batch, begin(learner, index, batch), shows=is_tracked)
            if is_tracked:
                training.count(batch)
                training.record(index, numbers)
        if is_tracked:
            lead.send(training)
        return (time.process_time() - begun) / num_steps

    ratios, added, shares, itself = [], [], [], []
    for number in range(_ROUNDS + 1):
        # The same steps, drawn with the same loop counts.
        first, order = number * num_steps, (False, True) if number % 2 else (True, False)
        account = Account()
        with account.of(*_TRACKING):
            found = {is_tracked: seconds(first, is_tracked) for is_tracked in order}
        if number:  # the first round warms up
            ratios.append(found[True] / found[False])
            added.append(found[True] - found[False])
            itself.append(account.seconds / num_steps)
            shares.append(itself[-1] / (found[True] - itself[-1]))
    ratio, more = statistics.median(ratios), 1e3 * statistics.median(added)
    accounted, share = 1e3 * statistics.median(itself), statistics.median(shares)
    return (
        f"{recipe.name}: tracked over plain {ratio:.3f}, {more:+.2f} ms a step; accounted {accounted:.2f} ms a step "
        f"(quartiles {', '.join(f'{1e3 * q:.2f}' for q in statistics.quantiles(itself, n=4)[::2])}), "
        f"{share:.1%} of the rest; {len(training.metrics)} metrics"
    )


def looped(recipe_name: str, log_every: int, num_steps: int) -> str:
    """The ratio of a run's loop to the batches and steps in it, in CPU time."""
    every = [f"training.max_steps={num_steps}", f"training.validate_every={num_steps}", "monitor.measures=[]"]
    recipe, ratios = load_recipe(recipe_name, [*every, f"training.log_every={log_every}"]), []
    for _ in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as place:
            folder, (model, task) = Path(place), assemble(recipe)
            uri = f"sqlite:///{folder}/mlflow.db"
            prepare(uri, None)
            lead = Lead(Tracker(uri, None, recipe.name, key="0" * 32), history=History(folder / "history.jsonl"))
            training, plain, shown, ends = Training(recipe, model.train(), task), Account(), Account(), Account()
            with (
                patch.object(loop, "save_checkpoint"),
                plain.of((loop, "training_batch"), (loop, "begin"), (loop, "step")),
                shown.of((Loss, "_shown"), (steps, "_watched")),
                ends.of((Training, "validate"), (Training, "watch"), (loop, "learner_of")),
            ):
                begun = time.process_time()
                loop.fit(training, folder / "last.ckpt", resumed=False, lead=lead)
                whole = time.process_time() - begun
        ratios.append((whole - ends.seconds) / (plain.seconds - shown.seconds))
    low, high = statistics.quantiles(ratios, n=4)[::2]
    ratio = f"{statistics.median(ratios):.3f} (quartiles {low:.3f}, {high:.3f})"
    return f"{recipe.name}, logged every {log_every} of {num_steps} steps: loop over batches and steps {ratio}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="*", default=["gated_loop"], metavar="RECIPE")
    parser.add_argument("--steps", type=int, default=_STEPS, help="steps of a round")
    asked = parser.parse_args()
    load_plugins()
    torch.set_num_threads(1)
    for name in asked.recipes:
        with tempfile.TemporaryDirectory() as folder:
            print(tracked(load_recipe(name), Path(folder), asked.steps), flush=True)
        for log_every in (1, 10):
            print(looped(name, log_every, 2 * asked.steps), flush=True)


if __name__ == "__main__":
    main()

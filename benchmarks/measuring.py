"""What measuring costs: in training, of the steps between two looks; and at a run's end, of the run's training.

    python -m benchmarks.measuring                   # gated_loop and openmythos: a minute
    python -m benchmarks.measuring gated_loop --end  # as long as the training

Steps and looks are timed in turn in one process, and their medians compared, so that what else the machine does meets
both. With ``--end`` a recipe is trained to its end, and the CPU time of measuring is held against that of training: of
the steps with their validations. The last validation goes on to the depth curve, so that what is beyond the one before
is measuring, but for as much as so many steps took until then.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from mythos_blocks import load_plugins
from mythos_lab.loading import begin_loading
from mythos_lab.measures.live import Live
from mythos_lab.recipe import Recipe, load_recipe
from mythos_lab.recipe.step import Learner, begin, step
from mythos_lab.training.assembly import assemble
from mythos_lab.training.data import training_batch
from mythos_lab.training.run import run

_STEPS = 10
_ROUNDS = 7


def live(recipe: Recipe) -> str:
    """A look's CPU time over that of the steps between two."""
    model, task = assemble(recipe)
    learner, watch = Learner.of(recipe, model), Live(recipe, task)
    index, steps, looks = 0, [], []
    for number in range(_ROUNDS + 1):
        model.train()
        start = time.process_time()
        for _ in range(_STEPS):
            batch = training_batch(task, recipe.training.samples(index), learner.rank)
            step(learner, batch, begin(learner, index, batch), shows=index % recipe.training.log_every == 0)
            index += 1
        middle = time.process_time()
        watch.metrics(model)
        if number:  # the first round warms up
            steps.append((middle - start) / _STEPS)
            looks.append(time.process_time() - middle)
    every = recipe.monitor.every or recipe.training.validate_every
    each, look = statistics.median(steps), statistics.median(looks)
    return (
        f"{recipe.name}: a step {1e3 * each:.1f} ms, a look {1e3 * look:.0f} ms, every {every} steps: "
        f"{look / (every * each):.2%} of the steps' time"
    )


def end(recipe: Recipe) -> str:
    """CPU time of measuring at the end over that of training, in one run."""
    marks = []
    with tempfile.TemporaryDirectory() as folder:
        tracking = recipe.tracking.model_copy(update={"uri": f"sqlite:///{folder}/mlflow.db"})
        recipe = recipe.model_copy(update={"tracking": tracking})
        run(
            recipe,
            folder=Path(folder) / "run",
            on_validation=lambda num_steps, _: marks.append((num_steps, time.process_time())),
        )
        done = time.process_time()
    (first, since), (before, until), (last, _) = marks[0], marks[-2], marks[-1]
    each = (until - since) / (before - first)  # what was before the first validation was warming up
    training, measuring = each * last, done - until - each * (last - before)
    return f"{recipe.name}: training {training:.1f} s, measuring {measuring:.1f} s: {measuring / training:.1%}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="*", default=["gated_loop", "openmythos"], metavar="RECIPE")
    parser.add_argument("--end", action="store_true", help="train to the end, and measure there")
    chosen = parser.parse_args()
    begin_loading()  # as the command does
    load_plugins()
    torch.set_num_threads(1)
    for name in chosen.recipes:
        print((end if chosen.end else live)(load_recipe(name)), flush=True)

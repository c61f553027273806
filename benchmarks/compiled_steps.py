"""What compiling the layers gains in a training step (``training.compile``), and what it costs before the first.

    python -m benchmarks.compiled_steps                      # gated_loop at its size; two minutes, most of it compiling
    python -m benchmarks.compiled_steps model.width=256

Compiled and plain steps on the same batches and loop counts are taken in turn in one process, on one thread; the figure
is the median of the rounds' ratios, plain over compiled, with their quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from mythos_blocks import load_plugins
from mythos_lab.recipe import Recipe, load_recipe
from mythos_lab.recipe.step import Learner, begin, step
from mythos_lab.training.assembly import assemble
from mythos_lab.training.compiled import CompiledLayers
from mythos_lab.training.data import training_batch

_STEPS = 4
_ROUNDS = 15


def compared(recipe: Recipe) -> str:
    """The ratio of the two steps' times, and the time of the first compiled one."""
    model, task = assemble(recipe)
    plain, ours = Learner.of(recipe, model.train()), Learner.of(recipe, assemble(recipe)[0].train())
    layers = CompiledLayers(ours.model)
    ours.running = layers.running

    def taken(learner: Learner, first: int, num: int) -> float:
        batches = [training_batch(task, recipe.training.samples(i), learner.rank) for i in range(first, first + num)]
        start = time.perf_counter()
        for index, batch in enumerate(batches, first):
            step(learner, batch, begin(learner, index, batch))
        return time.perf_counter() - start

    compiling = taken(ours, 0, 1)
    taken(plain, 0, 1)
    ratios = []
    for number in range(_ROUNDS):
        first = 1 + number * _STEPS
        ratios.append(taken(plain, first, _STEPS) / taken(ours, first, _STEPS))
    low, median, high = statistics.quantiles(ratios, n=4)
    return (
        f"{recipe.name}: plain over compiled {median:.2f} ({low:.2f} to {high:.2f}); "
        f"{layers.num_graphs} graphs, {compiling:.0f} s for the first step"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", help="such as model.width=256")
    parser.add_argument("--recipe", default="gated_loop")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    load_plugins()
    print(compared(load_recipe(asked.recipe, asked.overrides)))

"""What training for rounded weights makes of the tax of rounding them, loop by loop.

    python -m benchmarks.rounding

trains a byte model of width 32 whose one layer loops four times, on Python's standard library, with several ways of
``training.rounding`` and several seeds, and reads what is lost where the core's matrices are rounded for use: nats per
byte, on batches that training has not read. One process, one thread.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import torch

from benchmarks.loop_counts import SMALL
from mythos_blocks import Final, LoopedTransformer
from mythos_lab.measures.quantisation import rounded
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.mask import surroundings
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.step import Learner, begin, step
from mythos_lab.tasks.base import IGNORE, Task
from mythos_lab.training.assembly import assemble
from mythos_lab.training.data import training_batch

TRAINED = {
    "as they are": "null",
    "rounded": "{{to: {to}}}",
    "half of them rounded": "{{to: {to}, share: 0.5}}",
    "noise": "{{to: {to}, form: uniform}}",
}
LOOPS, NUM_READ = 4, 8
CHANGES = [
    *SMALL, f"model.core.loops={{kind: fixed, num_loops: {LOOPS}}}", "training.optimizer.lr=0.0039",
]  # fmt: skip


@torch.no_grad()
def loss_of(model: LoopedTransformer, task: Task, recipe: Recipe, num_loops: int) -> float:
    """Mean loss on batches behind the last that training has read, nats per byte."""
    losses = []
    for index in range(recipe.training.max_steps, recipe.training.max_steps + NUM_READ):
        batch = training_batch(task, recipe.training.samples(index), Rank())
        around = surroundings(recipe, batch)
        out = model(batch.tokens, iterations=num_loops, logits_at=batch.targets != IGNORE, **around)
        losses.append(float(Final().loss(model, out, batch.targets)))
    return statistics.fmean(losses)


def trained(declared: str, seed: int, num_steps: int) -> tuple[LoopedTransformer, Task, Recipe]:
    """A model after training, and what it was trained on."""
    changes = [f"training.rounding={declared}", f"seed={seed}", f"training.max_steps={num_steps}"]
    recipe = load_recipe("fixed_depth", [*CHANGES, *changes])
    model, task = assemble(recipe)
    learner = Learner.of(recipe, model.train())
    for index in range(num_steps):
        batch = training_batch(task, recipe.training.samples(index), Rank())
        step(learner, batch, begin(learner, index, batch))
    return model.eval(), task, recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--to", default="int3")
    parser.add_argument("--ways", nargs="+", choices=TRAINED, default=list(TRAINED))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    print(f"trained, seed: loss at {LOOPS} loops; what rounding to {asked.to} adds to the loss at 1 to {LOOPS} loops")
    for seed in range(asked.seeds):
        for name in asked.ways:
            model, task, recipe = trained(TRAINED[name].format(to=asked.to), seed, asked.steps)
            counts = range(1, LOOPS + 1)
            losses = [loss_of(model, task, recipe, num_loops) for num_loops in counts]
            with rounded(model.core, asked.to):
                taxes = [loss_of(model, task, recipe, n) - loss for n, loss in zip(counts, losses, strict=True)]
            print(f"{name:22}{seed}  {losses[-1]:.4f}  {'  '.join(f'{tax:+.4f}' for tax in taxes)}", flush=True)
    print(f"{time.process_time() - began:.0f} s of CPU", file=sys.stderr)


if __name__ == "__main__":
    main()

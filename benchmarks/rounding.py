"""What training for rounded weights makes of the tax of rounding them, loop by loop.

    python -m benchmarks.rounding

trains a byte model of width 32 whose one layer loops eight times, on Python's standard library, with each way of
:attr:`training.rounding` and several seeds, and reads what is lost where the core's matrices are rounded to int4 for use:
nats per byte, on batches that training has not read. One process, one thread.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import nullcontext

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
    "rounded": "{to: int4}",
    "half of them rounded": "{to: int4, share: 0.5}",
    "noise": "{to: int4, form: uniform}",
}
LOOPS, NUM_READ = 8, 8
CHANGES = [
    *SMALL, f"model.core.loops={{kind: fixed, num_loops: {LOOPS}}}", f"model.core.layer.branch_scale={1 / LOOPS}",
    "training.optimizer.lr=0.0078",
]  # fmt: skip


@torch.no_grad()
def loss_of(model: LoopedTransformer, task: Task, recipe: Recipe, num_loops: int) -> float:
    """Mean loss on batches behind the last that training has read, nats per byte."""
    losses = []
    for index in range(recipe.training.max_steps, recipe.training.max_steps + NUM_READ):
        batch = training_batch(task, recipe.training.batch_size, index, Rank())
        around = surroundings(recipe, batch)
        out = model(batch.tokens, iterations=num_loops, logits_at=batch.targets != IGNORE, **around)
        losses.append(float(Final().loss(model, out, batch.targets)))
    return statistics.fmean(losses)


def trained(rounding: str, seed: int, num_steps: int) -> tuple[float, list[float]]:
    """The loss after training, and what rounding adds to it at 1, 2, 4 and 8 loops."""
    changes = [f"training.rounding={rounding}", f"seed={seed}", f"training.max_steps={num_steps}"]
    recipe = load_recipe("fixed_depth", [*CHANGES, *changes])
    model, task = assemble(recipe)
    learner = Learner.of(recipe, model.train())
    for index in range(num_steps):
        batch = training_batch(task, recipe.training.batch_size, index, Rank())
        step(learner, batch, begin(learner, index, batch))
    model.eval()
    found = []
    for num_loops in (1, 2, 4, LOOPS):
        losses = []
        for span in (nullcontext(), rounded(model.core.layers, "int4")):
            with span:
                losses.append(loss_of(model, task, recipe, num_loops))
        found.append((losses[0], losses[1] - losses[0]))
    return found[-1][0], [tax for _, tax in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    print(f"{'trained':22}seed  loss at {LOOPS}   tax of int4 at 1, 2, 4, {LOOPS} loops")
    for name, declared in TRAINED.items():
        for seed in range(asked.seeds):
            loss, taxes = trained(declared, seed, asked.steps)
            print(f"{name:22}{seed:4}  {loss:.4f}      {'  '.join(f'{tax:+.4f}' for tax in taxes)}", flush=True)
    print(f"{time.process_time() - began:.0f} s of CPU", file=sys.stderr)


if __name__ == "__main__":
    main()

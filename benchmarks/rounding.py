"""What training for rounded weights makes of the tax of rounding them, loop by loop.

    python -m benchmarks.rounding

trains the looped layer of ``gated_loop`` with several ways of ``training.rounding`` and several seeds, and reads what is
lost where the core's matrices are rounded to int4 for use: nats and accuracy per answer, on batches that training has not
read. One process, one thread.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import torch

from mythos_blocks import LoopedTransformer
from mythos_blocks.objective.base import scored, token_loss
from mythos_lab.measures.quantisation import rounded
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.mask import surroundings
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.step import Learner, begin, step
from mythos_lab.tasks.base import IGNORE, Task
from mythos_lab.training.assembly import assemble
from mythos_lab.training.data import training_batch

TRAINED = {"as they are": "null", "rounded": "{to: int4}", "half of them rounded": "{to: int4, share: 0.5}"}
LOOPS, NUM_READ = (4, 8, 16), 8


@torch.no_grad()
def read(model: LoopedTransformer, task: Task, recipe: Recipe, num_loops: int) -> tuple[float, float]:
    """Mean loss and accuracy of the answers in batches behind the last that training has read."""
    losses, right = [], []
    for index in range(recipe.training.max_steps, recipe.training.max_steps + NUM_READ):
        batch = training_batch(task, recipe.training.samples(index), Rank())
        around = surroundings(recipe, batch)
        out = model(batch.tokens, iterations=num_loops, logits_at=batch.targets != IGNORE, **around)
        wanted = scored(batch.targets, batch.targets)
        losses.append(float(token_loss(out.logits, wanted).mean()))
        right.append(float((out.logits.argmax(-1) == wanted).float().mean()))
    return statistics.fmean(losses), statistics.fmean(right)


def trained(rounding: str, seed: int, num_steps: int) -> list[tuple[float, float, float, float]]:
    """At each loop count loss and accuracy after training, and what rounding adds to the one and takes of the other."""
    changes = [f"training.rounding={rounding}", f"seed={seed}", f"training.max_steps={num_steps}"]
    recipe = load_recipe("gated_loop", changes)
    model, task = assemble(recipe)
    learner = Learner.of(recipe, model.train())
    for index in range(num_steps):
        batch = training_batch(task, recipe.training.samples(index), Rank())
        step(learner, batch, begin(learner, index, batch))
    model.eval()
    found = []
    for num_loops in LOOPS:
        loss, accuracy = read(model, task, recipe, num_loops)
        with rounded(model.core.layers, "int4"):
            with_it, of_it = read(model, task, recipe, num_loops)
        found.append((loss, accuracy, with_it - loss, accuracy - of_it))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    print(f"trained, seed; at {', '.join(map(str, LOOPS))} loops: loss, accuracy (added by rounding to int4, lost by it)")
    for seed in range(asked.seeds):
        for name, declared in TRAINED.items():
            cells = [
                f"{loss:.4f} {accuracy:.3f} ({tax:+.4f} {lost:+.3f})"
                for loss, accuracy, tax, lost in trained(declared, seed, asked.steps)
            ]
            print(f"{name:22}{seed}  {'   '.join(cells)}", flush=True)
    print(f"{time.process_time() - began:.0f} s of CPU", file=sys.stderr)


if __name__ == "__main__":
    main()

"""The best learning rate at each loop count, with branches of the layers as they are and divided by the loop count.

    python benchmarks/loop_counts.py

trains a byte model of width 32 on Python's standard library at every combination of loop count, learning rate and seed,
with the training step of the lab, and prints the mean loss of the last fifth of the steps, which read new data. One
process, one thread.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time

import torch

from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.step import Learner, begin, step
from mythos_lab.training.assembly import assemble
from mythos_lab.training.data import training_batch

RATES = [2.0**power for power in range(-10, -2)]
LOOPS = [1, 4, 16]
ARMS = {"as they are": "1.0", "divided by N": "'${1 / model.core.loops.num_loops}'"}
SMALL = [
    "model.width=32", "model.tie_embeddings=true", "model.core.layer.attention.num_heads=2", "model.core.depth=1",
    "model.core.layer.feedforward.hidden=96", "model.core.injection=none", "model.core.update=replace",
    "task.length=64", "training.batch_size=16", "training.schedule={kind: wsd, warmup_steps: 0.1}",
    "training.optimizer.weight_decay=0",
]  # fmt: skip


def loss_of(num_loops: int, rate: float, scale: str, seed: int, num_steps: int, recipe_name: str) -> float:
    """Mean loss of the last fifth of the steps, nats per token; infinite where training diverged."""
    loops = f"{{kind: fixed, num_loops: {num_loops}}}"
    changes = {
        "model.core.loops": loops,
        "model.core.layer.branch_scale": scale,
        "training.max_steps": num_steps,
        "training.optimizer.lr": rate,
        "seed": seed,
    }
    recipe = load_recipe(recipe_name, [*SMALL, *(f"{path}={value}" for path, value in changes.items())])
    model, task = assemble(recipe)
    learner, losses = Learner.of(recipe, model.train()), []
    for index in range(num_steps):
        batch = training_batch(task, recipe.training.samples(index), Rank())
        shows = index >= num_steps - num_steps // 5
        numbers = step(learner, batch, begin(learner, index, batch), shows=shows)
        losses += [float(numbers["train/loss"])] if shows else []
    mean = statistics.fmean(losses)
    return mean if mean == mean else float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--recipe", default="fixed_depth")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    for (arm, scale), num_loops in itertools.product(ARMS.items(), LOOPS):
        found = [
            [loss_of(num_loops, rate, scale, seed, asked.steps, asked.recipe) for rate in RATES]
            for seed in range(asked.seeds)
        ]
        means = [statistics.fmean(of_rate) for of_rate in zip(*found, strict=True)]
        best_of_seeds = ", ".join(str(_best(of_seed)) for of_seed in found)
        losses = "  ".join(f"{loss:.3f}" for loss in means)
        print(f"{arm:13} N {num_loops:2}: {losses}   best {_best(means)} (of each seed: {best_of_seeds})", flush=True)
    rates = ", ".join(f"{i}: {rate:.5f}" for i, rate in enumerate(RATES))
    print(f"rates by their place: {rates}; {time.process_time() - began:.0f} s of CPU", file=sys.stderr)


def _best(losses: list[float]) -> int:
    """The place of the best rate in the grid."""
    return losses.index(min(losses))


if __name__ == "__main__":
    main()

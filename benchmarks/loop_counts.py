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
from collections.abc import Mapping, Sequence
from typing import Any

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


def loss_of(changes: Mapping[str, Any], num_steps: int, recipe_name: str = "fixed_depth") -> float:
    """Mean loss of the last fifth of the steps, nats per token; infinite where training diverged.

    Args:
        changes: What is set in the recipe besides :data:`SMALL`, by path.
        num_steps: Steps.
        recipe_name: The recipe.
    """
    changes = {**changes, "training.max_steps": num_steps}
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
    parser.add_argument("--loops", type=int, nargs="+", default=LOOPS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    for (arm, scale), num_loops in itertools.product(ARMS.items(), asked.loops):
        loops = f"{{kind: fixed, num_loops: {num_loops}}}"
        changes = {"model.core.loops": loops, "model.core.layer.branch_scale": scale}
        print(
            f"{arm:13} N {num_loops:2}: {over_rates(changes, RATES, asked.seeds, asked.steps, asked.recipe)}",
            flush=True,
        )
    print(legend(RATES, began), file=sys.stderr)


def over_rates(changes: Mapping[str, Any], rates: Sequence[float], num_seeds: int, num_steps: int, recipe: str) -> str:
    """The mean loss over seeds at each rate, and the place of the best: of the means, and of each seed."""
    found = [
        [loss_of({**changes, "training.optimizer.lr": rate, "seed": seed}, num_steps, recipe) for rate in rates]
        for seed in range(num_seeds)
    ]
    means = [statistics.fmean(of_rate) for of_rate in zip(*found, strict=True)]
    best_of_seeds = ", ".join(str(_best(of_seed)) for of_seed in found)
    losses = "  ".join(f"{loss:.3f}" for loss in means)
    return f"{losses}   best {_best(means)} (of each seed: {best_of_seeds})"


def legend(rates: Sequence[float], began: float) -> str:
    """What the places stand for, and the CPU time since ``began``."""
    by_place = ", ".join(f"{i}: {rate:.5f}" for i, rate in enumerate(rates))
    return f"rates by their place: {by_place}; {time.process_time() - began:.0f} s of CPU"


def _best(losses: list[float]) -> int:
    """The place of the best rate in the grid."""
    return losses.index(min(losses))


if __name__ == "__main__":
    main()

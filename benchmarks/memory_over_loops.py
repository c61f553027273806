"""What a training step keeps alive and computes at each loop count, by what of it is computed again.

    python -m benchmarks.memory_over_loops

counts by shapes alone, with the rehearsal behind ``mythos cost``: the same numbers on every machine. The model has
width 64, one layer before, in and after the loop, and 128 tokens; the gradient window is 4.
"""

from __future__ import annotations

import argparse

from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.cost import cost

MODEL = [
    "model.width=64", "model.prelude.depth=1", "model.core.depth=1", "model.coda.depth=1", "model.core.injection=lti",
    "model.core.halting=ponder", "model.core.loops={kind: fixed, num_loops: 4, gradient_window: 4}",
    "task.length=64", "training.batch_size=2", "evaluation.ood=false",
]  # fmt: skip
LOOPS = (4, 8, 16, 64)


def counts(changes: list[str], loops: tuple[int, ...] = LOOPS) -> list[tuple[int, int]]:
    """For each loop count the most bytes that are alive in a step, weights and optimiser included, and its FLOPs."""
    recipe = load_recipe("fixed_depth", [*MODEL, *changes])
    at = [cost(recipe).at(num_loops) for num_loops in loops]
    return [(each.peak_memory_bytes, round(each.training_flops / recipe.training.max_steps)) for each in at]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--objectives", nargs="+", default=["final", "expected"])
    parser.add_argument("--checkpointing", nargs="+", default=["none", "layer", "iteration"])
    asked = parser.parse_args()
    print("objective   checkpointing  " + "  ".join(f"{f'T {n}':>18}" for n in LOOPS))
    for objective in asked.objectives:
        for checkpointing in asked.checkpointing:
            found = counts([f"training.objective={objective}", f"training.checkpointing={checkpointing}"])
            cells = "  ".join(f"{size / 2**20:6.2f} MiB {flops / 1e6:4.0f} M" for size, flops in found)
            print(f"{objective:10}  {checkpointing:13}  {cells}", flush=True)


if __name__ == "__main__":
    main()

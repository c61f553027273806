"""One learning rate for several widths: a coordinate check, and the best rate at each width, with and without muP.

    python -m benchmarks.widths                # the coordinate check, seconds
    python -m benchmarks.widths --rates        # the best rates, ten minutes of CPU

The model is that of ``benchmarks/loop_counts.py`` at four loops, with branches divided by the loop count: a byte model
on Python's standard library, whose widths here are those below and whose feed-forward layer is three times as wide. The
base is the smallest. The coordinate check (Yang et al., arXiv 2203.03466, appendix D.1) takes a few steps at each width
and says how far they move activations: as far at every width with muP, farther at every larger one without. One
process, one thread.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch

from benchmarks.loop_counts import SMALL, legend, over_rates
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.step import Learner, begin, step
from mythos_lab.training.assembly import assemble
from mythos_lab.training.data import training_batch

WIDTHS, BASE = [32, 64, 128], 32
RATES = [2.0**power for power in range(-9, -3)]
ARMS = {"as they are": "null", "muP": f"{{width: {BASE}}}"}
SHAPE = {
    "model.core.loops": "{kind: fixed, num_loops: 4}",
    "model.core.layer.branch_scale": "'${1 / model.core.loops.num_loops}'",
    "model.core.layer.feedforward.hidden": "'${3 * model.width}'",
}


def changes(width: int, base: str) -> dict[str, object]:
    """What is set in the recipe at a width, by path."""
    return {**SHAPE, "model.width": width, "model.mup_base": base}


def moved(width: int, base: str, optimizer: str, num_steps: int) -> list[float]:
    """Root mean squares of what so many steps change of the last state of the loop, and of the logits."""
    settings = {**changes(width, base), "training.optimizer": optimizer, "training.schedule": "{kind: constant}"}
    recipe = load_recipe("fixed_depth", [*SMALL, *(f"{path}={value}" for path, value in settings.items())])
    model, task = assemble(recipe)
    tokens = task.batch("validation", range(4)).tokens
    with torch.no_grad():
        before = model.eval()(tokens)
        learner = Learner.of(recipe, model.train())
        for index in range(num_steps):
            batch = training_batch(task, recipe.training.samples(index), Rank())
            with torch.enable_grad():
                step(learner, batch, begin(learner, index, batch))
        after = model.eval()(tokens)
    both = (after.state.h - before.state.h, after.logits - before.logits)
    return [float(change.square().mean().sqrt()) for change in both]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rates", action="store_true", help="train at every rate of a grid instead")
    parser.add_argument("--steps", type=int, default=100, help="steps at each rate")
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    if asked.rates:
        for arm, base in ARMS.items():
            for width in WIDTHS if base == "null" else WIDTHS[1:]:  # at the base both are one
                found = over_rates(changes(width, base), RATES, asked.seeds, asked.steps, "fixed_depth")
                print(f"{arm:11} width {width:3}: {found}", flush=True)
        print(legend(RATES, began), file=sys.stderr)
        return
    for optimizer in ("{kind: adamw, lr: 0.004}", "{kind: muon, lr: 0.004}"):
        for arm, base in ARMS.items():
            for num_steps in (1, 4):
                sizes = [moved(width, base, optimizer, num_steps) for width in (*WIDTHS, 256, 512)]
                for what, row in zip(("state", "logits"), zip(*sizes, strict=True), strict=True):
                    shown = "  ".join(f"{size:.4f}" for size in row)
                    print(f"{optimizer}, {arm:11} {num_steps} steps, {what:6}: {shown}", flush=True)


if __name__ == "__main__":
    main()

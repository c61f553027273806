"""Random recipes over the registries, and what became of each: it trains, evaluates and decodes, or is refused.

For thousands: ``python -m tests.lab.random_recipes 2000 --seed 1``, which prints faults with the recipe that has them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from mythos_blocks import LoopedTransformer, load_plugins
from mythos_blocks.checkpoints import load_model, save
from mythos_blocks.declaring.registry import slots
from mythos_blocks.generation import generate
from mythos_blocks.tensors.randomness import reseed
from mythos_lab.measures.depth_curve import depth_curve
from mythos_lab.measures.evaluate import evaluate_gain
from mythos_lab.measures.knockout import knockouts
from mythos_lab.measures.measuring import declared, taken
from mythos_lab.measures.samples import Samples
from mythos_lab.measures.subject import Subject
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.cost import cost
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.mask import surroundings
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.step import Learner, begin, step
from mythos_lab.tasks.base import Batch, Task
from mythos_lab.training.assembly import assemble, effects
from tests.lab.drawing import Draw


def prepare(folder: Path) -> None:
    """Write what recipes read: a text, and a teacher; and have tokens kept in the same place."""
    load_plugins()
    os.environ["MYTHOS_CACHE"] = str(folder / "tokens")
    (folder / "text.txt").write_text("\n".join(f"line {i} of many: {i * i}" for i in range(400)))
    save(LoopedTransformer(6, width=8), folder / "teacher.safetensors")  # of tasks with six tokens


def tried(config: dict[str, Any], folder: Path, costs: bool = False) -> str:
    """``ran``, or the line with which the recipe was refused. What is neither is raised.

    Args:
        config: The recipe.
        folder: What it reads lies there, and what is written for a while.
        costs: Count its costs too, which takes three times as long as all else.
    """
    try:
        recipe = validate(config, "random")
        model, task = assemble(recipe)
        effects(recipe, model, task)
    except RecipeError as error:
        assert error.lines and all(line and "\n" not in line for line in error.lines), error.lines
        return error.lines[0]
    _train(recipe, model, task)
    evaluate_gain(model, task, recipe)
    for split in ("validation", "ood") if recipe.evaluation.ood and task.size("ood") else ("validation",):
        depth_curve(model, task, recipe, split)  # type: ignore[arg-type]
    knockouts(model, task, recipe)
    if recipe.measures is not None:
        subject = Subject(model, Samples.of(task, recipe))
        for outcome in taken(declared(recipe, subject), subject):
            assert outcome.finding and "\n" not in outcome.finding, outcome
    if costs:
        assert cost(recipe).metrics()
    batch = task.batch("validation", range(2))
    save(model, folder / "again.safetensors")
    logits, again = (_logits(each, recipe, batch) for each in (model, load_model(folder / "again.safetensors")))
    assert torch.equal(logits.nan_to_num(), again.nan_to_num())
    if recipe.mask == "causal":
        assert generate(model, batch.tokens[:, :5], max_new_tokens=3).tokens.shape == (2, 3)
    return "ran"


def _train(recipe: Recipe, model: LoopedTransformer, task: Task) -> None:
    learner = Learner.of(recipe, model.train())
    for index in range(2):
        batch = task.batch("train", recipe.training.samples(index))
        numbers = step(learner, batch, begin(learner, index, batch), shows=index > 0)
    assert numbers and all(isinstance(float(value), float) for value in numbers.values())


@torch.no_grad()
def _logits(model: LoopedTransformer, recipe: Recipe, batch: Batch) -> Tensor:
    reseed(0, batch.tokens.device)
    logits: Tensor = model.eval()(batch.tokens, **surroundings(recipe, batch)).logits
    return logits


def kinds_in(config: Any, slot: str = "") -> set[str]:
    """Every kind that a recipe declares, by field."""
    found: set[str] = set()
    if isinstance(config, dict):
        if "kind" in config:
            found.add(f"{slot}={config['kind']}")
        for name, value in config.items():
            found |= kinds_in(value, name)
    if isinstance(config, list):
        found = {kind for item in config for kind in kinds_in(item, slot)}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("num", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--refusals", action="store_true", help="Print how often which line refused.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    outcomes: Counter[str] = Counter()
    pairs: set[tuple[str, str]] = set()
    faults: dict[str, int] = {}
    begun = time.time()
    with TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for seed in range(options.seed, options.seed + options.num):
            config = Draw(seed, folder).recipe()
            try:
                outcome = tried(config, folder, costs=seed % 16 == 0)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)
                place = next(f for f in reversed(where) if "mythos" in f.filename)
                fault = (
                    f"{type(error).__name__} {place.filename.split('mythos_', 1)[-1]}:{place.lineno} {str(error)[:200]}"
                )
                faults[fault] = faults.get(fault, 0) + 1
                outcome = "fault"
                if faults[fault] == 1:
                    print(f"seed {seed}: {fault}\n  {json.dumps(config)}", flush=True)
            if outcome == "ran":
                pairs |= set(itertools.combinations(sorted(kinds_in(config)), 2))
            outcomes[outcome if outcome in ("ran", "fault") or options.refusals else "refused"] += 1
    for outcome, count in outcomes.most_common():
        print(count, outcome)
    print(f"{len(pairs)} pairs of kinds ran; {time.time() - begun:.0f} s; {len(slots())} slots")
    for fault, count in sorted(faults.items(), key=lambda item: -item[1]):
        print(count, fault)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
